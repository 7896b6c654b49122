//! Matrix products: how they are cut for threads. The inner loops are in `tile.rs`.
//!
//! The shape alone decides how a large product is cut, never the number of threads, and each element is summed in the same order in every
//! piece. So the result has the same bits on any number of threads.

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::elementwise::update_with;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::pack::worth_copying;
use crate::kernels::gemm::tile;
use crate::kernels::gemm::transpose::transpose;
use crate::kernels::scratch::Scratch;
use crate::tensor::scalar::Scalar;

/// Below this many multiply-adds one thread is faster than two.
pub(crate) const SPLIT_ABOVE: usize = 512 * 1024;
/// Multiply-adds in a piece, where there are enough for more than two.
const PIECE: usize = 32 * 1024 * 1024;
/// More pieces than the machines for this library have cores.
const MOST_PIECES: usize = 32;
/// Rows of a piece, where there are enough for more than two.
const ROWS_A_PIECE: usize = 128;
/// With fewer rows than this in the result, the factor `b` is most of what is read.
const FEW_ROWS: usize = 96;

/// `c = a b` or `c += a b`, with `c` row-major, `a.rows` times `b.columns`.
///
/// In a dense layer with few samples most of what moves through the caches is weights. There all three products are cut along the rows of
/// the weights. A thread that takes the first half each time finds its half of the weights and of their gradient in its own cache.
///
/// # Panics
/// If the shapes do not agree: a mistake in a layer, never in a caller's input.
#[inline(never)]
pub fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(c.len(), a.rows * b.columns, "result of {} x {}", a.rows, b.columns);
    let work = a.rows * a.columns * b.columns;
    if b.transposed && a.rows < b.rows.min(b.columns) {
        multiply_transposed(a, b, how, c);
    } else if work > SPLIT_ABOVE && a.rows < FEW_ROWS && !a.transposed {
        multiply_halves(a, b, how, c);
    } else {
        multiply_rows(a, b, how, c, pieces(work, a.rows));
    }
}

/// The number of pieces of a product with this number of rows. Each piece copies the right factor, so it must have enough rows.
fn pieces(work: usize, rows: usize) -> usize {
    let most = (rows / ROWS_A_PIECE).next_power_of_two().min(MOST_PIECES);
    if work > SPLIT_ABOVE { (work / PIECE).next_power_of_two().min(most).max(2) } else { 1 }
}

/// The product in pieces of its rows. Where more than two pieces would copy the right factor, it is copied once for all.
fn multiply_rows<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F], pieces: usize) {
    let columns = b.columns;
    if pieces > 2 && worth_copying(b, a.rows) {
        let mut scratch = Scratch::take(Buffer::Whole);
        let b = tile::copied(b, &mut scratch);
        split_rows(a, columns, pieces, c, &|a, c| tile::multiply_copied(a, b, how, c));
    } else {
        split_rows(a, columns, pieces, c, &|a, c| tile::multiply(a, b, how, c));
    }
}

/// Cuts the rows of `a` and of the result into halves, again and again. Another thread may take the second half.
fn split_rows<F: Scalar>(
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
        || split_rows(a.rows(0, middle), columns, pieces / 2, upper, multiply),
        || split_rows(a.rows(middle, a.rows), columns, pieces / 2, lower, multiply),
    );
}

/// The product as the sum of two: the first half of the inner dimension, and the second.
fn multiply_halves<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    let middle = a.columns / 2;
    let mut scratch = Scratch::take(Buffer::Half);
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

/// The product as the transpose of `bᵀ aᵀ`. Where `b` is transposed and large, it is less work to transpose the small `a` and the result
/// than `b`.
fn multiply_transposed<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    let (rows, columns) = (a.rows, b.columns);
    let mut scratch = Scratch::take(Buffer::Transposed);
    let result = scratch.first(c.len());
    multiply_rows(b.t(), a.t(), Accumulate::Overwrite, result, pieces(rows * a.columns * columns, columns));
    transpose(result, rows, how, c, columns);
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayView2;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::naive;
    use crate::tensor::rng::{Purpose, stream};
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
