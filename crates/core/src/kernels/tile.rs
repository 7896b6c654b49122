//! Matrix products on one thread: the loops that training spends its time in.
//!
//! The result is made in tiles of as many rows and vectors as fit in the registers (8 by 3 where
//! there are 32 of them). For each step along the inner dimension a tile reads 3 vectors of a row
//! of `b` and 8 numbers of a column of `a`, and does 24 fused multiply-adds: the registers are
//! filled once and written once, and the arithmetic units never wait for memory.
//!
//! `b` is read where it is when its rows are contiguous, and is first copied, a panel of columns at a
//! time, when they are not. So is `a` when it is transposed and long. Each element is the sum over
//! the inner dimension in its order, one fused multiply-add after the other, whatever tile it falls in.

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::gemm::Matrix;
use crate::param::Accumulate;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// Vectors side by side in a tile.
const VECTORS: usize = 3;
/// Most lanes of a vector: 64 bytes of `f32`.
const MOST_LANES: usize = 16;
/// A transposed left factor longer than this is copied into reading order.
const COPY_LEFT_ABOVE: usize = 64;
/// Bytes of the left factor worked through at a time, so that it stays in the second-level cache.
const LEFT_BYTES: usize = 256 * 1024;

/// `c = a b` or `c += a b`, with `c` row-major.
pub(super) fn multiply<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, how: Accumulate, c: &mut [F]) {
    if a.columns > 0 {
        Arch::new().dispatch(Product { a, b, how, c });
    } else if how == Accumulate::Overwrite {
        c.fill(F::zero());
    }
}

struct Product<'a, F> {
    a: Matrix<'a, F>,
    b: Matrix<'a, F>,
    how: Accumulate,
    c: &'a mut [F],
}

impl<F: Scalar> WithSimd for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Accumulators, vectors of b and one number of a must fit in the registers.
        if S::REGISTER_COUNT >= 32 { self.blocks::<S, 8>(simd) } else { self.blocks::<S, 4>(simd) }
    }
}

impl<F: Scalar> Product<'_, F> {
    /// Blocks of rows whose part of `a` stays in the cache while panels of `b` pass by.
    #[inline(always)]
    fn blocks<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { a, b, how, c } = self;
        let row_bytes = size_of::<F>() * a.columns.max(1);
        let block = (LEFT_BYTES / row_bytes / ROWS).max(1) * ROWS;
        let copy = a.transposed && a.columns > COPY_LEFT_ABOVE;
        for (i, c) in c.chunks_mut((block * b.columns).max(1)).enumerate() {
            let rows = c.len() / b.columns;
            let part = a.rows(i * block, i * block + rows);
            let copied = if copy { rows.next_multiple_of(ROWS) * a.columns } else { 0 };
            let mut scratch = Scratch::take(Purpose::Left, copied);
            let buffer = scratch.first(copied);
            if copy {
                copy_left::<F, ROWS>(part, buffer);
            }
            let left = Left { matrix: part, copied: copy.then_some(&*buffer) };
            panels::<S, F, ROWS>(simd, left, b, how, c);
        }
    }
}

/// A block of rows of `a`: where it is, or copied tile by tile, column by column.
#[derive(Clone, Copy)]
struct Left<'a, F> {
    matrix: Matrix<'a, F>,
    copied: Option<&'a [F]>,
}

/// Every tile's columns one after the other, `ROWS` numbers each.
#[inline(always)]
fn copy_left<F: Scalar, const ROWS: usize>(a: Matrix<'_, F>, buffer: &mut [F]) {
    for (i, tile) in buffer.chunks_exact_mut(ROWS * a.columns).enumerate() {
        let rows = ROWS.min(a.rows - i * ROWS);
        for (k, column) in tile.chunks_exact_mut(ROWS).enumerate() {
            let from = &a.data[k * a.stride + i * ROWS..][..rows];
            if rows == ROWS {
                column.copy_from_slice(&from[..ROWS]);
            } else {
                column[..rows].copy_from_slice(from);
            }
        }
    }
}

/// Panels of columns of `b`.
#[inline(always)]
fn panels<S: Simd, F: Scalar, const ROWS: usize>(
    simd: S,
    left: Left<'_, F>,
    b: Matrix<'_, F>,
    how: Accumulate,
    c: &mut [F],
) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    for from in (0..b.columns).step_by(VECTORS * lanes) {
        let width = (VECTORS * lanes).min(b.columns - from);
        let vectors = width.div_ceil(lanes);
        let panel = b.columns(from, from + width);
        let whole = !b.transposed && width == vectors * lanes;
        let copied = if whole { 0 } else { b.rows * vectors * lanes };
        let mut scratch = Scratch::take(Purpose::Right, copied);
        let buffer = scratch.first(copied);
        let right = if whole {
            Right { data: panel.data, stride: panel.stride }
        } else {
            copy_right(panel, buffer, vectors * lanes);
            Right { data: buffer, stride: vectors * lanes }
        };
        let part = Part { from, width, stride: b.columns, how };
        match vectors {
            1 => rows::<S, F, ROWS, 1>(simd, left, right, part, c),
            2 => rows::<S, F, ROWS, 2>(simd, left, right, part, c),
            _ => rows::<S, F, ROWS, VECTORS>(simd, left, right, part, c),
        }
    }
}

/// A panel of `b`: rows of vectors, this far apart.
#[derive(Clone, Copy)]
struct Right<'a, F> {
    data: &'a [F],
    stride: usize,
}

/// The panel's rows made contiguous, filled up with zeros.
#[inline(always)]
fn copy_right<F: Scalar>(panel: Matrix<'_, F>, buffer: &mut [F], padded: usize) {
    if panel.columns < padded {
        buffer.fill(F::zero());
    }
    if panel.transposed {
        for (j, column) in panel.data.chunks(panel.stride).take(panel.columns).enumerate() {
            for (row, &value) in buffer.chunks_exact_mut(padded).zip(&column[..panel.rows]) {
                row[j] = value;
            }
        }
    } else {
        for (row, from) in buffer.chunks_exact_mut(padded).zip(panel.data.chunks(panel.stride)) {
            row[..panel.columns].copy_from_slice(&from[..panel.columns]);
        }
    }
}

/// Where a panel's product goes: so many columns from `from` on, in rows this far apart.
#[derive(Clone, Copy)]
struct Part {
    from: usize,
    width: usize,
    stride: usize,
    how: Accumulate,
}

/// Tiles of `ROWS` rows, then smaller ones for the rows that are left.
#[inline(always)]
fn rows<S: Simd, F: Scalar, const ROWS: usize, const V: usize>(
    simd: S,
    left: Left<'_, F>,
    right: Right<'_, F>,
    part: Part,
    c: &mut [F],
) {
    let depth = left.matrix.columns;
    for (i, c) in c.chunks_mut(ROWS * part.stride).enumerate() {
        let count = c.len() / part.stride;
        let matrix = left.matrix.rows(i * ROWS, i * ROWS + count);
        let source = if let Some(copied) = left.copied {
            let columns = &copied[i * ROWS * depth..][..ROWS * depth];
            Source::Columns(columns, ROWS)
        } else if matrix.transposed {
            Source::Columns(matrix.data, matrix.stride)
        } else {
            Source::Rows(matrix.data, matrix.stride)
        };
        if count == ROWS {
            tile::<S, F, ROWS, V>(simd, depth, source, right, part, c);
        } else {
            remaining::<S, F, V>(simd, depth, source, right, part, c);
        }
    }
}

/// Fewer than `ROWS` rows, in tiles of 4, 2 and 1.
#[inline(always)]
fn remaining<S: Simd, F: Scalar, const V: usize>(
    simd: S,
    depth: usize,
    source: Source<'_, F>,
    right: Right<'_, F>,
    part: Part,
    c: &mut [F],
) {
    let mut done = 0;
    let count = c.len() / part.stride;
    while done < count {
        let c = &mut c[done * part.stride..];
        let source = source.below(done);
        done += match count - done {
            4.. => {
                tile::<S, F, 4, V>(simd, depth, source, right, part, c);
                4
            }
            2.. => {
                tile::<S, F, 2, V>(simd, depth, source, right, part, c);
                2
            }
            _ => {
                tile::<S, F, 1, V>(simd, depth, source, right, part, c);
                1
            }
        };
    }
}

/// The rows of `a` for one tile, and how far apart its rows or its columns are.
#[derive(Clone, Copy)]
enum Source<'a, F> {
    /// Each row is contiguous.
    Rows(&'a [F], usize),
    /// Each column is contiguous.
    Columns(&'a [F], usize),
}

impl<F> Source<'_, F> {
    /// Without the first rows.
    #[inline(always)]
    fn below(self, rows: usize) -> Self {
        match self {
            Self::Rows(data, stride) => Self::Rows(&data[rows * stride..], stride),
            Self::Columns(data, stride) => Self::Columns(&data[rows..], stride),
        }
    }
}

/// One tile: `R` rows of `V` vectors.
#[inline(always)]
fn tile<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    source: Source<'_, F>,
    right: Right<'_, F>,
    part: Part,
    c: &mut [F],
) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let sums: [[F::Vector<S>; V]; R] = match source {
        Source::Rows(data, stride) => {
            let rows: [&[F]; R] = std::array::from_fn(|r| &data[r * stride..][..depth]);
            sums(
                simd,
                depth,
                right,
                #[inline(always)]
                |k| std::array::from_fn(|r| rows[r][k]),
            )
        }
        Source::Columns(data, stride) => sums(
            simd,
            depth,
            right,
            #[inline(always)]
            |k| {
                let column = &data[k * stride..][..R];
                std::array::from_fn(|r| column[r])
            },
        ),
    };
    for (row, sums) in c.chunks_mut(part.stride).zip(&sums) {
        let row = &mut row[part.from..][..part.width];
        if part.width == V * lanes {
            store::<S, F, V>(simd, F::vectors_mut::<S>(row), sums, part.how);
        } else {
            let mut padded = [F::zero(); VECTORS * MOST_LANES];
            padded[..part.width].copy_from_slice(row);
            store::<S, F, V>(simd, F::vectors_mut::<S>(&mut padded), sums, part.how);
            row.copy_from_slice(&padded[..part.width]);
        }
    }
}

/// The sums of a tile over the inner dimension, `a(k)` being a column of the left factor. They stay in
/// registers from the first step to the last: every index below is known to the compiler, which is
/// why they are copied out one by one and not handed back as the array they are.
#[inline(always)]
fn sums<S: Simd, F: Scalar, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    right: Right<'_, F>,
    a: impl Fn(usize) -> [F; R],
) -> [[F::Vector<S>; V]; R] {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let mut sums = [[F::splat(simd, F::zero()); V]; R];
    for k in 0..depth {
        let b = F::vectors::<S>(&right.data[k * right.stride..][..V * lanes]);
        let b: [F::Vector<S>; V] = std::array::from_fn(|v| b[v]);
        let a = a(k);
        for r in 0..R {
            let a = F::splat(simd, a[r]);
            for v in 0..V {
                sums[r][v] = F::fused(simd, a, b[v], sums[r][v]);
            }
        }
    }
    std::array::from_fn(|r| std::array::from_fn(|v| sums[r][v]))
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
