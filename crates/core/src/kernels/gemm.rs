//! Matrix products: how they are cut for threads. The inner loops are in `tile.rs` beside this file.
//!
//! A large product is cut by its shape alone, never by the number of threads, and each element is
//! summed in the same order wherever it falls: so the result has the same bits on any number of
//! threads.

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::kernels::elementwise::update_with;
use crate::kernels::pack::worth_copying;
use crate::kernels::tile;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// A matrix to read, row-major or the transpose of a row-major one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, F> {
    pub(super) data: &'a [F],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Distance between neighbours in a column (row-major), or in a row (transposed).
    pub(super) stride: usize,
    pub(super) transposed: bool,
    /// Where its rows are (columns, where transposed), if they are not evenly spaced.
    windows: Option<WindowRows<'a>>,
}

/// The rows of a matrix that lie anywhere, and in parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowRows<'a> {
    /// Where each row begins.
    pub(super) places: &'a [usize],
    /// The parts of every row.
    pub(super) taps: &'a [Tap],
    /// The first column, where a transposed matrix was cut.
    pub(super) first: usize,
}

/// Rows that begin so many numbers apart fall into so few sets of the first-level cache that they push each other out.
const FAR_APART: usize = 64;

impl WindowRows<'_> {
    /// Whether reading across the rows, one number of each, is slow.
    pub(super) fn are_far_apart(&self) -> bool {
        matches!(self.places, [first, second, ..] if second - first >= FAR_APART)
    }

    /// How far after a row's beginning its column `i` lies.
    pub(super) fn shift(&self, i: usize) -> usize {
        let column = self.first + i;
        let tap = self.taps[self.taps.partition_point(|tap| tap.from <= column) - 1];
        tap.shift + column - tap.from
    }
}

/// A part of every row that lies side by side: `run` numbers, `shift` after the row's beginning, which are those
/// from `from` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) shift: usize,
    pub(super) from: usize,
    pub(super) run: usize,
}

impl<'a, F: Scalar> Matrix<'a, F> {
    /// The row-major matrix in `data`.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * columns` numbers: a mistake in a layer, never in a
    /// caller's input.
    pub fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows} x {columns} matrix over other data");
        Self { data, rows, columns, stride: columns, transposed: false, windows: None }
    }

    /// The matrix whose rows begin at these places of `data`, lie there in parts, and may overlap.
    pub(super) fn of_windows(data: &'a [F], windows: WindowRows<'a>) -> Self {
        let columns = windows.taps.iter().map(|tap| tap.run).sum();
        let rows = windows.places.len();
        Self { data, rows, columns, stride: 0, transposed: false, windows: Some(windows) }
    }

    /// Where its rows are (columns, where transposed), if they are not evenly spaced.
    pub(super) fn windows(&self) -> Option<WindowRows<'a>> {
        self.windows
    }

    /// The last column of a block of at most `depth` columns from `from` on: windows are not cut within a part.
    pub(super) fn block_end(&self, from: usize, depth: usize) -> usize {
        let end = (from + depth).min(self.columns);
        match self.windows {
            Some(WindowRows { taps, .. }) if !self.transposed => {
                let first = taps[0].from;
                let ends = taps.iter().map(|tap| tap.from + tap.run - first);
                ends.take_while(|&tap_end| tap_end <= end).last().unwrap_or(end)
            }
            _ => end,
        }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// The rows from `from` up to `to`.
    pub(crate) fn rows(self, from: usize, to: usize) -> Self {
        let rows = to - from;
        match self.windows {
            Some(windows) if !self.transposed => Self {
                windows: Some(WindowRows { places: &windows.places[from..to], ..windows }),
                rows,
                ..self
            },
            Some(windows) => {
                Self { windows: Some(WindowRows { first: windows.first + from, ..windows }), rows, ..self }
            }
            _ => {
                let start = if self.transposed { from } else { from * self.stride };
                Self { data: &self.data[start.min(self.data.len())..], rows, ..self }
            }
        }
    }

    /// The columns from `from` up to `to`.
    pub(super) fn columns(self, from: usize, to: usize) -> Self {
        self.t().rows(from, to).t()
    }

    /// One element.
    pub fn at(&self, row: usize, column: usize) -> F {
        let (outer, inner) = if self.transposed { (column, row) } else { (row, column) };
        self.data[outer * self.stride + inner]
    }
}

/// Below this many multiply-adds one thread is faster than two.
pub(super) const SPLIT_ABOVE: usize = 512 * 1024;
/// Multiply-adds in a piece, where there are enough for more than two.
const PIECE: usize = 32 * 1024 * 1024;
/// More pieces than any machine this is meant for has cores.
const MOST_PIECES: usize = 32;
/// Rows of a piece, where there are enough for more than two.
const ROWS_A_PIECE: usize = 128;
/// With fewer rows than this in the result, the factor `b` is most of what is read.
const FEW_ROWS: usize = 96;

/// `c = a b` or `c += a b`, with `c` row-major, `a.rows` times `b.columns`.
///
/// In a dense layer with few samples the weights are what moves through the caches. There every
/// product is cut along the rows of the weights, wherever those are: so a thread that takes the
/// first half each time finds its half of the weights and of their gradient in its own cache.
///
/// # Panics
/// If the shapes do not agree: a mistake in a layer, never in a caller's input.
#[inline(never)]
pub fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(c.len(), a.rows * b.columns, "result of {} x {}", a.rows, b.columns);
    let work = a.rows * a.columns * b.columns;
    if b.transposed && a.rows < b.rows.min(b.columns) {
        multiply_turned(a, b, how, c);
    } else if work > SPLIT_ABOVE && a.rows < FEW_ROWS && !a.transposed {
        multiply_halves(a, b, how, c);
    } else {
        multiply_rows(a, b, how, c, pieces(work, a.rows));
    }
}

/// Pieces of a product with so many rows: each copies the right factor for itself, and must have enough rows to
/// be worth it.
fn pieces(work: usize, rows: usize) -> usize {
    let most = (rows / ROWS_A_PIECE).next_power_of_two().min(MOST_PIECES);
    if work > SPLIT_ABOVE { (work / PIECE).next_power_of_two().min(most).max(2) } else { 1 }
}

/// The product in pieces of its rows. Where more than two would copy the right factor, it is copied once for all of them.
fn multiply_rows<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F], pieces: usize) {
    let columns = b.columns;
    if pieces > 2 && worth_copying(b, a.rows) {
        let mut scratch = Scratch::take(Purpose::Whole);
        let b = tile::copied(b, &mut scratch);
        in_pieces(a, columns, pieces, c, &|a, c| tile::multiply_copied(a, b, how, c));
    } else {
        in_pieces(a, columns, pieces, c, &|a, c| tile::multiply(a, b, how, c));
    }
}

/// Rows of `a` with those of the result, every piece split in two halves of which rayon may take the second to
/// another thread.
fn in_pieces<F: Scalar>(
    a: Matrix<'_, F>,
    columns: usize,
    pieces: usize,
    c: &mut [F],
    multiply: &(dyn Fn(Matrix<'_, F>, &mut [F]) + Sync),
) {
    if pieces <= 1 || a.rows < 2 {
        return multiply(a, c);
    }
    let middle = a.rows / 2;
    let (upper, lower) = c.split_at_mut(middle * columns);
    rayon::join(
        || in_pieces(a.rows(0, middle), columns, pieces / 2, upper, multiply),
        || in_pieces(a.rows(middle, a.rows), columns, pieces / 2, lower, multiply),
    );
}

/// The product as the sum of two: the first half of the inner dimension, and the second.
fn multiply_halves<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    let middle = a.columns / 2;
    let mut scratch = Scratch::take(Purpose::Half);
    let second = scratch.first(c.len());
    rayon::join(
        || tile::multiply(a.columns(0, middle), b.rows(0, middle), how, c),
        || {
            let (a, b) = (a.columns(middle, a.columns), b.rows(middle, b.rows));
            tile::multiply(a, b, Accumulate::Overwrite, second);
        },
    );
    update_with(c, second, |c, second| *c += second);
}

/// The product as the transpose of `bᵀ aᵀ`: where `b` is transposed and large, turning the small
/// `a` and the result round is less work than turning `b`.
fn multiply_turned<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    let (rows, columns) = (a.rows, b.columns);
    let mut scratch = Scratch::take(Purpose::Turned);
    let turned = scratch.first(c.len());
    multiply_rows(b.t(), a.t(), Accumulate::Overwrite, turned, pieces(rows * a.columns * columns, columns));
    transpose(turned, rows, how, c, columns);
}

/// Rows and columns that are moved at a time: so many of both stay in the first-level cache.
const BLOCK: usize = 16;

/// The transpose: `to[i, j] = from[j, i]` or `to[i, j] += from[j, i]`, where rows of `from` have `stride` numbers
/// and rows of `to` have `columns`.
pub(super) fn transpose<F: Scalar>(from: &[F], stride: usize, how: Accumulate, to: &mut [F], columns: usize) {
    let blocks = to.par_chunks_mut(BLOCK * columns.max(1)).enumerate();
    blocks.with_min_len(4).for_each(|(block, to)| {
        for left in (0..columns).step_by(BLOCK) {
            for (i, row) in to.chunks_exact_mut(columns).enumerate() {
                let right = (left + BLOCK).min(columns);
                for (j, to) in (left..right).zip(&mut row[left..right]) {
                    let from = from[j * stride + block * BLOCK + i];
                    *to = if how == Accumulate::Add { *to + from } else { from };
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayView2;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::naive;
    use crate::rng::{Purpose, stream};
    use rand::Rng;

    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    fn matrix(data: &[f64], rows: usize, columns: usize, transposed: bool) -> Matrix<'_, f64> {
        if transposed { Matrix::new(data, columns, rows).t() } else { Matrix::new(data, rows, columns) }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loops(
            (m, k, n) in (0_usize..40, 0_usize..40, 0_usize..40),
            (ta, tb, add) in (any::<bool>(), any::<bool>(), any::<bool>()),
            seed in 0_u64..1000,
        ) {
            compare(m, k, n, ta, tb, add, seed);
        }
    }

    #[test]
    fn agrees_where_the_result_is_cut_in_pieces() {
        for (m, k, n) in [(32, 784, 256), (784, 32, 256), (33, 500, 65), (1, 9000, 70), (700, 70, 900)] {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                compare(m, k, n, ta, tb, false, 1);
            }
        }
    }

    fn compare(m: usize, k: usize, n: usize, ta: bool, tb: bool, add: bool, seed: u64) {
        let (a, b) = (random(m * k, seed), random(k * n, seed + 1));
        let (a, b) = (matrix(&a, m, k, ta), matrix(&b, k, n, tb));
        let mut expected = vec![0.0; m * n];
        naive::matmul(a, b, &mut expected);
        let start = if add { random(m * n, seed + 2) } else { vec![f64::NAN; m * n] };
        let mut got = start.clone();
        let how = if add { Accumulate::Add } else { Accumulate::Overwrite };
        multiply(a, b, how, &mut got);
        for (i, got) in got.iter().enumerate() {
            let expected = expected[i] + if add { start[i] } else { 0.0 };
            assert!(
                (got - expected).abs() < 1e-12 * (k as f64 + 1.0),
                "{m}x{k}x{n} at {i}: {got} {expected}"
            );
        }
    }

    #[test]
    fn agrees_with_ndarray_in_f32() {
        let (m, k, n) = (64, 300, 200);
        let a: Vec<f32> = random(m * k, 3).iter().map(|&v| v as f32).collect();
        let b: Vec<f32> = random(k * n, 4).iter().map(|&v| v as f32).collect();
        let mut ours = vec![0.0_f32; m * n];
        multiply(Matrix::new(&a, m, k), Matrix::new(&b, k, n), Accumulate::Overwrite, &mut ours);
        let view = |data, rows, columns| ArrayView2::from_shape((rows, columns), data).unwrap();
        let theirs = view(&a, m, k).dot(&view(&b, k, n));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
        }
    }

    #[test]
    fn has_the_same_bits_on_any_number_of_threads() {
        let (m, k, n) = (1024, 784, 256);
        let (a, b) = (random(m * k, 5), random(k * n, 6));
        let results = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut c = vec![0.0; m * n];
            pool.install(|| {
                multiply(Matrix::new(&a, m, k), Matrix::new(&b, k, n), Accumulate::Overwrite, &mut c);
            });
            c
        });
        assert!(results[0] == results[1] && results[0] == results[2]);
    }
}
