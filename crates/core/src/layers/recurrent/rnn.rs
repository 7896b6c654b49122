//! The simple recurrent network.

use crate::layers::recurrent::Recurrent;
use crate::layers::recurrent::cell::Cell;
use crate::tensor::scalar::Scalar;

/// The step of a simple recurrent network (Elman 1990).
///
/// # Forward
/// h' = tanh(x W_ih + b_ih + h W_hh + b_hh).
///
/// # Backward
/// From dh', the gradient of the state after the step: dz = dh' (1 - h'²), dh = dz W_hhᵀ.
#[derive(Debug, Clone, Copy)]
pub struct RnnCell;

/// A simple recurrent network with `units` units, over sequences: see [`Recurrent`] and [`RnnCell`].
pub fn rnn(units: usize) -> Recurrent<RnnCell> {
    Recurrent::new(RnnCell, units)
}

impl Cell for RnnCell {
    const NAME: &'static str = "Rnn";
    const GATES: usize = 1;
    const STATES: usize = 1;
    const SPLIT: bool = false;

    #[inline(always)]
    fn forward<F: Scalar>(self, z: &mut [F], p: &mut [F], h: &mut [F], _: &mut [F]) {
        for ((z, &mut p), h) in z.iter_mut().zip(p).zip(h) {
            *z = (*z + p).hyperbolic_tangent();
            *h = *z;
        }
    }

    #[inline(always)]
    fn backward<F: Scalar>(self, z: &mut [F], _: &mut [F], _: [&[F]; 2], dh: &mut [F], _: &mut [F]) {
        for (z, dh) in z.iter_mut().zip(dh) {
            *z = *dh * (F::one() - *z * *z);
            *dh = F::zero();
        }
    }
}
