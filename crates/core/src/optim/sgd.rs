//! Stochastic gradient descent.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::{update_two_with, update_with};
use crate::optim::Optimizer;
use crate::tensor::scalar::Scalar;

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
/// use backstitch::optim::Sgd;
/// let optimizer = Sgd::new(0.1).momentum(0.9).weight_decay(1e-4).nesterov();
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent. The learning rate is usually between 0.01 and 0.5.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// Sets the momentum μ, the share of the velocity that is kept from step to step.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Adds `weight_decay` times the parameter to its gradient: the derivative of half of it
    /// times the squared norm.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Turns Nesterov's momentum on. Without momentum it changes nothing.
    #[must_use]
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }
}

impl<F: Scalar> Optimizer<F> for Sgd {
    fn kind(&self) -> &'static str {
        "sgd"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn settings(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("momentum", self.momentum),
            ("weight_decay", self.weight_decay),
            ("nesterov", f64::from(u8::from(self.nesterov))),
        ]
    }

    fn check(&self) -> Result<(), Error> {
        above_zero("learning_rate", self.learning_rate)?;
        below_one("momentum", self.momentum)?;
        not_negative("weight_decay", self.weight_decay)?;
        Ok(())
    }

    fn rows(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn update(&self, rate: f64, _step: u64, value: &mut [F], gradient: &[F], memory: &mut [Vec<F>]) {
        let [rate, momentum, decay] = [rate, self.momentum, self.weight_decay].map(F::from_f64);
        let [v] = memory else {
            return update_with(value, gradient, |w, g| *w -= rate * (g + decay * *w));
        };
        let nesterov = self.nesterov;
        update_two_with(value, v, gradient, |w, v, g| {
            let g = g + decay * *w;
            *v = momentum * *v + g;
            *w -= rate * if nesterov { g + momentum * *v } else { *v };
        });
    }
}
