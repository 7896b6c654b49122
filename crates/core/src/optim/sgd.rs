//! Stochastic gradient descent.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::kernels::elementwise::{update_two_with, update_with};
use crate::model::Model;
use crate::optim::{Optimizer, OptimizerState};
use crate::param::SlotMut;
use crate::scalar::Scalar;

/// Stochastic gradient descent with momentum and weight decay, as in PyTorch.
///
/// With gradient g, parameter w, velocity v (0 at first), learning rate η, momentum μ and weight
/// decay λ:
///
/// g' = g + λ w, v ← μ v + g', w ← w - η v
///
/// which is w ← w - η g' where μ is 0. (Sutskever et al. 2013, section 2, in the form of
/// PyTorch, where the rate multiplies the velocity and not the gradient.)
///
/// ```
/// use backstitch_core::optim::Sgd;
/// let optimizer: Sgd = Sgd::new(0.1)?.momentum(0.9)?.weight_decay(1e-4)?;
/// assert!(Sgd::<f32>::new(-1.0).is_err());
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Sgd<F: Scalar = f32> {
    learning_rate: F,
    momentum: F,
    weight_decay: F,
    /// Velocity by parameter name; there while a parameter is frozen, too.
    velocity: BTreeMap<String, Vec<F>>,
}

impl<F: Scalar> Sgd<F> {
    /// Plain gradient descent.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite.
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            return Err(Error::argument("learning_rate", "a finite number above 0", learning_rate));
        }
        Ok(Self {
            learning_rate: F::from_f64(learning_rate),
            momentum: F::zero(),
            weight_decay: F::zero(),
            velocity: BTreeMap::new(),
        })
    }

    /// Keeps `momentum` of the velocity from step to step.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn momentum(mut self, momentum: f64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::argument("momentum", "a number in [0, 1)", momentum));
        }
        self.momentum = F::from_f64(momentum);
        Ok(self)
    }

    /// Adds `weight_decay` times the parameter to its gradient: the derivative of half of it
    /// times the squared norm.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self, Error> {
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::argument("weight_decay", "a finite number, 0 or above", weight_decay));
        }
        self.weight_decay = F::from_f64(weight_decay);
        Ok(self)
    }
}

impl<F: Scalar> Optimizer<F> for Sgd<F> {
    fn step(&mut self, model: &mut Model<F>) {
        let (rate, momentum, decay) = (self.learning_rate, self.momentum, self.weight_decay);
        let velocity = &mut self.velocity;
        model.visit_mut(&mut |slot| {
            let SlotMut::Param(param) = slot else { return };
            if momentum == F::zero() {
                let Some((value, grad)) = param.to_update() else { return };
                update_with(value.data_mut(), grad.data(), |w, g| *w -= rate * (g + decay * *w));
                return;
            }
            if !velocity.contains_key(param.name()) {
                velocity.insert(param.name().to_owned(), vec![F::zero(); param.value().data().len()]);
            }
            let v = velocity.get_mut(param.name()).expect("made above");
            let Some((value, grad)) = param.to_update() else { return };
            update_two_with(value.data_mut(), v, grad.data(), |w, v, g| {
                *v = momentum * *v + (g + decay * *w);
                *w -= rate * *v;
            });
        });
    }

    fn state(&self) -> OptimizerState {
        let in_f64 = |values: &Vec<F>| values.iter().map(|v| v.as_f64()).collect();
        OptimizerState {
            kind: "sgd".to_owned(),
            of_parameters: self.velocity.iter().map(|(name, v)| (name.clone(), in_f64(v))).collect(),
        }
    }

    fn load_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        if state.kind != "sgd" {
            return Err(Error::argument("optimizer state", "sgd", &state.kind));
        }
        let in_f = |values: &Vec<f64>| values.iter().map(|&v| F::from_f64(v)).collect();
        self.velocity = state.of_parameters.iter().map(|(name, v)| (name.clone(), in_f(v))).collect();
        Ok(())
    }
}
