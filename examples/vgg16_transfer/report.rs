//! The report of `vgg16_transfer`.

use backstitch::metrics::Average;
use backstitch::tensorboard::EventWriter;
use backstitch::{ConfusionChart, Report};
use backstitch_examples::fashion::CLASSES;
use backstitch_examples::trained::{Column, table};
use backstitch_examples::{AnyError, Run, Score, Trained, defined, four};
use serde_json::Value;

use crate::base::Base;

/// A head or a whole network, how good it is on the test set, and the seconds that its features took.
pub struct Entry {
    pub trained: Trained,
    pub score: Score,
    pub seconds: f64,
}

impl Entry {
    fn accuracy(&self) -> f64 {
        self.score.accuracy()
    }

    fn confusion(&self) -> ConfusionChart {
        self.score.confusion(format!("{}: confusion matrix on the test set", self.trained.name), &CLASSES)
    }

    /// The confusion matrix as a picture for TensorBoard.
    pub fn log_confusion(&self, events: &mut EventWriter) -> Result<(), AnyError> {
        let png = self.confusion().png()?;
        // Height and width stand behind the signature and the name of the first chunk.
        let side = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
        Ok(events.png("confusion", self.trained.history.epochs.len() as u64, &png, (side(20), side(16)))?)
    }

    pub fn json(&self) -> Value {
        let mut json = self.trained.json(Some(&self.score));
        json["feature_seconds"] = self.seconds.into();
        json
    }
}

pub fn report(
    run: &Run,
    base: &Base,
    entries: &[Entry],
    ablation: &[(String, f64)],
) -> Result<Report, AnyError> {
    let mut report = run.report("A network trained on something else, on Fashion-MNIST");
    let trained_on = base.trained_on.as_deref().unwrap_or("nothing");
    report.paragraph(format!(
        "Backbone {}, trained on {trained_on}; pictures resized to {1}x{1} in three channels, {2}. Features less their means and divided by their deviations over \
         the training set (from scratch: batch normalization, and the weights of the best epoch). Head: 256 units with ReLU, dropout 0.5, 10 units; Adam 0.001.",
        base.name, base.preparation.size, base.preparation.what
    ));
    let epochs = |e: &Entry| e.trained.history.epochs.len();
    let features = |e: &Entry| if e.seconds > 0.0 { format!("{:.1}", e.seconds) } else { String::new() };
    let columns: [Column<&Entry>; 7] = [
        ("", &|e| e.trained.name.clone()),
        ("test accuracy", &|e| four(e.accuracy())),
        ("F1 (macro)", &|e| defined(e.score.matrix.average(Average::Macro).f1)),
        ("log loss", &|e| four(e.score.log_loss)),
        ("epochs", &|e| epochs(e).to_string()),
        ("minutes of training", &|e| format!("{:.2}", e.trained.minutes)),
        ("seconds of features", &|e| features(e)),
    ];
    table(&mut report, "What was the pretraining worth?", entries, &columns);
    if let [pretrained, random, rest @ ..] = entries {
        report.paragraph(worth(pretrained, random, rest.first()));
    }
    if !ablation.is_empty() {
        let rows = ablation.iter().map(|(name, accuracy)| vec![name.clone(), four(*accuracy)]).collect();
        report.table(
            "Preparations compared on part of the data",
            &["preparation", "validation accuracy"],
            rows,
        );
    }
    for (i, entry) in entries.iter().enumerate() {
        let (name, stem) = (&entry.trained.name, ["pretrained", "random", "scratch"][i.min(2)]);
        report.heading(name.clone());
        if entry.trained.history.epochs.is_empty() {
            report.paragraph("Not one epoch was finished in the time.");
        } else {
            let loss = format!("{:.2} s an epoch.", entry.trained.seconds_per_epoch);
            let accuracy = format!("Test accuracy {:.4}.", entry.accuracy());
            entry.trained.curves(run, &mut report, &format!("{stem}_"), [loss, accuracy])?;
        }
        let caption = entry.score.confused(&CLASSES, 6);
        run.confusion(&mut report, &format!("{stem}_confusion"), &entry.confusion(), caption)?;
        entry.score.table(&mut report, "Every class on the test set", &CLASSES);
    }
    Ok(report)
}

fn worth(pretrained: &Entry, random: &Entry, scratch: Option<&Entry>) -> String {
    let points = |other: &Entry| 100.0 * (pretrained.accuracy() - other.accuracy());
    let epochs = pretrained.trained.history.epochs.len();
    let saved = pretrained.seconds * epochs.saturating_sub(1) as f64 / 60.0;
    let scratch = scratch.map_or(String::new(), |scratch| {
        format!(" and {:+.2} over the network trained from scratch in the same time", points(scratch))
    });
    format!(
        "Pretrained weights gave {:+.2} points of test accuracy over random ones{scratch}. Features were computed once, not in each of {epochs} epochs: that saved \
         about {saved:.1} minutes.",
        points(random)
    )
}
