//! Adam and AdamW.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::update_three_with;
use crate::optim::Optimizer;
use crate::tensor::scalar::Scalar;

/// Adam: steps of a size that adapts to each parameter (Kingma and Ba 2015, algorithm 1), as in PyTorch.
///
/// With gradient g, parameter w, moments m and v (0 at first), step t from 1, learning rate η:
///
/// m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
/// w ← w - η (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + ε)
///
/// with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 by default. Weight decay λ is added to the gradient,
/// g + λ w; in AdamW (Loshchilov and Hutter 2019, algorithm 2) it is separate: w ← w - η λ w, before.
///
/// ```
/// use backstitch::optim::Adam;
/// let optimizer = Adam::new(1e-3);
/// let decoupled = Adam::adamw(1e-3, 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    learning_rate: f64,
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
    decoupled: bool,
}

impl Adam {
    /// Adam without weight decay. The learning rate is usually between 1e-4 and 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// AdamW: weight decay is separate from the gradient. The learning rate is usually between 1e-4 and 1e-2, the weight decay
    /// between 0.01 and 0.1.
    #[must_use]
    pub fn adamw(learning_rate: f64, weight_decay: f64) -> Self {
        Self { decoupled: true, ..Self::new(learning_rate).weight_decay(weight_decay) }
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets β₁ and β₂.
    #[must_use]
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.betas = [first, second];
        self
    }

    /// Sets ε.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl<F: Scalar> Optimizer<F> for Adam {
    fn kind(&self) -> &'static str {
        if self.decoupled { "adamw" } else { "adam" }
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn settings(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("beta1", self.betas[0]),
            ("beta2", self.betas[1]),
            ("epsilon", self.epsilon),
            ("weight_decay", self.weight_decay),
        ]
    }

    fn check(&self) -> Result<(), Error> {
        above_zero("learning_rate", self.learning_rate)?;
        not_negative("weight_decay", self.weight_decay)?;
        below_one("beta1", self.betas[0])?;
        below_one("beta2", self.betas[1])?;
        above_zero("epsilon", self.epsilon)?;
        Ok(())
    }

    fn rows(&self) -> usize {
        2
    }

    fn update(&self, rate: f64, step: u64, value: &mut [F], gradient: &[F], memory: &mut [Vec<F>]) {
        let [beta1, beta2] = self.betas;
        let shrink = if self.decoupled { 1.0 - rate * self.weight_decay } else { 1.0 };
        let decay = if self.decoupled { 0.0 } else { self.weight_decay };
        let [b1, b2, keep1, keep2, shrink, decay, epsilon] =
            [beta1, beta2, 1.0 - beta1, 1.0 - beta2, shrink, decay, self.epsilon].map(F::from_f64);
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let size = F::from_f64(rate / (1.0 - beta1.powi(exponent)));
        let root = F::from_f64(1.0 / (1.0 - beta2.powi(exponent)).sqrt());
        let [m, v] = memory else { return };
        update_three_with(value, m, v, gradient, |w, m, v, g| {
            let g = g + decay * *w;
            *m = b1 * *m + keep1 * g;
            *v = b2 * *v + keep2 * g * g;
            *w = *w * shrink - size * *m / (v.sqrt() * root + epsilon);
        });
    }
}
