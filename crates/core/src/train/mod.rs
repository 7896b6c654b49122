//! Training: the trainer's settings, runs, steps, and judging a model.

mod ahead;
mod callback;
mod evaluate;
mod history;
mod run;
mod saved;
mod step;
mod trainer;

pub use crate::kernels::keep_awake;
pub use callback::{Callback, CallbackError, Flow, StepEnd};
pub use evaluate::{evaluate, evaluate_by};
pub use history::{Epoch, Figures, History};
pub use run::Run;
pub use saved::{Saved, State};
pub use step::{Examples, Rules, StepLoss, Workspace, step};
pub use trainer::Trainer;

#[cfg(test)]
mod ahead_tests;
#[cfg(test)]
mod argument_tests;
#[cfg(test)]
mod tests;
