//! Pictures: PNG and JPEG files, and folders of them with one folder a class.
//!
//! ```
//! use backstitch_io::images::{self, Options};
//! # let root = tempfile::tempdir()?;
//! # for class in ["bag", "boot"] {
//! #     std::fs::create_dir(root.path().join(class))?;
//! #     std::fs::write(root.path().join(class).join("1.png"), include_bytes!("../../../../fixtures/images/palette.png"))?;
//! # }
//! let folder = root.path();
//! let pictures = images::read_folder(folder, &Options::new(64, 64)?, &|_, _| ())?;
//! assert_eq!(pictures.classes, ["bag", "boot"]);
//! assert_eq!(pictures.pixels.shape(), [2, 64, 64, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod decode;
mod folder;
mod jpeg;
mod listing;
mod options;
mod orientation;
mod png;
mod resize;
mod sample;

pub use cache::cache_folder;
pub use decode::{LARGEST_SIDE, MOST_PIXELS, read};
pub use folder::{ImageFolder, Parts, read_folder, read_parts};
pub use options::{Channels, Options};
pub use resize::resize;
pub use sample::generate_sample;
