//! The course of training as a CSV file.

use std::io;
use std::path::Path;

use backstitch_core::History;

use crate::atomic;
use crate::error::Error;

/// Writes a line an epoch of each named run: run, epoch, losses, penalty and accuracies, empty where there
/// was no validation.
///
/// # Errors
/// If the file cannot be written.
pub fn write_csv(path: &Path, runs: &[(&str, &History)]) -> Result<(), Error> {
    atomic::write(path, |to| {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        writer.write_record([
            "run",
            "epoch",
            "train_loss",
            "penalty",
            "train_accuracy",
            "validation_loss",
            "validation_accuracy",
        ])?;
        for (run, history) in runs {
            for record in &history.epochs {
                writer.serialize((run, record)).map_err(io::Error::other)?;
            }
        }
        writer.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstitch_core::EpochRecord;

    #[test]
    fn a_line_an_epoch_under_a_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let record = EpochRecord {
            epoch: 1,
            train_loss: 0.5,
            penalty: 0.0,
            train_accuracy: 0.75,
            validation_loss: None,
            validation_accuracy: Some(0.5),
        };
        let history = History { epochs: vec![record], restored: None };
        write_csv(&path, &[("relu", &history), ("tanh", &history)]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let head = "run,epoch,train_loss,penalty,train_accuracy,validation_loss,validation_accuracy";
        assert_eq!(text, format!("{head}\nrelu,1,0.5,0.0,0.75,,0.5\ntanh,1,0.5,0.0,0.75,,0.5\n"));
    }
}
