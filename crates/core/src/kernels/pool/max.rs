//! Max pooling: the largest number of every window, channel by channel.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::parts::in_pieces;
use crate::kernels::pool::taps::WindowTaps;
use crate::kernels::pool::wide::{in_f64, sums_are_wider};
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Rows of output in a piece of work.
fn rows_at_a_time(windows: &Windows) -> usize {
    (8 * 1024 / (windows.out_width * windows.channels)).max(1)
}

/// The largest number of every window, and in `winners` its tap: the first of equals.
#[inline(never)]
pub fn forward<F: Scalar>(x: &[F], windows: &Windows, y: &mut [F], winners: &mut [u32]) {
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
                let taps = WindowTaps::of(windows, (row, &down), column);
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

/// The input gradient: the gradient of each window goes to its largest number.
#[inline(never)]
pub fn backward<F: Scalar>(dy: &[F], windows: &Windows, winners: &[u32], dx: &mut [F]) {
    if sums_are_wider::<F>(windows) {
        let of_map = windows.positions() * windows.channels;
        return in_f64(dy, windows, dx, |map, dy, dx| {
            backward(dy, windows, &winners[map * of_map..][..of_map], dx);
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

/// The input gradient of a max pooling. It is written where windows cover the map once, and added to elsewhere.
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
                let taps = WindowTaps::of(windows, (row, &down), column);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::windows::{Padding, Rounding, WindowLayout};

    /// Largest numbers, winners, and the gradient where dL/dy is 1, 2, 3, ...
    fn pooled<F: Scalar>(numbers: &[f32], windows: &Windows) -> (Vec<f64>, Vec<u32>, Vec<f64>) {
        let x: Vec<F> = numbers.iter().map(|&v| F::from_f64(v.into())).collect();
        let count = x.len() / windows.map() * windows.positions() * windows.channels;
        let (mut y, mut winners) = (vec![F::zero(); count], vec![0; count]);
        forward(&x, windows, &mut y, &mut winners);
        let dy: Vec<F> = (1..=count).map(|v| F::from_f64(v as f64)).collect();
        let mut dx = vec![F::one(); x.len()];
        backward(&dy, windows, &winners, &mut dx);
        let wide = |numbers: Vec<F>| numbers.into_iter().map(|v| v.to_f64().expect("a float")).collect();
        (wide(y), winners, wide(dx))
    }

    proptest! {
        /// In `f64` no vectors are used. There are few different numbers, so that many are equal.
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
            let layout = WindowLayout {
                stride: stride.into(),
                dilation: dilation.into(),
                padding,
                rounding: Rounding::Ceil,
                ..WindowLayout::new(kernel)
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
