//! Matrix products on one thread: the loops that training spends its time in.
//!
//! The result is computed in tiles that fit into the registers: 8 rows by 3 vectors where there are 32 registers, else 6 by 2. For each
//! step along the inner dimension a tile reads 3 vectors of a row of `b` and 8 numbers of a column of `a`, and does 24 fused multiply-adds.
//! The registers are filled once and written once, and the arithmetic units never wait for memory.
//!
//! Both factors are worked through in blocks that stay in the second-level cache. They are read where they are if that is fast. Else they
//! are copied into the order in which they are read (`pack.rs`). In every tile, each element is summed over the inner dimension in order,
//! one fused multiply-add after the other; after every [`DEPTH`] steps the sum is written and read again. (K. Goto and R. van de Geijn,
//! "Anatomy of high-performance matrix multiplication", 2008.)

use std::hint::black_box;
use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::gemm::matrix::{Matrix, WindowRows};
use crate::kernels::gemm::pack::{
    Left, LeftBlock, PanelSize, Right, RightBlock, copy_left, copy_right, copy_whole, panels,
};
use crate::kernels::gemm::stream;
use crate::kernels::long_sums::{LONG, in_blocks};
use crate::kernels::scratch::{Scratch, ready};
use crate::tensor::scalar::Scalar;

/// Most lanes of a vector: 64 bytes of `f32`.
pub(crate) const MOST_LANES: usize = 16;
/// Most vectors side by side in a tile.
const MOST_VECTORS: usize = 3;
/// Columns of the right factor, steps along the inner dimension, and rows of the left factor that are
/// worked through at a time.
const MOST_ROWS: usize = 8;
const COLUMNS: usize = 24 * MOST_LANES;
pub(crate) const DEPTH: usize = 512;
const ROWS_AT_A_TIME: usize = 128;

/// `c = a b` or `c += a b`, with `c` row-major.
#[inline(never)]
pub(crate) fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    match (c.is_empty(), a.columns, how) {
        (true, ..) | (_, 0, Accumulate::Add) => {}
        (_, 0, Accumulate::Overwrite) => c.fill(F::zero()),
        _ => long_product(a, Factor::Plain(b), how, c),
    }
}

/// A product in blocks of the inner dimension, where it is so long that sums in `f32` would lose digits.
fn long_product<F: Scalar>(a: Matrix<'_, F>, b: Factor<'_, F>, how: Accumulate, c: &mut [F]) {
    let all = a.columns;
    let next_edge = |from| if all <= 2 * LONG { all } else { a.block_end(from, LONG) };
    in_blocks(all, next_edge, how, c, |steps, how, c| {
        let a = a.columns(steps.start, steps.end);
        match b {
            Factor::Plain(b) if stream::fits(&a, &b) => {
                stream::multiply(a, b.rows(steps.start, steps.end), how, c);
            }
            Factor::Plain(b) => {
                let b = Factor::Plain(b.rows(steps.start, steps.end));
                Arch::new().dispatch(Product { a, b, how, c });
            }
            Factor::Copied(b) => {
                let b = Factor::Copied(b.below(steps.start));
                Arch::new().dispatch(Product { a, b, how, c });
            }
        }
    });
}

/// As [`multiply`], with a right factor that [`copied`] made.
#[inline(never)]
pub(crate) fn multiply_copied<F: Scalar>(
    a: Matrix<'_, F>,
    b: RightBlock<'_, F>,
    how: Accumulate,
    c: &mut [F],
) {
    long_product(a, Factor::Copied(b), how, c);
}

/// A right factor, copied once for all pieces of a product.
pub(crate) fn copied<'a, F: Scalar>(b: Matrix<'a, F>, scratch: &'a mut Scratch<F>) -> RightBlock<'a, F> {
    copy_whole(b, Arch::new().dispatch(SizeOf(PhantomData::<F>)), scratch)
}

/// Makes room in the buffers of every thread.
pub(crate) fn get_ready<F: Scalar>() {
    let right = DEPTH * (COLUMNS + MOST_VECTORS * MOST_LANES);
    let left = DEPTH * (ROWS_AT_A_TIME + MOST_ROWS);
    ready::<F>(&[(Buffer::Right, right), (Buffer::Left, left)]);
}

/// Vectors side by side in a tile. Sums, vectors of b and one number of a must fit into the registers, with one to spare, which the
/// compiler needs.
const MANY_REGISTERS: usize = 32;
const VECTORS: usize = 3;
const FEWER_VECTORS: usize = 2;

/// The size of a panel on this processor.
struct SizeOf<F>(PhantomData<F>);

impl<F: Scalar> WithSimd for SizeOf<F> {
    type Output = PanelSize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> PanelSize {
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        PanelSize {
            lanes,
            vectors: if S::REGISTER_COUNT >= MANY_REGISTERS { VECTORS } else { FEWER_VECTORS },
        }
    }
}

/// The right factor: as it is, or copied.
#[derive(Clone, Copy)]
enum Factor<'a, F> {
    Plain(Matrix<'a, F>),
    Copied(RightBlock<'a, F>),
}

struct Product<'a, F> {
    a: Matrix<'a, F>,
    b: Factor<'a, F>,
    how: Accumulate,
    c: &'a mut [F],
}

impl<F: Scalar> WithSimd for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= MANY_REGISTERS {
            self.blocks::<S, 8, VECTORS>(simd);
        } else {
            self.blocks::<S, 6, FEWER_VECTORS>(simd);
        }
    }
}

impl<F: Scalar> Product<'_, F> {
    #[inline(always)]
    fn blocks<S: Simd, const ROWS: usize, const V: usize>(self, simd: S) {
        let Self { a, b, how, c } = self;
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        let size = PanelSize { lanes, vectors: V };
        let (all, width) = match b {
            // Blocks are as even as possible, because a narrow last block would have narrow tiles.
            Factor::Plain(b) => {
                let vectors = b.columns.div_ceil(lanes);
                (b.columns, vectors.div_ceil(b.columns.div_ceil(COLUMNS)) * lanes)
            }
            // Its panels are read into the cache one by one.
            Factor::Copied(b) => (b.columns(), b.columns()),
        };
        for left_edge in (0..all).step_by(width) {
            let columns = left_edge..(left_edge + width).min(all);
            let part = Place { from: left_edge, width: columns.len(), stride: all, how };
            let mut next = 0;
            while next < a.columns {
                let from = next;
                let to = a.block_end(from, DEPTH);
                next = to;
                let mut scratch = Scratch::take(Buffer::Right);
                let right = match b {
                    Factor::Plain(b) => {
                        let b = b.columns(columns.start, columns.end).rows(from, to);
                        copy_right(b, a.rows, size, &mut scratch)
                    }
                    Factor::Copied(b) => b.below(from),
                };
                let part = Place { how: if from == 0 { how } else { Accumulate::Add }, ..part };
                block::<S, F, ROWS, V>(simd, a.columns(from, to), right, part, size, c);
            }
        }
    }
}

/// Where a product goes: `width` columns from `from` on, in rows of `stride` numbers.
#[derive(Clone, Copy)]
struct Place {
    from: usize,
    width: usize,
    stride: usize,
    how: Accumulate,
}

/// The product with a block of the right factor, by blocks of rows of `a`.
#[inline(always)]
fn block<S: Simd, F: Scalar, const ROWS: usize, const V: usize>(
    simd: S,
    a: Matrix<'_, F>,
    right: RightBlock<'_, F>,
    part: Place,
    size: PanelSize,
    c: &mut [F],
) {
    for (i, c) in c.chunks_mut(ROWS_AT_A_TIME * part.stride).enumerate() {
        let from = i * ROWS_AT_A_TIME;
        let mut left_scratch = Scratch::take(Buffer::Left);
        let a = a.rows(from, from + c.len() / part.stride);
        let left = copy_left::<F, ROWS>(a, &mut left_scratch);
        for panel in panels(part.width, size) {
            let right = right.panel(&panel);
            let part = Place { from: part.from + panel.from, width: panel.width, ..part };
            match panel.vectors {
                1 => rows::<S, F, ROWS, 1>(simd, left, a.columns, right, part, c),
                2 if V > 2 => rows::<S, F, ROWS, 2>(simd, left, a.columns, right, part, c),
                _ => rows::<S, F, ROWS, V>(simd, left, a.columns, right, part, c),
            }
        }
    }
}

/// The product of a panel in tiles of `ROWS` rows, then in smaller ones for the remaining rows.
///
/// It must not be inlined. In one large function the compiler no longer sees which sums can stay in registers, and a product takes three
/// times as long.
#[inline(never)]
fn rows<S: Simd, F: Scalar, const ROWS: usize, const V: usize>(
    simd: S,
    left: LeftBlock<'_, F>,
    depth: usize,
    right: Right<'_, F>,
    part: Place,
    c: &mut [F],
) {
    simd.vectorize(PanelRows::<F, ROWS, V> { left, depth, right, part, c });
}

struct PanelRows<'a, F, const ROWS: usize, const V: usize> {
    left: LeftBlock<'a, F>,
    depth: usize,
    right: Right<'a, F>,
    part: Place,
    c: &'a mut [F],
}

impl<F: Scalar, const ROWS: usize, const V: usize> WithSimd for PanelRows<'_, F, ROWS, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, depth, right, part, c } = self;
        for (i, c) in c.chunks_mut(ROWS * part.stride).enumerate() {
            let left = left.below(i * ROWS);
            if c.len() == ROWS * part.stride {
                tile::<S, F, ROWS, V>(simd, left, depth, right, part, c);
            } else {
                remaining::<S, F, V>(simd, left, depth, right, part, c);
            }
        }
    }
}

/// Fewer than `ROWS` rows, in tiles of 4, 2 and 1.
#[inline(always)]
fn remaining<S: Simd, F: Scalar, const V: usize>(
    simd: S,
    left: Left<'_, F>,
    depth: usize,
    right: Right<'_, F>,
    part: Place,
    c: &mut [F],
) {
    let mut done = 0;
    let count = c.len() / part.stride;
    while done < count {
        let c = &mut c[done * part.stride..];
        let left = left.below(done);
        done += match count - done {
            4.. => {
                tile::<S, F, 4, V>(simd, left, depth, right, part, c);
                4
            }
            2.. => {
                tile::<S, F, 2, V>(simd, left, depth, right, part, c);
                2
            }
            _ => {
                tile::<S, F, 1, V>(simd, left, depth, right, part, c);
                1
            }
        };
    }
}

/// One tile: `R` rows of `V` vectors.
#[inline(always)]
fn tile<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    left: Left<'_, F>,
    depth: usize,
    right: Right<'_, F>,
    part: Place,
    c: &mut [F],
) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let sums = match left {
        Left::Rows(data, stride) => sums_of_rows::<S, F, R, V>(simd, depth, data, stride, right),
        Left::WindowColumns(data, windows) => {
            sums_of_window_columns::<S, F, R, V>(simd, data, windows, right)
        }
        Left::Windows(data, windows) => sums_of_windows::<S, F, R, V>(simd, data, windows, right),
        Left::Columns(data, stride) => sums_of_columns::<S, F, R, V>(simd, depth, data, stride, right),
    };
    for (row, sums) in c.chunks_mut(part.stride).zip(&sums) {
        let row = &mut row[part.from..][..part.width];
        if part.width == V * lanes {
            store::<S, F, V>(simd, F::vectors_mut::<S>(row), sums, part.how);
        } else {
            let mut padded = [F::zero(); MOST_VECTORS * MOST_LANES];
            padded[..part.width].copy_from_slice(row);
            store::<S, F, V>(simd, F::vectors_mut::<S>(&mut padded), sums, part.how);
            row.copy_from_slice(&padded[..part.width]);
        }
    }
}

/// The sums of a tile. They stay in registers from the first step to the last, because the compiler knows every index into them. That is
/// why they are copied one by one before they are returned.
type Sums<V, const R: usize, const N: usize> = [[V; N]; R];

/// Copies the sums one by one. (In plain loops: `array::from_fn` would give four more functions for every tile.)
#[inline(always)]
fn one_by_one<V: Copy, const R: usize, const N: usize>(sums: &Sums<V, R, N>) -> Sums<V, R, N> {
    let mut copy = [[sums[0][0]; N]; R];
    for r in 0..R {
        for v in 0..N {
            copy[r][v] = sums[r][v];
        }
    }
    copy
}

/// The sums of a tile whose rows are contiguous in the left factor.
#[inline(always)]
fn sums_of_rows<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    data: &[F],
    stride: usize,
    right: Right<'_, F>,
) -> Sums<F::Vector<S>, R, V> {
    let mut sums = [[F::splat(simd, F::zero()); V]; R];
    // `black_box` hides that the rows are evenly spaced, so each gets a pointer. Else the compiler would add up the distance from row to
    // row, need all pointers before the first product, and run out of registers.
    let places: [usize; R] = black_box(std::array::from_fn(|r| r * stride));
    let rows: [&[F]; R] = std::array::from_fn(|r| &data[places[r]..][..depth]);
    for k in 0..depth {
        step(simd, &mut sums, right, k, |r| rows[r][k]);
    }
    one_by_one(&sums)
}

/// The sums of a tile whose rows consist of runs. They stay in registers from one run to the next.
#[inline(always)]
fn sums_of_windows<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    data: &[F],
    windows: WindowRows<'_>,
    right: Right<'_, F>,
) -> Sums<F::Vector<S>, R, V> {
    let mut sums = [[F::splat(simd, F::zero()); V]; R];
    let places: [usize; R] = std::array::from_fn(|r| windows.places[r]);
    let mut right = right;
    for run in windows.runs {
        let rows: [&[F]; R] = std::array::from_fn(|r| &data[places[r] + run.shift..][..run.length]);
        for k in 0..run.length {
            step(simd, &mut sums, right, k, |r| rows[r][k]);
        }
        right.data = &right.data[(run.length * right.stride).min(right.data.len())..];
    }
    one_by_one(&sums)
}

/// The sums of a tile whose columns are contiguous in the left factor.
#[inline(always)]
fn sums_of_columns<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    data: &[F],
    stride: usize,
    right: Right<'_, F>,
) -> Sums<F::Vector<S>, R, V> {
    let mut sums = [[F::splat(simd, F::zero()); V]; R];
    for k in 0..depth {
        let column = &data[k * stride..][..R];
        step(simd, &mut sums, right, k, |r| column[r]);
    }
    one_by_one(&sums)
}

/// The sums of a tile whose columns are windows: each row is one number of them.
#[inline(always)]
fn sums_of_window_columns<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    data: &[F],
    windows: WindowRows<'_>,
    right: Right<'_, F>,
) -> Sums<F::Vector<S>, R, V> {
    let mut sums = [[F::splat(simd, F::zero()); V]; R];
    let shifts: [usize; R] = std::array::from_fn(|r| windows.shift(r));
    // One length for all rows, so that one check of a place is enough.
    let length = data.len() - shifts.iter().copied().max().unwrap_or(0);
    let rows: [&[F]; R] = std::array::from_fn(|r| &data[shifts[r]..][..length]);
    for (k, &place) in windows.places.iter().enumerate() {
        step(simd, &mut sums, right, k, |r| rows[r][place]);
    }
    one_by_one(&sums)
}

/// One step along the inner dimension, `a(r)` being the left factor's number in row `r`.
#[inline(always)]
fn step<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    sums: &mut Sums<F::Vector<S>, R, V>,
    right: Right<'_, F>,
    k: usize,
    a: impl Fn(usize) -> F,
) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let there = F::vectors::<S>(&right.data[k * right.stride..][..V * lanes]);
    let mut b = [there[0]; V];
    b.copy_from_slice(there);
    for r in 0..R {
        let a = F::splat(simd, a(r));
        for v in 0..V {
            sums[r][v] = F::fused(simd, a, b[v], sums[r][v]);
        }
    }
}

#[inline(always)]
fn store<S: Simd, F: Scalar, const V: usize>(
    simd: S,
    to: &mut [F::Vector<S>],
    sums: &[F::Vector<S>; V],
    how: Accumulate,
) {
    for (to, &sum) in to.iter_mut().zip(sums) {
        *to = if how == Accumulate::Add { F::sum(simd, *to, sum) } else { sum };
    }
}
