//! Means, variances and normalization of the columns of a matrix: the loops of batch normalization.
//!
//! Sums over rows are computed in pieces, whose size does not depend on the number of threads, and added in order.

use crate::kernels::buffers::Buffer;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::simd::vectorised;
use crate::kernels::sums;
use crate::tensor::scalar::Scalar;

/// Numbers in a piece: it stays in the second-level cache while it is read twice.
const PIECE: usize = 32 * 1024;

/// Rows in a piece: enough that the sums of all pieces are fewer than the numbers that are summed.
const FEWEST_ROWS: usize = 32;

fn rows_of_piece(width: usize) -> usize {
    (PIECE / width).max(FEWEST_ROWS)
}

/// Mean and variance (over n, not n - 1) of every column. `rest` gets what rounding removed from the mean.
///
/// In each piece they are computed from distances to a number near the mean, so that a large mean costs no digits. Then the pieces are
/// combined (T. Chan, G. Golub and R. LeVeque 1983, equation 2.1).
#[inline(never)]
pub fn mean_and_variance<F: Scalar>(x: &[F], mean: &mut [F], rest: &mut [F], variance: &mut [F]) {
    let width = mean.len();
    let rows = rows_of_piece(width);
    let mut scratch = Scratch::<f64>::take(Buffer::Sums);
    let partial = scratch.first(x.len().div_ceil(rows * width) * 2 * width);
    ready::<F>(&[(Buffer::Centres, width)]);
    in_pieces(partial, 2 * width, &|i, partial| {
        let (mean, squares) = partial.split_at_mut(width);
        let x = &x[i * rows * width..];
        let x = &x[..x.len().min(rows * width)];
        moments(x, mean, squares);
    });
    let total = (x.len() / width) as f64;
    let count = |i: usize| (x.len() / width - i * rows).min(rows) as f64;
    for column in 0..width {
        let of_pieces = || partial.chunks_exact(2 * width).enumerate();
        let all = of_pieces().map(|(i, part)| count(i) * part[column]).sum::<f64>() / total;
        let squares =
            of_pieces().map(|(i, part)| part[width + column] + count(i) * (part[column] - all).powi(2));
        variance[column] = F::from_f64(squares.sum::<f64>() / total);
        mean[column] = F::from_f64(all);
        rest[column] = F::from_f64(all - mean[column].as_f64());
    }
}

/// Mean, and sum of the squared distances from it, of every column.
///
/// Distances are taken from c, the mean of the first quarter of the rows. With m the mean and s the standard deviation of all rows, |c - m|
/// is at most s √3 for any numbers: a larger distance would make s larger. So Σ (x - c)² - n (m - c)² loses at most two binary digits.
fn moments<F: Scalar>(x: &[F], mean: &mut [f64], squares: &mut [f64]) {
    let rows = x.len() / mean.len();
    let (first, count) = (rows.div_ceil(4), rows as f64);
    mean.fill(0.0);
    sums::add_columns(&x[..first * mean.len()], mean);
    let mut scratch = Scratch::take(Buffer::Centres);
    let centres = scratch.first(mean.len());
    let share = 1.0 / first as f64;
    centres.iter_mut().zip(&*mean).for_each(|(centre, sum)| *centre = F::from_f64(sum * share));
    mean.fill(0.0);
    squares.fill(0.0);
    let share = 1.0 / count;
    sums::add_distances(x, centres, mean, squares);
    for ((mean, squares), centre) in mean.iter_mut().zip(squares).zip(&*centres) {
        let rest = *mean * share;
        let sum = *squares - count * rest * rest;
        // Rounding can make it negative. A NaN stays a NaN.
        *squares = if sum < 0.0 { 0.0 } else { sum };
        *mean = centre.as_f64() + rest;
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
    in_pieces(y, piece, &|i, y| {
        normalize_rows(&x[i * piece..][..y.len()], [mean, factor, shift], y);
        finish(y);
    });
}

/// As [`normalize`], on this thread.
#[inline(always)]
pub(crate) fn normalize_rows<F: Scalar>(x: &[F], [mean, factor, shift]: [&[F]; 3], y: &mut [F]) {
    let width = mean.len();
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

/// For every column, `sums[..width] = Σ dy` and `sums[width..] = Σ dy (x - mean - rest) scale`.
#[inline(never)]
pub fn gradient_sums<F: Scalar>(x: &[F], dy: &[F], [mean, rest, scale]: [&[F]; 3], sums: &mut [F]) {
    if x.is_empty() {
        return sums.fill(F::zero());
    }
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    let mut scratch = Scratch::<f64>::take(Buffer::Sums);
    let partial = scratch.first(x.len().div_ceil(piece) * 2 * width);
    in_pieces(partial, 2 * width, &|i, partial| {
        let (x, dy) = (&x[i * piece..], &dy[i * piece..]);
        let (x, dy) = (&x[..x.len().min(piece)], &dy[..dy.len().min(piece)]);
        partial.fill(0.0);
        let (plain, weighted) = partial.split_at_mut(width);
        sums::add_products(x, dy, mean, plain, weighted);
    });
    let (total, others) = partial.split_at_mut((2 * width).min(partial.len()));
    for part in others.chunks_exact(2 * width) {
        total.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    }
    for column in 0..width {
        let (plain, weighted) = (total[column], total[width + column]);
        sums[column] = F::from_f64(plain);
        sums[width + column] =
            F::from_f64((weighted - rest[column].as_f64() * plain) * scale[column].as_f64());
    }
}

/// `dx = dy · factor - (x - mean) · slope - offset` in every column.
#[inline(never)]
pub fn input_gradient<F: Scalar>(x: &[F], dy: &[F], [mean, factor, slope, offset]: [&[F]; 4], dx: &mut [F]) {
    let width = mean.len();
    let piece = rows_of_piece(width) * width;
    in_pieces(dx, piece, &|i, dx| {
        let (x, dy) = (&x[i * piece..][..dx.len()], &dy[i * piece..][..dx.len()]);
        input_gradient_rows(x, dy, [mean, factor, slope, offset], dx);
    });
}

/// As [`input_gradient`], on this thread.
#[inline(always)]
pub(crate) fn input_gradient_rows<F: Scalar>(
    x: &[F],
    dy: &[F],
    [mean, factor, slope, offset]: [&[F]; 4],
    dx: &mut [F],
) {
    let width = mean.len();
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
}
