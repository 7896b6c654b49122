//! Sums over the rows of a matrix, column by column. No number is lost beside a large sum.
//!
//! A single accumulator in `f32` stops growing when it is 2^24 times as large as the numbers that are added. Before that, every addition of
//! similar numbers is rounded in the same direction. Here 16 rows are added in the type of the numbers, two at a time, and their sum is
//! added to a sum in `f64`. So the error does not grow with the number of rows. (PyTorch uses pairwise sums, and a single `f32` in the
//! gradients of a convolution.)
//!
//! Rows of a narrow matrix are joined, so that vectors are full: 32 rows of 3 columns become one of 96, whose sums are added at the end.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// Rows that are added before their sum becomes an `f64`.
const ROWS: usize = 16;
/// Columns that are summed at a time.
const STRIP: usize = 512;
/// Rows are joined to at most this many numbers.
const WIDE: usize = 128;
/// What joined rows are a multiple of: a vector of `f32`.
const LANES: usize = 16;
/// The mean of at most this many rows loses no digit in the type of the numbers.
const FEW: usize = 8;

/// The terms of a sum: what is computed from a number x, a gradient dy at the same place, and the centre of the column.
trait Terms<const N: usize> {
    /// Whether the terms depend on the centre.
    const HAS_CENTRE: bool;

    fn of<T: Scalar>(x: T, dy: T, centre: T) -> [T; N];

    fn of_vectors<S: Simd, F: Scalar>(
        simd: S,
        x: F::Vector<S>,
        dy: F::Vector<S>,
        centre: F::Vector<S>,
    ) -> [F::Vector<S>; N];
}

/// x.
struct Plain;

impl Terms<1> for Plain {
    const HAS_CENTRE: bool = false;

    #[inline(always)]
    fn of<T: Scalar>(x: T, _: T, _: T) -> [T; 1] {
        [x]
    }
    #[inline(always)]
    fn of_vectors<S: Simd, F: Scalar>(
        _: S,
        x: F::Vector<S>,
        _: F::Vector<S>,
        _: F::Vector<S>,
    ) -> [F::Vector<S>; 1] {
        [x]
    }
}

/// x - centre, and its square.
struct Distances;

impl Terms<2> for Distances {
    const HAS_CENTRE: bool = true;

    #[inline(always)]
    fn of<T: Scalar>(x: T, _: T, centre: T) -> [T; 2] {
        [x - centre, (x - centre) * (x - centre)]
    }
    #[inline(always)]
    fn of_vectors<S: Simd, F: Scalar>(
        simd: S,
        x: F::Vector<S>,
        _: F::Vector<S>,
        centre: F::Vector<S>,
    ) -> [F::Vector<S>; 2] {
        let distance = F::difference(simd, x, centre);
        [distance, F::product(simd, distance, distance)]
    }
}

/// dy, and dy (x - centre).
struct Products;

impl Terms<2> for Products {
    const HAS_CENTRE: bool = true;

    #[inline(always)]
    fn of<T: Scalar>(x: T, dy: T, centre: T) -> [T; 2] {
        [dy, dy * (x - centre)]
    }
    #[inline(always)]
    fn of_vectors<S: Simd, F: Scalar>(
        simd: S,
        x: F::Vector<S>,
        dy: F::Vector<S>,
        centre: F::Vector<S>,
    ) -> [F::Vector<S>; 2] {
        [dy, F::product(simd, dy, F::difference(simd, x, centre))]
    }
}

/// Adds up every column: `sums[c] += Σ x[·, c]`.
#[inline(never)]
pub(crate) fn add_columns<F: Scalar>(x: &[F], sums: &mut [f64]) {
    let part = Part { stride: sums.len(), from: 0, width: sums.len() };
    add::<F, Plain, 1>(x, x, x, part, [sums]);
}

/// As [`add_columns`], to sums of the same type, which are rounded once.
#[inline(never)]
pub fn add_rows<F: Scalar>(rows: &[F], sums: &mut [F]) {
    let stride = sums.len();
    for (i, sums) in sums.chunks_mut(STRIP).enumerate() {
        let mut totals = [0.0; STRIP];
        let totals = &mut totals[..sums.len()];
        let part = Part { stride, from: i * STRIP, width: sums.len() };
        add::<F, Plain, 1>(rows, rows, rows, part, [totals]);
        sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = F::from_f64(sum.as_f64() + *total));
    }
}

/// Adds sums to a gradient, if there is one; each is rounded once.
pub(crate) fn add_to<F: Scalar>(gradient: Option<&mut [F]>, sums: &[f64]) {
    let gradient = gradient.into_iter().flatten();
    gradient.zip(sums).for_each(|(sum, more)| *sum = F::from_f64(sum.as_f64() + more));
}

/// The mean of every column, rounded once.
#[inline(never)]
pub(crate) fn means<F: Scalar>(rows: &[F], means: &mut [F]) {
    let stride = means.len();
    let share = stride as f64 / rows.len() as f64;
    if rows.len() <= FEW * stride {
        return vectorised(
            #[inline(always)]
            || mean_of_few(rows, F::from_f64(share), means),
        );
    }
    for (i, means) in means.chunks_mut(STRIP).enumerate() {
        let mut totals = [0.0; STRIP];
        let totals = &mut totals[..means.len()];
        let part = Part { stride, from: i * STRIP, width: means.len() };
        add::<F, Plain, 1>(rows, rows, rows, part, [totals]);
        means.iter_mut().zip(totals).for_each(|(mean, total)| *mean = F::from_f64(*total * share));
    }
}

#[inline(always)]
fn mean_of_few<F: Scalar>(rows: &[F], share: F, means: &mut [F]) {
    means.fill(F::zero());
    for row in rows.chunks_exact(means.len()) {
        means.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
    }
    means.iter_mut().for_each(|mean| *mean *= share);
}

/// `distances[c] += Σ (x[·, c] - centre[c])`, and `squares[c]` the sum of their squares.
#[inline(never)]
pub(crate) fn add_distances<F: Scalar>(x: &[F], centre: &[F], distances: &mut [f64], squares: &mut [f64]) {
    let part = Part { stride: centre.len(), from: 0, width: centre.len() };
    add::<F, Distances, 2>(x, x, centre, part, [distances, squares]);
}

/// `plain[c] += Σ dy[·, c]` and `weighted[c] += Σ dy[·, c] (x[·, c] - centre[c])`.
#[inline(never)]
pub(crate) fn add_products<F: Scalar>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    plain: &mut [f64],
    weighted: &mut [f64],
) {
    let part = Part { stride: centre.len(), from: 0, width: centre.len() };
    add::<F, Products, 2>(x, dy, centre, part, [plain, weighted]);
}

/// How many rows are joined into a row of at most [`WIDE`] numbers: where possible, a number that fills whole vectors.
fn joined(width: usize) -> usize {
    let most = (WIDE / width).max(1);
    let whole = LANES >> width.trailing_zeros().min(LANES.ilog2());
    if most >= whole { most / whole * whole } else { most }
}

/// Some columns of a matrix with rows of `stride` numbers.
#[derive(Clone, Copy)]
struct Part {
    stride: usize,
    from: usize,
    width: usize,
}

/// Adds the sums of the columns of a part to `sums`.
#[inline(always)]
fn add<F: Scalar, T: Terms<N>, const N: usize>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    part: Part,
    sums: [&mut [f64]; N],
) {
    let Part { stride, width, .. } = part;
    let joined = joined(stride);
    if joined == 1 || x.len() < 2 * stride {
        return Arch::new().dispatch(RowSums::<F, T, N> { x, dy, centre, part, sums, terms: PhantomData });
    }
    // A narrow matrix is never cut into parts.
    let wide = joined * width;
    let part = Part { stride: wide, from: 0, width: wide };
    let (mut centres, mut totals) = ([F::zero(); WIDE], [Aligned([0.0; WIDE]); N]);
    if T::HAS_CENTRE {
        centres[..wide].chunks_exact_mut(width).for_each(|to| to.copy_from_slice(centre));
    }
    let of_joined = totals.each_mut().map(|totals| &mut totals.0[..wide]);
    let centre = &centres[..wide];
    Arch::new().dispatch(RowSums::<F, T, N> { x, dy, centre, part, sums: of_joined, terms: PhantomData });
    for (sums, totals) in sums.into_iter().zip(&totals) {
        for totals in totals.0[..wide].chunks_exact(width) {
            sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
        }
    }
}

/// At the edge of a cache line, so that no vector lies across two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned<T>(T);

/// Rows that have not been added yet.
struct RowSums<'a, F, T, const N: usize> {
    x: &'a [F],
    dy: &'a [F],
    centre: &'a [F],
    part: Part,
    sums: [&'a mut [f64]; N],
    terms: PhantomData<T>,
}

impl<F: Scalar, T: Terms<N>, const N: usize> WithSimd for RowSums<'_, F, T, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut of_block = [Aligned([F::zero(); STRIP]); N];
        let block = ROWS * self.part.stride;
        for (x, dy) in self.x.chunks(block).zip(self.dy.chunks(block)) {
            for first in (0..self.part.width).step_by(STRIP) {
                self.block(simd, [x, dy], first, &mut of_block);
            }
        }
    }
}

impl<F: Scalar, T: Terms<N>, const N: usize> RowSums<'_, F, T, N> {
    /// Adds the numbers of some rows in the columns from `first` on, two rows at a time, and then their sum to the sums.
    ///
    /// It reads row by row, in the order of memory. With more rows side by side the processor cannot predict what to fetch next.
    #[inline(always)]
    fn block<S: Simd>(
        &mut self,
        simd: S,
        [x, dy]: [&[F]; 2],
        first: usize,
        of_block: &mut [Aligned<[F; STRIP]>; N],
    ) {
        let Part { stride, from, width } = self.part;
        let count = STRIP.min(width - first);
        let centre = &self.centre[first..][..count];
        let mut of_block: [&mut [F]; N] = of_block.each_mut().map(
            #[inline(always)]
            |all| &mut all.0[..count],
        );
        for sums in &mut of_block {
            sums.fill(F::zero());
        }
        // The last joined row may be incomplete.
        let of_row = |row: &[F]| from + first..row.len().min(from + first + count);
        for (x, dy) in x.chunks(2 * stride).zip(dy.chunks(2 * stride)) {
            if x.len() == 2 * stride {
                let (x, dy) = (x.split_at(stride), dy.split_at(stride));
                let at = of_row(x.0);
                let x = [&x.0[at.clone()], &x.1[at.clone()]];
                let dy = [&dy.0[at.clone()], &dy.1[at]];
                add_rows_to::<S, F, T, N, 2>(simd, x, dy, centre, &mut of_block);
            } else {
                for (x, dy) in x.chunks(stride).zip(dy.chunks(stride)) {
                    let at = of_row(x);
                    let (x, dy) = ([&x[at.clone()]], [&dy[at]]);
                    add_rows_to::<S, F, T, N, 1>(simd, x, dy, centre, &mut of_block);
                }
            }
        }
        let finite = of_block.iter().all(
            #[inline(always)]
            |sums| is_finite::<S, F>(simd, sums),
        );
        let sums = self.sums.each_mut().map(
            #[inline(always)]
            |sums| &mut sums[first..][..count],
        );
        if !finite {
            return in_f64::<F, T, N>(
                [x, dy],
                centre,
                Part { from: from + first, width: count, stride },
                sums,
            );
        }
        for (sums, block) in sums.into_iter().zip(of_block) {
            sums.iter_mut().zip(block).for_each(|(sum, block)| *sum += block.as_f64());
        }
    }
}

/// Adds the terms of `R` rows (1 or 2) to each other, and then to the sums of a block.
#[inline(always)]
fn add_rows_to<S: Simd, F: Scalar, T: Terms<N>, const N: usize, const R: usize>(
    simd: S,
    x: [&[F]; R],
    dy: [&[F]; R],
    centre: &[F],
    sums: &mut [&mut [F]; N],
) {
    let width = x[0].len();
    let count = F::vectors::<S>(x[0]).len();
    let x_vectors: [_; R] = std::array::from_fn(|r| &F::vectors::<S>(x[r])[..count]);
    let dy_vectors: [_; R] = std::array::from_fn(|r| &F::vectors::<S>(dy[r])[..count]);
    let centres = &F::vectors::<S>(centre)[..count];
    let sum_vectors = sums.each_mut().map(
        #[inline(always)]
        |sums| &mut F::vectors_mut::<S>(sums)[..count],
    );
    for v in 0..count {
        let mut terms = T::of_vectors::<S, F>(simd, x_vectors[0][v], dy_vectors[0][v], centres[v]);
        for r in 1..R {
            let others = T::of_vectors::<S, F>(simd, x_vectors[r][v], dy_vectors[r][v], centres[v]);
            for n in 0..N {
                terms[n] = F::sum(simd, terms[n], others[n]);
            }
        }
        for n in 0..N {
            sum_vectors[n][v] = F::sum(simd, sum_vectors[n][v], terms[n]);
        }
    }
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    for c in count * lanes..width {
        let mut terms = T::of(x[0][c], dy[0][c], centre[c]);
        for r in 1..R {
            let others = T::of(x[r][c], dy[r][c], centre[c]);
            for n in 0..N {
                terms[n] += others[n];
            }
        }
        for n in 0..N {
            sums[n][c] += terms[n];
        }
    }
}

/// Whether no number is NaN or infinite: 0 times a finite number is 0, 0 times another is NaN.
#[inline(always)]
fn is_finite<S: Simd, F: Scalar>(simd: S, numbers: &[F]) -> bool {
    let zero = F::splat(simd, F::zero());
    let vectors = F::vectors::<S>(numbers);
    let mut zeros = zero;
    for &v in vectors {
        zeros = F::fused(simd, v, zero, zeros);
    }
    let done = size_of_val(vectors) / size_of::<F>();
    !F::any_nonzero(simd, zeros) && numbers[done..].iter().all(|v| v.is_finite())
}

/// Adds the terms in `f64`, where their sums are too large for the type of the numbers.
#[cold]
#[inline(never)]
fn in_f64<F: Scalar, T: Terms<N>, const N: usize>(
    [x, dy]: [&[F]; 2],
    centre: &[F],
    part: Part,
    mut sums: [&mut [f64]; N],
) {
    let Part { stride, from, width } = part;
    for (x, dy) in x.chunks(stride).zip(dy.chunks(stride)) {
        let numbers = x.iter().zip(dy).skip(from).take(width).zip(centre).enumerate();
        for (c, ((x, dy), centre)) in numbers {
            let terms = T::of(x.as_f64(), dy.as_f64(), centre.as_f64());
            sums.iter_mut().zip(terms).for_each(|(sums, term)| sums[c] += term);
        }
    }
}

/// Whether no number is NaN or infinite, for slices of any length.
#[inline(never)]
pub(crate) fn all_finite<F: Scalar>(numbers: &[F]) -> bool {
    Arch::new().dispatch(Finite { numbers })
}

struct Finite<'a, F> {
    numbers: &'a [F],
}

impl<F: Scalar> WithSimd for Finite<'_, F> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        is_finite::<S, F>(simd, self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::tensor::rng::{self, stream};

    /// Sums of both kinds against those of single numbers in `f64`.
    fn check<F: Scalar>(rows: usize, width: usize, seed: u64, tolerance: f64) {
        let mut rng = stream(seed, rng::Purpose::GradientCheck, 0, 0);
        let mut random = |count: usize| -> Vec<F> {
            (0..count).map(|_| F::from_f64(rng.random_range(-1.0..1.0))).collect()
        };
        let (x, dy, centre) = (random(rows * width), random(rows * width), random(width));
        let mut got = [const { Vec::new() }; 5];
        got.iter_mut().for_each(|sums| sums.resize(width, 1.0));
        let mut expected = got.clone();
        for (i, (x, dy)) in x.iter().zip(&dy).enumerate() {
            let (x, dy, centre) = (x.as_f64(), dy.as_f64(), centre[i % width].as_f64());
            let terms = [x, x - centre, (x - centre).powi(2), dy, dy * (x - centre)];
            expected.iter_mut().zip(terms).for_each(|(sums, term)| sums[i % width] += term);
        }
        let [columns, distances, squares, plain, weighted] = &mut got;
        add_columns(&x, columns);
        add_distances(&x, &centre, distances, squares);
        add_products(&x, &dy, &centre, plain, weighted);
        for (which, (got, expected)) in got.iter().zip(&expected).enumerate() {
            for (c, (got, expected)) in got.iter().zip(expected).enumerate() {
                let close = (got - expected).abs() <= tolerance * (1.0 + rows as f64);
                assert!(close, "sum {which} of {rows} x {width}, column {c}: {got} {expected}");
            }
        }
        let (mut sums, mut mean) = (vec![F::one(); width], vec![F::zero(); width]);
        add_rows(&x, &mut sums);
        means(&x, &mut mean);
        for ((sum, mean), expected) in sums.iter().zip(mean).zip(&expected[0]) {
            assert!((sum.as_f64() - expected).abs() <= tolerance * (1.0 + rows as f64));
            assert!((mean.as_f64() - (expected - 1.0) / rows as f64).abs() <= 2.0 * tolerance);
        }
    }

    proptest! {
        #[test]
        fn every_number_is_in_its_column_once(rows in 1_usize..100, width in 1_usize..600, seed in 0_u64..1000) {
            check::<f32>(rows, width, seed, 1e-6);
            check::<f64>(rows, width, seed, 1e-14);
        }

        #[test]
        fn of_narrow_matrices_too(rows in 1_usize..2000, width in 1_usize..20, seed in 0_u64..1000) {
            check::<f32>(rows, width, seed, 1e-6);
        }
    }

    #[test]
    fn sums_that_are_no_f32_are_made_in_f64_and_what_is_not_finite_stays() {
        for width in [1, 3, 70, 300] {
            let column = |value: f32| -> Vec<f32> {
                (0..40 * width).map(|i| if i == 25 * width { value } else { 2e38 }).collect()
            };
            let sum = |x: &[f32]| {
                let mut sums = vec![0.0; width];
                add_columns(x, &mut sums);
                sums
            };
            let all = sum(&column(2e38));
            assert!(all.iter().all(|sum| (sum / 40.0 - f64::from(2e38_f32)).abs() < 1e30), "{width}");
            assert!(sum(&column(f32::NAN))[0].is_nan());
            assert_eq!(sum(&column(f32::INFINITY))[0], f64::INFINITY);
            let mut squares = vec![0.0; width];
            add_distances(&column(2e38), &vec![0.0; width], &mut vec![0.0; width], &mut squares);
            assert!(squares.iter().all(|s| (s / 40.0 / 4e76 - 1.0).abs() < 1e-6), "{width}");
        }
    }
}
