//! Errors. Each message names the thing, what was expected and what it got.

use thiserror::Error;

/// An input that a layer cannot take. Containers add their path in front.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: expected {expected}, got {got}", self.place())]
pub struct ShapeError {
    /// The path of the layer, `block2.main.conv1`.
    pub path: String,
    /// What the layer is, `Dense 256, relu`.
    pub layer: String,
    /// The input that it accepts.
    pub expected: String,
    /// The input that it got, and where that came from.
    pub got: String,
}

impl ShapeError {
    /// An error of a layer that does not know its own name yet.
    pub fn new(layer: String, expected: impl Into<String>, got: impl Into<String>) -> Self {
        let [layer, expected, got] =
            [(layer, MOST_LETTERS), (expected.into(), MOST_EXPECTED), (got.into(), MOST_LETTERS)]
                .map(|(text, most)| clipped(&text, most));
        Self { path: String::new(), layer, expected, got }
    }

    /// `block2.main.conv1 (Conv2d 3x3)`, or the layer alone where it stands in no container.
    fn place(&self) -> String {
        match self.path.as_str() {
            "" => self.layer.clone(),
            path => format!("{} ({})", clipped(path, MOST_OF_A_NAME), self.layer),
        }
    }

    /// The same error with the path of a container in which the layer is called `name`.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.path = join_path(name, &self.path);
        self
    }
}

/// The most letters of a name in a message, of what was expected, which may say what helps, and of what came.
const MOST_OF_A_NAME: usize = 64;
const MOST_EXPECTED: usize = 200;
const MOST_LETTERS: usize = 100;

/// A text as a part of a message: on one line, and of at most `most` letters.
fn clipped(text: &str, most: usize) -> String {
    let text =
        if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() };
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Whether this can be the name of a layer or a parameter: paths are names with dots between, and stand on one line of a message.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && !name.contains(|c: char| c == '.' || c.is_control())
}

/// The most letters of a list of names.
const MOST_IN_A_LIST: usize = 160;

/// A list of names, as many as fit into a message, and how many more there are.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let (mut list, mut more) = (String::new(), 0);
    for name in names {
        if more > 0 || list.len() + name.len() > MOST_IN_A_LIST {
            more += 1;
            continue;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(name);
    }
    match (list.as_str(), more) {
        (_, 0) => list,
        ("", more) => format!("{more} names"),
        (_, more) => format!("{list} and {more} more"),
    }
}

/// `a.b`, or `a` where there is no `b`.
pub(crate) fn join_path(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", name) | (name, "") => name.to_owned(),
        _ => format!("{outer}.{inner}"),
    }
}

/// The errors of `backstitch-core`. It is also the one error type of a whole program: `?` turns the errors of the other parts of the
/// library into it.
///
/// `Debug` prints the message too, because that is what a program shows when `main` returns an error.
///
/// ```
/// use backstitch::{Error, Model, layers::dense};
/// fn network() -> Result<Model, Error> {
///     Model::new(dense(0), &[4], 0)
/// }
/// assert_eq!(format!("{:?}", network().unwrap_err()), "dense1 (Dense 0, linear): expected at least 1 unit, got 0");
/// ```
#[derive(Error)]
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
        /// What it got.
        got: String,
    },
    /// A label that is not a class of the model.
    #[error("label of sample {sample}: expected a class from 0 to {last_class}, got {label}")]
    Label {
        /// Which sample, counted from 0.
        sample: usize,
        /// The highest class there is.
        last_class: usize,
        /// What it got.
        label: usize,
    },
    /// Numbers that are NaN or infinite, and from which a metric or a picture should be computed.
    #[error("{what}: expected finite numbers, got {got}")]
    NotFinite {
        /// What they are, such as `inputs of sample 17` or a parameter's name.
        what: String,
        /// The first of them, and where it is.
        got: String,
    },
    /// Training diverged: a number became NaN or infinite.
    #[error(
        "epoch {epoch}, step {step}: expected a finite {what}, got {got}; training stopped \
         (a smaller learning rate, or inputs scaled to 0..1, usually helps)"
    )]
    Diverged {
        /// Which number, such as `training loss`, or the name of a parameter or buffer.
        what: String,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// What it became, and where.
        got: String,
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
        /// The names that exist.
        known: String,
    },
    /// Saved values that do not fit a model. It lists every difference; the message shows the first ones of each kind.
    #[error("state does not fit the model: {}", differences(missing, unexpected, shapes))]
    State {
        /// Names that the model has and the state lacks.
        missing: Vec<String>,
        /// Names that the state has and the model lacks.
        unexpected: Vec<String>,
        /// `name: expected [..], got [..]` where only the shape differs.
        shapes: Vec<String>,
    },
    /// Validation data that do not fit the model, or cannot be read.
    #[error("validation data: {source}")]
    Validation {
        /// What is wrong with them.
        source: Box<Error>,
    },
    /// A sample that could not be read.
    #[error("sample {sample}: {source}")]
    Sample {
        /// Which sample of the data set, counted from 0.
        sample: usize,
        /// What the source says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An error of another part of the library (a gradient check, a file, a picture), or of `std` or `ndarray` (a file, a shape).
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// A callback returned an error.
    #[error("callback at epoch {epoch}: {source}")]
    Callback {
        /// Epoch, counted from 1.
        epoch: usize,
        /// The callback's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// For programs that read files of their own.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Other(Box::new(error))
    }
}

/// For programs that give arrays another shape.
impl From<ndarray::ShapeError> for Error {
    fn from(error: ndarray::ShapeError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// An argument outside what is allowed.
    pub fn argument(name: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        let [name, expected, got] =
            [(name.into(), MOST_LETTERS), (expected.into(), MOST_EXPECTED), (got.to_string(), MOST_LETTERS)]
                .map(|(text, most): (String, usize)| clipped(&text, most));
        Self::Argument { name, expected, got }
    }

    /// A name that does not exist.
    pub(crate) fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::UnknownName { kind, name: clipped(name, MOST_OF_A_NAME), known: listed(known) }
    }
}

/// A list of names for a message: the first eight, and how many more there are.
pub(crate) fn few<T: std::fmt::Debug>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names.by_ref().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = names.count();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    format!("[{}]", shown.join(", "))
}

/// The lists of [`Error::State`] that are not empty.
fn differences(missing: &[String], unexpected: &[String], shapes: &[String]) -> String {
    let lists = [("missing", missing), ("unexpected", unexpected), ("other shapes", shapes)];
    let lists = lists.iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(what, list)| format!("{what} {}", few(*list))).collect::<Vec<_>>().join(", ")
}

/// Looks a name up among those allowed. `ReLU` and `LeakyReLU` are `relu` and `leaky_relu`: case and `_` do not count.
pub(crate) fn by_name<T: Copy>(argument: &str, allowed: &[(&str, T)], name: &str) -> Result<T, Error> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let found = allowed.iter().find(|(allowed, _)| plain(allowed) == plain(name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
        Error::argument(argument, format!("one of {}", names.join(", ")), name)
    })
}

/// A whole number from 1 to `most`.
pub(crate) fn in_range(name: &str, value: usize, most: usize) -> Result<usize, Error> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::argument(name, format!("from 1 to {most}"), value))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_however_long_the_names_are() {
        let long = "n".repeat(10_000);
        for message in [
            Error::argument(&long, &long, &long).to_string(),
            Error::unknown("layer", &long, [long.as_str(), "b"]).to_string(),
            ShapeError::new("Dense 3".to_owned(), "less", &long).within(&long).to_string(),
        ] {
            assert!(message.len() < 450, "{message}");
        }
        assert_eq!(Error::argument("a", "b", "c\nd").to_string(), "a: expected b, got c\\nd");
        let names: Vec<String> = (0..100).map(|i| format!("layer{i}.weight")).collect();
        let list = listed(names.iter().map(String::as_str));
        assert!(list.starts_with("layer0.weight, ") && list.ends_with(" and 90 more"), "{list}");
        assert_eq!(listed(["a", "b"]), "a, b");
    }
}
