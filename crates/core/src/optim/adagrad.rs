//! Adagrad.

use crate::error::{Error, above_zero, not_negative};
use crate::kernels::elementwise::update_two_with;
use crate::optim::Optimizer;
use crate::tensor::scalar::Scalar;

/// Adagrad: each gradient divided by the root of the sum of all squared gradients so far (Duchi, Hazan and Singer 2011, section 1.1), as
/// in PyTorch.
///
/// With gradient g, parameter w, sum of squares s (0 at first), learning rate η:
///
/// s ← s + g², w ← w - η g / (sqrt(s) + ε)
///
/// with ε = 1e-10. Weight decay λ is added to the gradient, g + λ w.
///
/// ```
/// use backstitch::optim::Adagrad;
/// let optimizer = Adagrad::new(0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adagrad {
    learning_rate: f64,
    weight_decay: f64,
}

const EPSILON: f64 = 1e-10;

impl Adagrad {
    /// Adagrad without weight decay. The learning rate is usually between 0.01 and 0.1.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, weight_decay: 0.0 }
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

impl<F: Scalar> Optimizer<F> for Adagrad {
    fn kind(&self) -> &'static str {
        "adagrad"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn settings(&self) -> Vec<(&'static str, f64)> {
        vec![("weight_decay", self.weight_decay)]
    }

    fn check(&self) -> Result<(), Error> {
        above_zero("learning_rate", self.learning_rate)?;
        not_negative("weight_decay", self.weight_decay)?;
        Ok(())
    }

    fn rows(&self) -> usize {
        1
    }

    fn update(&self, rate: f64, _step: u64, value: &mut [F], gradient: &[F], memory: &mut [Vec<F>]) {
        let [rate, decay, epsilon] = [rate, self.weight_decay, EPSILON].map(F::from_f64);
        let [s] = memory else { return };
        update_two_with(value, s, gradient, |w, s, g| {
            let g = g + decay * *w;
            *s += g * g;
            *w -= rate * g / (s.sqrt() + epsilon);
        });
    }
}
