//! The three products of a convolution, and the one place where their algorithm is chosen.
//!
//! A convolution is a matrix product: the windows, one a row, times the kernel, one filter a column
//! (K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document
//! processing", 2006, section 3.1). The matrix of windows is never whole in memory: it is worked off some
//! rows of output at a time, and read where it lies (see `im2col.rs`).

use crate::kernels::Accumulate;
use crate::kernels::gemm::{self, Matrix, SPLIT_ABOVE};
use crate::kernels::im2col::{self, col2im, im2col, with_strips};
use crate::kernels::kernel::Kernel;
use crate::kernels::long_sums::{LONG, in_blocks, long_edge};
use crate::kernels::panels;
use crate::kernels::parts::{in_parts, in_pieces};
use crate::kernels::taps;
use crate::kernels::tile;
use crate::kernels::window::{Pair, Windows};
use crate::kernels::winograd;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch, ready};

/// Which algorithm computes a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Whichever of the others measurements show to be faster for the shapes.
    #[default]
    Fastest,
    /// A product of windows and kernel. The reference.
    Im2col,
    /// Winograd's, with fewer multiplications: for kernels 3x3 and 5x5, stride 1, no dilation. In `f32` its sums are
    /// exact to 1e-5 of the largest output.
    Winograd,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In tiles, with fewer multiplications (`winograd.rs`).
    Tiles,
    /// Tap by tap, where many taps lie in the padding (`taps.rs`).
    Taps,
    /// The map itself is the matrix of windows: 1x1, stride 1, no padding.
    Pointwise,
    /// So few windows that the kernel is most of what is read: all of them are copied, and the product is
    /// cut along the kernel.
    FewWindows,
    /// Windows are read where they lie, some rows of output at a time.
    InPlace,
}

/// Fewer windows than this are few.
const FEW: usize = 48;
/// Maps in a batch of which nothing is known but that it is not small.
pub(super) const MANY_MAPS: usize = 64;
/// Maps, channels and filters from which on products of a tap at a time are large enough.
const MAPS_IN_ROWS: usize = 16;
/// Windows that are worked off at a time.
const AT_A_TIME: usize = 512;
/// The same for weight gradients, which read across them: so many stay in the first-level cache.
pub(super) const ACROSS_AT_A_TIME: usize = 256;
/// Numbers in the columns of an input gradient that are held at a time.
const MOST_COLUMNS: usize = 1 << 20;

pub(super) fn choose(
    windows: &Windows,
    maps: usize,
    filters: usize,
    algorithm: Algorithm,
    kept: bool,
) -> Way {
    let one = Pair::from(1);
    let (by_taps, tiles) = match algorithm {
        Algorithm::Im2col => (false, false),
        Algorithm::Winograd => (false, winograd::fits(windows)),
        Algorithm::Fastest => {
            // A product's multiply-adds for each map, channel and filter.
            let of_windows = windows.positions() * windows.kernel.height * windows.kernel.width;
            let of_taps = taps::meetings(windows);
            let by_taps = maps >= MAPS_IN_ROWS
                && windows.channels.min(filters) >= MAPS_IN_ROWS
                && 4 * of_taps <= 3 * of_windows;
            let plain = if by_taps { of_taps } else { of_windows };
            let tiles = winograd::fits(windows) && tiles_are_faster(windows, maps, filters, plain, kept);
            (by_taps, tiles)
        }
    };
    if tiles && maps > 0 {
        Way::Tiles
    } else if by_taps {
        Way::Taps
    } else if windows.kernel == one && windows.stride == one && windows.all_inside() {
        Way::Pointwise
    } else if maps * windows.positions() < FEW {
        Way::FewWindows
    } else {
        Way::InPlace
    }
}

/// What one number of a tile, and one of a kernel in tile form, take to make, in multiply-adds; and one of a kernel in tile
/// form that is only read.
const A_NUMBER_OF_A_TILE: usize = 16;
const A_NUMBER_OF_A_KERNEL: usize = 48;
const A_NUMBER_KEPT: usize = 16;

/// Whether fewer multiplications are worth making tiles of maps and kernel for, where the other way takes `plain` multiply-adds for each map,
/// channel and filter.
fn tiles_are_faster(windows: &Windows, maps: usize, filters: usize, plain: usize, kept: bool) -> bool {
    let a_number_of_a_kernel = if kept { A_NUMBER_KEPT } else { A_NUMBER_OF_A_KERNEL };
    let side = winograd::outputs(windows);
    let tiles = maps * windows.out_height.div_ceil(side) * windows.out_width.div_ceil(side);
    let channels = windows.channels;
    let products = winograd::PLACES * tiles * channels * filters;
    let transforms = winograd::PLACES
        * (tiles * (channels + filters) * A_NUMBER_OF_A_TILE + channels * filters * a_number_of_a_kernel);
    products + transforms < maps * plain * channels * filters
}

/// Whether [`Algorithm::Winograd`] can compute this.
pub fn can_use_winograd(windows: &Windows) -> bool {
    winograd::fits(windows)
}

/// y = windows of x times the kernel; `finish` is applied to rows of y while they are in the cache.
#[inline(never)]
pub fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    algorithm: Algorithm,
    kernel: Kernel<'_, F>,
    y: &mut [F],
    finish: impl Fn(&mut [F]) + Sync,
) {
    let maps = x.len() / windows.map();
    let filters = kernel.weights.len() / windows.window();
    let weights = Matrix::new(kernel.weights, windows.window(), filters);
    match choose(windows, maps, filters, algorithm, kernel.tiles().is_some()) {
        Way::Tiles => winograd::forward(x, windows, kernel, y, &finish),
        Way::Taps => taps::forward(x, windows, kernel, y, &finish),
        Way::Pointwise => {
            let rows = Matrix::new(x, maps * windows.positions(), windows.channels);
            gemm::multiply(rows, weights, Accumulate::Overwrite, y);
            finish(y);
        }
        Way::FewWindows => with_all_columns(x, windows, maps, |columns| {
            match kernel.panels() {
                Some(panels) => panels::multiply(columns, panels, filters, y),
                None => gemm::multiply(columns, weights, Accumulate::Overwrite, y),
            }
            finish(y);
        }),
        Way::InPlace => {
            let rows = maps * windows.out_height;
            let piece = piece_of(rows, windows, filters);
            get_ready::<F>(windows, piece);
            in_parts(0..rows, piece, &|row| row * windows.out_width * filters, y, &|rows, y: &mut [F]| {
                with_strips(x, windows, rows, |strips| {
                    let rows = Matrix::of_windows(strips.data, strips.rows);
                    tile::multiply(rows, weights, Accumulate::Overwrite, y);
                });
                finish(y);
            });
        }
    }
}

/// Rows of output in a piece: by shape alone, so that a result never depends on the threads.
fn piece_of(rows: usize, windows: &Windows, filters: usize) -> usize {
    let work = rows * windows.out_width * windows.window() * filters;
    let at_a_time = AT_A_TIME.div_ceil(windows.out_width);
    if work > SPLIT_ABOVE { at_a_time.min(rows.div_ceil(2)) } else { at_a_time }
}

pub(super) fn get_ready<F: Scalar>(windows: &Windows, rows: usize) {
    im2col::get_ready::<F>(windows, rows);
    tile::get_ready::<F>();
}

/// All windows side by side.
fn with_all_columns<F: Scalar>(x: &[F], windows: &Windows, maps: usize, work: impl FnOnce(Matrix<'_, F>)) {
    let (rows, width) = (maps * windows.positions(), windows.window());
    let mut scratch = Scratch::take(Purpose::Columns);
    let columns = scratch.first(rows * width);
    with_strips(x, windows, 0..maps * windows.out_height, |strips| im2col(strips, windows, columns));
    work(Matrix::new(columns, rows, width));
}

/// Overwrites or adds to the gradient with respect to the kernel: the windows, transposed, times `dz`.
#[inline(never)]
pub fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    algorithm: Algorithm,
    dz: &[F],
    how: Accumulate,
    gradient: &mut [F],
) {
    let maps = x.len() / windows.map();
    let filters = gradient.len() / windows.window();
    let dz_rows = Matrix::new(dz, maps * windows.positions(), filters);
    match choose(windows, maps, filters, algorithm, false) {
        Way::Tiles => winograd::weight_gradient(x, windows, dz, how, gradient),
        Way::Taps => taps::weight_gradient(x, windows, dz, how, gradient),
        Way::Pointwise => {
            gemm::multiply(Matrix::new(x, dz_rows.rows, windows.channels).t(), dz_rows, how, gradient);
        }
        Way::FewWindows => {
            with_all_columns(x, windows, maps, |columns| gemm::multiply(columns.t(), dz_rows, how, gradient));
        }
        Way::InPlace => {
            let rows = ACROSS_AT_A_TIME.div_ceil(windows.out_width);
            get_ready::<F>(windows, rows);
            // Every piece copies maps and padding anew: with many filters that is little beside the product.
            let pieces = (filters / 16).next_power_of_two().clamp(2, 16);
            let piece = windows.window().div_ceil(pieces).max(16);
            if dz_rows.rows > 2 * LONG {
                ready::<f64>(&[(Purpose::Sums, piece * filters)]);
            }
            let call = WeightGradient { x, windows, dz: dz_rows, how, at_a_time: rows };
            in_pieces(gradient, piece * filters, &|i, part| call.rows(i * piece, part));
        }
    }
}

struct WeightGradient<'a, F> {
    x: &'a [F],
    windows: &'a Windows,
    dz: Matrix<'a, F>,
    how: Accumulate,
    at_a_time: usize,
}

impl<F: Scalar> WeightGradient<'_, F> {
    /// The rows of the gradient from `first` on, as many as `part` holds.
    fn rows(&self, first: usize, part: &mut [F]) {
        let Self { x, windows, dz, how, at_a_time } = *self;
        let filters = dz.columns;
        let last = first + part.len() / filters;
        let all = dz.rows / windows.out_width;
        let next_edge = long_edge(all, windows.out_width, at_a_time);
        in_blocks(all, next_edge, how, part, |block, how, part| {
            for from in block.clone().step_by(at_a_time) {
                let to = (from + at_a_time).min(block.end);
                let dz = dz.rows(from * windows.out_width, to * windows.out_width);
                let how = if from == block.start { how } else { Accumulate::Add };
                with_strips(x, windows, from..to, |strips| {
                    let windows = Matrix::of_windows(strips.data, strips.rows);
                    tile::multiply(windows.t().rows(first, last), dz, how, part);
                });
            }
        });
    }
}

/// Overwrites `dx` with the gradient with respect to the input.
///
/// With stride 1 that is itself a convolution: of `dz`, padded, with the kernel turned by half a circle and
/// its channels and filters exchanged. Else each window's gradient, `dz` times the transposed kernel, is
/// added where the window lies.
#[inline(never)]
pub fn input_gradient<F: Scalar>(
    dz: &[F],
    windows: &Windows,
    algorithm: Algorithm,
    kernel: &[F],
    dx: &mut [F],
) {
    if dx.is_empty() {
        return;
    }
    let maps = dx.len() / windows.map();
    let filters = kernel.len() / windows.window();
    let weights = Matrix::new(kernel, windows.window(), filters);
    let dz_rows = Matrix::new(dz, maps * windows.positions(), filters);
    let way = choose(windows, maps, filters, algorithm, false);
    if way == Way::Pointwise {
        gemm::multiply(dz_rows, weights.t(), Accumulate::Overwrite, dx);
        return;
    }
    if way == Way::Taps {
        taps::input_gradient(dz, windows, kernel, dx);
        return;
    }
    let worth_turning = way == Way::Tiles || dz_rows.rows > 2 * filters;
    if let Some(turned) = turned(windows, filters).filter(|_| worth_turning) {
        let mut scratch = Scratch::take(Purpose::Shared);
        let turned_kernel = scratch.first(kernel.len());
        turn(kernel, windows, filters, turned_kernel);
        forward(dz, &turned, algorithm, Kernel::new(turned_kernel), dx, |_| {});
        return;
    }
    let rows = windows.positions();
    let at_once = (MOST_COLUMNS / (rows * windows.window())).clamp(1, maps);
    let mut scratch = Scratch::take(Purpose::Columns);
    let columns = scratch.first(at_once * rows * windows.window());
    for (i, dx) in dx.chunks_mut(at_once * windows.map()).enumerate() {
        let count = dx.len() / windows.map();
        let columns = &mut columns[..count * rows * windows.window()];
        let from = i * at_once * rows;
        let dz = dz_rows.rows(from, from + count * rows);
        gemm::multiply(dz, weights.t(), Accumulate::Overwrite, columns);
        col2im(columns, windows, dx);
    }
}

/// The windows of the convolution that gives the input gradient, where that is one.
fn turned(windows: &Windows, filters: usize) -> Option<Windows> {
    let Windows { height, width, out_height, out_width, kernel, stride, dilation, before, .. } = *windows;
    if stride != Pair::from(1) {
        return None;
    }
    let above = ((kernel.height - 1) * dilation.height).checked_sub(before.height)?;
    let left = ((kernel.width - 1) * dilation.width).checked_sub(before.width)?;
    Some(Windows {
        height: out_height,
        width: out_width,
        channels: filters,
        out_height: height,
        out_width: width,
        before: Pair { height: above, width: left },
        ..*windows
    })
}

/// The kernel turned by half a circle, its channels and filters exchanged.
fn turn<F: Scalar>(kernel: &[F], windows: &Windows, filters: usize, turned: &mut [F]) {
    let channels = windows.channels;
    let tap = channels * filters;
    let taps = kernel.len() / tap;
    in_pieces(turned, tap, &|i, to| {
        let from = &kernel[(taps - 1 - i) * tap..][..tap];
        gemm::transpose(from, filters, Accumulate::Overwrite, to, channels);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::kernels::kernel::Kept;
    use crate::kernels::naive;
    use crate::kernels::window::{Layout, Padding};
    use crate::rng::{Purpose, stream};

    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// The forward product against the plain loops; both gradients as its adjoints: for any y' they
    /// satisfy <y', conv(x, K)> = <dx, x> = <dK, K>, and each linearly, so random directions tell.
    fn check(layout: Layout, maps: usize, input: [usize; 3], filters: usize, seed: u64) {
        for algorithm in [Algorithm::Fastest, Algorithm::Im2col, Algorithm::Winograd] {
            check_with(algorithm, layout, maps, input, filters, seed);
        }
    }

    fn check_with(
        algorithm: Algorithm,
        layout: Layout,
        maps: usize,
        input: [usize; 3],
        filters: usize,
        seed: u64,
    ) {
        let Ok(windows) = layout.over(&input) else { return };
        let x = random(maps * windows.map(), seed);
        let kernel = random(windows.window() * filters, seed + 1);
        let (expected, _) = naive::convolve(&x, &windows, &kernel, filters);
        let mut y = vec![f64::NAN; expected.len()];
        forward(&x, &windows, algorithm, Kernel::new(&kernel), &mut y, |_| {});
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * (1.0 + windows.window() as f64);
        let what =
            format!("{algorithm:?}, {layout:?} over {maps} of {input:?}, {filters} filters, seed {seed}");
        assert!(y.iter().zip(&expected).all(|(&a, &b)| close(a, b)), "forward, {what}");

        let dz = random(y.len(), seed + 2);
        let (mut dx, mut dk) = (vec![f64::NAN; x.len()], vec![f64::NAN; kernel.len()]);
        input_gradient(&dz, &windows, algorithm, &kernel, &mut dx);
        weight_gradient(&x, &windows, algorithm, &dz, Accumulate::Overwrite, &mut dk);
        let (x2, k2) = (random(x.len(), seed + 3), random(kernel.len(), seed + 4));
        let size = 1e-10 * (dz.len() * windows.window()) as f64;
        let of_x2 = naive::convolve(&x2, &windows, &kernel, filters).0;
        assert!((dot(&dx, &x2) - dot(&dz, &of_x2)).abs() < size, "input gradient, {what}");
        let of_k2 = naive::convolve(&x, &windows, &k2, filters).0;
        assert!((dot(&dk, &k2) - dot(&dz, &of_k2)).abs() < size, "weight gradient, {what}");
        let once = dk.clone();
        weight_gradient(&x, &windows, algorithm, &dz, Accumulate::Add, &mut dk);
        assert!(dk.iter().zip(&once).all(|(&two, &one)| close(two, 2.0 * one)), "added, {what}");
    }

    fn padding() -> impl Strategy<Value = Padding> {
        prop_oneof![
            Just(Padding::Valid),
            Just(Padding::Same),
            (0_usize..4, 0_usize..4).prop_map(|(a, b)| Padding::from([a, b])),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn agrees_with_the_plain_loops(
            (maps, height, width, channels) in (1_usize..4, 1_usize..12, 1_usize..12, 1_usize..20),
            (filters, kernel) in (1_usize..10, (1_usize..5, 1_usize..5)),
            (stride, dilation) in ((1_usize..4, 1_usize..4), (1_usize..3, 1_usize..3)),
            padding in padding(),
            seed in 0_u64..1000,
        ) {
            let pair = |(height, width)| Pair { height, width };
            let layout = Layout {
                stride: pair(stride), dilation: pair(dilation), padding, ..Layout::new(pair(kernel))
            };
            check(layout, maps, [height, width, channels], filters, seed);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn tiles_agree_with_the_plain_loops(
            (maps, height, width, channels) in (1_usize..4, 3_usize..16, 3_usize..16, 1_usize..20),
            (filters, kernel) in (1_usize..70, prop_oneof![Just(3_usize), Just(5)]),
            padding in padding(),
            seed in 0_u64..1000,
        ) {
            let layout = Layout { padding, ..Layout::new(kernel) };
            check_with(Algorithm::Winograd, layout, maps, [height, width, channels], filters, seed);
        }
    }

    #[test]
    fn tiles_in_f32_are_exact_to_a_ten_thousandth_of_the_largest_output() {
        for (kernel, maps, size, channels, filters) in [
            (3, 2, 14, 128, 64),
            (3, 4, 7, 256, 32),
            (3, 1, 33, 3, 16),
            (5, 2, 14, 64, 48),
            (5, 1, 9, 200, 17),
        ] {
            let layout = Layout { padding: Padding::Same, ..Layout::new(kernel) };
            let windows = layout.over(&[size, size, channels]).unwrap();
            let [x, weights, dz] =
                [maps * windows.map(), windows.window() * filters, maps * windows.positions() * filters]
                    .map(|count| random(count, count as u64).iter().map(|&v| v as f32).collect::<Vec<_>>());
            let all = |algorithm| {
                let (mut y, mut dx) = (vec![0.0; dz.len()], vec![0.0; x.len()]);
                let mut gradient = vec![0.0; weights.len()];
                forward(&x, &windows, algorithm, Kernel::new(&weights), &mut y, |_| {});
                input_gradient(&dz, &windows, algorithm, &weights, &mut dx);
                weight_gradient(&x, &windows, algorithm, &dz, Accumulate::Overwrite, &mut gradient);
                [y, dx, gradient]
            };
            // A kernel whose form in tiles is kept gives the same bits.
            let kept = Kept::new(&windows, Algorithm::Winograd, &weights);
            let mut y = vec![0.0; dz.len()];
            let kept_kernel = Kernel { weights: &weights, kept: Some(&kept) };
            forward(&x, &windows, Algorithm::Winograd, kept_kernel, &mut y, |_| {});
            assert!(kept_kernel.tiles().is_some() && y == all(Algorithm::Winograd)[0]);
            let results = all(Algorithm::Winograd).into_iter().zip(all(Algorithm::Im2col));
            for ((tiles, plain), what) in results.zip(["y", "dx", "dK"]) {
                let largest = plain.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                let differences = tiles.iter().zip(&plain).map(|(a, b)| (a - b).abs());
                let worst = differences.fold(0.0_f32, f32::max) / largest;
                assert!(
                    worst < 1e-4,
                    "{what} of {maps} maps {size}x{size}x{channels}, {kernel}x{kernel}: {worst}"
                );
            }
        }
    }

    #[test]
    fn agrees_where_the_work_is_cut_in_pieces() {
        let layout = |kernel: usize, stride: usize, padding: Padding| Layout {
            stride: stride.into(),
            padding,
            ..Layout::new(kernel)
        };
        for (kernel, stride, padding, maps, input, filters) in [
            (7, 1, Padding::Same, 3, [28, 28, 1], 16),
            (3, 1, Padding::Same, 5, [14, 14, 16], 32),
            (3, 2, Padding::from(1), 4, [16, 16, 24], 40),
            (1, 2, Padding::Valid, 4, [16, 16, 48], 40),
            (5, 1, Padding::Valid, 3, [20, 20, 3], 32),
            (3, 1, Padding::Same, 40, [2, 2, 64], 48),
            (1, 1, Padding::Valid, 4, [7, 7, 64], 48),
        ] {
            check(layout(kernel, stride, padding), maps, input, filters, 1);
        }
    }
}
