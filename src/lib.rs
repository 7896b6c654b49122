//! **backstitch** is a neural-network library in which every derivative is written by hand.
//!
//! Arrays in, arrays out: no automatic differentiation, no C or C++ to compile. This crate is one
//! name for its three parts: [`core`] (the network), [`io`] (data sets, weights, checkpoints) and
//! [`plot`] (curves and reports). Reading order: see [`core`].
//!
//! ```
//! use backstitch::prelude::*;
//! use ndarray::array;
//!
//! // The exclusive or, which no single layer can learn.
//! let data = Dataset::classes(array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &[0, 1, 1, 0])?;
//! let net = Net::new().push(dense(8).activation(Activation::Tanh)).push(dense(2));
//! let mut model = Model::new(net, &[2], 1)?;
//! let history = Trainer::new(Sgd::new(0.5)).epochs(300).batch_size(4).seed(1).fit(&mut model, &data)?;
//! assert_eq!(history.last("train_accuracy"), Some(1.0));
//! # Ok::<(), backstitch::core::Error>(())
//! ```
//!
//! # Speed without `--release`
//! Without `--release` cargo optimizes nothing, not even dependencies, and a network trains 50 to 100 times slower. These lines
//! in the `Cargo.toml` of your own crate make a plain `cargo run` fast:
//!
//! ```toml
//! [profile.dev]
//! opt-level = 3
//! ```
//!
//! They hold for what you depend on, too. `[profile.dev.package."*"]` alone, which leaves your own crate as it is, is not
//! enough: layers are generic, and part of their code is compiled in your crate.
//!
//! # Features
//! `download` (off): fetch Fashion-MNIST and published weights over the network. It is the one part that is built with a C
//! compiler (`ring`, through `rustls`).

pub use backstitch_core as core;
pub use backstitch_io as io;
pub use backstitch_plot as plot;

/// What most programs use.
pub mod prelude {
    pub use backstitch_core::data::{Batch, Sample, Source, TargetKind, standardize, unstandardize};
    pub use backstitch_core::early_stopping::EarlyStopping;
    pub use backstitch_core::layers::{
        Algorithm, Padding, Pair, Standardize, activation, avg_pool, batch_norm, conv2d, dense, dropout,
        flatten, global_avg_pool, max_pool,
    };
    pub use backstitch_core::losses::{
        BceWithLogits, CrossEntropy, GaussianNll, HINGE, Huber, KlDivergence, Loss, MAE, MSE, Mean,
        MultiClassHinge, Pointwise, Targets,
    };
    pub use backstitch_core::metrics::{Accuracy, Metric};
    pub use backstitch_core::mlp::{MlpClassifier, MlpParameters, MlpRegressor};
    pub use backstitch_core::optim::{Adagrad, Adam, Optimizer, RmsProp, Schedule, Sgd};
    pub use backstitch_core::train::{
        Callback, CallbackError, Epoch, Figures, Flow, History, Run, StepEnd, Trainer, evaluate,
    };
    pub use backstitch_core::{
        Activation, Backward, Context, Dataset, Declare, Fan, FusedModel, Init, Keep, Layer, Mode, Model,
        Net, Reads, Scalar, Shape, ShapeError, Tensor, Trace, Weights, concat, layer, residual,
    };
    pub use backstitch_io::mnist::{FashionMnist, Kmnist, Mnist};
    pub use backstitch_io::tabular::{Columns, Encoding, Fill, Table};
}

/// The code in the documents is compiled and run with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/adding-a-layer.md")]
    struct AddingALayer;
    #[doc = include_str!("../docs/numpy.md")]
    struct NumPy;
}
