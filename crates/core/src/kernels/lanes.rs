//! Vectors of whichever width the processor has, for kernels that are written once for `f32` and
//! `f64`: a thin cover over `pulp`, which chooses the instruction set when the program runs.

use pulp::Simd;

use crate::kernels::pool::Taps;

/// A number of which a vector register holds several.
pub trait Lanes: Copy + 'static {
    /// A vector register full of them.
    type Vector<S: Simd>: Copy;

    /// The same number in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;

    /// a b + c, rounded once.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>)
    -> Self::Vector<S>;

    /// a + b.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a - b.
    fn difference<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a b.
    fn product<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// 1 in each lane whose number is not 0, and 0 in the others.
    fn nonzeros<S: Simd>(simd: S, numbers: Self::Vector<S>) -> Self::Vector<S>;

    /// Whether there is a lane whose number is not 0.
    fn any_nonzero<S: Simd>(simd: S, numbers: Self::Vector<S>) -> bool;

    /// For channels of a max pooling from the first on: the largest of the numbers of `map` at some taps, and which tap it came from:
    /// the first of equals. A NaN is larger than all. Returns how many were done; the others are left to the caller, in `f64` all.
    fn keep_larger<S: Simd>(
        simd: S,
        map: &[Self],
        taps: &Taps,
        best: &mut [Self],
        winner: &mut [u32],
    ) -> usize;

    /// The derivative of the same, written or added to `dx` at the taps: dy where the tap has won, 0 elsewhere. Returns how many channels
    /// were done, as above.
    fn give_to_winner<S: Simd>(
        simd: S,
        dy: &[Self],
        winners: &[u32],
        taps: &Taps,
        write: bool,
        dx: &mut [Self],
    ) -> usize;

    /// A slice as vectors; what does not fill one at the end is left out.
    fn vectors<S: Simd>(slice: &[Self]) -> &[Self::Vector<S>];

    /// As [`vectors`](Self::vectors), to write.
    fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Vector<S>];
}

impl Lanes for f32 {
    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }
    #[inline(always)]
    fn fused<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_f32s(a, b, c)
    }
    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
    #[inline(always)]
    fn difference<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.sub_f32s(a, b)
    }
    #[inline(always)]
    fn product<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.mul_f32s(a, b)
    }
    #[inline(always)]
    fn nonzeros<S: Simd>(simd: S, numbers: S::f32s) -> S::f32s {
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        simd.select_f32s(simd.equal_f32s(numbers, zero), zero, one)
    }
    #[inline(always)]
    fn any_nonzero<S: Simd>(simd: S, numbers: S::f32s) -> bool {
        let zero = simd.equal_f32s(numbers, simd.splat_f32s(0.0));
        // With AVX-512 pulp 0.22 counts the lanes from the last one (its pull request 40); that there is none it tells everywhere.
        simd.first_true_m32s(simd.not_m32s(zero)) < S::F32_LANES
    }
    #[inline(always)]
    fn keep_larger<S: Simd>(
        simd: S,
        map: &[Self],
        taps: &Taps,
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
        taps: &Taps,
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
    #[inline(always)]
    fn vectors<S: Simd>(slice: &[Self]) -> &[S::f32s] {
        S::as_simd_f32s(slice).0
    }
    #[inline(always)]
    fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(slice).0
    }
}

impl Lanes for f64 {
    type Vector<S: Simd> = S::f64s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
        simd.splat_f64s(value)
    }
    #[inline(always)]
    fn fused<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_f64s(a, b, c)
    }
    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.add_f64s(a, b)
    }
    #[inline(always)]
    fn difference<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.sub_f64s(a, b)
    }
    #[inline(always)]
    fn product<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.mul_f64s(a, b)
    }
    #[inline(always)]
    fn nonzeros<S: Simd>(simd: S, numbers: S::f64s) -> S::f64s {
        let (zero, one) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0));
        simd.select_f64s(simd.equal_f64s(numbers, zero), zero, one)
    }
    #[inline(always)]
    fn any_nonzero<S: Simd>(simd: S, numbers: S::f64s) -> bool {
        let zero = simd.equal_f64s(numbers, simd.splat_f64s(0.0));
        // With AVX-512 pulp 0.22 counts the lanes from the last one (its pull request 40); that there is none it tells everywhere.
        simd.first_true_m64s(simd.not_m64s(zero)) < S::F64_LANES
    }
    #[inline(always)]
    fn keep_larger<S: Simd>(_: S, _: &[Self], _: &Taps, _: &mut [Self], _: &mut [u32]) -> usize {
        0
    }
    #[inline(always)]
    fn give_to_winner<S: Simd>(_: S, _: &[Self], _: &[u32], _: &Taps, _: bool, _: &mut [Self]) -> usize {
        0
    }
    #[inline(always)]
    fn vectors<S: Simd>(slice: &[Self]) -> &[S::f64s] {
        S::as_simd_f64s(slice).0
    }
    #[inline(always)]
    fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [S::f64s] {
        S::as_mut_simd_f64s(slice).0
    }
}
