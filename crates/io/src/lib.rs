//! The files of backstitch: reads data sets, and reads and writes weights and checkpoints.
//!
//! Every reader treats its file as untrusted. An error names the file and what is wrong with it. Memory is taken as bytes arrive,
//! never because a header announces them. Every writer is atomic: a file is written as a whole or not at all.

pub mod atomic;
mod cache;
pub mod checkpoint;
#[cfg(feature = "download-http")]
mod download;
mod error;
mod floats;
pub mod history;
pub mod idx;
pub mod images;
mod input;
pub mod kaggle;
mod lines;
pub mod mnist;
mod npy;
pub mod npz;
mod numbers;
pub mod pickle;
#[cfg(feature = "download-http")]
pub mod pretrained;
pub mod pytorch;
pub mod safetensors;
pub mod table;
pub mod tensorboard;
pub mod text;

pub use error::Error;
pub use numbers::Number;
