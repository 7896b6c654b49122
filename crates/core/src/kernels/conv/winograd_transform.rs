//! The transforms of Winograd's algorithm: its matrices, and the products of tiles with them, for many channels. `winograd.rs` explains
//! them.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::kernels::Accumulate;
use crate::kernels::gemm::tile;
use crate::tensor::scalar::Scalar;

/// Numbers along a side of an input tile, and points at which polynomials are evaluated.
pub(crate) const SIDE: usize = 6;
const POINTS: [f64; SIDE - 1] = [0.0, 1.0, -1.0, 2.0, -2.0];
/// One over the product of a point's differences to the others.
const SCALES: [f64; SIDE - 1] = [1.0 / 4.0, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 24.0, 1.0 / 24.0];
/// B'.
pub(crate) const INPUT: [[f64; SIDE]; SIDE] = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];

/// The powers of the points from 0 to N - 1, scaled, and the row for infinity: A, and G.
const fn powers<const N: usize>(scales: [f64; SIDE - 1]) -> [[f64; N]; SIDE] {
    let mut rows = [[0.0; N]; SIDE];
    let mut j = 0;
    while j < SIDE - 1 {
        let (mut i, mut power) = (0, scales[j]);
        while i < N {
            rows[j][i] = power;
            power *= POINTS[j];
            i += 1;
        }
        j += 1;
    }
    rows[SIDE - 1][N - 1] = 1.0;
    rows
}

/// The matrices for M outputs along a side, or for a kernel of M numbers.
pub(crate) struct Powers<const M: usize>;

impl<const M: usize> Powers<M> {
    pub(crate) const A: [[f64; M]; SIDE] = powers([1.0; SIDE - 1]);
    pub(crate) const G: [[f64; M]; SIDE] = powers(SCALES);
}

/// An N by K matrix, times a vector each number of which is one of many channels.
///
/// Points come in pairs p and -p, whose odd powers differ in sign. So one sum over the even powers and one over the odd powers give the
/// values at both.
pub(crate) trait Times<const N: usize, const K: usize>: Copy {
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; N];
}

/// B'.
#[derive(Clone, Copy)]
pub(crate) struct Input;
/// A'.
#[derive(Clone, Copy)]
pub(crate) struct Output;
/// A.
#[derive(Clone, Copy)]
pub(crate) struct OutputAdjoint;
/// G.
#[derive(Clone, Copy)]
pub(crate) struct KernelTransform;
/// G'.
#[derive(Clone, Copy)]
pub(crate) struct KernelAdjoint;
/// A single row of one of these.
#[derive(Clone, Copy)]
pub(crate) struct Row<const K: usize>(pub(crate) [f64; K]);

impl Times<SIDE, SIDE> for Input {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; SIDE] {
        let [v0, v1, v2, v3, v4, v5] = [v(0), v(1), v(2), v(3), v(4), v(5)];
        let (even, odd) = (plus::<S, F>(simd, v4, -4.0, v2), plus::<S, F>(simd, v3, -4.0, v1));
        let (even_2, odd_2) = (F::difference(simd, v4, v2), F::difference(simd, v3, v1));
        [
            plus::<S, F>(simd, plus::<S, F>(simd, v4, -5.0, v2), 4.0, v0),
            F::sum(simd, even, odd),
            F::difference(simd, even, odd),
            plus::<S, F>(simd, even_2, 2.0, odd_2),
            plus::<S, F>(simd, even_2, -2.0, odd_2),
            plus::<S, F>(simd, plus::<S, F>(simd, v5, -5.0, v3), 4.0, v1),
        ]
    }
}

impl<const M: usize> Times<M, SIDE> for Output {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; M] {
        let [v0, v1, v2, v3, v4, v5] = [v(0), v(1), v(2), v(3), v(4), v(5)];
        sums_of_powers::<S, F, M>(simd, [v0, v1, v2, v3, v4, v5])
    }
}

impl<const R: usize> Times<R, SIDE> for KernelAdjoint {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; R] {
        let [v0, v1, v2, v3, v4, v5] = [v(0), v(1), v(2), v(3), v(4), v(5)];
        let [s0, s1, s2, s3, s4] = SCALES;
        let by = |scale, v| times::<S, F>(simd, scale, v);
        sums_of_powers::<S, F, R>(simd, [by(s0, v0), by(s1, v1), by(s2, v2), by(s3, v3), by(s4, v4), v5])
    }
}

impl<const M: usize> Times<SIDE, M> for OutputAdjoint {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; SIDE] {
        at_points::<S, F, M>(simd, v)
    }
}

impl<const R: usize> Times<SIDE, R> for KernelTransform {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; SIDE] {
        let [v0, v1, v2, v3, v4, v5] = at_points::<S, F, R>(simd, v);
        let [s0, s1, s2, s3, s4] = SCALES;
        let by = |scale, v| times::<S, F>(simd, scale, v);
        [by(s0, v0), by(s1, v1), by(s2, v2), by(s3, v3), by(s4, v4), v5]
    }
}

impl<const K: usize> Times<1, K> for Row<K> {
    #[inline(always)]
    fn times<S: Simd, F: Scalar>(self, simd: S, v: impl Fn(usize) -> F::Vector<S>) -> [F::Vector<S>; 1] {
        let mut sum = F::splat(simd, F::zero());
        for k in 0..K {
            if self.0[k] != 0.0 {
                sum = plus::<S, F>(simd, sum, self.0[k], v(k));
            }
        }
        [sum]
    }
}

/// a + by · b.
#[inline(always)]
fn plus<S: Simd, F: Scalar>(simd: S, a: F::Vector<S>, by: f64, b: F::Vector<S>) -> F::Vector<S> {
    F::fused(simd, F::splat(simd, F::from_f64(by)), b, a)
}

/// by · a.
#[inline(always)]
fn times<S: Simd, F: Scalar>(simd: S, by: f64, a: F::Vector<S>) -> F::Vector<S> {
    plus::<S, F>(simd, F::splat(simd, F::zero()), by, a)
}

/// The values of the polynomial with these N coefficients at the points, and its last coefficient.
#[inline(always)]
fn at_points<S: Simd, F: Scalar, const N: usize>(
    simd: S,
    v: impl Fn(usize) -> F::Vector<S>,
) -> [F::Vector<S>; SIDE] {
    let (first, second) = (v(0), v(1));
    let (mut even, mut odd) = (first, second);
    let (mut even_2, mut odd_2) = (first, times::<S, F>(simd, 2.0, second));
    let mut last = second;
    for i in 2..N {
        last = v(i);
        let power = f64::from(1_u32 << i);
        if i % 2 == 0 {
            (even, even_2) = (F::sum(simd, even, last), plus::<S, F>(simd, even_2, power, last));
        } else {
            (odd, odd_2) = (F::sum(simd, odd, last), plus::<S, F>(simd, odd_2, power, last));
        }
    }
    [
        first,
        F::sum(simd, even, odd),
        F::difference(simd, even, odd),
        F::sum(simd, even_2, odd_2),
        F::difference(simd, even_2, odd_2),
        last,
    ]
}

/// For i from 0 to N - 1, the sum of the numbers times the i-th powers of their points. The number at infinity is added to the last sum.
#[inline(always)]
fn sums_of_powers<S: Simd, F: Scalar, const N: usize>(
    simd: S,
    [v0, v1, v2, v3, v4, v5]: [F::Vector<S>; SIDE],
) -> [F::Vector<S>; N] {
    let (even, odd) = (F::sum(simd, v1, v2), F::difference(simd, v1, v2));
    let (even_2, odd_2) = (F::sum(simd, v3, v4), F::difference(simd, v3, v4));
    let mut sums = [F::sum(simd, v0, F::sum(simd, even, even_2)); N];
    for i in 1..N {
        let (one, two) = if i % 2 == 0 { (even, even_2) } else { (odd, odd_2) };
        sums[i] = plus::<S, F>(simd, one, f64::from(1_u32 << i), two);
    }
    sums[N - 1] = F::sum(simd, sums[N - 1], v5);
    sums
}

/// Where the places of a tile lie in a slice. A tile at the edge of a map has some rows and columns only.
#[derive(Clone)]
pub(crate) struct TilePlaces {
    /// The place of row 0 and column 0, which may lie outside; below 0 it wraps.
    pub(crate) first: usize,
    /// From a row to the next.
    pub(crate) down: usize,
    /// From a column to the next.
    pub(crate) across: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
}

impl TilePlaces {
    /// All rows and columns.
    #[inline(always)]
    pub(crate) fn all(first: usize, down: usize, across: usize) -> Self {
        Self { first, down, across, rows: 0..SIDE, columns: 0..SIDE }
    }

    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> usize {
        self.first.wrapping_add(i * self.down + j * self.across)
    }
}

/// Left · tile · Right' for many tiles K by K, each of `length` channels side by side.
pub(crate) struct Transform<'a, F, Left, Right, From, To, const L: usize, const R: usize, const K: usize> {
    pub(crate) left: Left,
    pub(crate) right: Right,
    pub(crate) tiles: usize,
    pub(crate) length: usize,
    pub(crate) data: &'a [F],
    /// Where a tile lies in `data`. Missing rows and columns are zeros.
    pub(crate) from: From,
    /// Where the result of a tile goes. Missing rows and columns are not written.
    pub(crate) to: To,
    pub(crate) how: Accumulate,
    pub(crate) out: &'a mut [F],
}

impl<F, Left, Right, From, To, const L: usize, const R: usize, const K: usize> WithSimd
    for Transform<'_, F, Left, Right, From, To, L, R, K>
where
    F: Scalar,
    Left: Times<L, K>,
    Right: Times<R, K>,
    From: Fn(usize) -> TilePlaces,
    To: Fn(usize) -> TilePlaces,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, tiles, length, data, from, to, how, out } = self;
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        let whole = length - length % lanes;
        // Made once: for every tile the compiler would fill it with zeros again.
        let half = &mut [[F::splat(simd, F::zero()); L]; K];
        for tile in 0..tiles {
            let (from, to) = (from(tile), to(tile));
            for first in (0..whole).step_by(lanes) {
                transform::<S, F, Left, Right, L, R, K>(
                    simd,
                    (left, right),
                    (&from, &to),
                    half,
                    #[inline(always)]
                    |place| F::vectors::<S>(&data[place + first..][..lanes])[0],
                    #[inline(always)]
                    |place, value| put::<S, F>(simd, &mut out[place + first..][..lanes], value, how),
                );
            }
            if whole < length {
                transform::<S, F, Left, Right, L, R, K>(
                    simd,
                    (left, right),
                    (&from, &to),
                    half,
                    #[inline(always)]
                    |place| F::vectors::<S>(&padded(&data[place + whole..place + length]))[0],
                    #[inline(always)]
                    |place, value| {
                        let to = &mut out[place + whole..place + length];
                        let mut room = padded(to);
                        put::<S, F>(simd, &mut room, value, how);
                        to.copy_from_slice(&room[..to.len()]);
                    },
                );
            }
        }
    }
}

/// As many channels of one tile as a vector holds: first the columns, then the rows. These are plain loops, because the compiler may not
/// use vectors inside closures of the standard library.
#[inline(always)]
fn transform<
    S: Simd,
    F: Scalar,
    Left: Times<L, K>,
    Right: Times<R, K>,
    const L: usize,
    const R: usize,
    const K: usize,
>(
    simd: S,
    (left, right): (Left, Right),
    (from, to): (&TilePlaces, &TilePlaces),
    half: &mut [[F::Vector<S>; L]; K],
    load: impl Fn(usize) -> F::Vector<S>,
    mut store: impl FnMut(usize, F::Vector<S>),
) {
    let zero = F::splat(simd, F::zero());
    for j in 0..K {
        half[j] = if from.columns.contains(&j) {
            left.times::<S, F>(
                simd,
                #[inline(always)]
                |i| if from.rows.contains(&i) { load(from.at(i, j)) } else { zero },
            )
        } else {
            [zero; L]
        };
    }
    for i in 0..L {
        let row = right.times::<S, F>(
            simd,
            #[inline(always)]
            |k| half[k][i],
        );
        for j in 0..R {
            if to.rows.contains(&i) && to.columns.contains(&j) {
                store(to.at(i, j), row[j]);
            }
        }
    }
}

/// Fewer numbers than a vector holds, with room for a whole vector.
#[inline(always)]
fn padded<F: Scalar>(numbers: &[F]) -> [F; tile::MOST_LANES] {
    let mut padded = [F::zero(); tile::MOST_LANES];
    padded[..numbers.len()].copy_from_slice(numbers);
    padded
}

/// Writes a vector to the beginning of a slice.
#[inline(always)]
fn put<S: Simd, F: Scalar>(simd: S, to: &mut [F], value: F::Vector<S>, how: Accumulate) {
    let to = &mut F::vectors_mut::<S>(to)[0];
    *to = if how == Accumulate::Add { F::sum(simd, *to, value) } else { value };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Column `k` of a matrix: its product with the k-th unit vector.
    fn column<T: Times<N, K>, const N: usize, const K: usize>(matrix: T, k: usize) -> [f64; N] {
        matrix.times::<_, f64>(pulp::Scalar::new(), |i| f64::from(u8::from(i == k)))
    }

    fn check<const M: usize>() {
        for i in 0..SIDE {
            let input = column::<_, SIDE, SIDE>(Input, i);
            assert!((0..SIDE).all(|row| input[row] == INPUT[row][i]));
            let output = column::<_, M, SIDE>(Output, i);
            let kernel_adjoint = column::<_, M, SIDE>(KernelAdjoint, i);
            assert!((0..M).all(|row| output[row] == Powers::<M>::A[i][row]), "{output:?}");
            let close = |row: usize| (kernel_adjoint[row] - Powers::<M>::G[i][row]).abs() < 1e-15;
            assert!((0..M).all(close), "{kernel_adjoint:?}");
        }
        for i in 0..M {
            let adjoint = column::<_, SIDE, M>(OutputAdjoint, i);
            assert!((0..SIDE).all(|row| adjoint[row] == Powers::<M>::A[row][i]), "{adjoint:?}");
            let kernel = column::<_, SIDE, M>(KernelTransform, i);
            let close = |row: usize| (kernel[row] - Powers::<M>::G[row][i]).abs() < 1e-15;
            assert!((0..SIDE).all(close), "{kernel:?}");
        }
    }

    #[test]
    fn sums_over_even_and_odd_numbers_are_the_matrices() {
        check::<2>();
        check::<3>();
        check::<4>();
        check::<5>();
    }
}
