//! The inner loops, each in its fast form; tests hold it against the plain one in `naive`. Nothing here looks at what it is given: layers do, and
//! so the module is private (but for `benches/kernels.rs`, with the feature `bench-internals`).
//!
//! What layers call is `#[inline(never)]`: the compiler makes such a generic function once for a number type, in the first crate
//! that uses it, where it makes others again in every program. That is most of the time a build takes.

mod accumulate;
mod awake;
pub mod conv;
pub mod conv_backward;
pub mod elementwise;
pub mod gemm;
mod im2col;
pub mod kernel;
pub mod lanes;
mod long_sums;
#[cfg(test)]
mod naive;
pub(crate) mod norm;
pub mod normalize;
mod pack;
mod panels;
pub(crate) mod parts;
pub mod pool;
mod sparse;
mod stream;
pub mod sums;
mod taps;
mod tile;
pub mod window;
mod winograd;
mod winograd_transform;

pub use accumulate::Accumulate;
pub use awake::keep_awake;

/// ReLU, and its derivative from y, for `benches/kernels.rs`.
#[cfg(feature = "bench-internals")]
pub fn relu(y: &mut [f32]) {
    crate::Activation::Relu.apply(y, 1);
}

/// See [`relu`].
#[cfg(feature = "bench-internals")]
pub fn derivative_of_relu(y: &[f32], dy: &mut [f32]) {
    crate::Activation::Relu.differentiate(y, dy, 1, crate::layer::ReluRule::Plain);
}
