//! The inner loops of max pooling, over vectors of channels.

use pulp::Simd;

use crate::kernels::pool::taps::WindowTaps;
use crate::kernels::simd::Lanes;

/// Numbers whose max pooling is computed a vector of channels at a time. Vectors hold the winning taps as `u32`, as many as there are numbers in a
/// vector of `f32`; so in `f64` no channel is done here.
pub trait MaxLanes: Lanes {
    /// For channels from the first on: the largest of the numbers of `map` at the taps, and the tap it came from, the first of equals. A NaN
    /// counts as larger than all. Returns how many channels were done; the caller does the others.
    fn keep_larger<S: Simd>(
        simd: S,
        map: &[Self],
        taps: &WindowTaps,
        best: &mut [Self],
        winner: &mut [u32],
    ) -> usize;

    /// The derivative of the same, written or added to `dx` at the taps: dy where the tap has won, 0 elsewhere. Returns how many channels
    /// were done; the caller does the others.
    fn give_to_winner<S: Simd>(
        simd: S,
        dy: &[Self],
        winners: &[u32],
        taps: &WindowTaps,
        write: bool,
        dx: &mut [Self],
    ) -> usize;
}

impl MaxLanes for f32 {
    #[inline(always)]
    fn keep_larger<S: Simd>(
        simd: S,
        map: &[Self],
        taps: &WindowTaps,
        best: &mut [Self],
        winner: &mut [u32],
    ) -> usize {
        let (best, winner) = (S::as_mut_simd_f32s(best).0, S::as_mut_simd_u32s(winner).0);
        for (i, (best, winner)) in best.iter_mut().zip(winner).enumerate() {
            let (mut largest, mut which) = (simd.splat_f32s(f32::NEG_INFINITY), simd.splat_u32s(taps.first));
            taps.for_each(
                #[inline(always)]
                |tap, place| {
                    let x = S::as_simd_f32s(&map[place + i * S::F32_LANES..][..S::F32_LANES]).0[0];
                    let (larger, number) = (simd.greater_than_f32s(x, largest), simd.equal_f32s(x, x));
                    let takes = simd.or_m32s(larger, simd.not_m32s(number));
                    largest = simd.select_f32s(takes, x, largest);
                    which = simd.select_u32s(takes, simd.splat_u32s(tap), which);
                },
            );
            (*best, *winner) = (largest, which);
        }
        size_of_val(best) / size_of::<f32>()
    }
    #[inline(always)]
    fn give_to_winner<S: Simd>(
        simd: S,
        dy: &[Self],
        winners: &[u32],
        taps: &WindowTaps,
        write: bool,
        dx: &mut [Self],
    ) -> usize {
        let dy = S::as_simd_f32s(dy).0;
        for (i, (&dy, &winner)) in dy.iter().zip(S::as_simd_u32s(winners).0).enumerate() {
            taps.for_each(
                #[inline(always)]
                |tap, place| {
                    let won = simd.equal_u32s(winner, simd.splat_u32s(tap));
                    let share = simd.select_f32s(won, dy, simd.splat_f32s(0.0));
                    let to = &mut dx[place + i * S::F32_LANES..][..S::F32_LANES];
                    let to = &mut S::as_mut_simd_f32s(to).0[0];
                    *to = if write { share } else { simd.add_f32s(*to, share) };
                },
            );
        }
        size_of_val(dy) / size_of::<f32>()
    }
}

impl MaxLanes for f64 {
    #[inline(always)]
    fn keep_larger<S: Simd>(_: S, _: &[Self], _: &WindowTaps, _: &mut [Self], _: &mut [u32]) -> usize {
        0
    }
    #[inline(always)]
    fn give_to_winner<S: Simd>(
        _: S,
        _: &[Self],
        _: &[u32],
        _: &WindowTaps,
        _: bool,
        _: &mut [Self],
    ) -> usize {
        0
    }
}
