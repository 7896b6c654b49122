//! The inner loops, each in its plain form in [`naive`] and in its fast form beside it.

mod awake;
pub mod elementwise;
pub mod gemm;
pub mod lanes;
pub mod naive;
mod pack;
mod tile;

pub use awake::keep_awake;
