//! Optimizers, one file each: how a gradient changes a parameter. And schedules: how the learning rate
//! changes.
//!
//! # Learning rates
//! | optimizer | usual learning rates |
//! |---|---|
//! | [`Sgd`] | 0.01 to 0.5; with a momentum of 0.9, 0.003 to 0.1 |
//! | [`Adam`], also AdamW | 1e-4 to 1e-2; begin with 1e-3 |
//! | [`RmsProp`] | 1e-4 to 1e-2 |
//! | [`Adagrad`] | 0.01 to 0.1 |
//!
//! Any finite rate above 0 is accepted, because which rate is too large depends on the network and the data. If it makes a loss or a
//! weight NaN or infinite, training stops with [`Error::Diverged`]. The steps of [`Adam`], [`RmsProp`] and
//! [`Adagrad`] have about the size of the rate, whatever the gradient is. So with a far too large rate, numbers can stay finite, and
//! only the history shows that the loss does not fall.

mod adagrad;
mod adam;
mod memory;
mod rmsprop;
mod schedule;
mod sgd;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::error::{Error, above_zero};
use crate::kernels::elementwise::update;
use crate::kernels::norm::norm;
use crate::layer::weights::Grads;
use crate::net::model::Model;
use crate::tensor::scalar::Scalar;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use memory::OptimizerMemory;
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use sgd::Sgd;

/// How a gradient changes a parameter. An optimizer has settings but no state: its state is in an [`OptimizerMemory`].
///
/// ```
/// use backstitch::{Error, Scalar, optim::Optimizer};
///
/// /// Steps of one size, by the sign of the gradient.
/// #[derive(Debug)]
/// struct SignDescent(f64);
///
/// impl<F: Scalar> Optimizer<F> for SignDescent {
///     fn kind(&self) -> &'static str {
///         "sign_descent"
///     }
///     fn learning_rate(&self) -> f64 {
///         self.0
///     }
///     fn update(&self, rate: f64, _: u64, value: &mut [F], gradient: &[F], _: &mut [Vec<F>]) {
///         value.iter_mut().zip(gradient).for_each(|(w, g)| *w -= F::from_f64(rate) * g.signum());
///     }
/// }
/// ```
pub trait Optimizer<F: Scalar>: Debug + Send + Sync + 'static {
    /// Its name: `sgd`.
    fn kind(&self) -> &'static str;

    /// The learning rate, which schedules multiply.
    fn learning_rate(&self) -> f64;

    /// Its other settings by name; a switch is 0 or 1. A run that resumes from a checkpoint must have the same.
    fn settings(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Checks the settings. Training calls it before the first step.
    ///
    /// # Errors
    /// If a setting is impossible: the message names it.
    fn check(&self) -> Result<(), Error> {
        above_zero("learning_rate", self.learning_rate()).map(drop)
    }

    /// The number of values in its state for each number of a parameter.
    fn rows(&self) -> usize {
        0
    }

    /// Updates one parameter, with this learning rate. `step` counts the updates of this parameter from 1; `memory` has [`rows`](Self::rows) rows
    /// with the length of the parameter, which are zeros before the first step.
    fn update(&self, rate: f64, step: u64, value: &mut [F], gradient: &[F], memory: &mut [Vec<F>]);
}

/// The state of an optimizer, in `f64`, so that no digits are lost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// The name of the optimizer, `sgd`.
    pub kind: String,
    /// The learning rate of the next step.
    pub learning_rate: f64,
    /// Its other settings, `momentum`; a switch is 0 or 1.
    pub settings: Vec<(String, f64)>,
    /// The state of each parameter, in the order of names.
    pub of_parameters: Vec<ParameterState>,
}

/// The state of an optimizer for one parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ParameterState {
    /// The parameter's full name.
    pub name: String,
    /// The number of updates so far.
    pub steps: u64,
    /// Rows of numbers, each with the length of the parameter.
    pub values: Vec<Vec<f64>>,
}

/// Scales all gradients by one factor, so that the norm of all of them together is at most `largest`. Returns
/// the norm before. (Pascanu, Mikolov and Bengio 2013, algorithm 1.) As in PyTorch, the factor is `largest / (norm + 1e-6)`.
///
/// The norm is summed in `f64`, and is exact wherever an `f64` can hold it: no square overflows or becomes 0.
///
/// # Errors
/// If a gradient is NaN or infinite, because then there is no direction; the gradients are not changed. If the gradients belong to
/// another model.
pub fn clip_gradients<F: Scalar>(model: &Model<F>, grads: &mut Grads<F>, largest: f64) -> Result<f64, Error> {
    grads.check(model.slots())?;
    let trainable = || model.slots().iter().enumerate().filter(|(_, slot)| slot.is_trainable());
    let norms = trainable().filter_map(|(at, _)| grads.get(at)).map(|grad| norm(grad.data()));
    let norm = norms.fold(0.0, f64::hypot);
    if !norm.is_finite() {
        return Err(Error::GradientNorm { value: norm });
    }
    if norm > largest {
        let factor = largest / (norm + 1e-6);
        for (at, _) in trainable() {
            if let Some(grad) = grads.get_mut(at) {
                // In f64: the factor for a very large norm may be too small for an f32.
                update(grad, |g| *g = F::from_f64(g.as_f64() * factor));
            }
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::dense;
    use crate::net::Net;

    /// The norm that is returned, and the gradients after it, where each of 6 was `value`.
    fn clipped<F: Scalar>(value: f64, largest: f64) -> (Result<f64, Error>, Vec<f64>) {
        let model: Model<F> = Model::new(Net::new().push(dense(2)), &[2], 0).unwrap();
        let mut grads = model.grads();
        (0..2).for_each(|slot| grads.write(slot).0.fill(F::from_f64(value)));
        let norm = clip_gradients(&model, &mut grads, largest);
        let all = (0..2).flat_map(|slot| grads.get(slot).unwrap().data().to_vec());
        (norm, all.map(F::as_f64).collect())
    }

    #[test]
    fn gradients_of_any_size_are_clipped_to_the_norm() {
        let check = |(norm, gradients): (Result<f64, Error>, Vec<f64>), value: f64, largest: f64| {
            let root = 6.0_f64.sqrt();
            assert!((norm.unwrap() / (value * root) - 1.0).abs() < 1e-6, "{value}");
            let expected =
                if value * root > largest { largest / (1.0 + 1e-6 / (value * root)) / root } else { value };
            assert!(gradients.iter().all(|g| (g / expected - 1.0).abs() < 1e-6), "{value}: {gradients:?}");
        };
        for value in [1e-30, 1e-20, 1e-3, 1.0, 1e20, 1e38] {
            check(clipped::<f32>(value, 1.0), value, 1.0);
        }
        for value in [1e-300, 1e-200, 1.0, 1e200, 1e307] {
            check(clipped::<f64>(value, 1.0), value, 1.0);
        }
    }

    #[test]
    fn a_norm_that_is_not_finite_is_an_error_and_nothing_changes() {
        let (norm, gradients) = clipped::<f32>(f64::INFINITY, 1.0);
        assert_eq!(
            norm.unwrap_err().to_string(),
            "gradients: expected a finite norm to clip, got inf; one of them is NaN or infinite"
        );
        assert!(gradients.iter().all(|g| *g == f64::INFINITY));
        assert!(clipped::<f64>(f64::NAN, 1.0).0.is_err());
    }
}
