//! The products of a depthwise convolution: every filter reads one channel. The kernel is `[kernel height, kernel width, 1, filters]`, and filter f
//! reads channel f / times, where `times` is the number of filters of a channel (A. Howard et al., "MobileNets", 2017, section 3.1).
//!
//! Such a product has few multiplications for a number that is read, so it takes the time that memory takes. Sums of some channels side by side stay in
//! registers over all taps of a window. Where a channel has several filters, a map with its channels repeated is read.

use std::ops::Range;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::rotated::rotated;
use crate::kernels::parts::in_pieces;
use crate::kernels::pool::taps::WindowTaps;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::simd::vectorised;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Outputs in a piece of the forward product.
const PIECE: usize = 16 * 1024;
/// Parts of a sum over all outputs, for any number of threads.
const PARTS: usize = 8;
/// Terms that are added before their sum becomes an `f64`.
const TERMS_AT_A_TIME: usize = 64;

/// y, piece by piece of rows of output; `finish` is applied to rows of y while they are in the cache.
#[inline(never)]
pub(crate) fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: &[F],
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let maps = Maps::new(x, windows, kernel.len() / taps(windows));
    let line = windows.out_width * maps.filters();
    let rows = if maps.times == 1 { (PIECE / line).max(1) } else { windows.out_height };
    maps.get_ready();
    in_pieces(y, rows * line, &|i, y| {
        let lines = i * rows..i * rows + y.len() / line;
        maps.for_each(lines.clone(), |map, first, rows| {
            let y = &mut y[(first - lines.start) * line..][..rows.len() * line];
            convolve(map, &maps.windows, kernel, rows, y);
        });
        finish(y);
    });
}

/// dK. The sums of the parts of a batch are added in order.
#[inline(never)]
pub(crate) fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: &[F],
    how: Accumulate,
    gradient: &mut [F],
) {
    let maps = Maps::new(x, windows, gradient.len() / taps(windows));
    let line = windows.out_width * maps.filters();
    let rows = dz.len() / line;
    let of_part = if maps.times == 1 {
        rows.div_ceil(PARTS)
    } else {
        rows.div_ceil(PARTS * windows.out_height) * windows.out_height
    };
    maps.get_ready();
    let mut scratch = Scratch::<f64>::take(Buffer::BiasSums);
    let sums = scratch.first(rows.div_ceil(of_part) * gradient.len());
    in_pieces(sums, gradient.len(), &|part, sums| {
        sums.fill(0.0);
        let lines = part * of_part..rows.min((part + 1) * of_part);
        maps.for_each(lines, |map, first, rows| {
            let dz = &dz[first * line..][..rows.len() * line];
            vectorised(
                #[inline(always)]
                || add_products(map, &maps.windows, dz, rows, sums),
            );
        });
    });
    for (i, gradient) in gradient.iter_mut().enumerate() {
        let start = if how == Accumulate::Add { gradient.as_f64() } else { 0.0 };
        let parts = sums.iter().skip(i).step_by(maps.filters() * taps(windows));
        *gradient = F::from_f64(start + parts.sum::<f64>());
    }
}

/// Overwrites dx, map by map. With stride 1 it is the forward product of dz with the rotated kernel.
#[inline(never)]
pub(crate) fn input_gradient<F: Scalar>(dz: &[F], windows: &Windows, kernel: &[F], dx: &mut [F]) {
    let filters = kernel.len() / taps(windows);
    let times = filters / windows.channels;
    let repeated = Windows { channels: filters, ..*windows };
    let of_map = windows.positions() * filters;
    let back = rotated(windows, filters);
    let mut scratch = Scratch::take(Buffer::Shared);
    let rotated_kernel = scratch.first(kernel.len());
    for (to, from) in rotated_kernel.chunks_exact_mut(filters).zip(kernel.rchunks_exact(filters)) {
        to.copy_from_slice(from);
    }
    let rotated_kernel = &*rotated_kernel;
    if times > 1 {
        ready::<F>(&[(Buffer::Strips, repeated.map())]);
    }
    in_pieces(dx, windows.map(), &|map, dx| {
        let dz = &dz[map * of_map..][..of_map];
        let gradient = |to: &mut [F]| match &back {
            Some(back) => convolve(dz, back, rotated_kernel, 0..windows.height, to),
            None => scatter(dz, &repeated, kernel, to),
        };
        if times == 1 {
            return gradient(dx);
        }
        let mut scratch = Scratch::take(Buffer::Strips);
        let of_filters = scratch.first(repeated.map());
        gradient(of_filters);
        for (dx, of_filters) in dx.iter_mut().zip(of_filters.chunks_exact(times)) {
            *dx = of_filters.iter().fold(F::zero(), |sum, &v| sum + v);
        }
    });
}

fn taps(windows: &Windows) -> usize {
    windows.kernel.height * windows.kernel.width
}

/// Maps whose channels are read as many times as a channel has filters.
struct Maps<'a, F> {
    x: &'a [F],
    /// Over the maps with their channels repeated.
    windows: Windows,
    times: usize,
}

impl<'a, F: Scalar> Maps<'a, F> {
    fn new(x: &'a [F], windows: &Windows, filters: usize) -> Self {
        Self { x, windows: Windows { channels: filters, ..*windows }, times: filters / windows.channels }
    }

    fn filters(&self) -> usize {
        self.windows.channels
    }

    /// Makes room for a repeated map in the buffers of every thread.
    fn get_ready(&self) {
        if self.times > 1 {
            ready::<F>(&[(Buffer::Strips, self.windows.map())]);
        }
    }

    /// Calls `work(map, first line, rows)` for the maps that these lines of output belong to, counted over the batch: with a map, and the
    /// rows of its output, the first of which is that line.
    fn for_each(&self, lines: Range<usize>, mut work: impl FnMut(&[F], usize, Range<usize>)) {
        let Self { x, ref windows, times } = *self;
        let (height, of_map) = (windows.out_height, windows.map() / times);
        let mut first = lines.start;
        while first < lines.end {
            let (map, row) = (first / height, first % height);
            let end = height.min(row + lines.end - first);
            let of_x = &x[map * of_map..][..of_map];
            if times == 1 {
                work(of_x, first, row..end);
            } else {
                let mut scratch = Scratch::take(Buffer::Strips);
                let repeated = scratch.first(windows.map());
                repeated.chunks_exact_mut(times).zip(of_x).for_each(|(to, &x)| to.fill(x));
                work(repeated, first, row..end);
            }
            first += end - row;
        }
    }
}

/// Some channels side by side, whose sums stay in registers.
trait Block {
    /// The channels `at..at + N`.
    fn channels<const N: usize>(&mut self, at: usize);
}

/// Calls `block` for all channels: as many at a time as fill the registers, then fewer.
#[inline(always)]
fn in_blocks(channels: usize, block: &mut impl Block) {
    let mut at = 0;
    while at + 32 <= channels {
        block.channels::<32>(at);
        at += 32;
    }
    while at + 8 <= channels {
        block.channels::<8>(at);
        at += 8;
    }
    while at < channels {
        block.channels::<1>(at);
        at += 1;
    }
}

/// Some rows of output of a map.
#[inline(never)]
fn convolve<F: Scalar>(map: &[F], windows: &Windows, kernel: &[F], rows: Range<usize>, y: &mut [F]) {
    let channels = windows.channels;
    vectorised(
        #[inline(always)]
        || {
            for (row, y) in rows.zip(y.chunks_exact_mut(windows.out_width * channels)) {
                let down = windows.taps_down(row);
                for (column, y) in y.chunks_exact_mut(channels).enumerate() {
                    let taps = WindowTaps::of(windows, (row, &down), column);
                    in_blocks(channels, &mut Window { map, kernel, taps, y });
                }
            }
        },
    );
}

/// A window, and its output.
struct Window<'a, F> {
    map: &'a [F],
    kernel: &'a [F],
    taps: WindowTaps,
    y: &'a mut [F],
}

impl<F: Scalar> Block for Window<'_, F> {
    #[inline(always)]
    fn channels<const N: usize>(&mut self, at: usize) {
        let channels = self.y.len();
        let mut sums = [F::zero(); N];
        self.taps.for_each(
            #[inline(always)]
            |tap, place| {
                let (x, k) =
                    (&self.map[place + at..][..N], &self.kernel[tap as usize * channels + at..][..N]);
                for i in 0..N {
                    sums[i] = x[i].mul_add(k[i], sums[i]);
                }
            },
        );
        self.y[at..at + N].copy_from_slice(&sums);
    }
}

/// Adds to `sums` the kernel's gradient from some rows of output of a map.
#[inline(always)]
fn add_products<F: Scalar>(map: &[F], windows: &Windows, dz: &[F], rows: Range<usize>, sums: &mut [f64]) {
    let Windows { width, channels, kernel, .. } = *windows;
    for (row, dz) in rows.zip(dz.chunks_exact(windows.out_width * channels)) {
        for tap_down in windows.taps_down(row) {
            let line =
                row * windows.stride.height + tap_down * windows.dilation.height - windows.before.height;
            let map = &map[line * width * channels..][..width * channels];
            for tap_across in 0..kernel.width {
                let tap = tap_down * kernel.width + tap_across;
                let sums = &mut sums[tap * channels..][..channels];
                in_blocks(channels, &mut Tap { map, windows, dz, tap_across, sums });
            }
        }
    }
}

/// A tap of the windows of a row of output: the row of the map that it falls on, and the row of dz.
struct Tap<'a, F> {
    map: &'a [F],
    windows: &'a Windows,
    dz: &'a [F],
    tap_across: usize,
    sums: &'a mut [f64],
}

impl<F: Scalar> Block for Tap<'_, F> {
    #[inline(always)]
    fn channels<const N: usize>(&mut self, at: usize) {
        let Windows { channels, stride, .. } = *self.windows;
        let (positions, first) = positions_across(self.windows, self.tap_across);
        for some in positions.clone().step_by(TERMS_AT_A_TIME) {
            let mut sums = [F::zero(); N];
            for position in some..positions.end.min(some + TERMS_AT_A_TIME) {
                let column = first + (position - positions.start) * stride.width;
                let (x, dz) =
                    (&self.map[column * channels + at..][..N], &self.dz[position * channels + at..][..N]);
                for i in 0..N {
                    sums[i] = x[i].mul_add(dz[i], sums[i]);
                }
            }
            self.sums[at..at + N].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum.as_f64());
        }
    }
}

/// The positions in a row of output whose windows have this tap in the map, and the column that it falls on in the first of them.
#[inline(always)]
fn positions_across(windows: &Windows, tap: usize) -> (Range<usize>, usize) {
    let (stride, before, shift) = (windows.stride.width, windows.before.width, tap * windows.dilation.width);
    let from = before.saturating_sub(shift).div_ceil(stride);
    let to = (windows.width + before).saturating_sub(shift).div_ceil(stride).min(windows.out_width);
    (from.min(to)..to, (from * stride + shift).saturating_sub(before))
}

/// dx of a map: each number of dz, times the kernel, is added where its window lies.
#[inline(never)]
fn scatter<F: Scalar>(dz: &[F], windows: &Windows, kernel: &[F], dx: &mut [F]) {
    let channels = windows.channels;
    vectorised(
        #[inline(always)]
        || {
            dx.fill(F::zero());
            for (row, dz) in dz.chunks_exact(windows.out_width * channels).enumerate() {
                let down = windows.taps_down(row);
                for (column, dz) in dz.chunks_exact(channels).enumerate() {
                    WindowTaps::of(windows, (row, &down), column).for_each(
                        #[inline(always)]
                        |tap, place| {
                            let kernel = &kernel[tap as usize * channels..][..channels];
                            let to = dx[place..place + channels].iter_mut();
                            to.zip(dz).zip(kernel).for_each(|((dx, &dz), &k)| *dx = dz.mul_add(k, *dx));
                        },
                    );
                }
            }
        },
    );
}
