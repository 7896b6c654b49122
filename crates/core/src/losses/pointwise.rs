//! Losses that are means over numbers: of a function of one output and its target.

use std::sync::Arc;

use crate::error::{Error, above_zero};
use crate::layers::Activation;
use crate::losses::{Loss, Mean, RowWeights, Targets, impossible};
use crate::metrics::{BinaryAccuracy, Mae, Metric, R2, Rmse};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// The mean over all numbers of a function of output y and target t, which gives its value and its derivative with respect to y.
/// Targets are values of the outputs' shape.
///
/// ```
/// use backstitch::losses::Pointwise;
/// /// The pinball loss: outputs become the 0.9 quantile of the targets (Koenker and Bassett 1978).
/// const QUANTILE: Pointwise =
///     Pointwise::new("quantile", |y, t| if t > y { (0.9 * (t - y), -0.9) } else { (0.1 * (y - t), 0.1) });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Pointwise {
    name: &'static str,
    f: fn(f64, f64) -> (f64, f64),
    shows: Shows,
}

/// Which metrics belong to a loss of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    /// Outputs are estimates of the targets.
    Guesses,
    /// The sign of an output is one of two classes.
    Signs,
}

impl Pointwise {
    /// A loss of a function that returns its value and its derivative. Messages use the name.
    pub const fn new(name: &'static str, f: fn(f64, f64) -> (f64, f64)) -> Self {
        Self { name, f, shows: Shows::Nothing }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where the sign of an output is what counts, so is that of its target.
    fn check_targets<F: Scalar>(&self, t: &Tensor<F>) -> Result<(), Error> {
        if self.shows != Shows::Signs {
            return Ok(());
        }
        match t.data().iter().position(|t| t.abs() != F::one()) {
            None => Ok(()),
            Some(at) => {
                let sample = at / (t.data().len() / t.batch().max(1)).max(1);
                Err(Error::argument(format!("targets of sample {sample}"), "-1 or 1", t.data()[at]))
            }
        }
    }
}

/// The mean squared error, (y - t)².
pub const MSE: Pointwise =
    Pointwise { name: "mse", f: |y, t| ((y - t) * (y - t), 2.0 * (y - t)), shows: Shows::Guesses };

/// The mean absolute error, |y - t|, with derivative 0 where they are equal, as in PyTorch's `l1_loss`.
pub const MAE: Pointwise = Pointwise {
    name: "mae",
    f: |y, t| ((y - t).abs(), if y == t { 0.0 } else { (y - t).signum() }),
    shows: Shows::Guesses,
};

/// The hinge loss max(0, 1 - y t), for targets of -1 and 1 (Rosasco et al. 2004, table 1).
pub const HINGE: Pointwise = Pointwise {
    name: "hinge",
    f: |y, t| if y * t < 1.0 { (1.0 - y * t, -t) } else { (0.0, 0.0) },
    shows: Shows::Signs,
};

impl<F: Scalar> Loss<F> for Pointwise {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        self.check_targets(targets.values_like(output)?)
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        <Self as Loss<F>>::check(self, y.shape().get(1..).unwrap_or_default(), targets)?;
        over_numbers(y, targets, None, dy, |_, y, t| (self.f)(y, t))
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        <Self as Loss<F>>::check(self, y.shape().get(1..).unwrap_or_default(), targets)?;
        over_numbers(y, targets, Some(weights), dy, |_, y, t| (self.f)(y, t))
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        match self.shows {
            Shows::Nothing => Vec::new(),
            Shows::Guesses => guesses(),
            Shows::Signs => vec![Arc::new(BinaryAccuracy::new(0.0))],
        }
    }
}

/// The metrics of outputs that are estimates of the targets.
fn guesses<F: Scalar>() -> Vec<Arc<dyn Metric<F>>> {
    vec![Arc::new(Mae), Arc::new(Rmse), Arc::new(R2)]
}

/// Huber's loss: ½ (y - t)² where |y - t| ≤ δ, else δ (|y - t| - δ / 2) (Huber 1964), as in PyTorch's `huber_loss`.
///
/// ```
/// use backstitch::{Tensor, losses::{Huber, Loss, Targets}};
/// let (y, t) = (Tensor::<f64>::zeros(&[2, 1])?, Tensor::zeros(&[2, 1])?);
/// assert_eq!(Huber::new(1.0)?.loss(&y, &Targets::Values(&t), None)?.value(), 0.0);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Huber {
    delta: f64,
}

impl Huber {
    /// Huber's loss with the distance δ where the square becomes a line.
    ///
    /// # Errors
    /// If it is not above 0 and finite.
    pub fn new(delta: f64) -> Result<Self, Error> {
        Ok(Self { delta: above_zero("delta", delta)? })
    }

    fn at(self, y: f64, t: f64) -> (f64, f64) {
        let (d, delta) = (y - t, self.delta);
        match d.abs() <= delta {
            true => (0.5 * d * d, d),
            false => (delta * (d.abs() - 0.5 * delta), delta * d.signum()),
        }
    }
}

impl<F: Scalar> Loss<F> for Huber {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(output).map(drop)
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        over_numbers(y, targets, None, dy, |_, y, t| self.at(y, t))
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        over_numbers(y, targets, Some(weights), dy, |_, y, t| self.at(y, t))
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        guesses()
    }
}

/// Binary cross-entropy of the sigmoid of logits, number by number: for two classes, several labels of a sample, or pixels from 0 to 1.
///
/// With p = σ(z): L = -w t log p - (1 - t) log(1 - p), dL/dz = (1 - t) p - w t (1 - p), where w is the weight of positive targets, 1 by
/// default. Each logarithm is that of 1 + e^-|z|, so that a large logit loses no digits. As PyTorch's
/// `binary_cross_entropy_with_logits`.
///
/// ```
/// use backstitch::{Tensor, losses::{BceWithLogits, Loss, Targets}};
/// use backstitch::ndarray::array;
/// let z = Tensor::from_array(&array![[1000.0_f64, -1000.0]].into_dyn())?;
/// let t = Tensor::from_array(&array![[1.0, 0.0]].into_dyn())?;
/// assert_eq!(BceWithLogits::new().loss(&z, &Targets::Values(&t), None)?.value(), 0.0);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BceWithLogits {
    /// One for each number of an output's last axis, or none where all are 1.
    positive: Vec<f64>,
}

impl BceWithLogits {
    /// Without weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weight of positive targets: one weight for each number of the outputs' last axis. PyTorch's `pos_weight`.
    ///
    /// # Errors
    /// If there are none, or one is not above 0 and finite.
    pub fn positive_weights(weights: &[f64]) -> Result<Self, Error> {
        match impossible(weights) {
            None if !weights.is_empty() => Ok(Self { positive: weights.to_vec() }),
            wrong => {
                let got = wrong.map_or("none".to_owned(), |label| weights[label].to_string());
                Err(Error::argument("positive weights", "finite numbers above 0, one for each label", got))
            }
        }
    }

    fn at(&self, i: usize, z: f64, t: f64) -> (f64, f64) {
        let w = if self.positive.is_empty() { 1.0 } else { self.positive[i % self.positive.len()] };
        // log(1 + e^-z) and log(1 + e^z), of which one is small and the other z more or less.
        let small = (-z.abs()).exp().ln_1p();
        let (minus, plus) = (small + (-z).max(0.0), small + z.max(0.0));
        let p = 1.0 / (1.0 + (-z).exp());
        let q = 1.0 / (1.0 + z.exp());
        // 0 times an infinite logarithm is 0 here.
        let term = |share: f64, log: f64| if share == 0.0 { 0.0 } else { share * log };
        (term(w * t, minus) + term(1.0 - t, plus), (1.0 - t) * p - w * t * q)
    }
}

impl<F: Scalar> Loss<F> for BceWithLogits {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        let width = output.last().copied().unwrap_or(1);
        if !(self.positive.is_empty() || self.positive.len() == width) {
            return Err(Error::argument(
                "positive weights",
                format!("{width}, one for each label"),
                self.positive.len(),
            ));
        }
        let t = targets.values_like(output)?;
        match t.data().iter().position(|t| !(*t >= F::zero() && *t <= F::one())) {
            None => Ok(()),
            Some(at) => Err(Error::argument(
                format!("targets of sample {}", at / (t.data().len() / t.batch().max(1)).max(1)),
                "numbers from 0 to 1",
                t.data()[at],
            )),
        }
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        self.check(y.shape().get(1..).unwrap_or_default(), targets)?;
        over_numbers(y, targets, None, dy, |i, z, t| self.at(i, z, t))
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        self.check(y.shape().get(1..).unwrap_or_default(), targets)?;
        over_numbers(y, targets, Some(weights), dy, |i, z, t| self.at(i, z, t))
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        vec![Arc::new(BinaryAccuracy::new(0.5))]
    }

    fn applies(&self) -> Option<Activation> {
        Some(Activation::Sigmoid)
    }
}

/// The mean over all numbers of f(position, output, target), which gives a value and its derivative.
fn over_numbers<F: Scalar>(
    y: &Tensor<F>,
    targets: &Targets<'_, F>,
    weights: Option<&[f64]>,
    dy: Option<&mut Tensor<F>>,
    f: impl Fn(usize, f64, f64) -> (f64, f64),
) -> Result<Mean, Error> {
    let samples = y.batch();
    let t = targets.values_like(y.shape().get(1..).unwrap_or_default())?;
    targets.check_count(&y.shape())?;
    if y.data().is_empty() {
        return Err(Error::argument("outputs", "at least one number", y.shape()));
    }
    // Every number is a row of its own.
    let weights = RowWeights::new(weights, samples, y.data().len())?;
    let count = weights.count(samples);
    let pairs = y.data().iter().zip(t.data()).enumerate();
    let mut sum = 0.0;
    match dy {
        None => pairs.for_each(|(i, (y, t))| sum += weights.of(i) * f(i, y.as_f64(), t.as_f64()).0),
        Some(dy) => {
            dy.copy_from(y);
            for ((i, (y, t)), d) in pairs.zip(dy.data_mut()) {
                let (value, slope) = f(i, y.as_f64(), t.as_f64());
                sum += weights.of(i) * value;
                *d = F::from_f64(weights.of(i) * slope / count);
            }
        }
    }
    Ok(Mean { sum, count })
}
