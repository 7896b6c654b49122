//! Errors and panics as Python's exceptions, with the message of the library.

use std::any::Any;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use backstitch::{Error, FileError};
use pyo3::exceptions::{
    PyFileNotFoundError, PyFloatingPointError, PyOSError, PyPermissionError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;

use crate::threads;

/// The exception for an error of the library.
pub fn exception(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Diverged { .. } | Error::GradientNorm { .. } => PyFloatingPointError::new_err(message),
        Error::Other(inner) => match inner.downcast_ref::<FileError>() {
            Some(FileError::Io { source, .. }) => match source.kind() {
                ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
                ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
                _ => PyOSError::new_err(message),
            },
            Some(FileError::NoFolder { .. }) => PyFileNotFoundError::new_err(message),
            _ => PyValueError::new_err(message),
        },
        _ => PyValueError::new_err(message),
    }
}

/// The exception for a panic, which is a mistake in the library. PyO3's own `PanicException` would pass by `except Exception`.
pub fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    PyRuntimeError::new_err(format!("backstitch has a mistake, please report it: {message}"))
}

/// Runs work of the library: a panic and an error both become exceptions.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| exception(&error)),
        Err(panic) => Err(panicked(&*panic)),
    }
}

/// Computes without the GIL, on threads that exist in this process.
pub fn compute<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    py.detach(|| caught(|| threads::run(work)))
}
