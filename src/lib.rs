//! **backstitch** is a neural-network library in which every derivative is written by hand.
//!
//! Arrays in, arrays out: no automatic differentiation, no C or C++ to compile. Reading order, an afternoon: [`Tensor`], [`Layer`],
//! [`layers::Dense`], [`Net`], [`Model`], [`Trace`], [`losses`], [`optim::Sgd`], [`train`]. What programs look like: [`lessons`].
//!
//! ```
//! use backstitch::prelude::*;
//! use backstitch::ndarray::array;
//!
//! // The exclusive or, which no single layer can learn.
//! let data: Dataset = Dataset::classes(array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &[0, 1, 1, 0])?;
//! let net = chain![dense(8).activation(Activation::Tanh), dense(2)];
//! let mut model = Model::new(net, &[2], 1)?;
//! let history = Trainer::new(Sgd::new(0.5)).epochs(300).batch_size(4).seed(1).fit(&mut model, &data)?;
//! assert_eq!(history.last("train_accuracy"), Some(1.0));
//! # Ok::<(), backstitch::Error>(())
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
//! They also apply to your dependencies. `[profile.dev.package."*"]` alone, which does not apply to your own crate, is not
//! enough: layers are generic, and a part of their code is compiled in your crate.
//!
//! # Features
//! - `io` (on): data sets, weights, checkpoints, training logs.
//! - `plot` (on): charts, pictures and reports.
//! - `progress` (on): [`Trainer::progress`](WithProgress::progress), a bar on a terminal and a line an epoch.
//! - `download` (off): download data sets and published weights. It is the one part that needs a C compiler (`ring`, through `rustls`).
//! - `download-http` (off): the same from `http://` addresses only, such as that of Fashion-MNIST. It needs no C compiler.
//!
//! Without any of them you get the network alone: layers, losses, optimizers, training, gradient checks.

#[cfg(feature = "io")]
mod files;
#[cfg(feature = "plot")]
mod history_chart;
pub mod lessons;
#[cfg(feature = "progress")]
mod progress;

#[doc(inline)]
pub use backstitch_core::*;
#[cfg(feature = "io")]
#[doc(inline)]
pub use backstitch_io::*;
#[cfg(feature = "plot")]
#[doc(inline)]
pub use backstitch_plot::*;

/// The arrays that go in and come out: `backstitch::ndarray::array` needs no dependency of your own.
#[doc(no_inline)]
pub use ndarray;

/// The error type of a whole program: `?` turns the errors of files and pictures into it.
pub use backstitch_core::Error;
#[cfg(feature = "io")]
pub use backstitch_io::Error as FileError;
#[cfg(feature = "plot")]
pub use backstitch_plot::Error as PictureError;
/// `Result` with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(feature = "io")]
pub use files::{Load, Save};
#[cfg(feature = "plot")]
pub use history_chart::Chart;
#[cfg(feature = "progress")]
pub use progress::{Progress, WithProgress};

/// What most programs use.
pub mod prelude {
    pub use std::ops::ControlFlow;

    pub use crate::data::{
        Batch, Sample, Source, TargetKind, blobs, moons, spirals, standardize, unstandardize,
    };
    pub use crate::early_stopping::EarlyStopping;
    pub use crate::gradcheck::{check_function, check_layer, check_loss, check_net};
    pub use crate::layers::{
        Algorithm, Padding, Pair, Standardize, activation, adaptive_avg_pool, attention, avg_pool,
        batch_norm, conv1d, conv2d, dense, depthwise_conv2d, dropout, embedding, flatten, gelu,
        global_avg_pool, group_norm, gru, hard_swish, instance_norm, last_position, layer_norm,
        learned_positions, lstm, max_pool, pad, prelu, rms_norm, rnn, silu, sinusoidal_positions,
        transposed_conv2d, upsample,
    };
    pub use crate::losses::{
        BceWithLogits, CrossEntropy, GaussianNll, HINGE, Huber, KlDivergence, Loss, MAE, MSE, Mean,
        MultiClassHinge, Pointwise, Targets,
    };
    pub use crate::metrics::{Accuracy, Metric};
    pub use crate::mlp::{MlpClassifier, MlpParameters, MlpRegressor};
    pub use crate::optim::{Adagrad, Adam, Optimizer, OptimizerMemory, RmsProp, Schedule, Sgd};
    pub use crate::train::{
        Callback, CallbackError, Epoch, Figures, History, Run, StepEnd, Trainer, evaluate, evaluate_with,
    };
    pub use crate::{
        Activation, Backward, Context, Dataset, Declare, Error, Fan, FusedModel, Init, Keep, Layer, Memory,
        Mode, Model, Net, Reads, Result, Scalar, Shape, ShapeError, Tensor, Trace, Weights, chain, concat,
        input, layer, residual,
    };

    #[cfg(feature = "plot")]
    pub use crate::Chart;
    #[cfg(feature = "io")]
    pub use crate::checkpoint::{self, SaveCheckpoints};
    #[cfg(feature = "io")]
    pub use crate::images::ImageFolder;
    #[cfg(feature = "io")]
    pub use crate::mnist::{FashionMnist, Kmnist, Mnist};
    #[cfg(feature = "io")]
    pub use crate::table::{Columns, Encoding, Fill, Table};
    #[cfg(feature = "io")]
    pub use crate::text::{BytePairs, Vocabulary};
    #[cfg(feature = "io")]
    pub use crate::{Load, Save};
    #[cfg(feature = "progress")]
    pub use crate::{Progress, WithProgress};
}

/// The tests compile and run the code in these documents.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/adding-a-layer.md")]
    struct AddingALayer;
    #[doc = include_str!("../docs/numpy.md")]
    struct NumPy;
    #[doc = include_str!("../docs/data.md")]
    struct Data;
    #[doc = include_str!("../docs/training-by-hand.md")]
    struct TrainingByHand;
    #[doc = include_str!("../docs/losses.md")]
    struct Losses;
    #[doc = include_str!("../docs/resume.md")]
    struct Resume;
    #[doc = include_str!("../docs/weights.md")]
    struct WeightsOfFiles;
    #[doc = include_str!("../docs/courses.md")]
    struct Courses;
    #[doc = include_str!("../docs/teachers.md")]
    struct Teachers;
}
