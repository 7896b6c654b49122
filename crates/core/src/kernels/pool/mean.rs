//! Average pooling: the mean of every window, channel by channel.

use crate::kernels::buffers::Buffer;
use crate::kernels::parts::in_pieces;
use crate::kernels::pool::taps::WindowTaps;
use crate::kernels::pool::wide::{in_f64, sums_are_wider};
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::simd::vectorised;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// The divisor of the sum over a window: the number of its taps in the map, or in the map and the padding.
#[inline(always)]
fn divisor(windows: &Windows, taps: &WindowTaps, with_padding: bool, row: usize, column: usize) -> f64 {
    if !with_padding {
        return (taps.rows * taps.columns) as f64;
    }
    let along = |begin: usize, kernel: usize, padded: usize| kernel.min(padded - begin);
    let height = windows.height + windows.before.height + windows.after.height;
    let width = windows.width + windows.before.width + windows.after.width;
    let rows = along(row * windows.stride.height, windows.kernel.height, height);
    (rows * along(column * windows.stride.width, windows.kernel.width, width)) as f64
}

/// Taps in a row that are added before their sum becomes an `f64`, in windows of more taps than this.
const TAPS_AT_A_TIME: usize = 16;

/// The mean of every window.
#[inline(never)]
pub fn forward<F: Scalar>(x: &[F], windows: &Windows, with_padding: bool, y: &mut [F]) {
    let channels = windows.channels;
    let large = windows.kernel.height * windows.kernel.width > TAPS_AT_A_TIME;
    if large {
        ready::<f64>(&[(Buffer::Sums, channels)]);
    }
    in_pieces(y, windows.positions() * channels, &|i, y| {
        let map = &x[i * windows.map()..][..windows.map()];
        if large {
            let mut scratch = Scratch::take(Buffer::Sums);
            let sums = scratch.first(channels);
            vectorised(
                #[inline(always)]
                || {
                    each_mean(
                        windows,
                        with_padding,
                        y,
                        #[inline(always)]
                        |taps, count, mean| mean_of_many(map, taps, count, sums, mean),
                    );
                },
            );
        } else {
            vectorised(
                #[inline(always)]
                || {
                    each_mean(
                        windows,
                        with_padding,
                        y,
                        #[inline(always)]
                        |taps, count, mean| mean_of_few(map, taps, count, mean),
                    );
                },
            );
        }
    });
}

/// Calls `mean` with the taps of every window of a map, the divisor of their sum, and the place of the mean.
#[inline(always)]
fn each_mean<F: Scalar>(
    windows: &Windows,
    with_padding: bool,
    y: &mut [F],
    mut mean: impl FnMut(&WindowTaps, f64, &mut [F]),
) {
    for (row, y) in y.chunks_exact_mut(windows.out_width * windows.channels).enumerate() {
        let down = windows.taps_down(row);
        for (column, y) in y.chunks_exact_mut(windows.channels).enumerate() {
            let taps = WindowTaps::of(windows, (row, &down), column);
            mean(&taps, divisor(windows, &taps, with_padding, row, column), y);
        }
    }
}

#[inline(always)]
fn mean_of_few<F: Scalar>(map: &[F], taps: &WindowTaps, count: f64, mean: &mut [F]) {
    mean.fill(F::zero());
    for run in taps.runs() {
        map[run].chunks_exact(mean.len()).for_each(|from| add_to(mean, from));
    }
    let count = F::from_f64(count);
    mean.iter_mut().for_each(|mean| *mean /= count);
}

/// Some taps at a time are added up in `mean`, and those sums in `f64`.
#[inline(always)]
fn mean_of_many<F: Scalar>(map: &[F], taps: &WindowTaps, count: f64, sums: &mut [f64], mean: &mut [F]) {
    let channels = mean.len();
    sums.fill(0.0);
    for run in taps.runs() {
        for some in map[run].chunks(TAPS_AT_A_TIME * channels) {
            mean.fill(F::zero());
            some.chunks_exact(channels).for_each(|from| add_to(mean, from));
            sums.iter_mut().zip(&*mean).for_each(|(sum, mean)| *sum += mean.as_f64());
        }
    }
    let share = 1.0 / count;
    mean.iter_mut().zip(&*sums).for_each(|(mean, sum)| *mean = F::from_f64(sum * share));
}

#[inline(always)]
fn add_to<F: Scalar>(sums: &mut [F], from: &[F]) {
    sums.iter_mut().zip(from).for_each(|(sum, &x)| *sum += x);
}

/// The input gradient: each number of a window gets an equal share of the window's gradient.
#[inline(never)]
pub fn backward<F: Scalar>(dy: &[F], windows: &Windows, with_padding: bool, dx: &mut [F]) {
    if sums_are_wider::<F>(windows) {
        return in_f64(dy, windows, dx, |_, dy, dx| backward(dy, windows, with_padding, dx));
    }
    let channels = windows.channels;
    let of_map = windows.positions() * channels;
    in_pieces(dx, windows.map(), &|map, dx| {
        let dy = &dy[map * of_map..][..of_map];
        dx.fill(F::zero());
        vectorised(
            #[inline(always)]
            || {
                for (row, dy) in dy.chunks_exact(windows.out_width * channels).enumerate() {
                    let down = windows.taps_down(row);
                    for (column, dy) in dy.chunks_exact(channels).enumerate() {
                        let taps = WindowTaps::of(windows, (row, &down), column);
                        let count = divisor(windows, &taps, with_padding, row, column);
                        let share = F::one() / F::from_f64(count);
                        for run in taps.runs() {
                            for to in dx[run].chunks_exact_mut(channels) {
                                to.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += share * dy);
                            }
                        }
                    }
                }
            },
        );
    });
}
