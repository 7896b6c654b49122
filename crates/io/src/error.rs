//! What can go wrong with a file.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The errors of `backstitch-io`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system said no.
    #[error("{}: could not {action}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried: `open`, `write`.
        action: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: expected {expected}, got {got}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// A line of a text file that is not what it should be.
    #[error("{}, line {line}: expected {expected}, got {got}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: u64,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// A download that did not succeed.
    #[error("{url}: expected the file, got {got}")]
    Download {
        /// From where.
        url: String,
        /// What came instead.
        got: String,
        /// Whether there was no answer at all.
        unreachable: bool,
    },
    /// Pictures that cannot be made so large.
    #[error(
        "resizing: expected [height, width, 1 or 3] and a size from 1x1 to 16384x16384, got {from} to {to}"
    )]
    Resize {
        /// What was to be resized.
        from: String,
        /// To which size.
        to: String,
    },
    /// The network of the file and that of the program differ.
    #[error("{}: {source}", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// How they differ.
        source: backstitch_core::Error,
    },
}

impl Error {
    /// For `map_err`: the operating system said no.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    /// A file that is not what it should be.
    pub(crate) fn content(path: &Path, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), expected: expected.into(), got: got.to_string() }
    }

    /// For `map_err`: the file's network is another.
    pub(crate) fn model(path: &Path) -> impl FnOnce(backstitch_core::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Model { path, source }
    }
}
