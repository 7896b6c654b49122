//! The inner loops, each in its plain form in [`naive`] and in its fast form beside it.

mod awake;
pub mod conv;
pub mod conv_backward;
pub mod elementwise;
pub mod gemm;
mod im2col;
pub mod lanes;
pub mod naive;
pub mod normalize;
mod pack;
mod parts;
pub mod pool;
mod stream;
mod tile;
pub mod window;
mod winograd;
mod winograd_transform;

pub use awake::keep_awake;
