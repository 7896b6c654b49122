//! Convolutions over maps so small that many taps of their windows lie in the padding.
//!
//! Where tap t of the window at position p falls on position i of the map, y\[p\] has the term x\[i\] K\[t\]; K\[t\] is a matrix, channels
//! by filters. Each such pair (p, t) is a matrix product, whose rows are the maps of a batch. 3x3 windows over a map of 2x2 have 36 pairs
//! of a position and a tap, and 16 of them fall on the map. A matrix of windows would multiply the zeros of the other 20 too.

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::gemm::filter_panels::{self, PANEL_FILTERS, first_filter, side_by_side};
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::tile;
use crate::kernels::gemm::transpose::transpose;
use crate::kernels::parts::{in_parts, in_pieces};
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::windows::{Pair, Windows};
use crate::tensor::scalar::Scalar;

/// The position of the map that a tap of the window at a position falls on; none in the padding.
fn meet(windows: &Windows, position: usize, tap: usize) -> Option<usize> {
    let Windows { height, width, out_width, kernel, stride, dilation, before, .. } = *windows;
    let along = |window: usize, stride: usize, tap: usize, dilation: usize, before: usize| {
        (window * stride + tap * dilation).wrapping_sub(before)
    };
    let (row, column) = (position / out_width, position % out_width);
    let row = along(row, stride.height, tap / kernel.width, dilation.height, before.height);
    let column = along(column, stride.width, tap % kernel.width, dilation.width, before.width);
    (row < height && column < width).then(|| row * width + column)
}

/// Multiply-adds for each map, channel and filter: the number of pairs of a position and a tap that fall on the map.
pub(crate) fn meetings(windows: &Windows) -> usize {
    let Windows { height, width, out_height, out_width, kernel, stride, dilation, before, .. } = *windows;
    let along = |count: usize, length: usize, of: fn(Pair) -> usize| -> usize {
        let inside = |window: usize, tap: usize| {
            (window * of(stride) + tap * of(dilation)).wrapping_sub(of(before)) < length
        };
        (0..count).map(|window| (0..of(kernel)).filter(|&tap| inside(window, tap)).count()).sum()
    };
    along(out_height, height, |pair| pair.height) * along(out_width, width, |pair| pair.width)
}

fn taps(windows: &Windows) -> usize {
    windows.kernel.height * windows.kernel.width
}

/// y = X K. Panels of filters are computed one after the other, so each tap's part of the kernel is copied once for all positions.
#[inline(never)]
pub(crate) fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: ConvKernel<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let (maps, filters) = (x.len() / windows.map(), kernel.weights.len() / windows.window());
    let (channels, positions) = (windows.channels, windows.positions());
    if kernel.panels().is_none() {
        ready::<F>(&[(Buffer::Kernel, channels * PANEL_FILTERS)]);
    }
    tile::get_ready::<F>();
    let x = Matrix::new(x, maps, windows.map());
    let mut scratch = Scratch::take(Buffer::Shared);
    // [panel of filters, position, map, filter]
    let sums = scratch.first(y.len());
    let edge = |panel: usize| first_filter(filters, panel) * positions * maps;
    in_parts(0..filter_panels::count(filters), 1, &edge, sums, &|panel, sums: &mut [F]| {
        let (first, width) = (first_filter(filters, panel.start), sums.len() / (positions * maps));
        let mut scratch = Scratch::take(Buffer::Kernel);
        sums.fill(F::zero());
        for (tap, weights) in kernel.weights.chunks_exact(channels * filters).enumerate() {
            let of_tap = match kernel.panels() {
                Some(panels) => {
                    &panels[first * windows.window()..][tap * channels * width..][..channels * width]
                }
                None => {
                    let part = scratch.first(channels * width);
                    for (to, from) in part.chunks_exact_mut(width).zip(weights.chunks_exact(filters)) {
                        to.copy_from_slice(&from[first..first + width]);
                    }
                    &*part
                }
            };
            let kernel = Matrix::new(of_tap, channels, width);
            for (position, sums) in sums.chunks_exact_mut(maps * width).enumerate() {
                if let Some(at) = meet(windows, position, tap) {
                    let x = x.columns(at * channels, (at + 1) * channels);
                    tile::multiply(x, kernel, Accumulate::Add, sums);
                }
            }
        }
    });
    let sums = &*sums;
    in_pieces(y, positions * filters, &|map, y| {
        for (position, y) in y.chunks_exact_mut(filters).enumerate() {
            side_by_side(sums, positions * maps, position * maps + map, y);
        }
        finish(y);
    });
}

/// Channels in a part of the work.
const BLOCK: usize = 128;

/// The input gradient, transposed, with the maps of the batch as columns. So the kernel is read where it is.
#[inline(never)]
pub(crate) fn input_gradient<F: Scalar>(dz: &[F], windows: &Windows, kernel: &[F], dx: &mut [F]) {
    let (maps, filters) = (dx.len() / windows.map(), kernel.len() / windows.window());
    let channels = windows.channels;
    tile::get_ready::<F>();
    let (mut transposed_scratch, mut scratch) =
        (Scratch::take(Buffer::Transposed), Scratch::take(Buffer::Shared));
    // [position, filter, map]
    let transposed = transposed_scratch.first(dz.len());
    transpose(dz, windows.positions() * filters, Accumulate::Overwrite, transposed, maps);
    let transposed = &*transposed;
    let sums = scratch.first(dx.len());
    let blocks = channels.div_ceil(BLOCK);
    let parts = 0..windows.height * windows.width * blocks;
    let edge = |part: usize| (part / blocks * channels + part % blocks * BLOCK) * maps;
    in_parts(parts, 1, &edge, sums, &|part, sums: &mut [F]| {
        let (here, first) = (part.start / blocks, part.start % blocks * BLOCK);
        sums.fill(F::zero());
        for (tap, kernel) in kernel.chunks_exact(channels * filters).enumerate() {
            let kernel = Matrix::new(kernel, channels, filters).rows(first, first + sums.len() / maps);
            for (position, dz) in transposed.chunks_exact(filters * maps).enumerate() {
                if meet(windows, position, tap) == Some(here) {
                    tile::multiply(kernel, Matrix::new(dz, filters, maps), Accumulate::Add, sums);
                }
            }
        }
    });
    transpose(sums, maps, Accumulate::Overwrite, dx, windows.map());
}

/// dK = Xᵀ dz. For each tap, the positions where it falls on the map are copied side by side.
#[inline(never)]
pub(crate) fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: &[F],
    how: Accumulate,
    gradient: &mut [F],
) {
    let (maps, filters) = (x.len() / windows.map(), gradient.len() / windows.window());
    let (channels, positions) = (windows.channels, windows.positions());
    let most = positions * maps;
    ready::<F>(&[(Buffer::Columns, most * BLOCK), (Buffer::Products, most * filters)]);
    tile::get_ready::<F>();
    let blocks = channels.div_ceil(BLOCK);
    let edge = |part: usize| (part / blocks * channels + part % blocks * BLOCK) * filters;
    in_parts(0..taps(windows) * blocks, 1, &edge, gradient, &|part, gradient: &mut [F]| {
        let (tap, first) = (part.start / blocks, part.start % blocks * BLOCK);
        let width = gradient.len() / filters;
        let (mut of_x, mut of_dz) = (Scratch::take(Buffer::Columns), Scratch::take(Buffer::Products));
        let (chosen_x, chosen_dz) = (of_x.first(most * width), of_dz.first(most * filters));
        let mut rows = 0;
        for position in 0..positions {
            let Some(at) = meet(windows, position, tap) else { continue };
            for (x, dz) in x.chunks_exact(windows.map()).zip(dz.chunks_exact(positions * filters)) {
                chosen_x[rows * width..][..width].copy_from_slice(&x[at * channels + first..][..width]);
                chosen_dz[rows * filters..][..filters].copy_from_slice(&dz[position * filters..][..filters]);
                rows += 1;
            }
        }
        let x = Matrix::new(&chosen_x[..rows * width], rows, width);
        let dz = Matrix::new(&chosen_dz[..rows * filters], rows, filters);
        tile::multiply(x.t(), dz, how, gradient);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::kernels::conv::kernel::PreparedKernel;
    use crate::kernels::naive;
    use crate::kernels::windows::{Padding, WindowLayout};
    use crate::tensor::rng;

    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = rng::stream(seed, rng::Purpose::GradientCheck, 0, 0);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// All three products against the plain loops.
    fn check(layout: WindowLayout, maps: usize, input: [usize; 3], filters: usize, seed: u64) {
        let Ok(windows) = layout.over(&input) else { return };
        let (x, kernel) = (random(maps * windows.map(), seed), random(windows.window() * filters, seed + 1));
        let dz = random(maps * windows.positions() * filters, seed + 2);
        let add_one = |y: &mut [f64]| y.iter_mut().for_each(|y| *y += 1.0);
        let mut y = vec![f64::NAN; dz.len()];
        forward(&x, &windows, ConvKernel::new(&kernel), &mut y, &add_one);
        // A kernel that is kept in panels gives the same bits.
        let panels = Some(filter_panels::lay_out(&kernel, filters));
        let (prepared, mut by_panels) = (PreparedKernel { tiles: None, panels }, vec![f64::NAN; dz.len()]);
        let with_panels = ConvKernel { weights: &kernel, prepared: Some(&prepared) };
        forward(&x, &windows, with_panels, &mut by_panels, &add_one);
        assert!(by_panels == y);
        let [mut dx, mut dk] = [vec![f64::NAN; x.len()], vec![f64::NAN; kernel.len()]];
        input_gradient(&dz, &windows, &kernel, &mut dx);
        weight_gradient(&x, &windows, &dz, Accumulate::Overwrite, &mut dk);
        let mut twice = dk.clone();
        weight_gradient(&x, &windows, &dz, Accumulate::Add, &mut twice);
        let (mut expected_y, meeting) = naive::convolve(&x, &windows, &kernel, (filters, 1));
        add_one(&mut expected_y);
        let expected_dk = naive::weight_gradient(&x, &windows, &dz, (filters, 1));
        let expected_twice = expected_dk.iter().map(|v| 2.0 * v).collect();
        let expected_dx = naive::input_gradient(&dz, &windows, &kernel, (filters, 1));
        for (got, expected) in
            [(y, expected_y), (dx, expected_dx), (dk, expected_dk), (twice, expected_twice)]
        {
            let close =
                got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10 * (1.0 + dz.len() as f64));
            assert!(close, "{layout:?} over {maps} of {input:?}, {filters} filters, seed {seed}");
        }
        assert_eq!(meetings(&windows) * maps * windows.channels * filters, meeting as usize);
        let all = 0..windows.positions();
        let met =
            all.flat_map(|position| (0..taps(&windows)).filter_map(move |tap| meet(&windows, position, tap)));
        assert_eq!(met.count(), meetings(&windows));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_same_as_a_product_of_windows(
            (maps, height, width, channels) in (1_usize..20, 1_usize..6, 1_usize..6, 1_usize..40),
            (filters, kernel) in (1_usize..60, (1_usize..6, 1_usize..6)),
            (stride, dilation) in ((1_usize..4, 1_usize..4), (1_usize..3, 1_usize..3)),
            padding in prop_oneof![Just(Padding::Same), (0_usize..4, 0_usize..4).prop_map(|(a, b)| Padding::from([a, b]))],
            seed in 0_u64..1000,
        ) {
            let pair = |(height, width)| Pair { height, width };
            let layout = WindowLayout {
                stride: pair(stride), dilation: pair(dilation), padding, ..WindowLayout::new(pair(kernel))
            };
            check(layout, maps, [height, width, channels], filters, seed);
        }
    }

    #[test]
    fn the_same_where_channels_and_filters_are_many() {
        let layout = |stride: usize| WindowLayout {
            stride: stride.into(),
            padding: Padding::from(1),
            ..WindowLayout::new(3)
        };
        check(layout(1), 33, [2, 2, 140], 100, 1);
        check(layout(2), 16, [4, 4, 130], 49, 2);
    }
}
