//! Vectors of the processor's width, for kernels that are written once for `f32` and `f64`. A thin layer over `pulp`.

use pulp::Simd;

/// A number type of which a vector register holds several.
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

    /// A slice as vectors. Numbers at the end that do not fill a vector are left out.
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
        // With AVX-512 pulp 0.22 counts the lanes from the wrong end (its pull request 40). Whether there is one, it tells right.
        simd.first_true_m32s(simd.not_m32s(zero)) < S::F32_LANES
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
        // With AVX-512 pulp 0.22 counts the lanes from the wrong end (its pull request 40). Whether there is one, it tells right.
        simd.first_true_m64s(simd.not_m64s(zero)) < S::F64_LANES
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
