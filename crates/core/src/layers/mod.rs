//! The layers, one file each. `dense` is the one to read first. `flatten` is the smallest, and
//! the one to copy for a layer of your own.

mod activation;
mod avg_pool;
mod batch_norm;
pub(crate) mod conv2d;
mod conv2d_to_dense;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod flatten;
mod fused_conv2d;
mod global_avg_pool;
mod max_pool;
mod pooling;
mod standardize;

pub use activation::{Activation, ActivationLayer, activation};
pub use avg_pool::{AvgPool, avg_pool};
pub use batch_norm::{BatchNorm, batch_norm};
pub use conv2d::{Conv2d, conv2d};
pub use dense::{Dense, dense};
pub use depthwise_conv2d::{DepthwiseConv2d, depthwise_conv2d};
pub use dropout::{Dropout, dropout};
pub use flatten::{Flatten, flatten};
pub(crate) use fused_conv2d::FusedConv2d;
pub use global_avg_pool::{GlobalAvgPool, global_avg_pool};
pub use max_pool::{MaxPool, max_pool};
pub use standardize::Standardize;

pub use crate::kernels::conv::plan::Algorithm;
pub use crate::kernels::windows::{Padding, Pair};
