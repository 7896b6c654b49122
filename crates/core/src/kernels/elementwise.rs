//! Loops over numbers side by side, compiled for each instruction set ([`vectorised`]).

use crate::kernels::parts::{in_halves, in_pieces};
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// With more numbers than this a loop is cut into halves for several threads. Matrix products cut weights into halves too. So a thread
/// finds in its cache what it has just written.
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

/// `to = f(x)` over two slices of one length.
pub(crate) fn map<F: Scalar>(x: &[F], to: &mut [F], f: impl Fn(F) -> F + Sync) {
    in_pieces(to, CHUNK, &|i, to| {
        let x = &x[i * CHUNK..];
        vectorised(
            #[inline(always)]
            || {
                for (to, &x) in to.iter_mut().zip(x) {
                    *to = f(x);
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

/// Copies, with several threads where that is faster.
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
pub(crate) const TERMS_AT_A_TIME: usize = 64;

/// Whether a number of a mask stands for a position that there is not.
#[inline(always)]
pub(crate) fn is_hidden<F: Scalar>(mask: F) -> bool {
    mask.as_f64() < 0.5
}

/// `f` on each row and its number, counted from 0. Several threads may take pieces of whole rows.
pub(crate) fn in_rows<F: Scalar>(rows: &mut [F], width: usize, f: impl Fn(usize, &mut [F]) + Sync) {
    let piece = (CHUNK / width).max(1);
    in_pieces(rows, piece * width, &|i, rows| {
        vectorised(
            #[inline(always)]
            || {
                for (row, numbers) in rows.chunks_exact_mut(width).enumerate() {
                    f(i * piece + row, numbers);
                }
            },
        );
    });
}

/// Each row becomes its softmax: `exp(x - max) / sum(exp(x - max))`, which no large value overflows. A row with a NaN becomes NaN.
#[inline(never)]
pub fn softmax_rows<F: Scalar>(rows: &mut [F], width: usize) {
    in_rows(
        rows,
        width,
        #[inline(always)]
        |_, row| softmax(row),
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

/// Replaces each number x of a row by `e^(x - m)`, where m is the largest. Returns the place of m (the first of equals) and the sum of all
/// others. The place of m gets 0: a 1 in the sum would hide small numbers. The sum is NaN where the row holds a NaN or m is infinite.
#[inline(always)]
pub(crate) fn exponentials<F: Scalar>(row: &mut [F]) -> (usize, f64) {
    let (top, largest) = largest(row);
    let start = if largest.is_finite() { 0.0 } else { f64::NAN };
    for x in row.iter_mut() {
        *x = (*x - largest).exponential();
    }
    row[top] = F::zero();
    (top, start + sum(row))
}

/// Numbers of a row that are compared or added up side by side, so that they fit into vectors.
pub(crate) const LANES: usize = 16;

/// Joins the halves of the lanes to each other until one is left.
#[inline(always)]
pub(crate) fn by_halves<T: Copy>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Folds a row in lanes, and then the lanes by halves.
#[inline(always)]
pub(crate) fn by_lanes<F: Scalar, T: Copy>(
    row: &[F],
    start: T,
    take: impl Fn(F) -> T,
    join: impl Fn(T, T) -> T,
) -> T {
    let mut lanes = [start; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = join(lanes[i], take(block[i]));
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = join(*lane, take(x));
    }
    by_halves(lanes, join)
}

/// The place of the largest number of a row, the first of equals, and the number. Comparisons with NaN are false; a row of nothing else
/// gives its first number.
#[inline(always)]
pub(crate) fn largest<F: Scalar>(row: &[F]) -> (usize, F) {
    let largest = by_lanes(row, F::neg_infinity(), |x| x, |a, b| if b > a { b } else { a });
    let top = row.iter().position(|&x| x == largest).unwrap_or(0);
    (top, row[top])
}

/// The sum of a row, in `f64`.
#[inline(always)]
pub(crate) fn sum<F: Scalar>(row: &[F]) -> f64 {
    by_lanes(row, 0.0, F::as_f64, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

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
