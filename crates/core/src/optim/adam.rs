//! Adam and AdamW.

use crate::error::{Error, above_zero, below_one, not_negative};
use crate::kernels::elementwise::update_three_with;
use crate::model::Model;
use crate::optim::slots::Slots;
use crate::optim::{Optimizer, OptimizerState};
use crate::scalar::Scalar;
use crate::weights::Grads;

/// Adam: steps of a size that adapts to each parameter (Kingma and Ba 2015, algorithm 1), as in PyTorch.
///
/// With gradient g, parameter w, moments m and v (0 at first), step t from 1, learning rate η:
///
/// m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
/// w ← w - η (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + ε)
///
/// with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 until told otherwise. Weight decay λ is added to the gradient,
/// g + λ w; in AdamW (Loshchilov and Hutter 2019, algorithm 2) it is apart from it: w ← w - η λ w, before.
///
/// ```
/// use backstitch_core::optim::Adam;
/// let optimizer: Adam = Adam::new(1e-3)?;
/// let decoupled: Adam = Adam::adamw(1e-3, 0.01)?;
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Adam<F: Scalar = f32> {
    learning_rate: f64,
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
    decoupled: bool,
    moments: Slots<F, 2>,
}

impl<F: Scalar> Adam<F> {
    /// Adam without weight decay.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite.
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        Ok(Self {
            learning_rate: above_zero("learning_rate", learning_rate)?,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            moments: Slots::new(),
        })
    }

    /// AdamW: weight decay apart from the gradient.
    ///
    /// # Errors
    /// If the learning rate is not above 0 and finite, or the weight decay negative or not finite.
    pub fn adamw(learning_rate: f64, weight_decay: f64) -> Result<Self, Error> {
        Ok(Self { decoupled: true, ..Self::new(learning_rate)?.weight_decay(weight_decay)? })
    }

    /// Adds `weight_decay` times the parameter to its gradient.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self, Error> {
        self.weight_decay = not_negative("weight_decay", weight_decay)?;
        Ok(self)
    }

    /// Sets β₁ and β₂.
    ///
    /// # Errors
    /// If one is not in [0, 1).
    pub fn betas(mut self, first: f64, second: f64) -> Result<Self, Error> {
        self.betas = [below_one("beta1", first)?, below_one("beta2", second)?];
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

    fn kind(&self) -> &'static str {
        if self.decoupled { "adamw" } else { "adam" }
    }

    fn settings(&self) -> [(&'static str, f64); 4] {
        [
            ("beta1", self.betas[0]),
            ("beta2", self.betas[1]),
            ("epsilon", self.epsilon),
            ("weight_decay", self.weight_decay),
        ]
    }
}

impl<F: Scalar> Optimizer<F> for Adam<F> {
    fn step(&mut self, model: &mut Model<F>, grads: &Grads<F>) -> Result<(), Error> {
        let [beta1, beta2] = self.betas;
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        let shrink = if self.decoupled { 1.0 - rate * decay } else { 1.0 };
        let decay = if self.decoupled { 0.0 } else { decay };
        let [b1, b2, keep1, keep2, shrink, decay, epsilon] =
            [beta1, beta2, 1.0 - beta1, 1.0 - beta2, shrink, decay, self.epsilon].map(F::from_f64);
        self.moments.step(model, grads, |value, grad, [m, v], t| {
            let exponent = i32::try_from(t).unwrap_or(i32::MAX);
            let size = F::from_f64(rate / (1.0 - beta1.powi(exponent)));
            let root = F::from_f64(1.0 / (1.0 - beta2.powi(exponent)).sqrt());
            update_three_with(value, m, v, grad, |w, m, v, g| {
                let g = g + decay * *w;
                *m = b1 * *m + keep1 * g;
                *v = b2 * *v + keep2 * g * g;
                *w = *w * shrink - size * *m / (v.sqrt() * root + epsilon);
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
        self.moments.state(self.kind(), self.learning_rate, &self.settings())
    }

    fn load_state(&mut self, state: &OptimizerState, model: &Model<F>) -> Result<(), Error> {
        let (kind, settings) = (self.kind(), self.settings());
        self.learning_rate = self.moments.load(kind, &settings, state, model)?;
        Ok(())
    }
}
