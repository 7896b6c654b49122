//! Convolutions of 3x3 and 5x5 with fewer multiplications than they have multiply-adds (S. Winograd, "Arithmetic
//! complexity of computations", 1980; A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", 2016).
//!
//! Along one axis, m outputs of a kernel of r numbers take m r multiplications in plain form. But they are the middle coefficients of a
//! product of polynomials, which is determined by m + r - 1 of its values. Here the values are those at 0, 1, -1, 2, -2 and at infinity, so
//! m + r - 1 = 6. A tile of 6x6 inputs gives 4x4 outputs of a 3x3 kernel, or 2x2 of a 5x5 kernel, with 36 multiplications instead of 144 or
//! 100. With d a tile of the input and g a kernel, both of one channel,
//!
//! y = A' \[(G g G') · (B' d B)\] A,
//!
//! where · is the elementwise product. Row j of A, for the first five rows, is (1, p, p², ...) at the point p = p_j, with m columns. Row j
//! of G is the same with r columns, divided by the product of p - q over the other points q. The last row of both, for infinity, is (0,
//! ..., 0, 1). B' is in `winograd_transform.rs`, with the transforms.
//!
//! The sum over channels moves inside: for each of the 36 places in a tile there is one matrix product over all tiles, channels and
//! filters, M = V U with V = B' d B and U = G g G'. The derivative is the adjoint of these three steps: with Z = A dy A', the kernel's
//! gradient is G' \[sum over tiles of V' Z\] G. The input gradient, for stride 1, is the convolution of dy with the rotated kernel
//! (`rotated.rs`), by the same steps.
//!
//! The price is precision: with points up to 2, errors are about ten times those of the plain form, 1e-5 of the largest output in `f32`.

use std::ops::Range;

use pulp::Arch;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::conv::winograd_transform::{
    INPUT, Input, KernelAdjoint, KernelTransform, Output, OutputAdjoint, Powers, Row, SIDE, TilePlaces,
    Transform,
};
use crate::kernels::gemm::filter_panels::{self, PANEL_FILTERS, first_filter};
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::tile;
use crate::kernels::long_sums::{LONG, in_blocks, long_edge};
use crate::kernels::parts::in_parts;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::windows::{Pair, Windows};
use crate::tensor::scalar::Scalar;

/// Places in an input tile.
pub(crate) const PLACES: usize = SIDE * SIDE;

/// Whether a convolution can be computed so: 3x3 or 5x5, stride 1, no dilation.
pub(crate) fn fits(windows: &Windows) -> bool {
    let square = [3, 5].map(Pair::from).contains(&windows.kernel);
    square && windows.stride == Pair::from(1) && windows.dilation == Pair::from(1)
}

/// Outputs along a side of a tile.
pub(crate) fn outputs(windows: &Windows) -> usize {
    SIDE + 1 - windows.kernel.height
}

/// The tiles of a batch of maps, of M by M outputs each.
#[derive(Clone, Copy)]
struct Tiles<'a, const M: usize> {
    windows: &'a Windows,
    down: usize,
    across: usize,
    /// Rows of tiles, of all maps.
    rows: usize,
}

/// Tiles that are computed at a time.
const TILES_AT_A_TIME: usize = 48;
/// The distance from the numbers of one place to those of the next: an odd number of cache lines. A tile is written to all places at once;
/// at distances of a power of two they would all fall into one set of the first-level cache.
fn apart(numbers: usize) -> usize {
    (numbers.div_ceil(LINE) | 1) * LINE
}

/// Numbers in a cache line of 64 bytes, of `f32`.
const LINE: usize = 16;
impl<'a, const M: usize> Tiles<'a, M> {
    fn new(windows: &'a Windows, maps: usize) -> Self {
        let (down, across) = (windows.out_height.div_ceil(M), windows.out_width.div_ceil(M));
        Self { windows, down, across, rows: maps * down }
    }

    /// Rows of tiles in a piece, by shape alone.
    fn rows_at_a_time(&self) -> usize {
        TILES_AT_A_TIME.div_ceil(self.across).min(self.rows.div_ceil(2))
    }

    /// The map and the first row and column of output of tile `tile`, counted from the beginning of tile row `row`.
    #[inline(always)]
    fn corner(&self, row: usize, tile: usize) -> (usize, usize, usize) {
        let row = row + tile / self.across;
        (row / self.down, row % self.down * M, tile % self.across * M)
    }

    /// Where an input tile is.
    #[inline(always)]
    fn input(&self, row: usize, tile: usize) -> TilePlaces {
        let Windows { height, width, channels, before, .. } = *self.windows;
        let (map, row, column) = self.corner(row, tile);
        let (down, across) = (width * channels, channels);
        let first = map * height * down + row * down + column * across;
        TilePlaces {
            first: first.wrapping_sub(before.height * down + before.width * across),
            down,
            across,
            rows: before.height.saturating_sub(row)..(height + before.height).saturating_sub(row),
            columns: before.width.saturating_sub(column)..(width + before.width).saturating_sub(column),
        }
    }

    /// Where the outputs of a tile are, each with this number of filters.
    #[inline(always)]
    fn output(&self, row: usize, tile: usize, filters: usize) -> TilePlaces {
        let Windows { out_height, out_width, .. } = *self.windows;
        let (map, row, column) = self.corner(row, tile);
        let first = ((map * out_height + row) * out_width + column) * filters;
        let (rows, columns) = (0..out_height - row, 0..out_width - column);
        TilePlaces { first, down: out_width * filters, across: filters, rows, columns }
    }

    /// The number of outputs before tile row `row`.
    fn outputs_before(&self, row: usize) -> usize {
        let Windows { out_height, out_width, .. } = *self.windows;
        (row / self.down * out_height + row % self.down * M) * out_width
    }
}

/// y = X K.
#[inline(never)]
pub(crate) fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: ConvKernel<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    match windows.kernel.height {
        3 => forward_with::<F, 4, 3>(x, windows, kernel, y, finish),
        _ => forward_with::<F, 2, 5>(x, windows, kernel, y, finish),
    }
}

fn forward_with<F: Scalar, const M: usize, const R: usize>(
    x: &[F],
    windows: &Windows,
    kernel: ConvKernel<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let filters = kernel.weights.len() / windows.window();
    let tiles = Tiles::<M>::new(windows, x.len() / windows.map());
    let piece = tiles.rows_at_a_time();
    let most = piece * tiles.across;
    let room = |length: usize| PLACES * apart(most * length);
    ready::<F>(&[(Buffer::Tiles, room(windows.channels)), (Buffer::Products, room(PANEL_FILTERS))]);
    tile::get_ready::<F>();
    let mut scratch = Scratch::take(Buffer::Kernel);
    let transformed = kernel.tiles().unwrap_or_else(|| {
        let transformed = scratch.first(PLACES * windows.channels * filters);
        transform_kernel::<F, R>(kernel.weights, windows.channels, filters, transformed);
        transformed
    });
    in_parts(0..tiles.rows, piece, &|row| tiles.outputs_before(row) * filters, y, &|rows, y: &mut [F]| {
        forward_rows(x, tiles, rows, transformed, y);
        finish(y);
    });
}

/// U of a kernel, to keep.
#[inline(never)]
pub(crate) fn kernel_in_tiles<F: Scalar>(windows: &Windows, weights: &[F]) -> Vec<F> {
    let filters = weights.len() / windows.window();
    let mut u = vec![F::zero(); PLACES * windows.channels * filters];
    match windows.kernel.height {
        3 => transform_kernel::<F, 3>(weights, windows.channels, filters, &mut u),
        _ => transform_kernel::<F, 5>(weights, windows.channels, filters, &mut u),
    }
    u
}

/// U, as [panel of filters, place in a tile, channel, filter].
fn transform_kernel<F: Scalar, const R: usize>(kernel: &[F], channels: usize, filters: usize, u: &mut [F]) {
    let edge = |panel: usize| first_filter(filters, panel) * PLACES * channels;
    in_parts(0..filter_panels::count(filters), 1, &edge, u, &|panel, u: &mut [F]| {
        let (first, length) = (first_filter(filters, panel.start), u.len() / (PLACES * channels));
        Arch::new().dispatch(Transform::<_, _, _, _, _, SIDE, SIDE, R> {
            left: KernelTransform,
            right: KernelTransform,
            tiles: channels,
            length,
            data: kernel,
            from: |c| TilePlaces::all(c * filters + first, R * channels * filters, channels * filters),
            to: |c| TilePlaces::all(c * length, SIDE * channels * length, channels * length),
            how: Accumulate::Overwrite,
            out: u,
        });
    });
}

/// The outputs of some rows of tiles.
fn forward_rows<F: Scalar, const M: usize>(
    x: &[F],
    tiles: Tiles<'_, M>,
    rows: Range<usize>,
    u: &[F],
    y: &mut [F],
) {
    let channels = tiles.windows.channels;
    let filters = u.len() / (PLACES * channels);
    let count = rows.len() * tiles.across;
    let mut scratch = Scratch::take(Buffer::Tiles);
    let v_apart = apart(count * channels);
    let v = scratch.first(PLACES * v_apart);
    Arch::new().dispatch(Transform::<_, _, _, _, _, SIDE, SIDE, SIDE> {
        left: Input,
        right: Input,
        tiles: count,
        length: channels,
        data: x,
        from: |tile| tiles.input(rows.start, tile),
        to: |tile| TilePlaces::all(tile * channels, SIDE * v_apart, v_apart),
        how: Accumulate::Overwrite,
        out: v,
    });
    let before = tiles.outputs_before(rows.start);
    let mut scratch = Scratch::take(Buffer::Products);
    for panel in 0..filter_panels::count(filters) {
        let (first, last) = (first_filter(filters, panel), first_filter(filters, panel + 1));
        let width = last - first;
        let products_apart = apart(count * width);
        let products = scratch.first(PLACES * products_apart);
        let u = &u[PLACES * channels * first..][..PLACES * channels * width];
        let places = v.chunks_exact(v_apart).zip(u.chunks_exact(channels * width));
        for ((v, u), product) in places.zip(products.chunks_exact_mut(products_apart)) {
            let v = Matrix::new(&v[..count * channels], count, channels);
            let u = Matrix::new(u, channels, width);
            tile::multiply(v, u, Accumulate::Overwrite, &mut product[..count * width]);
        }
        let products = &*products;
        Arch::new().dispatch(Transform::<_, _, _, _, _, M, M, SIDE> {
            left: Output,
            right: Output,
            tiles: count,
            length: width,
            data: products,
            from: |tile| TilePlaces::all(tile * width, SIDE * products_apart, products_apart),
            to: |tile| {
                let to = tiles.output(rows.start, tile, filters);
                TilePlaces { first: to.first - before * filters + first, ..to }
            },
            how: Accumulate::Overwrite,
            out: y,
        });
    }
}

/// dK = Xᵀ dz.
#[inline(never)]
pub(crate) fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: &[F],
    how: Accumulate,
    gradient: &mut [F],
) {
    match windows.kernel.height {
        3 => weight_gradient_with::<F, 4, 3>(x, windows, dz, how, gradient),
        _ => weight_gradient_with::<F, 2, 5>(x, windows, dz, how, gradient),
    }
}

/// Each thread takes rows of places: a row of V or Z needs no other row.
fn weight_gradient_with<F: Scalar, const M: usize, const R: usize>(
    x: &[F],
    windows: &Windows,
    dz: &[F],
    how: Accumulate,
    gradient: &mut [F],
) {
    let channels = windows.channels;
    let filters = gradient.len() / windows.window();
    let tiles = Tiles::<M>::new(windows, x.len() / windows.map());
    let at_a_time = TILES_ACROSS.div_ceil(tiles.across).min(tiles.rows);
    let most = SIDE * at_a_time * tiles.across;
    ready::<F>(&[(Buffer::Tiles, most * channels), (Buffer::Products, most * filters)]);
    tile::get_ready::<F>();
    let mut scratch = Scratch::take(Buffer::Kernel);
    let sums = scratch.first(PLACES * channels * filters);
    let row_of_places = SIDE * channels * filters;
    if tiles.rows * tiles.across > 2 * LONG {
        ready::<f64>(&[(Buffer::Sums, row_of_places)]);
    }
    in_parts(0..SIDE, 1, &|i| i * row_of_places, sums, &|i, sums: &mut [F]| {
        let next_edge = long_edge(tiles.rows, tiles.across, at_a_time);
        in_blocks(tiles.rows, next_edge, Accumulate::Overwrite, sums, |block, _, sums| {
            for from in block.clone().step_by(at_a_time) {
                let rows = from..(from + at_a_time).min(block.end);
                let how = if from == block.start { Accumulate::Overwrite } else { Accumulate::Add };
                add_products::<F, M>(x, dz, tiles, rows, i.start, how, sums);
            }
        });
    });
    let sums = &*sums;
    let row = R * channels * filters;
    in_parts(0..R, 1, &|i| i * row, gradient, &|i, gradient: &mut [F]| {
        Arch::new().dispatch(Transform::<_, _, _, _, _, 1, R, SIDE> {
            left: Row(std::array::from_fn(|k| Powers::<R>::G[k][i.start])),
            right: KernelAdjoint,
            tiles: channels,
            length: filters,
            data: sums,
            from: |c| TilePlaces::all(c * filters, row_of_places, channels * filters),
            to: |c| TilePlaces::all(c * filters, 0, channels * filters),
            how,
            out: gradient,
        });
    });
}

/// Tiles whose products are summed at a time.
const TILES_ACROSS: usize = 96;

/// V' Z of some rows of tiles, for row `i` of the places in a tile.
fn add_products<F: Scalar, const M: usize>(
    x: &[F],
    dz: &[F],
    tiles: Tiles<'_, M>,
    rows: Range<usize>,
    i: usize,
    how: Accumulate,
    sums: &mut [F],
) {
    let channels = tiles.windows.channels;
    let filters = sums.len() / (SIDE * channels);
    let count = rows.len() * tiles.across;
    let (mut v_scratch, mut z_scratch) = (Scratch::take(Buffer::Tiles), Scratch::take(Buffer::Products));
    let v = v_scratch.first(SIDE * count * channels);
    Arch::new().dispatch(Transform::<_, _, _, _, _, 1, SIDE, SIDE> {
        left: Row(INPUT[i]),
        right: Input,
        tiles: count,
        length: channels,
        data: x,
        from: |tile| tiles.input(rows.start, tile),
        to: |tile| TilePlaces::all(tile * channels, 0, count * channels),
        how: Accumulate::Overwrite,
        out: v,
    });
    let z = z_scratch.first(SIDE * count * filters);
    Arch::new().dispatch(Transform::<_, _, _, _, _, 1, SIDE, M> {
        left: Row(Powers::<M>::A[i]),
        right: OutputAdjoint,
        tiles: count,
        length: filters,
        data: dz,
        from: |tile| tiles.output(rows.start, tile, filters),
        to: |tile| TilePlaces::all(tile * filters, 0, count * filters),
        how: Accumulate::Overwrite,
        out: z,
    });
    let places = v.chunks_exact(count * channels).zip(z.chunks_exact(count * filters));
    for ((v, z), sum) in places.zip(sums.chunks_exact_mut(channels * filters)) {
        let (v, z) = (Matrix::new(v, count, channels), Matrix::new(z, count, filters));
        tile::multiply(v.t(), z, how, sum);
    }
}
