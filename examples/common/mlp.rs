//! The assignment's network, trained with one activation on all of Fashion-MNIST.

use std::path::Path;

use backstitch::core::train::Saved;
use backstitch::core::{Error, split};
use backstitch::io::checkpoint::{self, SaveCheckpoints};
use backstitch::io::{npz, pickle};
use backstitch::plot::Series;
use backstitch::prelude::*;
use ndarray::Array2;
use serde_json::{Value, json};

use super::callbacks::{Interrupt, ShowProgress};
use super::{AnyError, Run};

/// Rows of pixels from 0 to 1, with their classes.
pub struct Part {
    pub rows: Array2<f32>,
    pub labels: Vec<usize>,
}

/// All pictures dealt out 80/10/10: training, validation, test.
pub fn parts(run: &mut Run) -> Result<[Part; 3], AnyError> {
    let data = run.fashion_mnist()?;
    let mut parts = split::hold_out(data.len(), &[0.8, 0.1, 0.1], run.flags.seed)?;
    if run.flags.quick {
        parts.iter_mut().for_each(|part| part.truncate(part.len() / 7));
    }
    run.parts(parts[0].len(), parts[1].len(), parts[2].len());
    Ok([0, 1, 2].map(|i| {
        let (rows, labels) = data.rows(&parts[i]);
        Part { rows, labels }
    }))
}

/// What came of one activation.
pub struct Outcome {
    pub name: &'static str,
    pub parameters: usize,
    pub learning_rate: f64,
    /// What became of larger learning rates, where there were any.
    pub diverged: Vec<String>,
    pub history: History,
    pub seconds_per_epoch: f64,
    /// Epoch, loss and accuracy on the test part, of every saved model after loading it again.
    pub tested: Vec<(usize, f64, f64)>,
}

impl Outcome {
    /// The run as summary.json has it.
    pub fn summary(&self) -> Value {
        let last = |figure: &str| self.history.epochs.last().and_then(|epoch| epoch.get(figure));
        let (_, test_loss, test_accuracy) = self.tested.last().copied().unwrap_or_default();
        json!({
            "name": self.name, "parameters": self.parameters, "learning_rate": self.learning_rate,
            "diverged": self.diverged, "epochs": self.history.epochs.len(),
            "train_loss": last("train_loss"), "train_accuracy": last("train_accuracy"),
            "validation_loss": last("validation_loss"), "validation_accuracy": last("validation_accuracy"),
            "test_loss": test_loss, "test_accuracy": test_accuracy,
            "seconds_per_epoch": self.seconds_per_epoch,
            "saved": self.tested.iter().map(|(epoch, loss, accuracy)| {
                json!({ "epoch": epoch, "test_loss": loss, "test_accuracy": accuracy })
            }).collect::<Vec<_>>(),
        })
    }

    /// Why it was not trained at the assignment's learning rate, where it was not.
    pub fn why_this_rate(&self) -> String {
        match self.diverged.as_slice() {
            [] => String::new(),
            runs => {
                format!("Trained with learning rate {}, because: {}. ", self.learning_rate, runs.join("; "))
            }
        }
    }

    /// One figure of every epoch, as a line of a chart.
    pub fn line(&self, figure: &str, colour: usize) -> Series {
        Series::by_epoch(self.name, &self.history, colour, figure)
    }
}

/// The epochs after which weights are saved: halfway and at the end.
pub fn saved_after(epochs: usize) -> Vec<usize> {
    let mut saved = vec![(epochs / 2).max(1), epochs];
    saved.dedup();
    saved
}

struct SaveWeights<'a> {
    folder: &'a Path,
    name: &'static str,
    after: Vec<usize>,
}

impl Callback<f32> for SaveWeights<'_> {
    fn epoch(&mut self, run: &backstitch::prelude::Run<'_, f32>) -> Result<Flow, CallbackError> {
        let epoch = run.history().epochs.len();
        if self.after.contains(&epoch) {
            pickle::save_model(self.folder, epoch, self.name, run.model())?;
            npz::save(&self.folder.join(format!("{epoch}_{}.npz", self.name)), run.model())?;
        }
        Ok(Flow::Continue)
    }
}

/// Trains with one activation at the assignment's learning rate, then loads every saved model again
/// and scores it on the test part. Where the loss stops being finite, trains again from the start
/// with half the rate, as often as it takes, and says so. `None` where Ctrl-C stopped it.
pub fn train_and_test(
    run: &Run,
    activation: Activation,
    resume: bool,
    parts: &[Part; 3],
    interrupt: &Interrupt,
) -> Result<Option<Outcome>, AnyError> {
    let mut parameters = MlpParameters {
        activation,
        num_epochs: run.epochs,
        seed: run.flags.seed,
        ..MlpParameters::default()
    };
    let mut diverged = Vec::new();
    loop {
        match train(run, &parameters, resume, parts, interrupt) {
            Ok(outcome) => return Ok(outcome.map(|outcome| Outcome { diverged, ..outcome })),
            Err(error) => {
                let Some(Error::Diverged { .. }) = error.downcast_ref() else { return Err(error) };
                println!("{activation}, learning rate {}: {error}", parameters.learning_rate);
                diverged.push(format!("learning rate {}: {error}", parameters.learning_rate));
                parameters.learning_rate /= 2.0;
                println!(
                    "{activation}: again from the start, with learning rate {}",
                    parameters.learning_rate
                );
            }
        }
    }
}

fn train(
    run: &Run,
    parameters: &MlpParameters,
    resume: bool,
    [train, validation, test]: &[Part; 3],
    interrupt: &Interrupt,
) -> Result<Option<Outcome>, AnyError> {
    let name = parameters.activation.name();
    let rate = parameters.learning_rate;
    let mut classifier = MlpClassifier::new(parameters.clone())?;
    let path = run.out.join(format!("{name}_{rate}.checkpoint"));
    let saved = if resume { checkpoint::load_if_there(&path)? } else { None };
    if let Some(Saved { history, .. }) = &saved {
        println!("{name}: going on after epoch {}", history.epochs.len());
    }
    let mut progress = ShowProgress::new(name);
    let after = saved_after(run.epochs);
    let weights = SaveWeights { folder: &run.out, name, after: after.clone() };
    let judged = Dataset::classes(validation.rows.view(), &validation.labels)?;
    let history = classifier.fit_with(train.rows.view(), &train.labels, |trainer| {
        let trainer = trainer.validation(&judged).resume(saved).setting("activation", parameters.activation);
        let trainer = trainer.callback(&mut progress).callback(weights);
        trainer.callback(SaveCheckpoints::to(&path)).callback(interrupt.clone())
    })?;
    if interrupt.raised() {
        println!("{name}: stopped; --resume goes on after epoch {}", history.epochs.len());
        return Ok(None);
    }
    let test = Dataset::classes(test.rows.view(), &test.labels)?;
    let mut tested = Vec::new();
    for epoch in after {
        pickle::load_model(&run.out, epoch, name, classifier.model_mut())?;
        let figures = evaluate(classifier.model(), &test)?;
        let figure = |name| figures.get(name).unwrap_or(f64::NAN);
        tested.push((epoch, figure("loss"), figure("accuracy")));
    }
    Ok(Some(Outcome {
        name,
        parameters: classifier.model().parameter_count(),
        learning_rate: rate,
        diverged: Vec::new(),
        history,
        seconds_per_epoch: progress.seconds_per_epoch(),
        tested,
    }))
}
