//! A trained model, how good it became, and the parts of a report that show both.

use backstitch::Summary;
use backstitch::metrics::{Average, ConfusionMatrix, argmax_rows, log_loss, roc_auc_one_against_rest};
use backstitch::prelude::*;
use backstitch::{ConfusionChart, LineChart, Report, Series};
use ndarray::{Array2, Axis, concatenate};
use serde_json::{Value, json};

use super::{AnyError, Run, Steps, defined, times};

/// Samples that are evaluated at once.
const AT_ONCE: usize = 512;

/// A trained model and what training took.
pub struct Trained {
    pub name: String,
    pub model: Model,
    pub summary: Summary,
    pub history: History,
    pub seconds_per_epoch: f64,
    pub minutes: f64,
    /// Most memory of the process while it trained, above what it held before, in MB, where the system tells.
    pub peak_memory: Option<u64>,
}

impl Trained {
    /// A figure of the last epoch.
    pub fn last(&self, figure: &str) -> Option<f64> {
        self.history.last(figure)
    }

    /// Validation accuracy after the last epoch.
    pub fn validated(&self) -> f64 {
        self.last("validation_accuracy").unwrap_or(f64::NAN)
    }

    /// All parameters.
    pub fn parameters(&self) -> usize {
        self.summary.parameters()
    }

    /// Multiply-adds of a forward pass over one sample.
    pub fn multiply_adds(&self) -> u64 {
        self.summary.multiply_adds()
    }

    /// How many convolutions there are, and how many layers with weights.
    pub fn layers(&self) -> (usize, usize) {
        let named =
            |kind: &str| self.summary.lines.iter().filter(|line| line.layer.starts_with(kind)).count();
        (named("Conv2d"), named("Conv2d") + named("Dense"))
    }

    /// How good it is on these data.
    pub fn score(&self, data: &Dataset) -> Result<Score, AnyError> {
        Score::of(&self.model, data)
    }

    /// Loss and accuracy by epoch, saved and shown.
    pub fn curves(
        &self,
        run: &Run,
        report: &mut Report,
        prefix: &str,
        captions: [String; 2],
    ) -> Result<(), AnyError> {
        let [loss, accuracy] = captions;
        let chart = LineChart::losses(format!("{}: loss by epoch", self.name), &self.history);
        run.chart(report, &format!("{prefix}loss"), &chart, loss)?;
        let series = vec![
            Series::by_epoch("training", &self.history, 0, "train_accuracy"),
            Series::by_epoch("validation", &self.history, 1, "validation_accuracy"),
        ];
        let chart = by_epoch(format!("{}: accuracy by epoch", self.name), "accuracy", series);
        run.chart(report, &format!("{prefix}accuracy"), &chart, accuracy)
    }

    /// The run as summary.json has it, with its score on the test set, where there is one.
    pub fn json(&self, test: Option<&Score>) -> Value {
        json!({
            "name": self.name, "parameters": self.parameters(), "epochs": self.history.epochs.len(),
            "train_loss": self.last("train_loss"), "train_accuracy": self.last("train_accuracy"),
            "validation_loss": self.last("validation_loss"), "validation_accuracy": self.last("validation_accuracy"),
            "test_loss": test.map(|t| t.log_loss), "test_accuracy": test.map(Score::accuracy),
            "test_f1_macro": test.map(|t| t.matrix.average(Average::Macro).f1), "test_roc_auc": test.map(Score::roc_auc),
            "seconds_per_epoch": self.seconds_per_epoch, "minutes": self.minutes,
            "multiply_adds": self.multiply_adds(), "peak_memory_mb": self.peak_memory,
        })
    }
}

/// A column of a table: its head, and what a row has there.
pub type Column<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

/// A table with a row for each of these.
pub fn table<T>(
    report: &mut Report,
    caption: &str,
    rows: impl IntoIterator<Item = T>,
    columns: &[Column<T>],
) {
    let head: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let cells = |row: T| columns.iter().map(|(_, cell)| cell(&row)).collect();
    report.table(caption, &head, rows.into_iter().map(cells).collect());
}

/// Lines over epochs.
pub fn by_epoch(title: impl Into<String>, y: &str, series: Vec<Series>) -> LineChart {
    LineChart::new(title, "epoch", y, series)
}

/// One figure of several trainings by epoch.
pub fn together<'a>(
    title: &str,
    y: &str,
    all: impl IntoIterator<Item = &'a Trained>,
    figure: &str,
) -> LineChart {
    let line = |(i, trained): (usize, &Trained)| Series::by_epoch(&trained.name, &trained.history, i, figure);
    by_epoch(title, y, all.into_iter().enumerate().map(line).collect())
}

/// A model's figures on some data.
pub struct Score {
    pub predictions: Vec<usize>,
    pub matrix: ConfusionMatrix,
    pub areas: Vec<Option<f64>>,
    pub log_loss: f64,
}

impl Score {
    pub fn of(model: &Model, data: &Dataset) -> Result<Self, AnyError> {
        let probabilities = probabilities(model, data)?;
        let (labels, predictions) = (labels(data), argmax_rows(probabilities.view())?);
        Ok(Self {
            matrix: ConfusionMatrix::new(&labels, &predictions, probabilities.ncols())?,
            areas: roc_auc_one_against_rest(&labels, probabilities.view())?,
            log_loss: log_loss(&labels, probabilities.view())?,
            predictions,
        })
    }

    pub fn accuracy(&self) -> f64 {
        self.matrix.accuracy()
    }

    /// The mean area under the ROC curves of all classes against the rest; none where one is undefined.
    pub fn roc_auc(&self) -> Option<f64> {
        let areas: Option<Vec<f64>> = self.areas.iter().copied().collect();
        areas.map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
    }

    /// A table of precision, recall, F1, area and support of every class, then of their averages.
    pub fn table(&self, report: &mut Report, caption: impl Into<String>, names: &[&str]) {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |name: &str, [p, r, f]: [Option<f64>; 3], area: String, support: u64| {
            rows.push(vec![name.to_owned(), defined(p), defined(r), defined(f), area, support.to_string()]);
        };
        for ((name, s), area) in names.iter().zip(self.matrix.class_scores()).zip(&self.areas) {
            row(name, [s.precision, s.recall, s.f1], defined(*area), s.support);
        }
        for (name, average) in [("macro average", Average::Macro), ("weighted average", Average::Weighted)] {
            let s = self.matrix.average(average);
            let area = if average == Average::Macro { defined(self.roc_auc()) } else { String::new() };
            row(name, [s.precision, s.recall, s.f1], area, s.support);
        }
        report.table(caption, &["class", "precision", "recall", "F1", "ROC AUC", "samples"], rows);
    }

    /// The confusion matrix as a chart.
    pub fn confusion(&self, title: impl Into<String>, names: &[&str]) -> ConfusionChart {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        ConfusionChart { title: title.into(), names, matrix: self.matrix.clone() }
    }

    /// The pairs of classes that were confused most often, as a sentence.
    pub fn confused(&self, names: &[&str], pairs: usize) -> String {
        let confused = self.matrix.most_confused(pairs).into_iter();
        let list: Vec<String> = confused
            .map(|(label, taken, count)| format!("{} for {} ({})", names[label], names[taken], times(count)))
            .collect();
        if list.is_empty() {
            "No class was taken for another.".to_owned()
        } else {
            format!("Taken most often for another class: {}.", list.join(", "))
        }
    }
}

/// The probability of every class for every sample, `[n, classes]`.
fn probabilities(model: &Model, data: &Dataset) -> Result<Array2<f32>, AnyError> {
    let mut steps = Steps::new("evaluating", data.len())?;
    let mut rows = Vec::new();
    for chunk in (0..data.len()).collect::<Vec<_>>().chunks(AT_ONCE) {
        rows.push(model.predict_proba(data.subset(chunk)?.inputs()?.view())?);
        steps.set((chunk[0] + chunk.len()) as u64, data.len() as u64);
    }
    Ok(concatenate(Axis(0), &rows.iter().map(|rows| rows.view()).collect::<Vec<_>>())?)
}

/// The classes of samples that have one each, as those of all examples.
pub fn labels(data: &Dataset) -> Vec<usize> {
    data.labels().unwrap_or_default()
}
