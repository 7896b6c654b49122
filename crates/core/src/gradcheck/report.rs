//! The result of a check: what was compared, or what is wrong.

use std::fmt;

use thiserror::Error as ThisError;

use crate::error::Error;

/// The largest relative error that passes.
pub const TOLERANCE: f64 = 1e-6;

/// Derivatives smaller than this are compared as if they were this large: the difference quotient
/// itself is only good to some 1e-11, where outputs are around 1.
pub(super) const FLOOR: f64 = 1e-4;

/// |a - b| over the largest of the two and of a floor.
pub(super) fn relative_error(analytic: f64, numeric: f64, floor: f64) -> f64 {
    let scale = analytic.abs().max(numeric.abs()).max(floor);
    let error = (analytic - numeric).abs() / scale;
    if error.is_nan() { f64::INFINITY } else { error }
}

/// One derivative, by hand and by differences.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// What the derivative is with respect to: `input`, or a parameter's name.
    pub of: String,
    /// The index in it; empty for a derivative along a direction.
    pub index: Vec<usize>,
    /// The derivative by hand.
    pub analytic: f64,
    /// By differences. At a kink, the number between the derivatives of both sides that is nearest to the one by hand.
    pub numeric: f64,
    /// At a kink, the least and the greatest derivative that the two sides allow.
    pub sides: Option<[f64; 2]>,
    /// Derivatives smaller than this are compared as if they were this large: 1e-4, and more where outputs are large, for those are
    /// rounded, and the difference quotient is good to 1e-11 of them.
    pub floor: f64,
}

impl Comparison {
    /// |analytic - numeric| over the largest of the two and of [`floor`](Self::floor).
    pub fn relative_error(&self) -> f64 {
        relative_error(self.analytic, self.numeric, self.floor)
    }

    /// Whether the two are the same.
    pub(super) fn agrees(&self) -> bool {
        self.relative_error() < TOLERANCE
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, index, analytic, numeric, sides, .. } = self;
        let error = self.relative_error();
        f.write_str(of)?;
        if !index.is_empty() {
            write!(f, "{index:?}")?;
        }
        write!(f, ": by hand {analytic:e}, by differences ")?;
        match sides {
            None => write!(f, "{numeric:e}")?,
            Some([least, greatest]) => write!(f, "from {least:e} to {greatest:e}, for there is a kink")?,
        }
        write!(f, ", relative error {error:.1e}")
    }
}

/// A check that passed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Passed {
    /// The number of derivatives that were compared.
    pub compared: usize,
    /// The number of derivatives. If it is larger than `compared`, a random sample was compared.
    pub total: usize,
    /// The seed that the sample, the inputs and the parameters were drawn with.
    pub seed: u64,
    /// The one with the largest error.
    pub worst: Comparison,
    /// Where the function has a kink, such as a ReLU at 0 or a tie in a max pooling. There, any derivative between
    /// those of the two sides is right. The one in the middle agrees with central differences, and is not listed.
    pub kinks: Vec<Comparison>,
}

/// `120 derivatives agree, relative error 3.1e-10 at most (dense1.weight[0, 2])`.
impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, total, worst, kinks, .. } = self;
        write!(f, "{compared} derivatives agree")?;
        if compared < total {
            write!(f, " (a random sample of {total})")?;
        }
        write!(f, ", relative error {:.1e} at most ({}", worst.relative_error(), worst.of)?;
        if !worst.index.is_empty() {
            write!(f, "{:?}", worst.index)?;
        }
        match kinks.len() {
            0 => write!(f, ")"),
            kinks => write!(f, "), {kinks} of them at kinks"),
        }
    }
}

/// So that `?` turns it into the error of a whole program.
impl From<GradientError> for Error {
    fn from(error: GradientError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// A check that did not pass, or could not be made.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum GradientError {
    /// A derivative is wrong.
    #[error(
        "{}expected derivatives to agree within {TOLERANCE:e}, got {wrong} of {compared}{} that do not; the worst is {worst}",
        prefix(layer), sampled(*compared, *total, *seed)
    )]
    Wrong {
        /// The layer whose own check fails; empty for a function or a loss.
        layer: String,
        /// How many disagree.
        wrong: usize,
        /// Of how many.
        compared: usize,
        /// How many there are.
        total: usize,
        /// The seed that the sample was drawn with.
        seed: u64,
        /// The one that disagrees most.
        worst: Box<Comparison>,
    },
    /// The derivatives of a net are wrong, and those of each of its layers alone are right.
    #[error(
        "the net as a whole: {wrong}; each layer alone is right on the values it meets in the net, so look for a layer \
         whose output depends on more than its input, its weights and the context"
    )]
    Together {
        /// What is wrong with the whole.
        #[source]
        wrong: Box<GradientError>,
    },
    /// A layer breaks another rule for a [`Layer`](crate::Layer).
    #[error("{layer}: expected {expected}, got {got}; {help}")]
    Contract {
        /// The layer.
        layer: String,
        /// What a layer must do.
        expected: String,
        /// What this one does.
        got: String,
        /// What would mend it.
        help: String,
    },
    /// The model could not be built or run.
    #[error(transparent)]
    Model(#[from] Error),
}

fn prefix(layer: &str) -> String {
    if layer.is_empty() { String::new() } else { format!("{layer}: ") }
}

fn sampled(compared: usize, total: usize, seed: u64) -> String {
    match compared == total {
        true => String::new(),
        false => format!(" (a sample of the {total} there are, seed {seed})"),
    }
}
