//! The training history as a CSV file.

use std::path::Path;

use backstitch_core::History;

use crate::atomic;
use crate::error::Error;

/// Writes one line per epoch of each named run: the run, the epoch, and all losses and metrics that occur in any run. A field is empty if
/// the epoch does not have the metric.
///
/// # Errors
/// If the file cannot be written.
pub fn write_csv(path: impl AsRef<Path>, runs: &[(&str, &History)]) -> Result<(), Error> {
    let path = path.as_ref();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in
        runs.iter().flat_map(|(_, history)| &history.epochs).flat_map(|epoch| epoch.figures.iter())
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    atomic::write(path, |to| {
        let mut writer = csv::WriterBuilder::new().from_writer(to);
        writer.write_record(["run", "epoch"].iter().chain(&names))?;
        for (run, history) in runs {
            for epoch in &history.epochs {
                let figures = names.iter().map(|name| epoch.get(name).map_or(String::new(), shortest));
                writer
                    .write_record([(*run).to_owned(), epoch.epoch.to_string()].into_iter().chain(figures))?;
            }
        }
        writer.flush()
    })
}

/// The shortest decimal form of a number, always with a point: `0.5`, `1.0`.
fn shortest(value: f64) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use backstitch_core::{Model, Trainer, data, layers::dense, optim::Sgd};

    use super::*;

    #[test]
    fn a_line_an_epoch_under_a_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let samples = data::blobs(20, 2, 0.1, 0).unwrap();
        let fit = |judged: bool| {
            let trainer = Trainer::new(Sgd::new(0.1)).epochs(2).batch_size(5);
            let trainer = if judged { trainer.validation(&samples) } else { trainer };
            trainer.fit(&mut Model::<f32>::new(dense(2), &[2], 0).unwrap(), &samples).unwrap()
        };
        let (judged, alone) = (fit(true), fit(false));
        write_csv(&path, &[("relu", &judged), ("tanh", &alone)]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "run,epoch,train_loss,train_accuracy,validation_loss,validation_accuracy");
        assert_eq!(lines.len(), 5);
        let last: Vec<&str> = lines[2].split(',').collect();
        assert_eq!((last[0], last[1], last.len()), ("relu", "2", 6));
        assert_eq!(last[4].parse::<f64>().unwrap(), judged.last("validation_loss").unwrap());
        assert!(lines[3].starts_with("tanh,1,") && lines[3].ends_with(",,"));
    }
}
