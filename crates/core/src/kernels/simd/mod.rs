//! Vector instructions. `pulp` compiles code once for each instruction set (AVX-512, AVX2, plain) and chooses when the program runs,
//! so a user's build needs no `target-cpu`.

mod exp;
mod lanes;
mod normal;

pub(crate) use exp::{exp_f32, exp_m1_f32, ln_1p_f32, tanh_f32};
pub use lanes::Lanes;
pub(crate) use normal::{tail_ratio_f32, tail_ratio_f64};

/// Runs a closure compiled for the best instruction set of this machine. The closure must be marked `#[inline(always)]`; else nothing is
/// gained.
///
/// The loops in it are ordinary ones. A fused multiply-add is written where it is meant and nothing else is reordered, so all
/// versions give the same bits. (Without hardware for it the library's fused multiply-add is called, which is slower and equal.)
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
