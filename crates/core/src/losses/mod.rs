//! Losses: how wrong outputs are, and the derivative of that.

mod cross_entropy;
mod pointwise;
mod rows;

use std::fmt::Debug;
use std::ops::AddAssign;
use std::sync::Arc;

use crate::error::Error;
use crate::layers::Activation;
use crate::metrics::Metric;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

pub use crate::targets::{Targets, one_hot};
pub use cross_entropy::CrossEntropy;
pub use pointwise::{BceWithLogits, HINGE, Huber, MAE, MSE, Pointwise};
pub use rows::{GaussianNll, KlDivergence, MultiClassHinge};

/// A sum and what it is to be divided by, so that batches of any size, ignored positions and weights add up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// The sum.
    pub sum: f64,
    /// How much was added up: the number of samples, of positions or of numbers, or the sum of their weights.
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

/// What the rows of a batch count: the weight of the sample that a row is of, 1 where there are no weights.
struct RowWeights<'a> {
    weights: Option<&'a [f64]>,
    /// Rows of a sample.
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

    /// What all rows of this many samples count together.
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
        return Err(Error::argument("weights of samples", format!("{samples}, one a sample"), weights.len()));
    }
    match impossible(weights) {
        Some(i) => {
            Err(Error::argument(format!("weight of sample {i}"), "a finite number above 0", weights[i]))
        }
        None => Ok(()),
    }
}

/// How wrong the outputs of a batch are.
///
/// ```
/// use backstitch_core::{Error, Scalar, Tensor, losses::{Loss, Mean, Targets}};
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
    /// Whether outputs of this shape, that of one sample, can be judged by such targets. Training asks before the first step.
    ///
    /// # Errors
    /// If they cannot: the message says what was expected.
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error>;

    /// The loss of a batch, and in `dy`, where it is wanted, the derivative of sum / count with respect to `y`. `dy` has the shape of `y`
    /// and unspecified numbers: every one is to be written.
    ///
    /// # Errors
    /// If outputs and targets do not fit each other, or nothing of them counts.
    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error>;

    /// As [`loss`](Self::loss), with a weight for each sample: it multiplies what the sample adds to the sum and to the count.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and if the loss takes no weights, which it does not unless it says how.
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

    /// What the history shows beside the loss, unless the trainer is told otherwise.
    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        Vec::new()
    }

    /// What validation samples are judged by, where it is not the loss itself: one without label smoothing.
    fn judge(&self) -> Option<Arc<dyn Loss<F>>> {
        None
    }

    /// An activation that a network must not end in, because the loss applies it.
    fn applies(&self) -> Option<Activation> {
        None
    }
}
