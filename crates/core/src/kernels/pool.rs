//! Pooling: the largest or the mean of every window, channel by channel.

use pulp::{Arch, Simd, WithSimd};
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
#[inline(never)]
pub fn max_forward<F: Scalar>(x: &[F], windows: &Windows, y: &mut [F], winners: &mut [u32]) {
    let row = windows.out_width * windows.channels;
    let chunk = rows_at_a_time(windows);
    let pieces = y.par_chunks_mut(chunk * row).zip(winners.par_chunks_mut(chunk * row)).enumerate();
    pieces.for_each(|(i, (y, winners))| {
        Arch::new().dispatch(Largest { x, windows, first_row: i * chunk, y, winners });
    });
}

/// Rows of output of a max pooling.
struct Largest<'a, F> {
    x: &'a [F],
    windows: &'a Windows,
    first_row: usize,
    y: &'a mut [F],
    winners: &'a mut [u32],
}

/// Taps that are compared at once: each result is written once for them all.
const AT_ONCE: usize = 4;

impl<F: Scalar> WithSimd for Largest<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, windows, first_row, y, winners } = self;
        let channels = windows.channels;
        let windows_of_rows = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
        for (position, (best, winner)) in windows_of_rows.enumerate() {
            let at = first_row + position / windows.out_width;
            let map = &x[at / windows.out_height * windows.map()..][..windows.map()];
            let (mut taps, mut count) = ([(0, 0); AT_ONCE], 0);
            for_each_tap(
                windows,
                at % windows.out_height,
                position % windows.out_width,
                #[inline(always)]
                |tap, place| {
                    if count > 0 && count % AT_ONCE == 0 {
                        largest(simd, map, taps, count == AT_ONCE, best, winner);
                    }
                    // What is left of a round is this tap again, which changes nothing.
                    taps[count % AT_ONCE..].fill((tap as u32, place));
                    count += 1;
                },
            );
            largest(simd, map, taps, count <= AT_ONCE, best, winner);
        }
    }
}

/// The largest numbers of some taps (which, and where its channels begin), and of what there is unless these are the `first`. A NaN is
/// larger than all, so that it is passed on.
#[inline(always)]
fn largest<S: Simd, F: Scalar>(
    simd: S,
    map: &[F],
    taps: [(u32, usize); AT_ONCE],
    first: bool,
    best: &mut [F],
    winner: &mut [u32],
) {
    let from = taps.map(
        #[inline(always)]
        |(_, place)| &map[place..][..best.len()],
    );
    let taps = taps.map(
        #[inline(always)]
        |(tap, _)| tap,
    );
    let done = F::keep_larger(simd, from, taps, first, best, winner);
    for (c, (best, winner)) in best.iter_mut().zip(winner).enumerate().skip(done) {
        let (mut largest, mut which) = if first { (from[0][c], taps[0]) } else { (*best, *winner) };
        for (from, tap) in from.iter().zip(taps) {
            if from[c] > largest || from[c].is_nan() {
                (largest, which) = (from[c], tap);
            }
        }
        (*best, *winner) = (largest, which);
    }
}

/// The gradient with respect to the map: each window's goes to its largest number.
#[inline(never)]
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
                    for_each_tap(
                        windows,
                        row,
                        column,
                        #[inline(always)]
                        |tap, place| {
                            let to = &mut dx[place..][..windows.channels];
                            for ((dx, &dy), &winner) in to.iter_mut().zip(dy).zip(winners) {
                                let share = if winner == tap as u32 { dy } else { F::zero() };
                                *dx = if once { share } else { *dx + share };
                            }
                        },
                    );
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
#[inline(never)]
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
                    for_each_tap(
                        windows,
                        row,
                        column,
                        #[inline(always)]
                        |_, place| {
                            let from = &map[place..][..channels];
                            sum.iter_mut().zip(from).for_each(|(sum, &x)| *sum += x);
                        },
                    );
                    let count = F::from_f64(divisor(windows, with_padding, row, column) as f64);
                    sum.iter_mut().for_each(|sum| *sum /= count);
                }
            },
        );
    });
}

/// The gradient with respect to the map: each window's in equal parts.
#[inline(never)]
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
                    for_each_tap(
                        windows,
                        row,
                        column,
                        #[inline(always)]
                        |_, place| {
                            let to = &mut dx[place..][..channels];
                            to.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += share * dy);
                        },
                    );
                }
            },
        );
    });
}
