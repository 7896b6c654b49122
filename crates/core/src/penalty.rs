//! Penalties on large weights, reported apart from the loss of the data.

use crate::error::{Error, not_negative};
use crate::kernels::elementwise::update_with;
use crate::model::Model;
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;

/// R = λ₁ Σ |w| + λ₂ Σ w², over the weights of dense layers and convolutions (parameters with more than one axis:
/// not biases, not what batch normalization learns); dR/dw = λ₁ sign(w) + 2 λ₂ w. As Keras's `l1_l2`.
/// (Goodfellow, Bengio and Courville, Deep Learning, section 7.1.)
///
/// ```
/// use backstitch_core::penalty::Penalty;
/// let penalty = Penalty::new(0.0, 1e-4)?;
/// assert!(Penalty::new(-1.0, 0.0).is_err());
/// # Ok::<(), backstitch_core::Error>(())
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
        model.visit(&mut |slot| {
            if let Slot::Param(param) = slot
                && param.value().shape().len() > 1
            {
                let one = |w: &F| self.l1 * w.as_f64().abs() + self.l2 * w.as_f64().powi(2);
                sum += param.value().data().iter().map(one).sum::<f64>();
            }
        });
        sum
    }

    /// Adds dR/dw to the gradients of weights that are trained.
    pub fn add_gradients<F: Scalar>(self, model: &mut Model<F>) {
        if self.is_none() {
            return;
        }
        let (l1, l2) = (F::from_f64(self.l1), F::from_f64(2.0 * self.l2));
        model.visit_mut(&mut |slot| {
            if let SlotMut::Param(param) = slot
                && param.value().shape().len() > 1
                && let Some((value, grad)) = param.to_update()
            {
                update_with(grad.data_mut(), value.data(), |g, w| {
                    let sign = if w > F::zero() { l1 } else { -l1 };
                    *g += l2 * w + if w == F::zero() { F::zero() } else { sign };
                });
            }
        });
    }
}
