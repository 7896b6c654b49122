//! The network of backstitch: layers, losses and optimizers whose derivatives are written by hand.
//!
//! No files, no printing, no clocks. Reading order, an afternoon: [`tensor`](Tensor), [`param`],
//! [`trace`], [`layer`], [`layers::Dense`], [`layers::Sequential`], [`loss`], [`optim::Sgd`],
//! [`train`].

pub mod augment;
mod bilinear;
pub mod classifier;
pub mod cost;
mod data;
pub mod early_stopping;
mod error;
pub mod explain;
mod finite;
mod fuse;
pub mod gradcheck;
mod init;
#[cfg(not(feature = "bench-internals"))]
mod kernels;
/// For benches/kernels.rs alone: these check nothing.
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod kernels;
pub mod layer;
pub mod layers;
mod logits;
pub mod loss;
mod memory;
pub mod metrics;
mod model;
pub mod optim;
pub mod param;
mod pattern;
pub mod penalty;
pub mod rng;
mod scalar;
mod scratch;
mod shape;
pub mod split;
mod summary;
mod tensor;
pub mod trace;
pub mod train;
pub mod zoo;

pub use classifier::MlpClassifier;
pub use data::Dataset;
pub use error::{Error, ShapeError};
pub use fuse::FusedModel;
pub use init::Init;
pub use layer::{Children, Context, Layer, Mode};
pub use layers::{Activation, Sequential};
pub use loss::{CrossEntropy, Targets};
pub use memory::{MEMORY_LIMIT, WORK_LIMIT};
pub use model::Model;
pub use param::{Buffer, Param, Slot, SlotMut};
pub use scalar::Scalar;
pub use shape::{MAX_AXES, Shape};
pub use summary::{Summary, SummaryLine};
pub use tensor::Tensor;
pub use trace::{Keep, Trace};
pub use train::{EpochRecord, History, Trainer};
