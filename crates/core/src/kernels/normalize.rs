//! Means, variances and normalization of the columns of a matrix: the loops of batch normalization.
//!
//! Sums over rows are taken over pieces whose size does not depend on the number of threads, and added in
//! order.

use rayon::prelude::*;

use crate::kernels::elementwise::vectorised;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// Numbers in a piece: it stays in the second-level cache while it is read twice.
const PIECE: usize = 32 * 1024;

fn rows_of_piece(width: usize) -> usize {
    (PIECE / width).max(1)
}

/// Mean and variance (over n, not n - 1) of every column.
///
/// Each piece's are taken in two passes over it, the mean first, so that no digits are lost where the mean is
/// large; those of the pieces are combined (T. Chan, G. Golub and R. LeVeque 1983, equation 2.1).
#[inline(never)]
pub fn mean_and_variance<F: Scalar>(x: &[F], mean: &mut [F], variance: &mut [F]) {
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    let mut scratch = Scratch::take(Purpose::Shared);
    let partial = scratch.first(x.len().div_ceil(piece) * 2 * width);
    let pieces = partial.par_chunks_mut(2 * width).zip(x.par_chunks(piece));
    pieces.for_each(|(partial, x)| {
        let (mean, squares) = partial.split_at_mut(width);
        vectorised(
            #[inline(always)]
            || moments(x, mean, squares),
        );
    });
    let total = (x.len() / width) as f64;
    let count = |i: usize| (x.len() - i * piece).min(piece) as f64 / width as f64;
    for column in 0..width {
        let of_pieces = || partial.chunks_exact(2 * width).enumerate();
        let sum: f64 = of_pieces().map(|(i, part)| count(i) * part[column].as_f64()).sum();
        let all = sum / total;
        let squares = of_pieces().map(|(i, part)| {
            part[width + column].as_f64() + count(i) * (part[column].as_f64() - all).powi(2)
        });
        variance[column] = F::from_f64(squares.sum::<f64>() / total);
        mean[column] = F::from_f64(all);
    }
}

/// Mean, and sum of the squared distances from it, of every column.
#[inline(always)]
fn moments<F: Scalar>(x: &[F], mean: &mut [F], squares: &mut [F]) {
    let width = mean.len();
    mean.fill(F::zero());
    squares.fill(F::zero());
    for row in x.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
    }
    let share = F::from_f64(width as f64 / x.len() as f64);
    mean.iter_mut().for_each(|mean| *mean *= share);
    for row in x.chunks_exact(width) {
        for ((sum, &mean), &x) in squares.iter_mut().zip(&*mean).zip(row) {
            *sum += (x - mean) * (x - mean);
        }
    }
}

/// `y = (x - mean) · factor + shift` in every column, then `finish` on the rows while they are in the cache.
#[inline(never)]
pub fn normalize<F: Scalar>(
    x: &[F],
    [mean, factor, shift]: [&[F]; 3],
    y: &mut [F],
    finish: impl Fn(&mut [F]) + Sync,
) {
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    y.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(y, x)| {
        vectorised(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    for ((((y, &x), &mean), &factor), &shift) in
                        y.iter_mut().zip(x).zip(mean).zip(factor).zip(shift)
                    {
                        *y = (x - mean) * factor + shift;
                    }
                }
            },
        );
        finish(y);
    });
}

/// As [`normalize`], in place and on this thread.
pub fn normalize_in_place<F: Scalar>(rows: &mut [F], [mean, factor, shift]: [&[F]; 3]) {
    vectorised(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(mean.len()) {
                for (((x, &mean), &factor), &shift) in row.iter_mut().zip(mean).zip(factor).zip(shift) {
                    *x = (*x - mean) * factor + shift;
                }
            }
        },
    );
}

/// For every column, `sums[..width] = Σ dy` and `sums[width..] = Σ dy (x - mean) scale`.
#[inline(never)]
pub fn gradient_sums<F: Scalar>(x: &[F], dy: &[F], mean: &[F], scale: &[F], sums: &mut [F]) {
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    let mut scratch = Scratch::take(Purpose::Shared);
    let partial = scratch.first(x.len().div_ceil(piece) * 2 * width);
    let pieces = partial.par_chunks_mut(2 * width).zip(x.par_chunks(piece)).zip(dy.par_chunks(piece));
    pieces.for_each(|((partial, x), dy)| {
        partial.fill(F::zero());
        let (plain, weighted) = partial.split_at_mut(width);
        vectorised(
            #[inline(always)]
            || {
                for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
                    for ((((plain, weighted), &x), &dy), &mean) in
                        plain.iter_mut().zip(&mut *weighted).zip(x).zip(dy).zip(mean)
                    {
                        *plain += dy;
                        *weighted += dy * (x - mean);
                    }
                }
                weighted.iter_mut().zip(scale).for_each(|(sum, &scale)| *sum *= scale);
            },
        );
    });
    sums.fill(F::zero());
    for part in partial.chunks_exact(2 * width) {
        sums.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    }
}

/// `dx = dy · factor - (x - mean) · slope - offset` in every column.
#[inline(never)]
pub fn input_gradient<F: Scalar>(x: &[F], dy: &[F], [mean, factor, slope, offset]: [&[F]; 4], dx: &mut [F]) {
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    let pieces = dx.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(dy.par_chunks(piece));
    pieces.for_each(|((dx, x), dy)| {
        vectorised(
            #[inline(always)]
            || {
                let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(width));
                for ((dx, x), dy) in rows {
                    for i in 0..width {
                        dx[i] = dy[i] * factor[i] - (x[i] - mean[i]) * slope[i] - offset[i];
                    }
                }
            },
        );
    });
}
