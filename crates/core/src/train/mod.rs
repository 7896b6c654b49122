//! Training: the trainer's settings, runs, steps, and evaluation.

mod ahead;
mod callback;
mod checkpoint;
mod evaluate;
mod history;
mod run;
mod step;
mod trainer;

pub use crate::kernels::keep_awake;
pub use callback::{Callback, CallbackError, StepEnd};
pub use checkpoint::{Checkpoint, ModelState};
pub use evaluate::{evaluate, evaluate_with};
pub use history::{Epoch, Figures, History};
pub use run::Run;
pub use step::{BatchView, StepLoss, StepSettings, Workspace, step};
pub use trainer::Trainer;

#[cfg(test)]
mod ahead_tests;
#[cfg(test)]
mod argument_tests;
#[cfg(test)]
mod tests;
