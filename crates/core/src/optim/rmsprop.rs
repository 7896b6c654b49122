//! RMSprop.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::update_two_with;
use crate::optim::Optimizer;
use crate::tensor::scalar::Scalar;

/// RMSprop: each gradient divided by the root of a running mean of its squares (Hinton 2012, lecture 6e), as in PyTorch.
///
/// With gradient g, parameter w, mean square v (0 at first), learning rate η:
///
/// v ← α v + (1 - α) g², w ← w - η g / (sqrt(v) + ε)
///
/// with α = 0.99 and ε = 1e-8 by default (Keras has α = 0.9 and ε = 1e-7). Weight decay λ is added
/// to the gradient, g + λ w.
///
/// ```
/// use backstitch::optim::RmsProp;
/// let optimizer = RmsProp::new(1e-3).alpha(0.9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    learning_rate: f64,
    alpha: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl RmsProp {
    /// RMSprop without weight decay. The learning rate is usually between 1e-4 and 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, alpha: 0.99, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// Sets α, the decay of the running mean square.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets ε.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

impl<F: Scalar> Optimizer<F> for RmsProp {
    fn kind(&self) -> &'static str {
        "rmsprop"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn settings(&self) -> Vec<(&'static str, f64)> {
        vec![("alpha", self.alpha), ("epsilon", self.epsilon), ("weight_decay", self.weight_decay)]
    }

    fn check(&self) -> Result<(), Error> {
        above_zero("learning_rate", self.learning_rate)?;
        below_one("alpha", self.alpha)?;
        above_zero("epsilon", self.epsilon)?;
        not_negative("weight_decay", self.weight_decay)?;
        Ok(())
    }

    fn rows(&self) -> usize {
        1
    }

    fn update(&self, rate: f64, _step: u64, value: &mut [F], gradient: &[F], memory: &mut [Vec<F>]) {
        let [rate, alpha, rest, epsilon, decay] =
            [rate, self.alpha, 1.0 - self.alpha, self.epsilon, self.weight_decay].map(F::from_f64);
        let [v] = memory else { return };
        update_two_with(value, v, gradient, |w, v, g| {
            let g = g + decay * *w;
            *v = alpha * *v + rest * g * g;
            *w -= rate * g / (v.sqrt() + epsilon);
        });
    }
}
