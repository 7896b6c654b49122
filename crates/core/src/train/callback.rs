//! Callbacks: progress bars, checkpoints, logs.

use std::ops::ControlFlow;

use crate::tensor::scalar::Scalar;
use crate::train::Run;

/// The progress of training after a step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StepEnd {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// The number of epochs of the run.
    pub epochs: usize,
    /// Steps taken in this epoch.
    pub step: usize,
    /// Steps an epoch has.
    pub steps: usize,
    /// Loss of the step's batch.
    pub loss: f64,
}

/// The error of a callback, of any type.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Called after each step and after each epoch of training. If you need only one of the two, use a closure:
/// [`Trainer::each_epoch`](crate::Trainer::each_epoch), [`Trainer::each_step`](crate::Trainer::each_step).
pub trait Callback<F: Scalar> {
    /// After each step. [`ControlFlow::Break`] ends training within the epoch; the history then lacks this epoch.
    fn step(&mut self, _at: &StepEnd) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After each epoch.
    ///
    /// # Errors
    /// Any error of the callback. Training stops, and returns it.
    fn epoch(&mut self, _run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        Ok(ControlFlow::Continue(()))
    }
}

impl<F: Scalar, C: Callback<F> + ?Sized> Callback<F> for &mut C {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        (**self).step(at)
    }

    fn epoch(&mut self, run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        (**self).epoch(run)
    }
}

/// A closure as a callback after each epoch.
pub(super) struct EachEpoch<C>(pub(super) C);

impl<F: Scalar, C: FnMut(&Run<'_, F>) -> Result<ControlFlow<()>, CallbackError>> Callback<F>
    for EachEpoch<C>
{
    fn epoch(&mut self, run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        (self.0)(run)
    }
}

/// A closure as a callback after each step.
pub(super) struct EachStep<C>(pub(super) C);

impl<F: Scalar, C: FnMut(&StepEnd) -> ControlFlow<()>> Callback<F> for EachStep<C> {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        (self.0)(at)
    }
}
