//! Losses: how wrong an output is, and the derivative of that.

mod cross_entropy;
mod targets;

pub use cross_entropy::CrossEntropy;
pub(crate) use targets::check_probabilities;
pub use targets::{Targets, one_hot};
