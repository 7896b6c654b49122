//! The training loop.

mod evaluate;
mod step;
mod trainer;

use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::optim::Optimizer;
use crate::scalar::Scalar;

pub use crate::kernels::keep_awake;
pub use evaluate::evaluate;
pub use step::{Rules, StepLoss, Workspace, step};
pub use trainer::Trainer;

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the training samples, each taken just before the step that learned from it.
    pub train_loss: f64,
    /// Mean of the penalty on the weights ([`Penalty`](crate::penalty::Penalty)), which is not part of the loss.
    pub penalty: f64,
    /// Share of the training samples that were right at that moment.
    pub train_accuracy: f64,
    /// Loss on the validation samples after the epoch.
    pub validation_loss: Option<f64>,
    /// Share of the validation samples that are right after the epoch.
    pub validation_accuracy: Option<f64>,
}

/// The records of all epochs so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub epochs: Vec<EpochRecord>,
    /// The epoch whose weights the model was given at the end, with early stopping.
    pub restored: Option<usize>,
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// On to the next step.
    Continue,
    /// Training ends here, without an error.
    Stop,
}

/// Where training stands after a step.
#[derive(Debug, Clone, Copy)]
pub struct StepEnd {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Steps taken in this epoch.
    pub step: usize,
    /// Steps an epoch has.
    pub steps: usize,
    /// Loss of the step's batch.
    pub loss: f64,
}

/// Where training stands after an epoch.
pub struct EpochEnd<'a, F: Scalar> {
    /// What the epoch came to.
    pub record: &'a EpochRecord,
    /// All epochs so far, this one included.
    pub history: &'a History,
    /// The model as it is now.
    pub model: &'a Model<F>,
    /// The optimizer as it is now, with the learning rate that the schedule multiplies.
    pub optimizer: &'a dyn Optimizer<F>,
}

/// The error of a callback: whatever it likes.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Something that wants to know how training goes: a progress bar, a checkpoint, a log.
pub trait Callback<F: Scalar>: Send {
    /// After each step.
    fn step(&mut self, _at: &StepEnd) -> Flow {
        Flow::Continue
    }

    /// After each epoch.
    ///
    /// # Errors
    /// Whatever went wrong; training then stops with it.
    fn epoch(&mut self, _at: &EpochEnd<'_, F>) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod argument_tests;
#[cfg(test)]
mod tests;
