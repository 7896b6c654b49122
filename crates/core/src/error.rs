//! What can go wrong, each message with the thing, what was expected and what came.

use thiserror::Error;

/// An input that a layer cannot take. Containers put their path in front.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path} ({layer}): expected {expected}, got {got}")]
pub struct ShapeError {
    /// Where the layer stands, `block2.main.conv1`.
    pub path: String,
    /// What the layer is, `Dense 256, relu`.
    pub layer: String,
    /// What it could have taken.
    pub expected: String,
    /// What it was given, and by whom.
    pub got: String,
}

impl ShapeError {
    /// An error of a layer that does not know its own name yet.
    pub fn new(layer: String, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: String::new(), layer, expected: expected.into(), got: got.into() }
    }

    /// The same error seen from the container in which the layer is called `name`.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.path = join_path(name, &self.path);
        self
    }
}

/// `a.b`, or `a` where there is no `b`.
pub(crate) fn join_path(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", name) | (name, "") => name.to_owned(),
        _ => format!("{outer}.{inner}"),
    }
}

/// The errors of `backstitch-core`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer that cannot take its input.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An argument outside what is allowed.
    #[error("{name}: expected {expected}, got {got}")]
    Argument {
        /// The argument's name, as the caller wrote it.
        name: String,
        /// What is allowed.
        expected: String,
        /// What came.
        got: String,
    },
    /// A label that is no class of the model.
    #[error("label of sample {sample}: expected a class from 0 to {last_class}, got {label}")]
    Label {
        /// Which sample, counted from 0.
        sample: usize,
        /// The highest class there is.
        last_class: usize,
        /// What came.
        label: usize,
    },
    /// Training went astray.
    #[error(
        "epoch {epoch}, step {step}: expected a finite {what}, got {value}; training stopped \
         (a smaller learning rate, or inputs scaled to 0..1, usually helps)"
    )]
    Diverged {
        /// Which figure, `training loss` or `validation loss`.
        what: &'static str,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// What it became.
        value: f64,
    },
    /// Gradients that cannot be clipped.
    #[error("gradients: expected a finite norm to clip, got {value}; one of them is NaN or infinite")]
    GradientNorm {
        /// The norm.
        value: f64,
    },
    /// A name that no layer, parameter or buffer of the model has.
    #[error("{kind} {name:?}: expected one of {known}, got no match")]
    UnknownName {
        /// Layer, parameter, buffer.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Saved values that do not fit a model: every difference at once.
    #[error(
        "state does not fit the model: missing {missing:?}, unexpected {unexpected:?}, other shapes {shapes:?}"
    )]
    State {
        /// Names that the model has and the state lacks.
        missing: Vec<String>,
        /// Names that the state has and the model lacks.
        unexpected: Vec<String>,
        /// `name: expected [..], got [..]` where only the shape differs.
        shapes: Vec<String>,
    },
    /// A callback gave up.
    #[error("callback at epoch {epoch}: {source}")]
    Callback {
        /// Epoch, counted from 1.
        epoch: usize,
        /// The callback's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An argument outside what is allowed.
    pub fn argument(name: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Argument { name: name.into(), expected: expected.into(), got: got.to_string() }
    }
}

/// Looks a name up among those allowed.
pub(crate) fn by_name<T: Copy>(argument: &str, allowed: &[(&str, T)], name: &str) -> Result<T, Error> {
    let found = allowed.iter().find(|(allowed, _)| *allowed == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
        Error::argument(argument, format!("one of {}", names.join(", ")), name)
    })
}

/// A finite number above 0.
pub(crate) fn above_zero(name: &str, value: f64) -> Result<f64, Error> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::argument(name, "a finite number above 0", value))
    }
}

/// A finite number, 0 or above.
pub(crate) fn not_negative(name: &str, value: f64) -> Result<f64, Error> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::argument(name, "a finite number, 0 or above", value))
    }
}

/// A number in [0, 1).
pub(crate) fn below_one(name: &str, value: f64) -> Result<f64, Error> {
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::argument(name, "a number in [0, 1)", value))
    }
}
