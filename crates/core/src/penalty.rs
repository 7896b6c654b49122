//! Penalties on large weights, reported apart from the loss of the data.

use crate::error::{Error, not_negative};
use crate::kernels::elementwise::update_with;
use crate::layer::weights::{Grads, Slot};
use crate::net::model::Model;
use crate::tensor::scalar::Scalar;

/// R = λ₁ Σ |w| + λ₂ Σ w², over the weights of dense layers and convolutions (parameters with more than one axis:
/// not biases, not what batch normalization learns); dR/dw = λ₁ sign(w) + 2 λ₂ w. As Keras's `l1_l2`.
/// (Goodfellow, Bengio and Courville, Deep Learning, section 7.1.)
///
/// ```
/// use backstitch::penalty::Penalty;
/// let penalty = Penalty::new(0.0, 1e-4)?;
/// assert!(Penalty::new(-1.0, 0.0).is_err());
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Penalty {
    l1: f64,
    l2: f64,
}

impl Penalty {
    /// With the factors λ₁ and λ₂.
    ///
    /// # Errors
    /// If one is negative or not finite.
    pub fn new(l1: f64, l2: f64) -> Result<Self, Error> {
        Ok(Self { l1: not_negative("l1", l1)?, l2: not_negative("l2", l2)? })
    }

    fn is_none(self) -> bool {
        self.l1 == 0.0 && self.l2 == 0.0
    }

    /// R for the present weights.
    pub fn value<F: Scalar>(self, model: &Model<F>) -> f64 {
        let mut sum = 0.0;
        if self.is_none() {
            return sum;
        }
        for slot in model.slots().iter().filter(|slot| is_weight(slot)) {
            let one = |w: &F| self.l1 * w.as_f64().abs() + self.l2 * w.as_f64().powi(2);
            sum += slot.value().data().iter().map(one).sum::<f64>();
        }
        sum
    }

    /// Adds dR/dw to the gradients of weights that are trained.
    ///
    /// # Errors
    /// If the gradients are of another model.
    pub fn add_gradients<F: Scalar>(self, model: &Model<F>, grads: &mut Grads<F>) -> Result<(), Error> {
        grads.check(model.slots())?;
        if self.is_none() {
            return Ok(());
        }
        let (l1, l2) = (F::from_f64(self.l1), F::from_f64(2.0 * self.l2));
        for (at, slot) in model.slots().iter().enumerate() {
            if is_weight(slot)
                && slot.is_trainable()
                && let Some(grad) = grads.get_mut(at)
            {
                update_with(grad, slot.value().data(), |g, w| {
                    let sign = if w > F::zero() { l1 } else { -l1 };
                    *g += l2 * w + if w == F::zero() { F::zero() } else { sign };
                });
            }
        }
        Ok(())
    }
}

/// Whether a parameter is a weight of a dense layer or of a convolution.
fn is_weight<F: Scalar>(slot: &Slot<F>) -> bool {
    slot.is_learned() && slot.value().shape().len() > 1
}
