//! The network of backstitch: layers, losses and optimizers whose derivatives are written by hand.
//!
//! No files, no printing, no clocks. Reading order, an afternoon: [`Tensor`], [`Layer`],
//! [`layers::Dense`], [`Net`], [`Model`], [`Trace`], [`losses`], [`optim::Sgd`], [`train`].

mod argmax;
mod arrays;
pub mod augment;
mod bilinear;
mod cost;
pub mod data;
pub mod early_stopping;
mod error;
pub mod explain;
mod finite;
mod fuse;
pub mod gradcheck;
mod init;
#[cfg(not(feature = "bench-internals"))]
#[allow(missing_debug_implementations, reason = "nobody outside of the crate sees them")]
mod kernels;
/// For benches/kernels.rs alone: these check nothing.
#[cfg(feature = "bench-internals")]
#[allow(missing_debug_implementations, reason = "nobody outside of the crate and the benchmark sees them")]
#[doc(hidden)]
pub mod kernels;
mod layer;
pub mod layers;
mod logits;
pub mod losses;
mod memory;
pub mod metrics;
pub mod mlp;
mod model;
mod needs;
mod net;
mod operation;
pub mod optim;
mod pass;
mod pattern;
pub mod penalty;
mod plan;
mod program;
pub mod rng;
mod scalar;
mod scratch;
mod shape;
pub mod split;
mod summary;
mod targets;
mod tensor;
mod ties;
mod trace;
pub mod train;
mod undeclared;
mod weights;
pub mod zoo;

pub use arrays::IntoTensor;
pub use cost::Cost;
pub use data::Dataset;
pub use error::{Error, ShapeError};
pub use fuse::FusedModel;
pub use init::Init;
pub use kernels::Accumulate;
pub use layer::{AnyLayer, Backward, Cache, Context, DynCache, DynLayer, Fan, Layer, Mode, Reads, ReluRule};
pub use layers::Activation;
pub use losses::{CrossEntropy, Targets};
pub use memory::{MEMORY_LIMIT, WORK_LIMIT};
pub use mlp::{MlpClassifier, MlpRegressor};
pub use model::Model;
pub use net::{Net, Residual, concat, layer, residual};
pub use operation::Operation;
pub use scalar::Scalar;
pub use shape::{MAX_AXES, Shape};
pub use summary::{Summary, SummaryLine};
pub use tensor::Tensor;
pub use trace::{Keep, Trace};
pub use train::{Epoch, History, Trainer};
pub use weights::{Declare, Grads, LayerGrads, Slot, SlotMut, Weights, WeightsMut};
