//! Sums over the rows of a matrix, column by column, in which no number is lost beside a large sum.
//!
//! A single accumulator in `f32` stops growing at 2^24 times what is added to it, and before that every addition rounds the
//! same way where the numbers are alike. Here [`ROWS`] rows are added in pairs, pairs of pairs and so on, in the type of the numbers, and
//! only then to a sum in `f64`. So an `f32` is rounded three times on its way, however many there are.
//!
//! Rows of a narrow matrix are joined: 32 rows of 3 columns are one of 96, whose sums are added at the end. So vectors are full.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::elementwise::vectorised;
use crate::param::Accumulate;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// Rows that are added before their sum becomes an `f64`.
const ROWS: usize = 8;
/// Columns whose sums are worked on at a time, in the first-level cache.
pub(super) const STRIP: usize = 256;
/// What joined rows are a multiple of: a vector of `f32`.
const LANES: usize = 16;
/// Sums of squares that are made side by side.
const SQUARES: usize = 32;

/// What is added up, of a number, another at the same place (a gradient), and a number of the column (its centre).
trait Terms<const N: usize> {
    /// Whether the other number matters, and the centre.
    const HAS_DY: bool;
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
    const HAS_DY: bool = false;
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

/// (x - centre)².
struct Squares;

impl Terms<1> for Squares {
    const HAS_DY: bool = false;
    const HAS_CENTRE: bool = true;

    #[inline(always)]
    fn of<T: Scalar>(x: T, _: T, centre: T) -> [T; 1] {
        [(x - centre) * (x - centre)]
    }
    #[inline(always)]
    fn of_vectors<S: Simd, F: Scalar>(
        simd: S,
        x: F::Vector<S>,
        _: F::Vector<S>,
        centre: F::Vector<S>,
    ) -> [F::Vector<S>; 1] {
        let distance = F::difference(simd, x, centre);
        [F::product(simd, distance, distance)]
    }
}

/// dy, and dy (x - centre).
struct Products;

impl Terms<2> for Products {
    const HAS_DY: bool = true;
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
    each::<F, Plain, 1>(x, x, x, sums.len(), |from, [totals]| add_to(&mut sums[from..], totals));
}

/// As [`add_columns`], to sums of the same type, which are rounded once.
#[inline(never)]
pub fn add_rows<F: Scalar>(rows: &[F], sums: &mut [F]) {
    each::<F, Plain, 1>(rows, rows, rows, sums.len(), |from, [totals]| {
        for (sum, total) in sums[from..].iter_mut().zip(totals) {
            *sum = F::from_f64(sum.as_f64() + total);
        }
    });
}

/// The mean of every column, rounded once.
#[inline(never)]
pub(crate) fn means<F: Scalar>(rows: &[F], means: &mut [F]) {
    let width = means.len();
    let share = width as f64 / rows.len() as f64;
    each::<F, Plain, 1>(rows, rows, rows, width, |from, [totals]| {
        means[from..].iter_mut().zip(totals).for_each(|(mean, total)| *mean = F::from_f64(total * share));
    });
}

/// `squares[c] += Σ (x[·, c] - centre[c])²`.
pub(super) fn add_squares<F: Scalar>(x: &[F], centre: &[F], squares: &mut [f64]) {
    let width = squares.len();
    each::<F, Squares, 1>(x, x, centre, width, |from, [totals]| add_to(&mut squares[from..], totals));
}

/// `plain[c] += Σ dy[·, c]` and `weighted[c] += Σ dy[·, c] (x[·, c] - centre[c])`.
pub(super) fn add_products<F: Scalar>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    plain: &mut [f64],
    weighted: &mut [f64],
) {
    each::<F, Products, 2>(x, dy, centre, plain.len(), |from, [of_plain, of_weighted]| {
        add_to(&mut plain[from..], of_plain);
        add_to(&mut weighted[from..], of_weighted);
    });
}

/// The root of the sum of the squares of all numbers, made in `f64`. Not finite where one of them is not.
#[inline(never)]
pub(crate) fn norm<F: Scalar>(x: &[F]) -> f64 {
    let squares = sum_of_squares(x, |v| v);
    // Only in a network of `f64` can squares be too large or too small for an `f64`.
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0, |most: f64, v| most.max(v.as_f64().abs()));
    if squares.is_nan() || largest == 0.0 || largest.is_infinite() {
        return if squares.is_nan() { squares } else { largest };
    }
    largest * sum_of_squares(x, |v| v / largest).sqrt()
}

/// Of what `f` makes of all numbers.
fn sum_of_squares<F: Scalar>(x: &[F], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; SQUARES];
    vectorised(
        #[inline(always)]
        || {
            let pieces = x.chunks_exact(SQUARES);
            let rest = pieces.remainder();
            for piece in pieces {
                for (sum, v) in sums.iter_mut().zip(piece) {
                    let v = f(v.as_f64());
                    *sum += v * v;
                }
            }
            for (sum, v) in sums.iter_mut().zip(rest) {
                let v = f(v.as_f64());
                *sum += v * v;
            }
        },
    );
    sums.iter().sum()
}

fn add_to(sums: &mut [f64], totals: &[f64]) {
    sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
}

/// Sums over more than twice this many terms are made in blocks of so many, which are added in `f64`: the blocks' own sums are made of
/// shorter ones in turn, those of a tile or of some rows of output.
pub(super) const LONG: usize = 4096;

/// Calls `add` for all parts in order, from one edge to the next, with whether sums are to be overwritten or added to; where there is
/// more than one range, each overwrites, and their sums are added in `f64`.
pub(super) fn in_blocks<F: Scalar>(
    parts: usize,
    next_edge: impl Fn(usize) -> usize,
    how: Accumulate,
    sums: &mut [F],
    mut add: impl FnMut(Range<usize>, Accumulate, &mut [F]),
) {
    let first = next_edge(0);
    if first >= parts {
        return add(0..parts, how, sums);
    }
    let mut scratch = Scratch::<f64>::take(Purpose::Sums);
    let totals = scratch.first(sums.len());
    let old = |sum: &F| if how == Accumulate::Add { sum.as_f64() } else { 0.0 };
    totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total = old(sum));
    let mut from = 0;
    while from < parts {
        let to = next_edge(from).min(parts);
        add(from..to, Accumulate::Overwrite, sums);
        totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total += sum.as_f64());
        from = to;
    }
    sums.iter_mut().zip(&*totals).for_each(|(sum, &total)| *sum = F::from_f64(total));
}

/// How many rows are joined: as many as make a row of at most [`STRIP`] numbers, in whole vectors where that is possible.
fn joined(width: usize) -> usize {
    let most = (STRIP / width).max(1);
    let whole = LANES >> width.trailing_zeros().min(LANES.ilog2());
    if most >= whole { most / whole * whole } else { most }
}

/// Hands out the sums of all columns, some at a time, with the number of the first of them.
#[inline(always)]
fn each<F: Scalar, T: Terms<N>, const N: usize>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    width: usize,
    mut give: impl FnMut(usize, [&[f64]; N]),
) {
    let joined = joined(width);
    if x.is_empty() {
        return;
    }
    let mut sums = [[0.0; STRIP]; N];
    if joined == 1 {
        for from in (0..width).step_by(STRIP) {
            let part = Part { stride: width, from, width: STRIP.min(width - from) };
            let centre = if T::HAS_CENTRE { &centre[from..] } else { centre };
            strip::<F, T, N>(x, dy, centre, part, &mut sums);
            give(from, std::array::from_fn(|n| &sums[n][..part.width]));
        }
        return;
    }
    let part = Part { stride: joined * width, from: 0, width: joined * width };
    if T::HAS_CENTRE {
        let mut repeated = [F::zero(); STRIP];
        repeated[..part.width].chunks_exact_mut(width).for_each(|to| to.copy_from_slice(&centre[..width]));
        strip::<F, T, N>(x, dy, &repeated, part, &mut sums);
    } else {
        strip::<F, T, N>(x, dy, centre, part, &mut sums);
    }
    for sums in &mut sums {
        let (first, others) = sums[..part.width].split_at_mut(width);
        others.chunks_exact(width).for_each(|other| add_to(first, other));
    }
    give(0, std::array::from_fn(|n| &sums[n][..width]));
}

/// Some columns of a matrix with rows of `stride` numbers.
#[derive(Clone, Copy)]
struct Part {
    stride: usize,
    from: usize,
    width: usize,
}

/// The sums of a part's columns. Where they grow too large for the type of the numbers, they are computed in `f64`.
fn strip<F: Scalar, T: Terms<N>, const N: usize>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    part: Part,
    sums: &mut [[f64; STRIP]; N],
) {
    sums.iter_mut().for_each(|sums| sums[..part.width].fill(0.0));
    Arch::new().dispatch(Strip::<F, T, N> { x, dy, centre, part, sums, terms: PhantomData });
    if !sums.iter().all(|sums| all_finite(&sums[..part.width])) {
        in_f64::<F, T, N>(x, dy, centre, part, sums);
    }
}

struct Strip<'a, F, T, const N: usize> {
    x: &'a [F],
    dy: &'a [F],
    centre: &'a [F],
    part: Part,
    sums: &'a mut [[f64; STRIP]; N],
    terms: PhantomData<T>,
}

impl<F: Scalar, T: Terms<N>, const N: usize> WithSimd for Strip<'_, F, T, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut of_block = [[F::zero(); STRIP]; N];
        let stride = self.part.stride;
        while self.x.len() >= ROWS * stride {
            self.block::<S, ROWS>(simd, &mut of_block);
        }
        if self.x.len() >= 4 * stride {
            self.block::<S, 4>(simd, &mut of_block);
        }
        if self.x.len() >= 2 * stride {
            self.block::<S, 2>(simd, &mut of_block);
        }
        if self.x.len() >= stride {
            self.block::<S, 1>(simd, &mut of_block);
        }
        if !self.x.is_empty() {
            // A part of a joined row.
            (self.part.stride, self.part.width) = (self.x.len(), self.x.len());
            self.block::<S, 1>(simd, &mut of_block);
        }
    }
}

impl<F: Scalar, T: Terms<N>, const N: usize> Strip<'_, F, T, N> {
    /// Takes the first `R` rows away, adds them in pairs, pairs of pairs and so on, and the result to the sums.
    #[inline(always)]
    fn block<S: Simd, const R: usize>(&mut self, simd: S, of_block: &mut [[F; STRIP]; N]) {
        let Part { stride, from, width } = self.part;
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        let (x, next_x) = self.x.split_at(R * stride);
        let (dy, next_dy) = if T::HAS_DY { self.dy.split_at(R * stride) } else { (x, self.dy) };
        (self.x, self.dy) = (next_x, next_dy);
        let x: [&[F]; R] = std::array::from_fn(|r| &x[r * stride + from..][..width]);
        let dy: [&[F]; R] = std::array::from_fn(|r| &dy[r * stride + from..][..width]);
        let centre = if T::HAS_CENTRE { &self.centre[..width] } else { x[0] };
        let count = width / lanes;
        let x_vectors: [_; R] = std::array::from_fn(|r| &F::vectors::<S>(x[r])[..count]);
        let dy_vectors: [_; R] = std::array::from_fn(|r| &F::vectors::<S>(dy[r])[..count]);
        let centres = &F::vectors::<S>(centre)[..count];
        for v in 0..count {
            let mut terms = [[F::splat(simd, F::zero()); N]; R];
            for r in 0..R {
                terms[r] = T::of_vectors::<S, F>(simd, x_vectors[r][v], dy_vectors[r][v], centres[v]);
            }
            let mut half = R / 2;
            while half > 0 {
                for r in 0..half {
                    for n in 0..N {
                        terms[r][n] = F::sum(simd, terms[r][n], terms[r + half][n]);
                    }
                }
                half /= 2;
            }
            for n in 0..N {
                F::vectors_mut::<S>(&mut of_block[n])[v] = terms[0][n];
            }
        }
        for c in count * lanes..width {
            let mut terms = [[F::zero(); N]; R];
            for r in 0..R {
                terms[r] = T::of(x[r][c], dy[r][c], centre[c]);
            }
            let mut half = R / 2;
            while half > 0 {
                for r in 0..half {
                    for n in 0..N {
                        terms[r][n] += terms[r + half][n];
                    }
                }
                half /= 2;
            }
            for n in 0..N {
                of_block[n][c] = terms[0][n];
            }
        }
        for (sums, block) in self.sums.iter_mut().zip(of_block) {
            sums[..width].iter_mut().zip(&block[..width]).for_each(|(sum, block)| *sum += block.as_f64());
        }
    }
}

/// Whether none is NaN or infinite.
#[inline(never)]
pub(super) fn all_finite<F: Scalar>(numbers: &[F]) -> bool {
    // 0 times a number is 0, or else NaN; sums of those are one of the two as well.
    let mut sums = [F::zero(); LANES];
    vectorised(
        #[inline(always)]
        || {
            let pieces = numbers.chunks_exact(LANES);
            let rest = pieces.remainder();
            for piece in pieces {
                for (sum, &v) in sums.iter_mut().zip(piece) {
                    *sum += v * F::zero();
                }
            }
            sums.iter_mut().zip(rest).for_each(|(sum, &v)| *sum += v * F::zero());
        },
    );
    sums.iter().all(|&sum| sum == F::zero())
}

#[cold]
#[inline(never)]
fn in_f64<F: Scalar, T: Terms<N>, const N: usize>(
    x: &[F],
    dy: &[F],
    centre: &[F],
    part: Part,
    sums: &mut [[f64; STRIP]; N],
) {
    sums.iter_mut().for_each(|sums| sums[..part.width].fill(0.0));
    for (x, dy) in x.chunks(part.stride).zip(dy.chunks(part.stride)) {
        for c in 0..part.width.min(x.len() - part.from) {
            let (x, dy) = (x[part.from + c], dy[part.from + c]);
            let centre = if T::HAS_CENTRE { centre[c] } else { x };
            let terms = T::of(x.as_f64(), dy.as_f64(), centre.as_f64());
            for n in 0..N {
                sums[n][c] += terms[n];
            }
        }
    }
}
