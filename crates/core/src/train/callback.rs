//! What wants to know how training goes: a progress bar, a checkpoint, a log.

use crate::scalar::Scalar;
use crate::train::Run;

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
    /// How many epochs there will be.
    pub epochs: usize,
    /// Steps taken in this epoch.
    pub step: usize,
    /// Steps an epoch has.
    pub steps: usize,
    /// Loss of the step's batch.
    pub loss: f64,
}

/// The error of a callback: whatever it likes.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Something that wants to know how training goes. For one of the two moments a closure will do:
/// [`Trainer::each_epoch`](crate::Trainer::each_epoch), [`Trainer::each_step`](crate::Trainer::each_step).
pub trait Callback<F: Scalar> {
    /// After each step. [`Flow::Stop`] ends training within the epoch, which then is none of the history's.
    fn step(&mut self, _at: &StepEnd) -> Flow {
        Flow::Continue
    }

    /// After each epoch.
    ///
    /// # Errors
    /// Whatever went wrong; training then stops with it.
    fn epoch(&mut self, _run: &Run<'_, F>) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue)
    }
}

impl<F: Scalar, C: Callback<F> + ?Sized> Callback<F> for &mut C {
    fn step(&mut self, at: &StepEnd) -> Flow {
        (**self).step(at)
    }

    fn epoch(&mut self, run: &Run<'_, F>) -> Result<Flow, CallbackError> {
        (**self).epoch(run)
    }
}

/// A closure as a callback after each epoch.
pub(super) struct EachEpoch<C>(pub(super) C);

impl<F: Scalar, C: FnMut(&Run<'_, F>) -> Result<Flow, CallbackError>> Callback<F> for EachEpoch<C> {
    fn epoch(&mut self, run: &Run<'_, F>) -> Result<Flow, CallbackError> {
        (self.0)(run)
    }
}

/// A closure as a callback after each step.
pub(super) struct EachStep<C>(pub(super) C);

impl<F: Scalar, C: FnMut(&StepEnd) -> Flow> Callback<F> for EachStep<C> {
    fn step(&mut self, at: &StepEnd) -> Flow {
        (self.0)(at)
    }
}
