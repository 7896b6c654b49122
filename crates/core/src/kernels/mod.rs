//! The inner loops, each in its plain form in [`naive`] and in its fast form beside it.
//!
//! What layers call is `#[inline(never)]`: the compiler makes such a generic function once for a number type, in the first crate
//! that uses it, where it makes others again in every program. That is most of the time a build takes.

mod awake;
pub mod conv;
pub mod conv_backward;
pub mod elementwise;
pub mod gemm;
mod im2col;
pub mod kernel;
pub mod lanes;
pub mod naive;
pub mod normalize;
mod pack;
mod panels;
mod parts;
pub mod pool;
mod sparse;
mod stream;
pub mod sums;
mod taps;
mod tile;
pub mod window;
mod winograd;
mod winograd_transform;

pub use awake::keep_awake;
