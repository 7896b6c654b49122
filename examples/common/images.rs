//! Pictures as maps, a model trained on them, and how good it became.

use std::time::Instant;

use backstitch::core::metrics::{Average, ConfusionMatrix, likeliest, log_loss, roc_auc_one_against_rest};
use backstitch::core::{Summary, split};
pub use backstitch::io::fashion_mnist::CLASSES;
use backstitch::io::fashion_mnist::FashionMnist;
use backstitch::plot::{LineChart, Series};
use backstitch::prelude::*;
use ndarray::{ArrayD, Axis, Slice};
use serde_json::{Value, json};

use super::callbacks::{Interrupt, ShowProgress};
use super::memory::MemorySince;
use super::{AnyError, Run};

/// Makes a network, untrained.
pub type NewNet = fn() -> Net;

/// Pictures `[n, 28, 28, 1]` from 0 to 1, with their classes.
pub struct Maps {
    pub x: ArrayD<f32>,
    pub labels: Vec<usize>,
}

impl Maps {
    /// The chosen pictures.
    pub fn of(data: &FashionMnist, indices: &[usize]) -> Self {
        let (rows, labels) = data.rows(indices);
        let x = rows.into_shape_with_order((labels.len(), 28, 28, 1)).expect("rows of 784").into_dyn();
        Self { x, labels }
    }

    /// The first so many.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.labels.len());
        let x = self.x.slice_axis(Axis(0), Slice::from(..count)).to_owned();
        Self { x, labels: self.labels[..count].to_vec() }
    }

    /// Those with these numbers.
    pub fn chosen(&self, indices: &[usize]) -> Self {
        let labels = indices.iter().map(|&i| self.labels[i]).collect();
        Self { x: self.x.select(Axis(0), indices), labels }
    }

    /// As the trainer takes them.
    pub fn dataset(&self) -> Result<Dataset, AnyError> {
        Ok(Dataset::classes(&self.x, &self.labels)?)
    }
}

/// The published parts: of the 60,000 training pictures a share to validate with, and the 10,000 test pictures. With
/// `--quick` a small part of each.
pub fn parts(
    run: &mut Run,
    data: &FashionMnist,
    validation: f64,
    quick: usize,
) -> Result<[Maps; 3], AnyError> {
    let count = data.train.labels.len();
    let mut parts = split::hold_out(count, &[1.0 - validation, validation], run.flags.seed)?;
    parts.push((count..data.len()).collect());
    if run.flags.quick {
        parts.iter_mut().zip([quick, quick / 4, quick / 4]).for_each(|(part, most)| part.truncate(most));
    }
    let maps = [0, 1, 2].map(|i| Maps::of(data, &parts[i]));
    for (name, part) in ["training part", "validation part", "test part"].iter().zip(&maps) {
        split::check_every_class(name, &part.labels, CLASSES.len())?;
    }
    run.parts(parts[0].len(), parts[1].len(), parts[2].len());
    Ok(maps)
}

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

/// Trains a new model, with a line an epoch. `None` where Ctrl-C stopped it.
pub fn train(
    name: &str,
    net: Net,
    trainer: Trainer<'_>,
    (data, validation): (&Maps, Option<&Maps>),
    interrupt: &Interrupt,
    seed: u64,
) -> Result<Option<Trained>, AnyError> {
    let model = Model::new(net, &data.x.shape()[1..], seed)?;
    train_model(name, model, trainer, (data, validation), interrupt)
}

/// As [`train`], from a model that may be trained already, in part.
pub fn train_model(
    name: &str,
    mut model: Model,
    trainer: Trainer<'_>,
    (data, validation): (&Maps, Option<&Maps>),
    interrupt: &Interrupt,
) -> Result<Option<Trained>, AnyError> {
    let mut progress = ShowProgress::new(name);
    let (data, validation) = (data.dataset()?, validation.map(Maps::dataset).transpose()?);
    let memory = MemorySince::now();
    let start = Instant::now();
    let trainer = validation.iter().fold(trainer, |trainer, data| trainer.validation(data));
    let trainer = trainer.callback(&mut progress).callback(interrupt.clone());
    let history = trainer.fit(&mut model, &data)?;
    if interrupt.raised() {
        println!("stopped");
        return Ok(None);
    }
    Ok(Some(Trained {
        name: name.to_owned(),
        summary: model.summary(),
        model,
        history,
        seconds_per_epoch: progress.seconds_per_epoch(),
        minutes: start.elapsed().as_secs_f64() / 60.0,
        peak_memory: memory.and_then(|since| since.most()),
    }))
}

impl Trained {
    /// The last epoch.
    pub fn last(&self) -> Option<&Epoch> {
        self.history.epochs.last()
    }

    /// All parameters.
    pub fn parameters(&self) -> usize {
        self.summary.parameters()
    }

    /// Multiply-adds of a forward pass over one sample.
    pub fn multiply_adds(&self) -> u64 {
        self.summary.multiply_adds()
    }

    /// How many layers have weights of kernels, and how many layers have weights at all.
    pub fn layers(&self) -> (usize, usize) {
        let named =
            |kind: &str| self.summary.lines.iter().filter(|line| line.layer.starts_with(kind)).count();
        (named("Conv2d"), named("Conv2d") + named("Dense"))
    }

    /// Training and validation accuracy by epoch.
    pub fn accuracies(&self, title: String) -> LineChart {
        let series = vec![
            Series::by_epoch("training", &self.history, 0, "train_accuracy"),
            Series::by_epoch("validation", &self.history, 1, "validation_accuracy"),
        ];
        LineChart { title, x: "epoch".to_owned(), y: "accuracy".to_owned(), series }
    }

    /// How good it is on a part.
    pub fn score(&self, part: &Maps) -> Result<Score, AnyError> {
        Score::of(&self.model, part)
    }

    /// The run as summary.json has it, with what the test part gave, where there is one.
    pub fn json(&self, test: Option<&Score>) -> Value {
        let last = |figure: &str| self.last().and_then(|epoch| epoch.get(figure));
        json!({
            "name": self.name, "parameters": self.parameters(), "epochs": self.history.epochs.len(),
            "train_loss": last("train_loss"), "train_accuracy": last("train_accuracy"),
            "validation_loss": last("validation_loss"), "validation_accuracy": last("validation_accuracy"),
            "test_loss": test.map(|t| t.log_loss), "test_accuracy": test.map(|t| t.matrix.accuracy()),
            "test_f1_macro": test.map(|t| t.matrix.average(Average::Macro).f1), "test_roc_auc": test.map(Score::roc_auc),
            "seconds_per_epoch": self.seconds_per_epoch, "minutes": self.minutes,
            "multiply_adds": self.multiply_adds(), "peak_memory_mb": self.peak_memory,
        })
    }
}

/// A model's figures on one part of the data.
pub struct Score {
    pub predictions: Vec<usize>,
    pub matrix: ConfusionMatrix,
    pub areas: Vec<Option<f64>>,
    pub log_loss: f64,
}

impl Score {
    pub fn of(model: &Model, part: &Maps) -> Result<Self, AnyError> {
        let probabilities = model.predict_proba(&part.x.view())?;
        let predictions = likeliest(probabilities.view())?;
        Ok(Self {
            matrix: ConfusionMatrix::new(&part.labels, &predictions, probabilities.ncols())?,
            areas: roc_auc_one_against_rest(&part.labels, probabilities.view())?,
            log_loss: log_loss(&part.labels, probabilities.view())?,
            predictions,
        })
    }

    /// The mean area under the ROC curves of all classes against the rest; none where one is undefined.
    pub fn roc_auc(&self) -> Option<f64> {
        let areas: Option<Vec<f64>> = self.areas.iter().copied().collect();
        areas.map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
    }

    /// Precision, recall, F1, area and support of every class, then their averages: rows of a table.
    pub fn rows(&self, names: &[&str]) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for ((name, scores), area) in names.iter().zip(self.matrix.class_scores()).zip(&self.areas) {
            let [p, r, f] = [scores.precision, scores.recall, scores.f1].map(defined);
            rows.push(vec![(*name).to_owned(), p, r, f, defined(*area), scores.support.to_string()]);
        }
        for (name, average) in [("macro average", Average::Macro), ("weighted average", Average::Weighted)] {
            let scores = self.matrix.average(average);
            let [p, r, f] = [scores.precision, scores.recall, scores.f1].map(defined);
            let area = if average == Average::Macro { defined(self.roc_auc()) } else { String::new() };
            rows.push(vec![name.to_owned(), p, r, f, area, scores.support.to_string()]);
        }
        rows
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

/// What the columns of [`Score::rows`] are.
pub const SCORE_HEAD: [&str; 6] = ["class", "precision", "recall", "F1", "ROC AUC", "samples"];

/// A score, or that there is none.
pub fn defined(value: Option<f64>) -> String {
    value.map_or("undefined".to_owned(), super::four)
}

/// How often.
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
