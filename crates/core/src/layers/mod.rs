//! The layers, one file each. `dense` is the one to read first. `flatten` is the smallest, and
//! the one to copy for a layer of your own.

mod activation;
pub(crate) mod attention;
mod avg_pool;
mod batch_norm;
pub(crate) mod conv2d;
mod conv2d_to_dense;
mod dense;
mod dropout;
mod embedding;
mod flatten;
mod fused_conv2d;
mod gelu;
mod global_avg_pool;
mod group_norm;
mod hard_swish;
mod instance_norm;
mod last_position;
mod layer_norm;
mod max_pool;
mod pooling;
mod positions;
mod prelu;
pub(crate) mod recurrent;
mod rms_norm;
mod silu;
mod standardize;

pub use activation::{Activation, ActivationLayer, activation};
pub use attention::{Attention, attention};
pub use avg_pool::{AvgPool, avg_pool};
pub use batch_norm::{BatchNorm, batch_norm};
pub use conv2d::{Conv2d, conv2d};
pub use dense::{Dense, dense};
pub use dropout::{Dropout, dropout};
pub use embedding::{Embedding, embedding};
pub use flatten::{Flatten, flatten};
pub(crate) use fused_conv2d::FusedConv2d;
pub use gelu::{Gelu, gelu};
pub use global_avg_pool::{GlobalAvgPool, global_avg_pool};
pub use group_norm::{GroupNorm, group_norm};
pub use hard_swish::{HardSwish, hard_swish};
pub use instance_norm::{InstanceNorm, instance_norm};
pub use last_position::{LastPosition, last_position};
pub use layer_norm::{LayerNorm, layer_norm};
pub use max_pool::{MaxPool, max_pool};
pub use positions::{LearnedPositions, SinusoidalPositions, learned_positions, sinusoidal_positions};
pub use prelu::{Prelu, prelu};
pub use recurrent::{Cell, Direction, GruCell, LstmCell, Recurrent, RnnCell, gru, lstm, rnn};
pub use rms_norm::{RmsNorm, rms_norm};
pub use silu::{Silu, silu};
pub use standardize::Standardize;

pub use crate::kernels::conv::plan::Algorithm;
pub use crate::kernels::windows::{Padding, Pair};
