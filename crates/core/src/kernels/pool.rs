//! Pooling: the largest or the mean of every window, channel by channel.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::elementwise::vectorised;
use crate::kernels::parts::in_pieces;
use crate::kernels::window::Windows;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch, ready};

/// The taps of a window that lie in the map: a rectangle of the window.
pub struct Taps {
    /// The number of the first one.
    pub(super) first: u32,
    /// Where its channels begin in the map.
    place: usize,
    rows: usize,
    columns: usize,
    /// How many taps the one below is further on: the width of the window.
    taps_down: usize,
    /// How far below its channels begin.
    down: usize,
    /// How far to the right those of the next tap do.
    right: usize,
}

impl Taps {
    /// Of the window at a row and a column of output, with the taps that lie in rows of the map.
    #[inline(always)]
    fn of(windows: &Windows, (row, down): (usize, &Range<usize>), column: usize) -> Self {
        let Windows { width, channels, kernel, stride, dilation, before, .. } = *windows;
        let right = windows.taps_across(column);
        let top = row * stride.height + down.start * dilation.height - before.height;
        let left = column * stride.width + right.start * dilation.width - before.width;
        Self {
            first: (down.start * kernel.width + right.start) as u32,
            place: (top * width + left) * channels,
            rows: down.len(),
            columns: right.len(),
            taps_down: kernel.width,
            down: dilation.height * width * channels,
            right: dilation.width * channels,
        }
    }

    /// Calls `f(tap, place)` for each: which tap, and where in the map its channels begin.
    #[inline(always)]
    pub(super) fn for_each(&self, mut f: impl FnMut(u32, usize)) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                f(
                    self.first + (row * self.taps_down + column) as u32,
                    self.place + row * self.down + column * self.right,
                );
            }
        }
    }

    /// Where the numbers of each row of taps lie in the map, where windows are not spread: side by side.
    #[inline(always)]
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let (place, down, length) = (self.place, self.down, self.columns * self.right);
        (0..self.rows).map(
            #[inline(always)]
            move |row| place + row * down..place + row * down + length,
        )
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

impl<F: Scalar> WithSimd for Largest<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, windows, first_row, y, winners } = self;
        let Windows { channels, out_height, out_width, .. } = *windows;
        let rows =
            y.chunks_exact_mut(out_width * channels).zip(winners.chunks_exact_mut(out_width * channels));
        for (at, (y, winners)) in (first_row..).zip(rows) {
            let map = &x[at / out_height * windows.map()..][..windows.map()];
            let windows_of_row = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
            let row = at % out_height;
            let down = windows.taps_down(row);
            for (column, (best, winner)) in windows_of_row.enumerate() {
                let taps = Taps::of(windows, (row, &down), column);
                let done = F::keep_larger(simd, map, &taps, best, winner);
                for (c, (best, winner)) in best.iter_mut().zip(winner).enumerate().skip(done) {
                    (*best, *winner) = (F::neg_infinity(), taps.first);
                    taps.for_each(|tap, place| {
                        let number = map[place + c];
                        if number > *best || number.is_nan() {
                            (*best, *winner) = (number, tap);
                        }
                    });
                }
            }
        }
    }
}

/// A number of the map that lies in more windows than this gets the sum of their gradients in `f64`.
const MANY_WINDOWS: usize = 64;

/// Whether sums of gradients are made in `f64`, though the numbers are of another type.
fn sums_are_wider<F>(windows: &Windows) -> bool {
    size_of::<F>() < size_of::<f64>() && windows.most_over_a_number() > MANY_WINDOWS
}

/// `backward` in `f64`, map by map.
fn in_f64<F: Scalar>(
    dy: &[F],
    windows: &Windows,
    dx: &mut [F],
    backward: impl Fn(usize, &[f64], &mut [f64]) + Sync,
) {
    let of_map = windows.positions() * windows.channels;
    ready::<f64>(&[(Purpose::Columns, of_map), (Purpose::Sums, windows.map())]);
    in_pieces(dx, windows.map(), &|map, dx| {
        let dy = &dy[map * of_map..][..of_map];
        let (mut of_dy, mut of_dx) = (Scratch::take(Purpose::Columns), Scratch::take(Purpose::Sums));
        let (wide_dy, wide_dx) = (of_dy.first(of_map), of_dx.first(windows.map()));
        wide_dy.iter_mut().zip(dy).for_each(|(wide, dy)| *wide = dy.as_f64());
        backward(map, wide_dy, wide_dx);
        dx.iter_mut().zip(&*wide_dx).for_each(|(dx, &wide)| *dx = F::from_f64(wide));
    });
}

/// The gradient with respect to the map: each window's goes to its largest number.
#[inline(never)]
pub fn max_backward<F: Scalar>(dy: &[F], windows: &Windows, winners: &[u32], dx: &mut [F]) {
    if sums_are_wider::<F>(windows) {
        let of_map = windows.positions() * windows.channels;
        return in_f64(dy, windows, dx, |map, dy, dx| {
            max_backward(dy, windows, &winners[map * of_map..][..of_map], dx);
        });
    }
    let of_map = windows.positions() * windows.channels;
    let once = windows.cover_once();
    in_pieces(dx, windows.map(), &|map, dx| {
        let (dy, winners) = (&dy[map * of_map..][..of_map], &winners[map * of_map..][..of_map]);
        if !once {
            dx.fill(F::zero());
        }
        Arch::new().dispatch(ToLargest { dy, windows, winners, once, dx });
    });
}

/// The gradient of a map under a max pooling, to be written where windows cover it once, and to be added to elsewhere.
struct ToLargest<'a, F> {
    dy: &'a [F],
    windows: &'a Windows,
    winners: &'a [u32],
    once: bool,
    dx: &'a mut [F],
}

impl<F: Scalar> WithSimd for ToLargest<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dy, windows, winners, once, dx } = self;
        let Windows { channels, out_width, .. } = *windows;
        let rows = dy.chunks_exact(out_width * channels).zip(winners.chunks_exact(out_width * channels));
        for (row, (dy, winners)) in rows.enumerate() {
            let windows_of_row = dy.chunks_exact(channels).zip(winners.chunks_exact(channels));
            let down = windows.taps_down(row);
            for (column, (dy, winners)) in windows_of_row.enumerate() {
                let taps = Taps::of(windows, (row, &down), column);
                let done = F::give_to_winner(simd, dy, winners, &taps, once, dx);
                for (c, (&dy, &winner)) in dy.iter().zip(winners).enumerate().skip(done) {
                    taps.for_each(|tap, place| {
                        let share = if winner == tap { dy } else { F::zero() };
                        let dx = &mut dx[place + c];
                        *dx = if once { share } else { *dx + share };
                    });
                }
            }
        }
    }
}

/// What the sum over a window is divided by: all of its numbers that lie in the map, or also those that lie
/// in the padding.
#[inline(always)]
fn divisor(windows: &Windows, taps: &Taps, with_padding: bool, row: usize, column: usize) -> f64 {
    if !with_padding {
        return (taps.rows * taps.columns) as f64;
    }
    let along = |begin: usize, kernel: usize, padded: usize| kernel.min(padded - begin);
    let height = windows.height + windows.before.height + windows.after.height;
    let width = windows.width + windows.before.width + windows.after.width;
    let rows = along(row * windows.stride.height, windows.kernel.height, height);
    (rows * along(column * windows.stride.width, windows.kernel.width, width)) as f64
}

/// Taps in a row that are added up before their sum becomes an `f64`, in windows of more taps than that.
const TAPS_AT_A_TIME: usize = 16;

/// The mean of every window.
#[inline(never)]
pub fn mean_forward<F: Scalar>(x: &[F], windows: &Windows, with_padding: bool, y: &mut [F]) {
    let channels = windows.channels;
    let large = windows.kernel.height * windows.kernel.width > TAPS_AT_A_TIME;
    if large {
        ready::<f64>(&[(Purpose::Sums, channels)]);
    }
    in_pieces(y, windows.positions() * channels, &|i, y| {
        let map = &x[i * windows.map()..][..windows.map()];
        if large {
            let mut scratch = Scratch::take(Purpose::Sums);
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

/// Calls `mean` with the taps of every window of a map, what the sum over them is divided by, and where to put that.
#[inline(always)]
fn each_mean<F: Scalar>(
    windows: &Windows,
    with_padding: bool,
    y: &mut [F],
    mut mean: impl FnMut(&Taps, f64, &mut [F]),
) {
    for (row, y) in y.chunks_exact_mut(windows.out_width * windows.channels).enumerate() {
        let down = windows.taps_down(row);
        for (column, y) in y.chunks_exact_mut(windows.channels).enumerate() {
            let taps = Taps::of(windows, (row, &down), column);
            mean(&taps, divisor(windows, &taps, with_padding, row, column), y);
        }
    }
}

#[inline(always)]
fn mean_of_few<F: Scalar>(map: &[F], taps: &Taps, count: f64, mean: &mut [F]) {
    mean.fill(F::zero());
    for run in taps.runs() {
        map[run].chunks_exact(mean.len()).for_each(|from| add_to(mean, from));
    }
    let count = F::from_f64(count);
    mean.iter_mut().for_each(|mean| *mean /= count);
}

/// Some taps at a time are added up in `mean`, and those sums in `f64`.
#[inline(always)]
fn mean_of_many<F: Scalar>(map: &[F], taps: &Taps, count: f64, sums: &mut [f64], mean: &mut [F]) {
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

/// The gradient with respect to the map: each window's in equal parts.
#[inline(never)]
pub fn mean_backward<F: Scalar>(dy: &[F], windows: &Windows, with_padding: bool, dx: &mut [F]) {
    if sums_are_wider::<F>(windows) {
        return in_f64(dy, windows, dx, |_, dy, dx| mean_backward(dy, windows, with_padding, dx));
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
                        let taps = Taps::of(windows, (row, &down), column);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::window::{Layout, Padding, Rounding};

    /// Largest numbers, winners, and the gradient where dL/dy is 1, 2, 3, ...
    fn pooled<F: Scalar>(numbers: &[f32], windows: &Windows) -> (Vec<f64>, Vec<u32>, Vec<f64>) {
        let x: Vec<F> = numbers.iter().map(|&v| F::from_f64(v.into())).collect();
        let count = x.len() / windows.map() * windows.positions() * windows.channels;
        let (mut y, mut winners) = (vec![F::zero(); count], vec![0; count]);
        max_forward(&x, windows, &mut y, &mut winners);
        let dy: Vec<F> = (1..=count).map(|v| F::from_f64(v as f64)).collect();
        let mut dx = vec![F::one(); x.len()];
        max_backward(&dy, windows, &winners, &mut dx);
        let wide = |numbers: Vec<F>| numbers.into_iter().map(|v| v.to_f64().expect("a float")).collect();
        (wide(y), winners, wide(dx))
    }

    proptest! {
        /// In `f64` there are no vectors. Few different numbers, so that many are equal.
        #[test]
        fn vectors_choose_as_single_numbers_do(
            map in (1..9_usize, 1..9_usize, 1..40_usize),
            kernel in [1..5_usize, 1..5_usize],
            (stride, dilation) in ([1..5_usize, 1..5_usize], [1..4_usize, 1..4_usize]),
            padded in any::<bool>(),
            numbers in proptest::collection::vec(
                prop_oneof![8 => -2..3_i8, 1 => Just(i8::MIN), 1 => Just(i8::MAX)], 2 * 8 * 8 * 39),
        ) {
            let padding = if padded { Padding::Same } else { Padding::Valid };
            let layout = Layout {
                stride: stride.into(),
                dilation: dilation.into(),
                padding,
                rounding: Rounding::Ceil,
                ..Layout::new(kernel)
            };
            if let Ok(windows) = layout.over(&[map.0, map.1, map.2]) {
                let numbers = numbers.iter().map(|&v| match v {
                    i8::MIN => f32::NEG_INFINITY,
                    i8::MAX => f32::NAN,
                    v => v.into(),
                });
                let numbers: Vec<f32> = numbers.take(2 * windows.map()).collect();
                let (y, winners, dx) = pooled::<f32>(&numbers, &windows);
                let expected = pooled::<f64>(&numbers, &windows);
                prop_assert_eq!(winners, expected.1);
                prop_assert!(y.iter().zip(&expected.0).all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
                prop_assert_eq!(dx, expected.2);
            }
        }
    }
}
