//! Gated recurrent units.

use crate::kernels::activations::sigmoid;
use crate::layers::recurrent::Recurrent;
use crate::layers::recurrent::cell::Cell;
use crate::tensor::scalar::Scalar;

/// The step of a GRU (Cho et al. 2014), as in PyTorch and cuDNN: the reset gate acts on the product with the state.
///
/// # Forward
/// With σ the logistic function, and the gates in PyTorch's order:
/// * r = σ(x W_ir + b_ir + h W_hr + b_hr), u = σ(x W_iu + b_iu + h W_hu + b_hu);
/// * q = h W_hn + b_hn, n = tanh(x W_in + b_in + r q);
/// * h' = (1 - u) n + u h.
///
/// # Backward
/// From dh', the gradient of the state after the step:
/// * dn = dh' (1 - u), du = dh' (h - n);
/// * before tanh: a = dn (1 - n²), so dq = a r and dr = a q;
/// * before the functions of the gates: dz_r = dr r (1 - r), dz_u = du u (1 - u), dz_n = a; the same for h W_hh, but dq in place of a;
/// * dh = dh' u + [dz_r, dz_u, dq] W_hᵀ.
#[derive(Debug, Clone, Copy)]
pub struct GruCell;

/// A GRU with `units` units, over sequences: see [`Recurrent`] and [`GruCell`].
pub fn gru(units: usize) -> Recurrent<GruCell> {
    Recurrent::new(GruCell, units)
}

impl Cell for GruCell {
    const NAME: &'static str = "Gru";
    const GATES: usize = 3;
    const STATES: usize = 1;
    const SPLIT: bool = true;

    #[inline(always)]
    fn forward<F: Scalar>(self, z: &mut [F], p: &mut [F], h: &mut [F], _: &mut [F]) {
        let (units, one) = (h.len(), F::one());
        let (zr, z) = z.split_at_mut(units);
        let (zu, zn) = z.split_at_mut(units);
        let (pr, p) = p.split_at(units);
        let (pu, q) = p.split_at(units);
        let (zn, q) = (&mut zn[..units], &q[..units]);
        for j in 0..units {
            let (r, u) = (sigmoid(zr[j] + pr[j]), sigmoid(zu[j] + pu[j]));
            let n = (zn[j] + r * q[j]).hyperbolic_tangent();
            (zr[j], zu[j], zn[j]) = (r, u, n);
            h[j] = (one - u) * n + u * h[j];
        }
    }

    #[inline(always)]
    fn backward<F: Scalar>(self, z: &mut [F], p: &mut [F], before: [&[F]; 2], dh: &mut [F], _: &mut [F]) {
        let (units, one) = (dh.len(), F::one());
        let (zr, z) = z.split_at_mut(units);
        let (zu, zn) = z.split_at_mut(units);
        let (pr, p) = p.split_at_mut(units);
        let (pu, q) = p.split_at_mut(units);
        let (zn, q, h) = (&mut zn[..units], &mut q[..units], &before[0][..units]);
        for j in 0..units {
            let (r, u, n) = (zr[j], zu[j], zn[j]);
            let a = dh[j] * (one - u) * (one - n * n);
            zr[j] = a * q[j] * r * (one - r);
            zu[j] = dh[j] * (h[j] - n) * u * (one - u);
            zn[j] = a;
            (pr[j], pu[j], q[j]) = (zr[j], zu[j], a * r);
            dh[j] *= u;
        }
    }
}
