//! The inner loops, each in its fast form. Tests compare them with the plain loops in `naive.rs`. Nothing here checks its arguments: layers do, so the
//! module is private (`benches/kernels.rs` sees it through the feature `bench-internals`).
//!
//! | room | what |
//! |---|---|
//! | `simd/` | vectors of the processor's width; e^x and tanh x |
//! | `gemm/` | matrix products |
//! | `conv/` | convolutions: a plan, and a file for each algorithm |
//! | `pool/` | max and average pooling |
//! | `attention.rs` | attention, for blocks of queries |
//! | `gather.rs`, `interpolate.rs` | padded and enlarged maps |
//! | `windows.rs` | where the windows of convolutions and poolings lie |
//! | `normalize.rs`, `norm.rs`, `sums.rs`, `long_sums.rs` | batch normalization; the norm of a gradient; sums that keep their digits |
//! | `elementwise.rs` | loops over arrays side by side |
//! | `parts.rs`, `awake.rs` | work for several threads |
//! | `buffers.rs`, `scratch.rs` | memory for intermediate results |
//!
//! Functions that layers call are `#[inline(never)]`. The compiler then makes such a generic function once for a number type, in the first crate
//! that uses it, and not again in every program. That is most of the time a build takes.

mod accumulate;
pub(crate) mod activations;
pub(crate) mod attention;
mod awake;
pub(crate) mod buffers;
pub mod conv;
pub mod elementwise;
pub(crate) mod gather;
pub mod gemm;
pub(crate) mod group_norm;
pub(crate) mod interpolate;
mod long_sums;
#[cfg(test)]
mod naive;
pub(crate) mod norm;
pub mod normalize;
pub(crate) mod parts;
pub mod pool;
pub(crate) mod row_norm;
pub(crate) mod scratch;
pub mod simd;
pub mod sums;
pub mod windows;

pub use accumulate::Accumulate;
pub use awake::keep_awake;
