//! The course of training as a CSV file.

use std::io;
use std::path::Path;

use backstitch_core::History;

use crate::atomic;
use crate::error::Error;

/// Writes a line an epoch: epoch, losses and accuracies, empty where there was no validation.
///
/// # Errors
/// If the file cannot be written.
pub fn write_csv(path: &Path, history: &History) -> Result<(), Error> {
    atomic::write(path, |to| {
        let mut writer = csv::Writer::from_writer(to);
        for record in &history.epochs {
            writer.serialize(record).map_err(io::Error::other)?;
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
            train_accuracy: 0.75,
            validation_loss: None,
            validation_accuracy: Some(0.5),
        };
        write_csv(&path, &History { epochs: vec![record] }).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text,
            "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy\n1,0.5,0.75,,0.5\n"
        );
    }
}
