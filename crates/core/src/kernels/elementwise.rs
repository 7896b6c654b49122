//! Loops over numbers side by side, compiled several times and chosen when the program runs.
//!
//! `pulp` compiles the closure it is given once for each instruction set (AVX-512, AVX2, plain), so
//! the loops here are ordinary ones and a user's build needs no `target-cpu`. A fused multiply-add
//! is written where it is meant; nothing else is reordered, so all of the versions give the same
//! bits except where the hardware has no fused multiply-add and the library's is called instead,
//! which is slower and equal.

use crate::kernels::parts::{in_halves, in_pieces};
use crate::scalar::Scalar;

/// Above this many numbers a loop is cut into halves for several threads. Halves of a weight are
/// what products are cut into, too: a thread finds in its cache what it has just written.
const CHUNK: usize = 16 * 1024;

/// `f(x)` over a slice.
pub fn update<F: Scalar>(x: &mut [F], f: impl Fn(&mut F) + Sync) {
    in_pieces(x, CHUNK, &|_, x| {
        vectorised(
            #[inline(always)]
            || x.iter_mut().for_each(&f),
        );
    });
}

/// `f(x, y)` over two slices of one length, `x` to change.
pub fn update_with<F: Scalar>(x: &mut [F], y: &[F], f: impl Fn(&mut F, F) + Sync + Copy) {
    in_halves([x], y, CHUNK, &|[x], y| {
        vectorised(
            #[inline(always)]
            || {
                for (x, &y) in x.iter_mut().zip(y) {
                    f(x, y);
                }
            },
        );
    });
}

/// `to = f(x, y)` over three slices of one length.
pub fn combine<F: Scalar>(x: &[F], y: &[F], to: &mut [F], f: impl Fn(F, F) -> F + Sync + Copy) {
    in_pieces(to, CHUNK, &|i, to| {
        let (x, y) = (&x[i * CHUNK..], &y[i * CHUNK..]);
        vectorised(
            #[inline(always)]
            || {
                for ((to, &x), &y) in to.iter_mut().zip(x).zip(y) {
                    *to = f(x, y);
                }
            },
        );
    });
}

/// `x += y`.
pub fn add<F: Scalar>(x: &mut [F], y: &[F]) {
    update_with(x, y, |x, y| *x += y);
}

/// `to = x + y`, then `finish` on rows of `width` numbers while they are in the cache.
pub fn sum_and<F: Scalar>(x: &[F], y: &[F], to: &mut [F], width: usize, finish: impl Fn(&mut [F]) + Sync) {
    let piece = (CHUNK / width.max(1)).max(1) * width.max(1);
    in_pieces(to, piece, &|i, to| {
        let (x, y) = (&x[i * piece..], &y[i * piece..]);
        vectorised(
            #[inline(always)]
            || {
                for ((to, &x), &y) in to.iter_mut().zip(x).zip(y) {
                    *to = x + y;
                }
            },
        );
        finish(to);
    });
}

/// Copies, with several threads where it pays.
pub fn copy<F: Scalar>(from: &[F], to: &mut [F]) {
    in_pieces(to, CHUNK, &|i, to| to.copy_from_slice(&from[i * CHUNK..][..to.len()]));
}

/// `f(x, y, z)` over three slices of one length, `x` and `y` to change.
pub fn update_two_with<F: Scalar>(
    x: &mut [F],
    y: &mut [F],
    z: &[F],
    f: impl Fn(&mut F, &mut F, F) + Sync + Copy,
) {
    in_halves([x, y], z, CHUNK, &|[x, y], z| {
        vectorised(
            #[inline(always)]
            || {
                for ((x, y), &z) in x.iter_mut().zip(y).zip(z) {
                    f(x, y, z);
                }
            },
        );
    });
}

/// `f(x, y, z, w)` over four slices of one length, the first three to change.
pub fn update_three_with<F: Scalar>(
    x: &mut [F],
    y: &mut [F],
    z: &mut [F],
    w: &[F],
    f: impl Fn(&mut F, &mut F, &mut F, F) + Sync + Copy,
) {
    in_halves([x, y, z], w, CHUNK, &|[x, y, z], w| {
        vectorised(
            #[inline(always)]
            || {
                for (((x, y), z), &w) in x.iter_mut().zip(y).zip(z).zip(w) {
                    f(x, y, z, w);
                }
            },
        );
    });
}

/// `row = f(row + bias)` for each row of `rows`, elementwise: the end of a dense layer.
pub fn add_bias_and<F: Scalar>(rows: &mut [F], bias: &[F], f: impl Fn(F) -> F + Sync) {
    let width = bias.len();
    in_pieces(rows, (CHUNK / width).max(1) * width, &|_, rows| {
        vectorised(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(width) {
                    for (x, &b) in row.iter_mut().zip(bias) {
                        *x = f(*x + b);
                    }
                }
            },
        );
    });
}

/// Numbers of a row that are added up before their sum becomes an `f64`.
pub(crate) const AT_A_TIME: usize = 64;

/// Each row becomes its softmax: `exp(x - max) / sum(exp(x - max))`, which no large value
/// overflows. Returns nothing; a row with a NaN becomes NaN.
#[inline(never)]
pub fn softmax_rows<F: Scalar>(rows: &mut [F], width: usize) {
    vectorised(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                softmax(row);
            }
        },
    );
}

/// The softmax of one row, in place.
#[inline(always)]
fn softmax<F: Scalar>(row: &mut [F]) {
    let (top, others) = exponentials(row);
    row[top] = F::one();
    let scale = F::from_f64(1.0 / (1.0 + others));
    for x in row.iter_mut() {
        *x *= scale;
    }
}

/// Makes `e^(x - m)` of a row, m the largest number of it. Returns where that is (the first of equals) and the sum of all others;
/// in its own place stays 0, for a 1 would hide what is small beside it. The sum is NaN where the row holds NaN or m is infinite.
#[inline(always)]
pub(crate) fn exponentials<F: Scalar>(row: &mut [F]) -> (usize, f64) {
    let largest = row.iter().fold(F::neg_infinity(), |a, &b| if b > a { b } else { a });
    let top = row.iter().position(|&x| x == largest).unwrap_or(0);
    let start = if row[top].is_finite() { 0.0 } else { f64::NAN };
    for x in row.iter_mut() {
        *x = (*x - largest).exponential();
    }
    row[top] = F::zero();
    (top, row.iter().fold(start, |sum, x| sum + x.as_f64()))
}

/// Runs a closure compiled for the best instruction set this machine has. Mark the closure
/// `#[inline(always)]`, or nothing is gained.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// e^x within 2 units in the last place, without a branch.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial of degree 6 gives e^r (coefficients: S. Moshier,
/// Cephes, `expf.c`), and adding n to the exponent bits multiplies by 2^n.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, left in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Below this the result has no full exponent left, and is taken as 0.
    const SMALLEST: f32 = -86.9;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons that are false for NaN, so that a NaN stays one.
    let bounded = if x > 89.0 { 89.0 } else { x };
    let bounded = if bounded < SMALLEST { SMALLEST } else { bounded };
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, bounded));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r * r, r + 1.0);
    // 2^(n-1), then twice that: n = 128 has no exponent of its own, and must end in infinity.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(126) << 23;
    let y = p * f32::from_bits(exponent) * 2.0;
    if x < SMALLEST { 0.0 } else { y }
}

/// tanh x. Below 0.625 an odd polynomial (Cephes, `tanhf.c`), which keeps small values exact to
/// the last places; above, 1 - 2 / (e^2x + 1).
#[inline(always)]
pub(crate) fn tanh_f32(x: f32) -> f32 {
    let z = x.abs();
    let large = 1.0 - 2.0 / (exp_f32(z + z) + 1.0);
    let s = x * x;
    let mut p = -5.704_988_7e-3_f32;
    p = p.mul_add(s, 2.063_909e-2);
    p = p.mul_add(s, -5.373_971_6e-2);
    p = p.mul_add(s, 1.333_144_2e-1);
    p = p.mul_add(s, -3.333_328e-1);
    let small = p.mul_add(s * x, x);
    if z < 0.625 { small } else { large.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units_in_last_place(got: f32, exact: f64) -> f64 {
        let nearest = (exact as f32).abs();
        let spacing = f64::from(nearest.next_up()) - f64::from(nearest);
        (f64::from(got) - exact).abs() / spacing
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -869_000..=887_000 {
            let x = i as f32 * 1e-4;
            worst = worst.max(units_in_last_place(exp_f32(x), f64::from(x).exp()));
        }
        assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn exp_ends_in_zero_and_infinity_and_passes_nan_on() {
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_f32(-1000.0), 0.0);
        assert_eq!(exp_f32(89.0), f32::INFINITY);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert!(exp_f32(f32::NAN).is_nan());
        assert_eq!(exp_f32(0.0), 1.0);
    }

    #[test]
    fn tanh_is_within_three_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-5;
            worst = worst.max(units_in_last_place(tanh_f32(x), f64::from(x).tanh()));
        }
        assert!(worst < 3.0, "{worst}");
        assert_eq!(tanh_f32(-50.0), -1.0);
        assert!(tanh_f32(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_survives_large_values_and_shows_nan() {
        let mut rows = [1000.0_f32, 1000.0, -1000.0, f32::NAN, 0.0, 0.0];
        softmax_rows(&mut rows, 3);
        assert_eq!(rows[..3], [0.5, 0.5, 0.0]);
        assert!(rows[3..].iter().all(|p| p.is_nan()));
    }

    #[test]
    fn long_slices_are_updated_in_every_chunk() {
        let mut x = vec![1.0_f64; 3 * CHUNK + 5];
        let y: Vec<f64> = (0..x.len()).map(|i| i as f64).collect();
        update_with(&mut x, &y, |x, y| *x += y);
        assert!(x.iter().enumerate().all(|(i, &x)| x == i as f64 + 1.0));
    }
}
