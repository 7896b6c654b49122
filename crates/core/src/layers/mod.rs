//! The layers, one file each. `dense` is the one to read first. `flatten` is the smallest, and
//! the one to copy for a layer of your own.

mod activation;
mod adaptive_avg_pool;
mod avg_pool;
mod batch_norm;
mod conv1d;
pub(crate) mod conv2d;
mod conv2d_to_dense;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod flatten;
mod fused_conv2d;
mod global_avg_pool;
mod max_pool;
mod pad;
mod pooling;
mod standardize;
mod transposed_conv2d;
mod upsample;

pub use activation::{Activation, ActivationLayer, activation};
pub use adaptive_avg_pool::{AdaptiveAvgPool, adaptive_avg_pool};
pub use avg_pool::{AvgPool, avg_pool};
pub use batch_norm::{BatchNorm, batch_norm};
pub use conv1d::{Conv1d, conv1d};
pub use conv2d::{Conv2d, conv2d};
pub use dense::{Dense, dense};
pub use depthwise_conv2d::{DepthwiseConv2d, depthwise_conv2d};
pub use dropout::{Dropout, dropout};
pub use flatten::{Flatten, flatten};
pub(crate) use fused_conv2d::FusedConv2d;
pub use global_avg_pool::{GlobalAvgPool, global_avg_pool};
pub use max_pool::{MaxPool, max_pool};
pub use pad::{Pad, Sides, pad};
pub use standardize::Standardize;
pub use transposed_conv2d::{TransposedConv2d, transposed_conv2d};
pub use upsample::{Upsample, upsample};

pub use crate::kernels::conv::plan::Algorithm;
pub use crate::kernels::windows::{Padding, Pair};
