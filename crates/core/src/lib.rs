//! The network of backstitch: layers, losses and optimizers whose derivatives are written by hand.
//!
//! No files, no printing, no clocks. Reading order, an afternoon: [`Tensor`], [`Layer`],
//! [`layers::Dense`], [`Net`], [`Model`], [`Trace`], [`losses`], [`optim::Sgd`], [`train`].

pub mod augment;
pub mod data;
pub mod early_stopping;
mod error;
pub mod explain;
pub mod gradcheck;
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
pub mod losses;
pub mod metrics;
pub mod mlp;
mod net;
pub mod optim;
pub mod penalty;
pub mod split;
mod tensor;
pub mod train;
pub mod zoo;

pub use tensor::rng;

pub use data::Dataset;
pub use error::{Error, ShapeError};
pub use kernels::Accumulate;
pub use layer::cost::Cost;
pub use layer::init::Init;
pub use layer::weights::{Declare, Grads, LayerGrads, Slot, SlotMut, Weights, WeightsMut};
pub use layer::{
    AnyLayer, Backward, Cache, Context, DynCache, DynLayer, Fan, InputGrads, Layer, Memory, Mode, Reads,
    ReluRule, Sequence,
};
pub use layers::Activation;
pub use losses::{CrossEntropy, Targets};
pub use mlp::{MlpClassifier, MlpRegressor};
pub use net::fuse::FusedModel;
pub use net::model::Model;
pub use net::operation::Operation;
pub use net::plan::Keep;
pub use net::stream::Stream;
pub use net::summary::{Summary, SummaryLine};
pub use net::trace::Trace;
pub use net::{Net, Residual, concat, input, layer, residual};
pub use tensor::Tensor;
pub use tensor::arrays::IntoTensor;
pub use tensor::memory::{MEMORY_LIMIT, WORK_LIMIT};
pub use tensor::scalar::Scalar;
pub use tensor::shape::{MAX_AXES, Shape};
pub use train::{Epoch, History, Trainer};

/// Passes over memory, for `benches/kernels.rs`.
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench_internals {
    use crate::{Activation, ReluRule};

    /// ReLU, in place.
    pub fn relu(y: &mut [f32]) {
        Activation::Relu.apply(y, 1);
    }

    /// The derivative of ReLU from its output, in place.
    pub fn derivative_of_relu(y: &[f32], dy: &mut [f32]) {
        Activation::Relu.differentiate(y, dy, 1, ReluRule::Plain);
    }
}
