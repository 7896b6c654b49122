//! The transforms of Winograd's algorithm: its matrices, and tiles of many channels between two of them. What they are for stands in
//! `winograd.rs`.

use pulp::{Simd, WithSimd};

use crate::kernels::tile;
use crate::param::Accumulate;
use crate::scalar::Scalar;

/// Numbers along a side of an input tile, and points at which polynomials are evaluated.
pub(super) const SIDE: usize = 6;
const POINTS: [f64; SIDE - 1] = [0.0, 1.0, -1.0, 2.0, -2.0];
/// One over the product of a point's differences to the others.
const SCALES: [f64; SIDE - 1] = [1.0 / 4.0, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 24.0, 1.0 / 24.0];
/// B'.
pub(super) const INPUT: [[f64; SIDE]; SIDE] = [
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
pub(super) struct Powers<const M: usize>;

impl<const M: usize> Powers<M> {
    pub(super) const A: [[f64; M]; SIDE] = powers([1.0; SIDE - 1]);
    pub(super) const G: [[f64; M]; SIDE] = powers(SCALES);
}

/// An N by K matrix. Those that are known to the compiler cost no multiplication by zero.
pub(super) trait Coefficients<const N: usize, const K: usize>: Copy {
    fn at(&self, i: usize, k: usize) -> f64;
}

/// B'.
#[derive(Clone, Copy)]
pub(super) struct Input;
/// A'.
#[derive(Clone, Copy)]
pub(super) struct Output;
/// A.
#[derive(Clone, Copy)]
pub(super) struct OutputAdjoint;
/// G.
#[derive(Clone, Copy)]
pub(super) struct Kernel;
/// G'.
#[derive(Clone, Copy)]
pub(super) struct KernelAdjoint;
/// A single row of one of these.
#[derive(Clone, Copy)]
pub(super) struct Row<const K: usize>(pub(super) [f64; K]);

impl Coefficients<SIDE, SIDE> for Input {
    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f64 {
        INPUT[i][k]
    }
}
impl<const M: usize> Coefficients<M, SIDE> for Output {
    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f64 {
        Powers::<M>::A[k][i]
    }
}
impl<const M: usize> Coefficients<SIDE, M> for OutputAdjoint {
    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f64 {
        Powers::<M>::A[i][k]
    }
}
impl<const R: usize> Coefficients<SIDE, R> for Kernel {
    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f64 {
        Powers::<R>::G[i][k]
    }
}
impl<const R: usize> Coefficients<R, SIDE> for KernelAdjoint {
    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f64 {
        Powers::<R>::G[k][i]
    }
}
impl<const K: usize> Coefficients<1, K> for Row<K> {
    #[inline(always)]
    fn at(&self, _i: usize, k: usize) -> f64 {
        self.0[k]
    }
}

/// The place of zeros, and of what is not wanted.
const NOWHERE: usize = usize::MAX;

/// Left · tile · Right' for many tiles K by K, each of `length` channels side by side.
pub(super) struct Transform<'a, F, Left, Right, From, To, const L: usize, const R: usize, const K: usize> {
    pub(super) left: Left,
    pub(super) right: Right,
    pub(super) tiles: usize,
    pub(super) length: usize,
    pub(super) data: &'a [F],
    /// For a tile, where in `data` the channels of a place of it are; none stands for zeros.
    pub(super) from: From,
    /// For a tile, where the channels of a place of its result go; none where they are not wanted.
    pub(super) to: To,
    pub(super) how: Accumulate,
    pub(super) out: &'a mut [F],
}

impl<F, Left, Right, From, FromPlace, To, ToPlace, const L: usize, const R: usize, const K: usize> WithSimd
    for Transform<'_, F, Left, Right, From, To, L, R, K>
where
    F: Scalar,
    Left: Coefficients<L, K>,
    Right: Coefficients<R, K>,
    From: Fn(usize) -> FromPlace,
    FromPlace: Fn(usize, usize) -> Option<usize>,
    To: Fn(usize) -> ToPlace,
    ToPlace: Fn(usize, usize) -> Option<usize>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, tiles, length, data, from, to, how, out } = self;
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        let zero = F::splat(simd, F::zero());
        for tile in 0..tiles {
            let (mut sources, mut places) = ([[NOWHERE; K]; K], [[NOWHERE; R]; L]);
            let (from, to) = (from(tile), to(tile));
            for i in 0..K {
                for j in 0..K {
                    sources[i][j] = from(i, j).unwrap_or(NOWHERE);
                }
            }
            for i in 0..L {
                for j in 0..R {
                    places[i][j] = to(i, j).unwrap_or(NOWHERE);
                }
            }
            for first in (0..length).step_by(lanes) {
                let count = lanes.min(length - first);
                // Columns first, then rows. Plain loops: what a closure of the standard library wraps may be
                // compiled without the vectors.
                let mut half = [[zero; K]; L];
                for j in 0..K {
                    let mut column = [zero; K];
                    for i in 0..K {
                        if sources[i][j] != NOWHERE {
                            column[i] = load::<S, F>(&data[sources[i][j] + first..][..count]);
                        }
                    }
                    for i in 0..L {
                        half[i][j] = row_times::<S, F, _, L, K>(simd, left, i, &column);
                    }
                }
                for i in 0..L {
                    for j in 0..R {
                        let value = row_times::<S, F, _, R, K>(simd, right, j, &half[i]);
                        if places[i][j] != NOWHERE {
                            store::<S, F>(simd, &mut out[places[i][j] + first..][..count], value, how);
                        }
                    }
                }
            }
        }
    }
}

/// Row `i` of a matrix times a vector, each number of which is one of many channels.
#[inline(always)]
fn row_times<S: Simd, F: Scalar, C: Coefficients<N, K>, const N: usize, const K: usize>(
    simd: S,
    matrix: C,
    i: usize,
    v: &[F::Vector<S>; K],
) -> F::Vector<S> {
    let mut sum = F::splat(simd, F::zero());
    for k in 0..K {
        if matrix.at(i, k) != 0.0 {
            sum = F::fused(simd, F::splat(simd, F::from_f64(matrix.at(i, k))), v[k], sum);
        }
    }
    sum
}

#[inline(always)]
fn load<S: Simd, F: Scalar>(from: &[F]) -> F::Vector<S> {
    if let Some(&vector) = F::vectors::<S>(from).first() {
        return vector;
    }
    let mut padded = [F::zero(); tile::MOST_LANES];
    padded[..from.len()].copy_from_slice(from);
    F::vectors::<S>(&padded)[0]
}

#[inline(always)]
fn store<S: Simd, F: Scalar>(simd: S, to: &mut [F], value: F::Vector<S>, how: Accumulate) {
    let new = |old| if how == Accumulate::Add { F::sum(simd, old, value) } else { value };
    if let Some(to) = F::vectors_mut::<S>(to).first_mut() {
        *to = new(*to);
        return;
    }
    let mut padded = [F::zero(); tile::MOST_LANES];
    padded[..to.len()].copy_from_slice(to);
    let vector = &mut F::vectors_mut::<S>(&mut padded)[0];
    *vector = new(*vector);
    to.copy_from_slice(&padded[..to.len()]);
}
