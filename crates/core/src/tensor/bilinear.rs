//! Bilinear interpolation between the pixels of a map.

use crate::tensor::scalar::Scalar;

/// The two pixels of a side that a place lies between, counted from the middle of the first pixel, and how far it is from the one to the
/// other. Beyond the edge lies the edge's own colour.
pub(crate) fn between(at: f64, side: usize) -> (usize, usize, f64) {
    let last = side.saturating_sub(1);
    let at = at.clamp(0.0, last as f64);
    let first = at as usize;
    (first, (first + 1).min(last), at - first as f64)
}

/// The number between four: two side by side, and the two below them.
#[inline(always)]
pub(crate) fn blend<F: Scalar>([upper, below]: [[F; 2]; 2], down: F, across: F) -> F {
    let along = |[left, right]: [F; 2]| left + (right - left) * across;
    let (upper, below) = (along(upper), along(below));
    upper + (below - upper) * down
}
