//! Pooling: the largest number or the mean of every window, channel by channel.

pub(crate) mod adaptive;
pub(crate) mod lanes;
pub mod max;
pub mod mean;
pub(crate) mod taps;
mod wide;
