//! What wants to know how training goes: a progress bar, a checkpoint, a log.

use std::ops::ControlFlow;

use crate::scalar::Scalar;
use crate::train::Run;

/// Where training stands after a step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
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
    /// After each step. [`ControlFlow::Break`] ends training within the epoch, which then is none of the history's.
    fn step(&mut self, _at: &StepEnd) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After each epoch.
    ///
    /// # Errors
    /// Whatever went wrong; training then stops with it.
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
