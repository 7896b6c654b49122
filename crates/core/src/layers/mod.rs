//! The layers, one file each. `dense` is the one to read first; `activation` is the smallest and
//! the one to copy for a layer of your own.

mod activation;
mod conv2d;
mod dense;
mod sequential;

pub use activation::{Activation, ActivationLayer, activation};
pub use conv2d::{Conv2d, conv2d};
pub use dense::{Dense, dense};
pub use sequential::Sequential;

pub use crate::kernels::window::{Padding, Pair};
