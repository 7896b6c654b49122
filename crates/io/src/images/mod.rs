//! Pictures: PNG and JPEG files, and folders of them with one folder per class.
//!
//! ```
//! use backstitch::images::{self, ImageFolder, Options};
//! # let root = tempfile::tempdir()?;
//! # for class in ["bag", "boot"] {
//! #     std::fs::create_dir(root.path().join(class))?;
//! #     std::fs::write(root.path().join(class).join("1.png"), include_bytes!("../../../../fixtures/images/palette.png"))?;
//! # }
//! let folder = root.path();
//! // Read when they are wanted: a folder may be larger than memory.
//! let pictures = ImageFolder::open(folder, 64, 64)?;
//! assert_eq!(pictures.classes(), ["bag", "boot"]);
//! assert_eq!(*pictures.dataset().input_shape(), [64, 64, 3]);
//! // Or all at once.
//! let pictures = images::read_folder(folder, &Options::new(64, 64)?, &|_, _| ())?;
//! assert_eq!(pictures.pixels.shape(), [2, 64, 64, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod decode;
mod folder;
mod found;
mod in_memory;
mod jpeg;
mod kept;
mod listing;
mod options;
mod orientation;
mod png;
mod resize;
mod sample;
mod stored;

pub use cache::cache_folder;
pub use decode::read;
pub use folder::ImageFolder;
pub use in_memory::{Images, Parts, read_folder, read_parts};
pub use options::{Channels, Options};
pub use png::write;
pub use resize::resize;
pub use sample::generate_sample;
pub use stored::{MAX_PIXELS, MAX_SIDE};

#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod tests;
