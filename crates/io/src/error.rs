//! What can go wrong with a file.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The errors of `backstitch-io`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation.
    #[error("{}: could not {action}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The operation: `open`, `write`.
        action: &'static str,
        /// Its message.
        source: std::io::Error,
    },
    /// The folder for a new file does not exist.
    #[error("{}: could not write: the folder {} does not exist, create it first", path.display(), folder.display())]
    NoFolder {
        /// Which file.
        path: PathBuf,
        /// Which folder.
        folder: PathBuf,
    },
    /// A file with other content than expected.
    #[error("{}: expected {}, got {}", path.display(), Cut(expected, QUOTED), Cut(got, QUOTED))]
    Content {
        /// Which file.
        path: PathBuf,
        /// The expected content.
        expected: String,
        /// The content that was found.
        got: String,
    },
    /// A line of a text file with other content than expected.
    #[error("{}, line {line}: expected {}, got {}", path.display(), Cut(expected, QUOTED), Cut(got, QUOTED))]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: u64,
        /// The expected content.
        expected: String,
        /// The content that was found.
        got: String,
    },
    /// A download that did not succeed.
    #[error("{url}: expected the file, got {}", Cut(got, QUOTED))]
    Download {
        /// The address.
        url: String,
        /// What arrived instead.
        got: String,
        /// Whether the server did not answer at all.
        unreachable: bool,
    },
    /// Pictures that cannot be resized to this size.
    #[error(
        "resizing: expected [height, width, 1 or 3] and a size from 1x1 to 16384x16384, got {from} to {to}"
    )]
    Resize {
        /// What was to be resized.
        from: String,
        /// The new size.
        to: String,
    },
    /// The network in the file and the network in the program differ.
    #[error("{}: {}", path.display(), Cut(&source.to_string(), LISTED))]
    Model {
        /// Which file.
        path: PathBuf,
        /// How they differ.
        source: backstitch_core::Error,
    },
    /// The content of a file cannot be made into a data set, or not into the requested parts.
    #[error("{}: {}", path.display(), Cut(&source.to_string(), LISTED))]
    Dataset {
        /// Which file or folder.
        path: PathBuf,
        /// The reason.
        source: Box<backstitch_core::Error>,
    },
}

/// So that `?` converts it to the error of a whole program.
impl From<Error> for backstitch_core::Error {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Error {
    /// For `map_err`: the operating system refused an operation.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    /// A file with other content than expected.
    pub(crate) fn content(path: &Path, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), expected: expected.into(), got: got.to_string() }
    }

    /// For `map_err`: the network in the file is a different one.
    pub(crate) fn model(path: &Path) -> impl FnOnce(backstitch_core::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Model { path, source }
    }

    /// For `map_err`: the file cannot be made into a data set.
    pub(crate) fn dataset(path: &Path) -> impl FnOnce(backstitch_core::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Dataset { path, source: Box::new(source) }
    }
}

/// The largest number of letters of a text that a message quotes.
const QUOTED: usize = 240;

/// The largest number of letters of a list of names that do not fit.
const LISTED: usize = 2000;

/// The text on one line, cut if it is long. Messages quote the content of files, which may be anything.
struct Cut<'a>(&'a str, usize);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars().take(self.1) {
            if letter.is_control() {
                write!(f, "{}", letter.escape_default())?;
            } else {
                write!(f, "{letter}")?;
            }
        }
        match self.0.chars().skip(self.1).count() {
            0 => Ok(()),
            more => write!(f, " ... and {more} more letters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line_whatever_a_file_holds() {
        let path = Path::new("w.pkl");
        let error = Error::content(path, "a number", "5\n\u{1b}[2J");
        assert_eq!(error.to_string(), "w.pkl: expected a number, got 5\\n\\u{1b}[2J");
        let error = Error::content(path, "ä".repeat(QUOTED), "x".repeat(QUOTED + 7));
        let (whole, cut) = ("ä".repeat(QUOTED), "x".repeat(QUOTED));
        assert_eq!(error.to_string(), format!("w.pkl: expected {whole}, got {cut} ... and 7 more letters"));
        let (path, text) = (path.to_owned(), "y\n".repeat(5000));
        let line = Error::Line { path, line: 3, expected: text.clone(), got: text.clone() };
        let download = Error::Download { url: "http://a".to_owned(), got: text, unreachable: false };
        let names = backstitch_core::Error::State {
            missing: vec!["z".repeat(9000)],
            unexpected: vec![],
            shapes: vec![],
        };
        let model = Error::model(Path::new("w"))(names);
        for error in [line, download, model] {
            let message = error.to_string();
            assert!(message.len() < 2100 && !message.contains('\n'), "{message}");
        }
    }
}
