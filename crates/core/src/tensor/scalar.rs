//! The number types of a network.

use std::cell::Cell;
use std::thread::LocalKey;

use ndarray::NdFloat;
use rand::distr::uniform::SampleUniform;

use crate::kernels::buffers::{BUFFERS, Buffers};
use crate::kernels::pool::lanes::MaxLanes;
use crate::kernels::simd::{Lanes, exp_f32, exp_m1_f32, ln_1p_f32, tail_ratio_f32, tail_ratio_f64, tanh_f32};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32`, in which networks are trained, or `f64`, in which their gradients are checked.
///
/// The trait is sealed, because the matrix products exist for these two types only.
pub trait Scalar: Lanes + MaxLanes + NdFloat + Default + SampleUniform + sealed::Sealed {
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;

    /// This value as an `f64`, exactly.
    fn as_f64(self) -> f64;

    /// e to the power of `self`. In `f32` a polynomial that the compiler can vectorise, within
    /// 2 units in the last place; in `f64` the standard library's.
    fn exponential(self) -> Self;

    /// Hyperbolic tangent, with the same precision as [`exponential`](Self::exponential).
    fn hyperbolic_tangent(self) -> Self;

    /// e to the power of `self`, minus 1, with the same precision as [`exponential`](Self::exponential), also near 0.
    #[doc(hidden)]
    fn exponential_minus_one(self) -> Self;

    /// ln(1 + `self`) for `self` in [0, 1], with the same precision.
    #[doc(hidden)]
    fn logarithm_of_one_plus(self) -> Self;

    /// Φ(-a) e^(a²/2) for a = `self` of 0 or more, where Φ is the distribution function of the standard normal distribution.
    #[doc(hidden)]
    fn normal_tail_ratio(self) -> Self;

    /// Buffers of this thread, for intermediate results of kernels.
    #[doc(hidden)]
    fn scratch() -> &'static LocalKey<Buffers<Self>>;
}

impl Scalar for f32 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exponential(self) -> Self {
        exp_f32(self)
    }
    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        tanh_f32(self)
    }
    #[inline(always)]
    fn exponential_minus_one(self) -> Self {
        exp_m1_f32(self)
    }
    #[inline(always)]
    fn logarithm_of_one_plus(self) -> Self {
        ln_1p_f32(self)
    }
    #[inline(always)]
    fn normal_tail_ratio(self) -> Self {
        tail_ratio_f32(self)
    }
    fn scratch() -> &'static LocalKey<Buffers<Self>> {
        thread_local!(static SCRATCH: Buffers<f32> = const { [const { Cell::new(Vec::new()) }; BUFFERS] });
        &SCRATCH
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }
    #[inline(always)]
    fn exponential_minus_one(self) -> Self {
        self.exp_m1()
    }
    #[inline(always)]
    fn logarithm_of_one_plus(self) -> Self {
        self.ln_1p()
    }
    #[inline(always)]
    fn normal_tail_ratio(self) -> Self {
        tail_ratio_f64(self)
    }
    fn scratch() -> &'static LocalKey<Buffers<Self>> {
        thread_local!(static SCRATCH: Buffers<f64> = const { [const { Cell::new(Vec::new()) }; BUFFERS] });
        &SCRATCH
    }
}
