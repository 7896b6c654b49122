//! Metrics: numbers that training and evaluation show besides the loss.

use std::fmt::Debug;

use crate::error::Error;
use crate::losses::targets::Targets;
use crate::metrics::correct;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// A number that says how good outputs are for their targets. It is summed over batches. It does not use weights of samples.
///
/// ```
/// use backstitch::{Error, Scalar, Tensor, losses::Targets, metrics::Metric};
///
/// /// The largest absolute error.
/// #[derive(Debug)]
/// struct Worst;
///
/// impl<F: Scalar> Metric<F> for Worst {
///     fn name(&self) -> String {
///         "worst".to_owned()
///     }
///     fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
///         targets.values_like(output).map(drop)
///     }
///     fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
///         let Targets::Values(t) = targets else { return };
///         sums.resize(1, 0.0);
///         for (y, t) in y.data().iter().zip(t.data()) {
///             sums[0] = sums[0].max((y.as_f64() - t.as_f64()).abs());
///         }
///     }
///     fn value(&self, sums: &[f64]) -> f64 {
///         sums[0]
///     }
/// }
/// ```
pub trait Metric<F: Scalar>: Debug + Send + Sync {
    /// Its name in the history: `accuracy`; for the validation set that becomes `validation_accuracy`.
    fn name(&self) -> String;

    /// Checks that it can be computed from outputs of this shape (of one sample) and these targets.
    ///
    /// # Errors
    /// If it cannot: the message says what was expected.
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error>;

    /// Adds a batch to the sums, which are empty before the first.
    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>);

    /// The metric, from the sums of at least one batch.
    fn value(&self, sums: &[f64]) -> f64;
}

/// The share of rows whose largest output is at their class. Rows that the loss ignores do not count; a row with NaN is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accuracy {
    /// The label that is ignored.
    pub(crate) ignored: Option<usize>,
}

impl Accuracy {
    /// The accuracy over all rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ignores rows with this label.
    #[must_use]
    pub fn ignore_index(mut self, class: usize) -> Self {
        self.ignored = Some(class);
        self
    }
}

impl<F: Scalar> Metric<F> for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.check_classes(output.last().copied().unwrap_or(0), self.ignored)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        sums[0] += correct(y, targets, self.ignored) as f64;
        sums[1] += match targets {
            Targets::Classes(labels) => labels.iter().filter(|&&label| Some(label) != self.ignored).count(),
            Targets::Values(values) => values.data().len() / values.width().max(1),
        } as f64;
    }

    fn value(&self, sums: &[f64]) -> f64 {
        sums[0] / sums[1]
    }
}
