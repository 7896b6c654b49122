//! Optimizers, one file each: how a gradient changes a parameter.

mod sgd;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::Model;
use crate::scalar::Scalar;

pub use sgd::Sgd;

/// Changes the parameters of a model by their gradients.
pub trait Optimizer<F: Scalar>: Send {
    /// One step over every parameter that is trainable and has a gradient.
    fn step(&mut self, model: &mut Model<F>);

    /// What the optimizer remembers between steps, by the names of parameters.
    fn state(&self) -> OptimizerState;

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// If the state is another optimizer's.
    fn load_state(&mut self, state: &OptimizerState) -> Result<(), Error>;
}

/// What an optimizer remembers: named rows of numbers, kept in `f64` so that nothing is lost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// Which optimizer, `sgd`.
    pub kind: String,
    /// What it remembers of each parameter, in the order of names.
    pub of_parameters: Vec<(String, Vec<f64>)>,
}
