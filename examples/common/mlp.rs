//! What is common to the two examples that train the network 784-256-128-64-10: its learning rate, its saved models, its figures.

use std::path::Path;

use backstitch::Error;
use backstitch::prelude::*;
use backstitch::{npz, pickle};
use serde_json::{Value, json};

use super::{AnyError, Trained};

/// One activation's network, and how good it is.
pub struct Outcome {
    pub trained: Trained,
    pub learning_rate: f64,
    /// The larger learning rates that diverged, each with its error.
    pub diverged: Vec<String>,
    /// Epoch, loss and accuracy on the test set, of every saved model after loading it again.
    pub tested: Vec<(usize, f64, f64)>,
}

impl Outcome {
    /// Loads every saved model from its pickles again, and evaluates it on the test set.
    pub fn test(
        mut trained: Trained,
        learning_rate: f64,
        folder: &Path,
        test: &Dataset,
    ) -> Result<Self, AnyError> {
        let mut tested = Vec::new();
        for epoch in saved_after(trained.history.epochs.len()) {
            pickle::load_model(folder, epoch, &trained.name, &mut trained.model)?;
            let figures = evaluate(&trained.model, test)?;
            let figure = |name| figures.get(name).unwrap_or(f64::NAN);
            tested.push((epoch, figure("loss"), figure("accuracy")));
        }
        Ok(Self { trained, learning_rate, diverged: Vec::new(), tested })
    }

    pub fn name(&self) -> &str {
        &self.trained.name
    }

    /// The run as summary.json has it.
    pub fn json(&self) -> Value {
        let mut json = self.trained.json(None);
        let (_, test_loss, test_accuracy) = self.tested.last().copied().unwrap_or_default();
        json["learning_rate"] = self.learning_rate.into();
        json["diverged"] = self.diverged.clone().into();
        json["test_loss"] = test_loss.into();
        json["test_accuracy"] = test_accuracy.into();
        let saved = |(epoch, loss, accuracy): &(usize, f64, f64)| json!({ "epoch": epoch, "test_loss": loss, "test_accuracy": accuracy });
        json["saved"] = self.tested.iter().map(saved).collect();
        json
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
}

/// Trains at the assignment's learning rate of 0.1. Where the loss stops being finite, trains again from the start with half the rate, as
/// often as it takes, and says so.
pub fn halving_the_rate(
    activation: Activation,
    mut train: impl FnMut(f64) -> Result<Outcome, AnyError>,
) -> Result<Outcome, AnyError> {
    let (mut rate, mut diverged) = (0.1, Vec::new());
    loop {
        match train(rate) {
            Ok(outcome) => return Ok(Outcome { diverged, ..outcome }),
            Err(error) => {
                let Some(Error::Diverged { .. }) = error.downcast_ref() else { return Err(error) };
                println!("{activation}, learning rate {rate}: {error}");
                diverged.push(format!("learning rate {rate}: {error}"));
                rate /= 2.0;
                println!("{activation}: again from the start, with learning rate {rate}");
            }
        }
    }
}

/// A callback that saves the weights halfway and at the end: as two pickles, and as npz.
pub struct SaveWeights<'a> {
    pub folder: &'a Path,
    pub activation: Activation,
}

/// The epochs after which weights are saved.
fn saved_after(epochs: usize) -> Vec<usize> {
    let mut saved = vec![(epochs / 2).max(1), epochs];
    saved.dedup();
    saved
}

impl Callback<f32> for SaveWeights<'_> {
    fn epoch(&mut self, run: &Run<'_, f32>) -> Result<ControlFlow<()>, CallbackError> {
        let (epoch, name) = (run.history().epochs.len(), self.activation.name());
        if saved_after(run.epochs()).contains(&epoch) {
            pickle::save_model(self.folder, epoch, name, run.model())?;
            npz::save(self.folder.join(format!("{epoch}_{name}.npz")), run.model())?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
