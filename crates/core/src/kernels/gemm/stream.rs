//! Products with few rows in the left factor, where nearly all the time goes into reading the right one: a dense layer or a
//! late convolution with few samples.
//!
//! Tiles would read some columns of the right factor at a time, and jump from row to row. Here it is read in the order of memory,
//! [`AT_ONCE`] rows side by side, each number once; the result stays in the first-level cache.

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// Rows of the right factor that are read side by side.
const AT_ONCE: usize = 4;
/// With more rows than this in the left factor, tiles are faster.
pub(crate) const MOST_LEFT_ROWS: usize = 16;
/// A smaller right factor is in the cache anyway.
pub(crate) const LARGE: usize = 64 * 1024;

/// Rows of the right factor whose products are added up before they are added to the result.
const ROWS_OF_A_BLOCK: usize = 256;

/// Tiles read a right factor with fewer columns than this in the order of memory too.
const NARROW: usize = 64;

/// Whether a product is faster so.
pub(crate) fn fits<F: Scalar>(a: &Matrix<'_, F>, b: &Matrix<'_, F>) -> bool {
    let plain = !a.transposed && !b.transposed && a.windows().is_none();
    plain && a.rows <= MOST_LEFT_ROWS && b.columns >= NARROW && b.rows * b.columns >= LARGE
}

/// `c = a b` or `c += a b`, with `c` row-major.
#[inline(never)]
pub(crate) fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    if how == Accumulate::Overwrite {
        c.fill(F::zero());
    }
    if b.rows <= ROWS_OF_A_BLOCK {
        return Arch::new().dispatch(Stream { a, b, c });
    }
    let mut scratch = Scratch::take(Buffer::Left);
    let block = scratch.first(c.len());
    for from in (0..b.rows).step_by(ROWS_OF_A_BLOCK) {
        let to = (from + ROWS_OF_A_BLOCK).min(b.rows);
        block.fill(F::zero());
        Arch::new().dispatch(Stream { a: a.columns(from, to), b: b.rows(from, to), c: block });
        vectorised(
            #[inline(always)]
            || c.iter_mut().zip(&*block).for_each(|(sum, &block)| *sum += block),
        );
    }
}

struct Stream<'a, F> {
    a: Matrix<'a, F>,
    b: Matrix<'a, F>,
    c: &'a mut [F],
}

impl<F: Scalar> WithSimd for Stream<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, c } = self;
        let columns = b.columns;
        for first in (0..b.rows).step_by(AT_ONCE) {
            let count = AT_ONCE.min(b.rows - first);
            for i in 0..a.rows {
                let row = &mut c[i * columns..][..columns];
                if count == AT_ONCE {
                    add_rows::<S, F>(simd, a, b, i, first, row);
                } else {
                    for k in first..first + count {
                        let (factor, from) = (a.at(i, k), &b.data[k * b.stride..][..columns]);
                        row.iter_mut().zip(from).for_each(|(sum, &b)| *sum = factor.mul_add(b, *sum));
                    }
                }
            }
        }
    }
}

/// Adds [`AT_ONCE`] rows of `b`, from `first` on, times the numbers of row `i` of `a`, to `row`.
#[inline(always)]
fn add_rows<S: Simd, F: Scalar>(
    simd: S,
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    i: usize,
    first: usize,
    row: &mut [F],
) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let line = |k: usize| &b.data[(first + k) * b.stride..][..b.columns];
    let lines = [line(0), line(1), line(2), line(3)];
    let factors = [a.at(i, first), a.at(i, first + 1), a.at(i, first + 2), a.at(i, first + 3)];
    let whole = row.len() / lanes * lanes;
    let [f0, f1, f2, f3] = factors.map(
        #[inline(always)]
        |factor| F::splat(simd, factor),
    );
    let [b0, b1, b2, b3] = lines.map(
        #[inline(always)]
        |line| F::vectors::<S>(line),
    );
    let (count, sums) = (whole / lanes, F::vectors_mut::<S>(row));
    let (sums, b0, b1, b2, b3) = (&mut sums[..count], &b0[..count], &b1[..count], &b2[..count], &b3[..count]);
    for v in 0..count {
        let sum = F::fused(simd, f0, b0[v], sums[v]);
        let sum = F::fused(simd, f1, b1[v], sum);
        let sum = F::fused(simd, f2, b2[v], sum);
        sums[v] = F::fused(simd, f3, b3[v], sum);
    }
    for j in whole..row.len() {
        for (factor, line) in factors.iter().zip(lines) {
            row[j] = factor.mul_add(line[j], row[j]);
        }
    }
}
