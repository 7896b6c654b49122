//! What can go wrong with a file.

use std::fmt;
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
    /// A folder that is to hold a new file, and does not exist.
    #[error("{}: could not write: the folder {} does not exist, create it first", path.display(), folder.display())]
    NoFolder {
        /// Which file.
        path: PathBuf,
        /// Which folder.
        folder: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("{}: expected {}, got {}", path.display(), Cut(expected, QUOTED), Cut(got, QUOTED))]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// A line of a text file that is not what it should be.
    #[error("{}, line {line}: expected {}, got {}", path.display(), Cut(expected, QUOTED), Cut(got, QUOTED))]
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
    #[error("{url}: expected the file, got {}", Cut(got, QUOTED))]
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
    #[error("{}: {}", path.display(), Cut(&source.to_string(), LISTED))]
    Model {
        /// Which file.
        path: PathBuf,
        /// How they differ.
        source: backstitch_core::Error,
    },
    /// What a file holds makes no data set, or none of the parts that were asked for.
    #[error("{}: {}", path.display(), Cut(&source.to_string(), LISTED))]
    Dataset {
        /// Which file or folder.
        path: PathBuf,
        /// Why not.
        source: Box<backstitch_core::Error>,
    },
}

/// So that `?` turns it into the error of a whole program.
impl From<Error> for backstitch_core::Error {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
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

    /// For `map_err`: no data set can be made of the file.
    pub(crate) fn dataset(path: &Path) -> impl FnOnce(backstitch_core::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Dataset { path, source: Box::new(source) }
    }
}

/// The most letters of a text that a message quotes.
const QUOTED: usize = 240;

/// The most letters of a list of names that do not fit.
const LISTED: usize = 2000;

/// A text on one line, cut where it is long: what a file holds is quoted in messages, and may be anything.
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
