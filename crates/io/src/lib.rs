//! The files of backstitch: data sets in, weights and checkpoints out and in again.
//!
//! Every reader treats its file as untrusted: an error names the file and what is wrong with it,
//! and memory is taken as bytes arrive, never on a header's word. Every writer is atomic: a file is
//! there whole or not at all.

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

pub use error::Error;
pub use numbers::Number;
