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
mod global_avg_pool;
mod last_position;
mod max_pool;
mod pooling;
mod positions;
pub(crate) mod recurrent;
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
pub use global_avg_pool::{GlobalAvgPool, global_avg_pool};
pub use last_position::{LastPosition, last_position};
pub use max_pool::{MaxPool, max_pool};
pub use positions::{LearnedPositions, SinusoidalPositions, learned_positions, sinusoidal_positions};
pub use recurrent::{Cell, Direction, GruCell, LstmCell, Recurrent, RnnCell, gru, lstm, rnn};
pub use standardize::Standardize;

pub use crate::kernels::conv::plan::Algorithm;
pub use crate::kernels::windows::{Padding, Pair};
