//! Losses and their derivatives.

pub(crate) mod targets;

mod cross_entropy;
mod pointwise;
mod rows;

use std::fmt::Debug;
use std::ops::AddAssign;
use std::sync::Arc;

use crate::error::Error;
use crate::layers::Activation;
use crate::metrics::Metric;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

pub use crate::losses::targets::{Targets, one_hot};
pub use cross_entropy::CrossEntropy;
pub use pointwise::{BceWithLogits, HINGE, Huber, MAE, MSE, Pointwise};
pub use rows::{GaussianNll, KlDivergence, MultiClassHinge};

/// The class of positions that have no target, such as the filled ones of [`Dataset::next_ids`](crate::Dataset::next_ids).
/// [`CrossEntropy::ignore_index`] makes a loss ignore it.
pub const IGNORED: usize = usize::MAX;

/// A sum and its divisor, so that batches of any size, ignored positions and weights add up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// The sum.
    pub sum: f64,
    /// The divisor: the number of samples, of positions or of numbers, or the sum of their weights.
    pub count: f64,
}

impl Mean {
    /// sum / count.
    pub fn value(self) -> f64 {
        self.sum / self.count
    }
}

impl AddAssign for Mean {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// The weights of the rows of a batch: that of the row's sample, or 1 if there are no weights.
struct RowWeights<'a> {
    weights: Option<&'a [f64]>,
    /// The number of rows of a sample.
    each: usize,
}

impl<'a> RowWeights<'a> {
    fn new(weights: Option<&'a [f64]>, samples: usize, rows: usize) -> Result<Self, Error> {
        check_weights(weights, samples)?;
        Ok(Self { weights, each: rows / samples })
    }

    fn of(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row / self.each])
    }

    /// The sum of the weights of all rows of this number of samples.
    fn count(&self, samples: usize) -> f64 {
        self.weights.map_or(samples as f64, |weights| weights.iter().sum()) * self.each as f64
    }
}

/// The position of the first of some weights that is not a finite number above 0.
fn impossible(weights: &[f64]) -> Option<usize> {
    weights.iter().position(|w| !(*w > 0.0 && w.is_finite()))
}

/// Checks that there is a weight for each sample of a batch, and that they are above 0.
pub(crate) fn check_weights(weights: Option<&[f64]>, samples: usize) -> Result<(), Error> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != samples {
        return Err(Error::argument(
            "weights of samples",
            format!("{samples}, one for each sample"),
            weights.len(),
        ));
    }
    match impossible(weights) {
        Some(i) => {
            Err(Error::argument(format!("weight of sample {i}"), "a finite number above 0", weights[i]))
        }
        None => Ok(()),
    }
}

/// A loss: it measures how far the outputs of a batch are from the targets.
///
/// ```
/// use backstitch::{Error, Scalar, Tensor, losses::{Loss, Mean, Targets}};
///
/// /// The mean of (y - t)⁴.
/// #[derive(Debug)]
/// struct Fourth;
///
/// impl<F: Scalar> Loss<F> for Fourth {
///     fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
///         targets.values_like(output).map(drop)
///     }
///     fn loss(&self, y: &Tensor<F>, targets: &Targets<'_, F>, mut dy: Option<&mut Tensor<F>>) -> Result<Mean, Error> {
///         let t = targets.values_like(&y.shape()[1..])?;
///         let count = y.data().len() as f64;
///         let mut sum = 0.0;
///         for (i, (y, t)) in y.data().iter().zip(t.data()).enumerate() {
///             let d = y.as_f64() - t.as_f64();
///             sum += d.powi(4);
///             if let Some(dy) = &mut dy {
///                 dy.data_mut()[i] = F::from_f64(4.0 * d.powi(3) / count);
///             }
///         }
///         Ok(Mean { sum, count })
///     }
/// }
/// ```
pub trait Loss<F: Scalar>: Debug + Send + Sync + 'static {
    /// Checks that outputs of this shape (of one sample) can be compared with these targets. Training calls it before the first step.
    ///
    /// # Errors
    /// If they cannot: the message says what was expected.
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error>;

    /// The loss of a batch. If `dy` is given, it gets the derivative of sum / count with respect to `y`. `dy` has the shape of `y`
    /// and unspecified numbers: write every one of them.
    ///
    /// # Errors
    /// If outputs and targets do not fit each other, or all of them are ignored.
    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error>;

    /// As [`loss`](Self::loss), with a weight for each sample, which multiplies the sample's parts of the sum and of the count.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and if the loss does not support weights, which is the default.
    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        let _ = (y, targets, weights, dy);
        Err(Error::argument("weights of samples", "a loss with Loss::weighted", format!("{self:?}")))
    }

    /// The metrics that the history shows besides the loss, unless the trainer sets others.
    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        Vec::new()
    }

    /// The loss for validation samples, if it is not the loss itself: for example the same without label smoothing.
    fn judge(&self) -> Option<Arc<dyn Loss<F>>> {
        None
    }

    /// An activation that a network must not end in, because the loss applies it.
    fn applies(&self) -> Option<Activation> {
        None
    }
}
