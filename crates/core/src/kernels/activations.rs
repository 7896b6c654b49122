//! The activations: of a number, and of rows.
//!
//! Comparisons are false for NaN, so that a NaN is passed on and training can stop at it.

use crate::kernels::elementwise::{self, TERMS_AT_A_TIME, add_bias_and, in_rows, largest, update};
use crate::tensor::scalar::Scalar;

/// `y = f(y + bias)` in place, with rows as long as the bias, or `y = f(y)` without one. (A bias of zeros would change -0.0.)
pub(crate) fn each<F: Scalar>(y: &mut [F], bias: Option<&[F]>, f: impl Fn(F) -> F + Sync) {
    match bias {
        Some(bias) => add_bias_and(y, bias, f),
        None => update(y, |y| *y = f(*y)),
    }
}

/// Without the sum, the loop would store either 0 or the old value. The compiler turns that into a masked store, which takes AMD's
/// processors up to Zen 4 several times as long as a plain store.
#[inline(always)]
pub(crate) fn relu<F: Scalar>(z: F) -> F {
    if z < F::zero() { F::zero() } else { z + F::zero() }
}

#[inline(always)]
pub(crate) fn leaky<F: Scalar>(slope: F) -> impl Fn(F) -> F {
    #[inline(always)]
    move |z| z * if z < F::zero() { slope } else { F::one() }
}

#[inline(always)]
pub(crate) fn sigmoid<F: Scalar>(z: F) -> F {
    F::one() / (F::one() + (-z).exponential())
}

/// slope · z above 0, else depth · (e^z - 1).
#[inline(always)]
pub(crate) fn exponential_linear<F: Scalar>(slope: F, depth: F) -> impl Fn(F) -> F {
    #[inline(always)]
    move |z| if z > F::zero() { slope * z } else { depth * z.exponential_minus_one() }
}

/// ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|): e^z itself would be infinite from z = 89 on.
#[inline(always)]
pub(crate) fn softplus<F: Scalar>(z: F) -> F {
    relu(z) + (-z.abs()).exponential().logarithm_of_one_plus()
}

/// The nearest number between two others; the sum as in [`relu`].
#[inline(always)]
pub(crate) fn clamp<F: Scalar>(low: F, high: F) -> impl Fn(F) -> F {
    #[inline(always)]
    move |z| {
        let z = if z < low { low } else { z + F::zero() };
        if z > high { high } else { z }
    }
}

#[inline(always)]
pub(crate) fn hard_sigmoid<F: Scalar>(z: F) -> F {
    let (three, six) = (F::from_f64(3.0), F::from_f64(6.0));
    clamp(F::zero(), six)(z + three) / six
}

/// Each row becomes its log-softmax, z - m - ln Σ e^(z - m), where m is the largest number. A row with a NaN becomes NaN.
///
/// The sum is taken over all numbers but the largest, which would add a 1 and hide small ones; the logarithm is that of 1 + the sum.
#[inline(never)]
pub(crate) fn log_softmax_rows<F: Scalar>(rows: &mut [F], width: usize) {
    in_rows(
        rows,
        width,
        #[inline(always)]
        |_, row| {
            let (top, largest) = largest(row);
            let rest = F::from_f64(others(row, top).ln_1p());
            for z in row.iter_mut() {
                *z = *z - largest - rest;
            }
        },
    );
}

/// The sum of e^(z - m) over all numbers of a row but that at `top`, which is m.
#[inline(always)]
fn others<F: Scalar>(row: &[F], top: usize) -> f64 {
    let (mut sum, mut powers) = (0.0, [F::zero(); TERMS_AT_A_TIME]);
    for (i, part) in row.chunks(TERMS_AT_A_TIME).enumerate() {
        let powers = &mut powers[..part.len()];
        for (power, &z) in powers.iter_mut().zip(part) {
            *power = (z - row[top]).exponential();
        }
        if let Some(at) = top.checked_sub(i * TERMS_AT_A_TIME).filter(|&at| at < part.len()) {
            powers[at] = if row[top].is_finite() { F::zero() } else { F::nan() };
        }
        sum += elementwise::sum(powers);
    }
    sum
}

/// dy = y (dy - Σ dy y) in every row of a softmax.
#[inline(never)]
pub(crate) fn softmax_gradient<F: Scalar>(y: &[F], dy: &mut [F], width: usize) {
    in_rows(
        dy,
        width,
        #[inline(always)]
        |row, d| {
            let y = &y[row * width..][..width];
            let dot = F::from_f64(dot(d, y));
            for (d, &y) in d.iter_mut().zip(y) {
                *d = y * (*d - dot);
            }
        },
    );
}

/// dy = dy - e^y Σ dy in every row of a log-softmax.
#[inline(never)]
pub(crate) fn log_softmax_gradient<F: Scalar>(y: &[F], dy: &mut [F], width: usize) {
    in_rows(
        dy,
        width,
        #[inline(always)]
        |row, d| {
            let sum = F::from_f64(elementwise::sum(d));
            for (d, &y) in d.iter_mut().zip(&y[row * width..]) {
                *d -= y.exponential() * sum;
            }
        },
    );
}

/// Σ d y, [`TERMS_AT_A_TIME`] terms before their sum becomes an `f64`.
#[inline(always)]
fn dot<F: Scalar>(d: &[F], y: &[F]) -> f64 {
    let parts = d.chunks(TERMS_AT_A_TIME).zip(y.chunks(TERMS_AT_A_TIME));
    parts.map(|(d, y)| d.iter().zip(y).fold(F::zero(), |sum, (&d, &y)| sum + d * y).as_f64()).sum()
}
