//! Stochastic gradient descent.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::{update_two_with, update_with};
use crate::model::Model;
use crate::optim::slots::Slots;
use crate::optim::{Optimizer, OptimizerState};
use crate::scalar::Scalar;
use crate::weights::Grads;

/// Stochastic gradient descent with momentum, Nesterov's momentum and weight decay, as in PyTorch.
///
/// With gradient g, parameter w, velocity v (0 at first), learning rate η, momentum μ and weight
/// decay λ:
///
/// g' = g + λ w, v ← μ v + g', w ← w - η v
///
/// which is w ← w - η g' where μ is 0. With Nesterov's momentum, w ← w - η (g' + μ v). (Sutskever et al.
/// 2013, section 2, in the form of PyTorch, where the rate multiplies the velocity and not the gradient.)
///
/// ```
/// use backstitch_core::optim::Sgd;
/// let optimizer: Sgd = Sgd::new(0.1)?.momentum(0.9)?.weight_decay(1e-4)?.nesterov();
/// assert!(Sgd::<f32>::new(-1.0).is_err());
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Sgd<F: Scalar = f32> {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
    velocity: Slots<F, 1>,
}

impl<F: Scalar> Sgd<F> {
    /// Plain gradient descent.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite.
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        Ok(Self {
            learning_rate: above_zero("learning_rate", learning_rate)?,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            velocity: Slots::new(),
        })
    }

    /// Keeps `momentum` of the velocity from step to step.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn momentum(mut self, momentum: f64) -> Result<Self, Error> {
        self.momentum = below_one("momentum", momentum)?;
        Ok(self)
    }

    /// Adds `weight_decay` times the parameter to its gradient: the derivative of half of it
    /// times the squared norm.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self, Error> {
        self.weight_decay = not_negative("weight_decay", weight_decay)?;
        Ok(self)
    }

    /// Looks ahead along the velocity. Without momentum it changes nothing.
    #[must_use]
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }

    fn settings(&self) -> [(&'static str, f64); 3] {
        [
            ("momentum", self.momentum),
            ("weight_decay", self.weight_decay),
            ("nesterov", f64::from(u8::from(self.nesterov))),
        ]
    }
}

impl<F: Scalar> Optimizer<F> for Sgd<F> {
    fn step(&mut self, model: &mut Model<F>, grads: &Grads<F>) -> Result<(), Error> {
        let [rate, momentum, decay] = [self.learning_rate, self.momentum, self.weight_decay].map(F::from_f64);
        if momentum == F::zero() {
            grads.check(model)?;
            for (at, mut slot) in model.slots_mut().enumerate() {
                if slot.is_trainable()
                    && let Some(grad) = grads.get(at)
                {
                    update_with(slot.data_mut(), grad.data(), |w, g| *w -= rate * (g + decay * *w));
                }
            }
            return Ok(());
        }
        let nesterov = self.nesterov;
        self.velocity.step(model, grads, |value, grad, [v], _| {
            update_two_with(value, v, grad, |w, v, g| {
                let g = g + decay * *w;
                *v = momentum * *v + g;
                *w -= rate * if nesterov { g + momentum * *v } else { *v };
            });
        })
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.learning_rate = rate;
    }

    fn state(&self) -> OptimizerState {
        self.velocity.state("sgd", self.learning_rate, &self.settings())
    }

    fn load_state(&mut self, state: &OptimizerState, model: &Model<F>) -> Result<(), Error> {
        let settings = self.settings();
        self.learning_rate = self.velocity.load("sgd", &settings, state, model)?;
        Ok(())
    }
}
