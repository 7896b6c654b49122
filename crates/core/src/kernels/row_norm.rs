//! Normalization of rows, each by its own mean and deviation, or by its root mean square alone: the loops of layer normalization and of
//! RMS normalization. A row stays in the first-level cache while it is read several times.

use crate::kernels::buffers::Buffer;
use crate::kernels::elementwise::{LANES, by_halves};
use crate::kernels::parts::{in_pieces, in_two};
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// Numbers of a row that are added up before their sum becomes an `f64`.
const TERMS: usize = 64 * LANES;
/// Rows whose parameter gradients are added up before their sum becomes an `f64`.
const ROWS: usize = 16;
/// Numbers in a piece of a pass.
const PIECE: usize = 16 * 1024;
/// Rows in a piece whose parameter gradients are summed: enough that the sums of all pieces are fewer than the numbers that are summed.
const FEWEST_ROWS: usize = 32;

/// Numbers that a row's statistics take.
pub(crate) const STATISTICS: usize = 3;

/// What a row is normalized by: x̂ = (x - mean) scale + shift.
///
/// The shift is what rounding cut off the mean, in deviations. Without it, a mean of 1000 beside a deviation of 0.5 would cost x̂ four
/// digits of an `f32`.
#[derive(Clone, Copy)]
struct Row<F> {
    mean: F,
    scale: F,
    shift: F,
}

impl<F: Scalar> Row<F> {
    /// The statistics of a row. Where it is not centred, the mean counts as 0.
    #[inline(always)]
    fn of(x: &[F], centred: bool, epsilon: f64) -> Self {
        let count = x.len() as f64;
        let mean = if centred { F::from_f64(sums([x], |[x]| [x])[0] / count) } else { F::zero() };
        let [distances, squares] = sums([x], |[x]| [x - mean, (x - mean) * (x - mean)]);
        let rest = if centred { distances / count } else { 0.0 };
        let variance = squares / count - rest * rest;
        // Rounding can make it negative. A NaN stays a NaN.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let scale = 1.0 / (variance + epsilon).sqrt();
        Self { mean, scale: F::from_f64(scale), shift: F::from_f64(-rest * scale) }
    }

    #[inline(always)]
    fn stored([mean, scale, shift]: [F; STATISTICS]) -> Self {
        Self { mean, scale, shift }
    }

    #[inline(always)]
    fn normalized(self, x: F) -> F {
        (x - self.mean) * self.scale + self.shift
    }
}

/// Sums of terms of the numbers at the same place of several rows.
#[inline(always)]
fn sums<F: Scalar, const M: usize, const N: usize>(
    rows: [&[F]; M],
    terms: impl Fn([F; M]) -> [F; N],
) -> [f64; N] {
    let mut totals = [0.0; N];
    for from in (0..rows[0].len()).step_by(TERMS) {
        let to = (from + TERMS).min(rows[0].len());
        let parts = rows.map(
            #[inline(always)]
            |row| row[from..to].as_chunks::<LANES>(),
        );
        let mut lanes = [[F::zero(); LANES]; N];
        for i in 0..parts[0].0.len() {
            let numbers: [&[F; LANES]; M] = std::array::from_fn(
                #[inline(always)]
                |row| &parts[row].0[i],
            );
            // One sum at a time, each over all lanes: the compiler makes one vector of them.
            for n in 0..N {
                for lane in 0..LANES {
                    lanes[n][lane] += terms(std::array::from_fn(
                        #[inline(always)]
                        |row| numbers[row][lane],
                    ))[n];
                }
            }
        }
        for lane in 0..parts[0].1.len() {
            let terms = terms(std::array::from_fn(
                #[inline(always)]
                |row| parts[row].1[lane],
            ));
            (0..N).for_each(|n| lanes[n][lane] += terms[n]);
        }
        totals.iter_mut().zip(lanes).for_each(|(total, lanes)| *total += sum(lanes));
    }
    totals
}

/// The sum of all lanes. It becomes an `f64` only then, because
/// vectors of `f64` would take most of the time of a short row; 4 roundings more are fewer than those of [`TERMS`] numbers.
#[inline(always)]
fn sum<F: Scalar>(lanes: [F; LANES]) -> f64 {
    by_halves(lanes, |a, b| a + b).as_f64()
}

/// y = x̂ · weight + bias in every row, and the statistics of the rows for the backward pass.
#[inline(never)]
pub(crate) fn normalize_rows<F: Scalar>(
    x: &[F],
    (weight, bias): (&[F], Option<&[F]>),
    (centred, epsilon): (bool, f64),
    y: &mut [F],
    statistics: &mut [F],
) {
    let width = weight.len();
    let rows = (PIECE / width).max(1);
    in_two([y, statistics], [rows * width, rows * STATISTICS], &|i, [y, statistics]| {
        let x = &x[i * rows * width..][..y.len()];
        vectorised(
            #[inline(always)]
            || {
                let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                for ((y, x), stored) in rows.zip(statistics.as_chunks_mut().0) {
                    let row = Row::of(x, centred, epsilon);
                    *stored = [row.mean, row.scale, row.shift];
                    match bias {
                        Some(bias) => {
                            for (((y, &x), &weight), &bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                                *y = row.normalized(x) * weight + bias;
                            }
                        }
                        None => {
                            for ((y, &x), &weight) in y.iter_mut().zip(x).zip(weight) {
                                *y = row.normalized(x) * weight;
                            }
                        }
                    }
                }
            },
        );
    });
}

/// dx = scale · (g - Σ g / n - x̂ Σ g x̂ / n) in every row of n numbers, with g = dy · weight. Where rows are not centred, the middle term is left out.
#[inline(never)]
pub(crate) fn input_gradient<F: Scalar>([x, dy, weight, statistics]: [&[F]; 4], centred: bool, dx: &mut [F]) {
    let width = weight.len();
    let rows = (PIECE / width).max(1);
    let share = 1.0 / width as f64;
    in_pieces(dx, rows * width, &|i, dx| {
        let first = i * rows;
        let (x, dy) = (&x[first * width..], &dy[first * width..]);
        vectorised(
            #[inline(always)]
            || {
                let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(width));
                for (((dx, x), dy), &stored) in rows.zip(&statistics.as_chunks().0[first..]) {
                    let row = Row::stored(stored);
                    let [plain, weighted] = sums([x, dy, weight], |[x, dy, weight]| {
                        let g = dy * weight;
                        [g, g * row.normalized(x)]
                    });
                    let plain = if centred { F::from_f64(plain * share) } else { F::zero() };
                    let weighted = F::from_f64(weighted * share);
                    for (((dx, &x), &dy), &weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                        *dx = (dy * weight - plain - row.normalized(x) * weighted) * row.scale;
                    }
                }
            },
        );
    });
}

/// For every column, Σ dy x̂ over all rows, and after those for every column Σ dy.
#[inline(never)]
pub(crate) fn gradient_sums<'a, F: Scalar>(
    [x, dy, statistics]: [&[F]; 3],
    width: usize,
    scratch: &'a mut Scratch<f64>,
) -> &'a [f64] {
    let rows = (PIECE / width).max(FEWEST_ROWS);
    let pieces = dy.len().div_ceil(rows * width).max(1);
    let partial = scratch.first(pieces * 2 * width);
    partial.fill(0.0);
    ready::<F>(&[(Buffer::Centres, 2 * width)]);
    in_pieces(partial, 2 * width, &|i, sums| {
        let range = i * rows * width..((i + 1) * rows * width).min(dy.len());
        let statistics = &statistics.as_chunks().0[i * rows..];
        add_gradients([&x[range.clone()], &dy[range]], statistics, sums);
    });
    let (total, others) = partial.split_at_mut(2 * width);
    for part in others.chunks_exact(2 * width) {
        total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    total
}

/// Adds the sums of some rows, each [`ROWS`] of them in the type of the numbers first.
fn add_gradients<F: Scalar>([x, dy]: [&[F]; 2], statistics: &[[F; STATISTICS]], sums: &mut [f64]) {
    let width = sums.len() / 2;
    let mut scratch = Scratch::<F>::take(Buffer::Centres);
    let of_block = scratch.first(2 * width);
    let blocks = x.chunks(ROWS * width).zip(dy.chunks(ROWS * width)).zip(statistics.chunks(ROWS));
    vectorised(
        #[inline(always)]
        || {
            for ((x, dy), statistics) in blocks {
                of_block.fill(F::zero());
                let (weighted, plain) = of_block.split_at_mut(width);
                for ((x, dy), &stored) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(statistics) {
                    let row = Row::stored(stored);
                    let columns = weighted.iter_mut().zip(plain.iter_mut()).zip(x).zip(dy);
                    for (((weighted, plain), &x), &dy) in columns {
                        *weighted += dy * row.normalized(x);
                        *plain += dy;
                    }
                }
                sums.iter_mut().zip(&*of_block).for_each(|(sum, block)| *sum += block.as_f64());
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::tensor::rng::{Purpose, stream};

    /// x̂ of a row, in `f64`.
    fn expected(x: &[f32], centred: bool, epsilon: f64) -> Vec<f64> {
        let count = x.len() as f64;
        let mean = if centred { x.iter().map(|&x| f64::from(x)).sum::<f64>() / count } else { 0.0 };
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        x.iter().map(|&x| (f64::from(x) - mean) / (variance + epsilon).sqrt()).collect()
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let mut rng = stream(0, Purpose::GradientCheck, 0, 0);
        for width in [2, 15, 128, 1000, 3000] {
            for (mean, deviation) in [(1000.0_f32, 0.5_f32), (0.0, 1.0), (-1e6, 3.0)] {
                let x: Vec<f32> =
                    (0..5 * width).map(|_| mean + deviation * rng.random_range(-1.0..1.0)).collect();
                let (mut y, mut statistics) = (x.clone(), vec![0.0; 5 * STATISTICS]);
                let one = vec![1.0; width];
                normalize_rows(&x, (&one, None), (true, 1e-5), &mut y, &mut statistics);
                for (x, y) in x.chunks(width).zip(y.chunks(width)) {
                    for (y, expected) in y.iter().zip(expected(x, true, 1e-5)) {
                        let off = (f64::from(*y) - expected).abs();
                        assert!(off <= 4e-7 * (1.0 + expected.abs()), "{width}, {mean}: {y} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn equal_numbers_become_zero_and_a_nan_stays_in_its_row() {
        let mut x = vec![1e10_f32; 3 * 100];
        x[150] = f32::NAN;
        let (mut y, mut statistics) = (x.clone(), vec![0.0; 3 * STATISTICS]);
        let one = [1.0; 100];
        normalize_rows(&x, (&one, None), (true, 1e-5), &mut y, &mut statistics);
        assert!(y[..100].iter().chain(&y[200..]).all(|&y| y == 0.0), "{y:?}");
        assert!(y[100..200].iter().all(|y| y.is_nan()));
    }
}
