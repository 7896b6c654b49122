//! Matrix products: the only file that names the `gemm` crate.
//!
//! `gemm` picks AVX-512, AVX2 or plain code when the program runs. A large product is cut into
//! pieces of its result, by its shape alone and never by the number of threads, and each element is
//! summed in the same order in whichever piece it falls: so the result has the same bits on any
//! number of threads.
//!
//! # Why this file is unsafe
//! `gemm` takes raw pointers. What it asks for is checked in [`multiply`] before the call: every
//! index the strides reach lies inside the slice (see [`Matrix::new`]), the shapes agree, and the
//! destination is borrowed mutably, so it overlaps neither factor. Pieces of the destination are
//! disjoint ranges of rows or of columns. A property test runs random shapes, layouts and splits
//! against the plain loops. Safe alternatives were measured: `ndarray`'s `dot` reaches half the
//! speed (no AVX-512), and a hand-written safe kernel a third.
#![allow(unsafe_code)]

use gemm::Parallelism;

use crate::kernels::elementwise::update_with;
use crate::param::Accumulate;
use crate::scalar::Scalar;

/// A matrix to read, in any layout that two strides describe.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, F> {
    data: &'a [F],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, F: Scalar> Matrix<'a, F> {
    /// The row-major matrix in `data`.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * columns` numbers: a mistake in a layer, never in a
    /// caller's input.
    pub fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows} x {columns} matrix over other data");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// The rows from `from` up to `to`.
    fn rows(self, from: usize, to: usize) -> Self {
        let data = if from < to { &self.data[from * self.row_stride..] } else { &[] };
        Self { data, rows: to - from, ..self }
    }

    /// The columns from `from` up to `to`.
    fn columns(self, from: usize, to: usize) -> Self {
        self.t().rows(from, to).t()
    }

    /// One element.
    pub fn at(&self, row: usize, column: usize) -> F {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// Below this many multiply-adds one thread is faster than two.
const SPLIT_ABOVE: usize = 512 * 1024;
/// Multiply-adds in a piece, where there are enough for more than two.
const PIECE: usize = 32 * 1024 * 1024;
/// More pieces than any machine this is meant for has cores.
const MOST_PIECES: usize = 32;
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
pub fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(c.len(), a.rows * b.columns, "result of {} x {}", a.rows, b.columns);
    let work = a.rows * a.columns * b.columns;
    let row_major = a.column_stride == 1 && b.column_stride == 1;
    if work <= SPLIT_ABOVE {
        multiply_pieces(a, b, how, c, 1, true);
    } else if row_major && a.rows < FEW_ROWS {
        multiply_halves(a, b, how, c);
    } else {
        // By rows, except where `b` is transposed: every piece would turn all of it round again.
        let by_rows = b.column_stride == 1;
        let pieces = (work / PIECE).next_power_of_two().clamp(2, MOST_PIECES);
        multiply_pieces(a, b, how, c, pieces, by_rows);
    }
}

/// The product as the sum of two: the first half of the inner dimension, and the second.
fn multiply_halves<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    let middle = a.columns / 2;
    let mut second = F::scratch().take();
    second.resize(c.len(), F::zero());
    rayon::join(
        || multiply_pieces(a.columns(0, middle), b.rows(0, middle), how, c, 1, true),
        || {
            let (a, b) = (a.columns(middle, a.columns), b.rows(middle, b.rows));
            multiply_pieces(a, b, Accumulate::Overwrite, &mut second, 1, true);
        },
    );
    update_with(c, &second, |c, second| *c += second);
    F::scratch().set(second);
}

/// The product in pieces of its rows or of its columns.
fn multiply_pieces<F: Scalar>(
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    how: Accumulate,
    c: &mut [F],
    pieces: usize,
    by_rows: bool,
) {
    let destination = Destination { start: c.as_mut_ptr(), row_stride: b.columns };
    let length = if by_rows { a.rows } else { b.columns };
    in_pieces(0, pieces, &|piece| {
        let (from, to) = (length * piece / pieces, length * (piece + 1) / pieces);
        let (rows, columns) = if by_rows { ((from, to), (0, b.columns)) } else { ((0, a.rows), (from, to)) };
        // SAFETY: rows and columns lie inside the destination, which this call borrows mutably,
        // and the ranges of different pieces are disjoint.
        unsafe { product(a, b, how, destination, rows, columns) }
    });
}

/// Runs `task` for each piece, every split in two halves of which rayon may take the second to
/// another thread.
fn in_pieces(from: usize, to: usize, task: &(impl Fn(usize) + Sync)) {
    if to - from == 1 {
        task(from);
    } else {
        let middle = usize::midpoint(from, to);
        rayon::join(|| in_pieces(from, middle, task), || in_pieces(middle, to, task));
    }
}

/// Where a product goes: row-major, the start of the whole result.
#[derive(Clone, Copy)]
struct Destination<F> {
    start: *mut F,
    row_stride: usize,
}
// SAFETY: a `Destination` is only a place; `product` asks its callers for disjoint parts of it.
unsafe impl<F: Send> Send for Destination<F> {}
// SAFETY: as above.
unsafe impl<F: Send> Sync for Destination<F> {}

/// The part of `a b` in the given rows and columns.
///
/// # Safety
/// The rows and columns lie inside the destination, and nobody else touches them meanwhile.
unsafe fn product<F: Scalar>(
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    how: Accumulate,
    c: Destination<F>,
    (first_row, end_row): (usize, usize),
    (first_column, end_column): (usize, usize),
) {
    if first_row == end_row || first_column == end_column {
        return;
    }
    // SAFETY: the offsets are those of elements inside the slices, or of the one past the end
    // when there is nothing to sum over.
    unsafe {
        gemm::gemm(
            end_row - first_row,
            end_column - first_column,
            a.columns,
            c.start.add(first_row * c.row_stride + first_column),
            1,
            c.row_stride as isize,
            how == Accumulate::Add,
            a.data.as_ptr().add(first_row * a.row_stride),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr().add(first_column * b.column_stride),
            b.column_stride as isize,
            b.row_stride as isize,
            F::one(),
            F::one(),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
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
    fn agrees_with_matrixmultiply_in_f32() {
        let (m, k, n) = (64, 300, 200);
        let a: Vec<f32> = random(m * k, 3).iter().map(|&v| v as f32).collect();
        let b: Vec<f32> = random(k * n, 4).iter().map(|&v| v as f32).collect();
        let (mut ours, mut theirs) = (vec![0.0_f32; m * n], vec![0.0_f32; m * n]);
        multiply(Matrix::new(&a, m, k), Matrix::new(&b, k, n), Accumulate::Overwrite, &mut ours);
        // SAFETY: all three are row-major with the sizes given.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                a.as_ptr(),
                k as isize,
                1,
                b.as_ptr(),
                n as isize,
                1,
                0.0,
                theirs.as_mut_ptr(),
                n as isize,
                1,
            );
        }
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
