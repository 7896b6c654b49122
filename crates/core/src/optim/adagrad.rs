//! Adagrad.

use crate::error::{Error, above_zero, not_negative};
use crate::kernels::elementwise::update_two_with;
use crate::model::Model;
use crate::optim::slots::Slots;
use crate::optim::{Optimizer, OptimizerState};
use crate::scalar::Scalar;
use crate::weights::Grads;

/// Adagrad: each gradient divided by the size of all there were (Duchi, Hazan and Singer 2011, section 1.1), as
/// in PyTorch.
///
/// With gradient g, parameter w, sum of squares s (0 at first), learning rate η:
///
/// s ← s + g², w ← w - η g / (sqrt(s) + ε)
///
/// with ε = 1e-10. Weight decay λ is added to the gradient, g + λ w.
///
/// ```
/// use backstitch_core::optim::Adagrad;
/// let optimizer: Adagrad = Adagrad::new(0.01)?;
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Adagrad<F: Scalar = f32> {
    learning_rate: f64,
    weight_decay: f64,
    squares: Slots<F, 1>,
}

const EPSILON: f64 = 1e-10;

impl<F: Scalar> Adagrad<F> {
    /// Adagrad without weight decay.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite.
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        let learning_rate = above_zero("learning_rate", learning_rate)?;
        Ok(Self { learning_rate, weight_decay: 0.0, squares: Slots::new() })
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self, Error> {
        self.weight_decay = not_negative("weight_decay", weight_decay)?;
        Ok(self)
    }

    fn settings(&self) -> [(&'static str, f64); 1] {
        [("weight_decay", self.weight_decay)]
    }
}

impl<F: Scalar> Optimizer<F> for Adagrad<F> {
    fn step(&mut self, model: &mut Model<F>, grads: &Grads<F>) -> Result<(), Error> {
        let [rate, decay, epsilon] = [self.learning_rate, self.weight_decay, EPSILON].map(F::from_f64);
        self.squares.step(model, grads, |value, grad, [s], _| {
            update_two_with(value, s, grad, |w, s, g| {
                let g = g + decay * *w;
                *s += g * g;
                *w -= rate * g / (s.sqrt() + epsilon);
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
        self.squares.state("adagrad", self.learning_rate, &self.settings())
    }

    fn load_state(&mut self, state: &OptimizerState, model: &Model<F>) -> Result<(), Error> {
        let settings = self.settings();
        self.learning_rate = self.squares.load("adagrad", &settings, state, model)?;
        Ok(())
    }
}
