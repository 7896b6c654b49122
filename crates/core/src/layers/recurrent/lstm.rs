//! Long short-term memory.

use crate::kernels::activations::sigmoid;
use crate::layers::recurrent::Recurrent;
use crate::layers::recurrent::cell::Cell;
use crate::tensor::scalar::Scalar;

/// The step of an LSTM (Hochreiter and Schmidhuber 1997; the forget gate: Gers et al. 2000).
///
/// # Forward
/// With σ the logistic function, and the gates in PyTorch's order:
/// * i = σ(x W_ii + h W_hi + b_i), f = σ(x W_if + h W_hf + b_f), g = tanh(x W_ig + h W_hg + b_g), o = σ(x W_io + h W_ho + b_o);
/// * c' = f c + i g;
/// * h' = o tanh(c').
///
/// # Backward
/// From dh' and dc', the gradients of the states after the step, with t = tanh(c'):
/// * do = dh' t, and what reaches c' in all is d = dc' + dh' o (1 - t²);
/// * di = d g, df = d c, dg = d i, dc = d f;
/// * before the functions of the gates: dz_i = di i (1 - i), dz_f = df f (1 - f), dz_g = dg (1 - g²), dz_o = do o (1 - o);
/// * dh = dz W_hᵀ.
#[derive(Debug, Clone, Copy)]
pub struct LstmCell;

/// An LSTM with `units` units, over sequences: see [`Recurrent`] and [`LstmCell`].
pub fn lstm(units: usize) -> Recurrent<LstmCell> {
    Recurrent::new(LstmCell, units)
}

impl Cell for LstmCell {
    const NAME: &'static str = "Lstm";
    const GATES: usize = 4;
    const STATES: usize = 2;
    const SPLIT: bool = false;

    #[inline(always)]
    fn forward<F: Scalar>(self, z: &mut [F], p: &mut [F], h: &mut [F], c: &mut [F]) {
        let units = h.len();
        let (zi, z) = z.split_at_mut(units);
        let (zf, z) = z.split_at_mut(units);
        let (zg, zo) = z.split_at_mut(units);
        let (pi, p) = p.split_at(units);
        let (pf, p) = p.split_at(units);
        let (pg, po) = p.split_at(units);
        let (zo, po, c) = (&mut zo[..units], &po[..units], &mut c[..units]);
        for j in 0..units {
            let (i, f) = (sigmoid(zi[j] + pi[j]), sigmoid(zf[j] + pf[j]));
            let (g, o) = ((zg[j] + pg[j]).hyperbolic_tangent(), sigmoid(zo[j] + po[j]));
            let cell = f * c[j] + i * g;
            (zi[j], zf[j], zg[j], zo[j], c[j]) = (i, f, g, o, cell);
            h[j] = o * cell.hyperbolic_tangent();
        }
    }

    #[inline(always)]
    fn backward<F: Scalar>(self, z: &mut [F], _: &mut [F], before: [&[F]; 2], dh: &mut [F], dc: &mut [F]) {
        let (units, one) = (dh.len(), F::one());
        let (zi, z) = z.split_at_mut(units);
        let (zf, z) = z.split_at_mut(units);
        let (zg, zo) = z.split_at_mut(units);
        let (zo, c, dc) = (&mut zo[..units], &before[1][..units], &mut dc[..units]);
        for j in 0..units {
            let (i, f, g, o) = (zi[j], zf[j], zg[j], zo[j]);
            let t = (f * c[j] + i * g).hyperbolic_tangent();
            let d = dc[j] + dh[j] * o * (one - t * t);
            zi[j] = d * g * i * (one - i);
            zf[j] = d * c[j] * f * (one - f);
            zg[j] = d * i * (one - g * g);
            zo[j] = dh[j] * t * o * (one - o);
            dc[j] = d * f;
            dh[j] = F::zero();
        }
    }
}
