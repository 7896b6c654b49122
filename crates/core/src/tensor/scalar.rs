//! The number types of a network.

use std::cell::Cell;
use std::thread::LocalKey;

use ndarray::NdFloat;
use rand::distr::uniform::SampleUniform;

use crate::kernels::buffers::{BUFFERS, Buffers};
use crate::kernels::pool::lanes::MaxLanes;
use crate::kernels::simd::{Lanes, exp_f32, tanh_f32};

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
    fn scratch() -> &'static LocalKey<Buffers<Self>> {
        thread_local!(static SCRATCH: Buffers<f64> = const { [const { Cell::new(Vec::new()) }; BUFFERS] });
        &SCRATCH
    }
}
