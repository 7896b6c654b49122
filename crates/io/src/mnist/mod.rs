//! MNIST and the sets with the same file format: 60,000 grey training pictures of 28x28 pixels and 10,000 test pictures, in 10
//! classes.
//!
//! `load` finds a set in the folder that `BACKSTITCH_DATA` names, in the cache, or over the network (feature `download`); `load_from` takes
//! a folder. Both make data sets:
//!
//! ```no_run
//! use backstitch::mnist::FashionMnist;
//! let data = FashionMnist::load()?;
//! println!("{data}");
//! let [train, validation] = data.train.split([0.9, 0.1], 0)?;
//! assert_eq!(train.input_shape().to_string(), "[28, 28, 1]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "download-http")]
pub mod download;
mod images;
mod progress;
mod sample;
mod sets;

pub use images::{LabelledImages, MnistData, MnistImages, Origin};
pub use progress::DownloadProgress;
pub use sample::generate_sample;
pub use sets::{DATA_VARIABLE, FASHION_CLASSES, FashionMnist, Kmnist, Mnist};
