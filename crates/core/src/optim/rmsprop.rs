//! RMSprop.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::update_two_with;
use crate::model::Model;
use crate::optim::slots::Slots;
use crate::optim::{Optimizer, OptimizerState};
use crate::scalar::Scalar;
use crate::weights::Grads;

/// RMSprop: each gradient divided by a running mean of its size (Hinton 2012, lecture 6e), as in PyTorch.
///
/// With gradient g, parameter w, mean square v (0 at first), learning rate η:
///
/// v ← α v + (1 - α) g², w ← w - η g / (sqrt(v) + ε)
///
/// with α = 0.99 and ε = 1e-8 until told otherwise (Keras has α = 0.9 and ε = 1e-7). Weight decay λ is added
/// to the gradient, g + λ w.
///
/// ```
/// use backstitch_core::optim::RmsProp;
/// let optimizer: RmsProp = RmsProp::new(1e-3)?.alpha(0.9)?;
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct RmsProp<F: Scalar = f32> {
    learning_rate: f64,
    alpha: f64,
    epsilon: f64,
    weight_decay: f64,
    mean_square: Slots<F, 1>,
}

impl<F: Scalar> RmsProp<F> {
    /// RMSprop without weight decay.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite.
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        Ok(Self {
            learning_rate: above_zero("learning_rate", learning_rate)?,
            alpha: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            mean_square: Slots::new(),
        })
    }

    /// Sets α, how much of the mean square stays from step to step.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn alpha(mut self, alpha: f64) -> Result<Self, Error> {
        self.alpha = below_one("alpha", alpha)?;
        Ok(self)
    }

    /// Sets ε.
    ///
    /// # Errors
    /// If it is not above 0 and finite.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self, Error> {
        self.epsilon = above_zero("epsilon", epsilon)?;
        Ok(self)
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self, Error> {
        self.weight_decay = not_negative("weight_decay", weight_decay)?;
        Ok(self)
    }

    fn settings(&self) -> [(&'static str, f64); 3] {
        [("alpha", self.alpha), ("epsilon", self.epsilon), ("weight_decay", self.weight_decay)]
    }
}

impl<F: Scalar> Optimizer<F> for RmsProp<F> {
    fn step(&mut self, model: &mut Model<F>, grads: &Grads<F>) -> Result<(), Error> {
        let [rate, alpha, rest, epsilon, decay] =
            [self.learning_rate, self.alpha, 1.0 - self.alpha, self.epsilon, self.weight_decay]
                .map(F::from_f64);
        self.mean_square.step(model, grads, |value, grad, [v], _| {
            update_two_with(value, v, grad, |w, v, g| {
                let g = g + decay * *w;
                *v = alpha * *v + rest * g * g;
                *w -= rate * g / (v.sqrt() + epsilon);
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
        self.mean_square.state("rmsprop", self.learning_rate, &self.settings())
    }

    fn load_state(&mut self, state: &OptimizerState, model: &Model<F>) -> Result<(), Error> {
        let settings = self.settings();
        self.learning_rate = self.mean_square.load("rmsprop", &settings, state, model)?;
        Ok(())
    }
}
