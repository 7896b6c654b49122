//! Optimizers, one file each: how a gradient changes a parameter. And schedules: how the learning rate
//! changes.

mod adagrad;
mod adam;
mod rmsprop;
mod schedule;
mod sgd;
mod slots;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::Model;
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use sgd::Sgd;

/// Changes the parameters of a model by their gradients.
pub trait Optimizer<F: Scalar>: Send {
    /// One step over every parameter that is trainable and has a gradient.
    fn step(&mut self, model: &mut Model<F>);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next step: schedules do.
    fn set_learning_rate(&mut self, rate: f64);

    /// What the optimizer remembers between steps, by the names of parameters, its learning rate and its settings.
    fn state(&self) -> OptimizerState;

    /// Goes on from a saved state, at the learning rate that is in it. The model is the one that will be trained: what is
    /// remembered has to fit its parameters. Either all of the state fits, or nothing is changed.
    ///
    /// # Errors
    /// If the state is another optimizer's or one with other settings, or if its names or sizes are not those of the model's
    /// parameters: the message says which. A state from before the first step, without parameters, fits every model.
    fn load_state(&mut self, state: &OptimizerState, model: &Model<F>) -> Result<(), Error>;
}

/// What an optimizer remembers: named rows of numbers, kept in `f64` so that nothing is lost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// Which optimizer, `sgd`.
    pub kind: String,
    /// The learning rate of the next step.
    pub learning_rate: f64,
    /// What else it was told, `momentum`; a switch is 0 or 1.
    pub settings: Vec<(String, f64)>,
    /// What it remembers of each parameter, in the order of names.
    pub of_parameters: Vec<ParameterState>,
}

/// What an optimizer remembers of one parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ParameterState {
    /// The parameter's full name.
    pub name: String,
    /// Steps that have changed it.
    pub steps: u64,
    /// A number for each of the parameter's, for each thing that is remembered.
    pub values: Vec<Vec<f64>>,
}

/// Scales all gradients by one factor, so that the norm of all of them together is at most `largest`. Returns
/// the norm as it was. (Pascanu, Mikolov and Bengio 2013, algorithm 1.)
pub fn clip_gradients<F: Scalar>(model: &mut Model<F>, largest: f64) -> f64 {
    let mut squares = 0.0;
    model.visit(&mut |slot| {
        if let Slot::Param(param) = slot
            && param.trainable
            && let Some(grad) = param.grad()
        {
            squares += sum_of_squares(grad.data());
        }
    });
    let norm = squares.sqrt();
    if norm > largest {
        let factor = F::from_f64(largest / (norm + 1e-6));
        model.visit_mut(&mut |slot| {
            if let SlotMut::Param(param) = slot
                && let Some((_, grad)) = param.to_update()
            {
                crate::kernels::elementwise::update(grad.data_mut(), |g| *g *= factor);
            }
        });
    }
    norm
}

/// In pieces of one length, so that small numbers are not lost beside a large sum.
fn sum_of_squares<F: Scalar>(values: &[F]) -> f64 {
    let piece = |values: &[F]| values.iter().fold(F::zero(), |sum, &v| sum + v * v).as_f64();
    values.chunks(256).map(piece).sum()
}
