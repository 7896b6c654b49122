//! Pooling: the largest or the mean of every window, channel by channel.

use rayon::prelude::*;

use crate::kernels::elementwise::vectorised;
use crate::kernels::window::Windows;
use crate::scalar::Scalar;

/// Calls `f(tap, place)` for the taps of window (`row`, `column`) that lie in the map: which tap, and where in the map its
/// channels begin. Poolings have no dilation, so these are a rectangle of the window.
#[inline(always)]
fn for_each_tap(windows: &Windows, row: usize, column: usize, mut f: impl FnMut(usize, usize)) {
    let Windows { height, width, channels, kernel, stride, before, .. } = *windows;
    let along = |begin: usize, before: usize, kernel: usize, length: usize| {
        before.saturating_sub(begin)..kernel.min((length + before).saturating_sub(begin))
    };
    let (top, left) = (row * stride.height, column * stride.width);
    for u in along(top, before.height, kernel.height, height) {
        let line = (top + u - before.height) * width;
        for v in along(left, before.width, kernel.width, width) {
            f(u * kernel.width + v, (line + left + v - before.width) * channels);
        }
    }
}

/// Rows of output one thread works off at a time.
fn rows_at_a_time(windows: &Windows) -> usize {
    (8 * 1024 / (windows.out_width * windows.channels)).max(1)
}

/// The largest number of every window, and in `winners` which tap it was: the first of equals.
pub fn max_forward<F: Scalar>(x: &[F], windows: &Windows, y: &mut [F], winners: &mut [u32]) {
    let channels = windows.channels;
    let row = windows.out_width * channels;
    let chunk = rows_at_a_time(windows);
    let pieces = y.par_chunks_mut(chunk * row).zip(winners.par_chunks_mut(chunk * row)).enumerate();
    pieces.for_each(|(i, (y, winners))| {
        vectorised(
            #[inline(always)]
            || {
                let windows_of_row = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                for (position, (best, winner)) in windows_of_row.enumerate() {
                    let at = i * chunk + position / windows.out_width;
                    let map = &x[at / windows.out_height * windows.map()..][..windows.map()];
                    best.fill(F::neg_infinity());
                    for_each_tap(
                        windows,
                        at % windows.out_height,
                        position % windows.out_width,
                        |tap, place| {
                            largest(&map[place..][..channels], tap as u32, best, winner);
                        },
                    );
                }
            },
        );
    });
}

/// Keeps the larger numbers. A NaN is larger than all, so that it is passed on.
#[inline(always)]
fn largest<F: Scalar>(from: &[F], tap: u32, best: &mut [F], winner: &mut [u32]) {
    for ((&from, best), winner) in from.iter().zip(best).zip(winner) {
        let larger = from > *best || from.is_nan();
        *best = if larger { from } else { *best };
        *winner = if larger { tap } else { *winner };
    }
}

/// The gradient with respect to the map: each window's goes to its largest number.
pub fn max_backward<F: Scalar>(dy: &[F], windows: &Windows, winners: &[u32], dx: &mut [F]) {
    let of_map = windows.positions() * windows.channels;
    let maps = dx.par_chunks_mut(windows.map()).zip(dy.par_chunks(of_map)).zip(winners.par_chunks(of_map));
    let once = windows.cover_once();
    maps.for_each(|((dx, dy), winners)| {
        if !once {
            dx.fill(F::zero());
        }
        vectorised(
            #[inline(always)]
            || {
                let windows_of_map =
                    dy.chunks_exact(windows.channels).zip(winners.chunks_exact(windows.channels));
                for (position, (dy, winners)) in windows_of_map.enumerate() {
                    let (row, column) = (position / windows.out_width, position % windows.out_width);
                    for_each_tap(windows, row, column, |tap, place| {
                        let to = &mut dx[place..][..windows.channels];
                        for ((dx, &dy), &winner) in to.iter_mut().zip(dy).zip(winners) {
                            let share = if winner == tap as u32 { dy } else { F::zero() };
                            *dx = if once { share } else { *dx + share };
                        }
                    });
                }
            },
        );
    });
}

/// What the sum over a window is divided by: all of its numbers that lie in the map, or also those that lie
/// in the padding.
fn divisor(windows: &Windows, with_padding: bool, row: usize, column: usize) -> usize {
    if !with_padding {
        let mut count = 0;
        for_each_tap(windows, row, column, |_, _| count += 1);
        return count;
    }
    let along = |begin: usize, kernel: usize, padded: usize| kernel.min(padded - begin);
    let height = windows.height + windows.before.height + windows.after.height;
    let width = windows.width + windows.before.width + windows.after.width;
    along(row * windows.stride.height, windows.kernel.height, height)
        * along(column * windows.stride.width, windows.kernel.width, width)
}

/// The mean of every window.
pub fn mean_forward<F: Scalar>(x: &[F], windows: &Windows, with_padding: bool, y: &mut [F]) {
    let channels = windows.channels;
    let maps = y.par_chunks_mut(windows.positions() * channels).zip(x.par_chunks(windows.map()));
    maps.for_each(|(y, map)| {
        vectorised(
            #[inline(always)]
            || {
                for (position, sum) in y.chunks_exact_mut(channels).enumerate() {
                    let (row, column) = (position / windows.out_width, position % windows.out_width);
                    sum.fill(F::zero());
                    for_each_tap(windows, row, column, |_, place| {
                        let from = &map[place..][..channels];
                        sum.iter_mut().zip(from).for_each(|(sum, &x)| *sum += x);
                    });
                    let count = F::from_f64(divisor(windows, with_padding, row, column) as f64);
                    sum.iter_mut().for_each(|sum| *sum /= count);
                }
            },
        );
    });
}

/// The gradient with respect to the map: each window's in equal parts.
pub fn mean_backward<F: Scalar>(dy: &[F], windows: &Windows, with_padding: bool, dx: &mut [F]) {
    let channels = windows.channels;
    let maps = dx.par_chunks_mut(windows.map()).zip(dy.par_chunks(windows.positions() * channels));
    maps.for_each(|(dx, dy)| {
        dx.fill(F::zero());
        vectorised(
            #[inline(always)]
            || {
                for (position, dy) in dy.chunks_exact(channels).enumerate() {
                    let (row, column) = (position / windows.out_width, position % windows.out_width);
                    let share = F::one() / F::from_f64(divisor(windows, with_padding, row, column) as f64);
                    for_each_tap(windows, row, column, |_, place| {
                        let to = &mut dx[place..][..channels];
                        to.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += share * dy);
                    });
                }
            },
        );
    });
}
