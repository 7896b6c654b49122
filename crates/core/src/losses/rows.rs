//! Losses of whole rows: divergence of distributions, margins between classes, likelihood of a normal distribution.

use std::sync::Arc;

use crate::error::Error;
use crate::layers::Activation;
use crate::losses::targets::check_probabilities;
use crate::losses::{Loss, Mean, RowWeights, Targets};
use crate::metrics::{Accuracy, Metric};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// The Kullback-Leibler divergence of the softmax of logits from target probabilities, Σ t (log t - log p), a mean over rows of the last
/// axis (Kullback and Leibler 1951). With sums of targets of 1, dL/dz = p - t. As PyTorch's
/// `kl_div(log_softmax(z), t, reduction="batchmean")` for `[n, classes]`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KlDivergence;

impl<F: Scalar> Loss<F> for KlDivergence {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        let t = targets.values_like(output)?;
        check_probabilities("targets", t.data(), output.last().copied().unwrap_or(1))
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        divergence(y, targets, None, dy)
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        divergence(y, targets, Some(weights), dy)
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        vec![Arc::new(Accuracy::new())]
    }

    fn applies(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }
}

fn divergence<F: Scalar>(
    y: &Tensor<F>,
    targets: &Targets<'_, F>,
    weights: Option<&[f64]>,
    dy: Option<&mut Tensor<F>>,
) -> Result<Mean, Error> {
    let output = y.shape();
    let output = output.get(1..).unwrap_or_default();
    KlDivergence.check(output, targets)?;
    let t = targets.values_like(output)?.data();
    let classes = y.width();
    over_rows(y, targets, weights, dy, |row, z, d| {
        let t = &t[row * classes..][..classes];
        let most = z.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
        let log_sum = z.iter().map(|z| (z - most).exp()).sum::<f64>().ln();
        let all: f64 = t.iter().map(|t| t.as_f64()).sum();
        let mut value = 0.0;
        for ((d, &z), t) in d.iter_mut().zip(z).zip(t) {
            let (t, log_p) = (t.as_f64(), z - most - log_sum);
            value += if t > 0.0 { t * (t.ln() - log_p) } else { 0.0 };
            *d = log_p.exp() * all - t;
        }
        value
    })
}

/// The hinge loss of classes: Σ over the others of max(0, 1 - z_class + z_other) / classes, a mean over rows of the last axis. As
/// PyTorch's `multi_margin_loss`; its form is that of Weston and Watkins 1999.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MultiClassHinge;

impl<F: Scalar> Loss<F> for MultiClassHinge {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.classes()?;
        targets.check_classes(output.last().copied().unwrap_or(0), None)
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        margins(y, targets, None, dy)
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        margins(y, targets, Some(weights), dy)
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        vec![Arc::new(Accuracy::new())]
    }
}

fn margins<F: Scalar>(
    y: &Tensor<F>,
    targets: &Targets<'_, F>,
    weights: Option<&[f64]>,
    dy: Option<&mut Tensor<F>>,
) -> Result<Mean, Error> {
    MultiClassHinge.check(y.shape().get(1..).unwrap_or_default(), targets)?;
    let labels = targets.classes()?;
    over_rows(y, targets, weights, dy, |row, z, d| {
        let (label, share) = (labels[row], 1.0 / z.len() as f64);
        d.fill(0.0);
        let mut value = 0.0;
        for (i, &other) in z.iter().enumerate().filter(|(i, _)| *i != label) {
            let margin = 1.0 - z[label] + other;
            if margin > 0.0 {
                value += share * margin;
                d[i] += share;
                d[label] -= share;
            }
        }
        value
    })
}

/// The negative logarithm of the likelihood of targets under normal distributions, without the constant: of the 2k numbers of an output's
/// last axis the first k are means μ, the others logarithms s of variances. L = ½ (s + (t - μ)² e^-s), a mean over the k numbers of
/// all rows (Nix and Weigend 1994). With e^s for the variance it is PyTorch's `gaussian_nll_loss`.
///
/// Targets are values whose last axis has k numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GaussianNll;

impl GaussianNll {
    /// The shape of a sample's targets.
    fn of(output: &[usize]) -> Result<Vec<usize>, Error> {
        match output.split_last() {
            Some((width, rest)) if width % 2 == 0 => Ok([rest, &[width / 2]].concat()),
            _ => Err(Error::argument(
                "model output",
                "an even last axis: means, then logarithms of variances",
                format!("{output:?}"),
            )),
        }
    }
}

impl<F: Scalar> Loss<F> for GaussianNll {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(&Self::of(output)?).map(drop)
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        likelihood(y, targets, None, dy)
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        likelihood(y, targets, Some(weights), dy)
    }
}

fn likelihood<F: Scalar>(
    y: &Tensor<F>,
    targets: &Targets<'_, F>,
    weights: Option<&[f64]>,
    dy: Option<&mut Tensor<F>>,
) -> Result<Mean, Error> {
    let t = targets.values_like(&GaussianNll::of(y.shape().get(1..).unwrap_or_default())?)?;
    let k = y.width() / 2;
    over_rows(y, targets, weights, dy, |row, y, d| {
        let mut value = 0.0;
        for (i, t) in t.data()[row * k..][..k].iter().enumerate() {
            let (off, s) = (y[i] - t.as_f64(), y[k + i]);
            let precision = (-s).exp();
            value += 0.5 * (s + off * off * precision);
            d[i] = off * precision / k as f64;
            d[k + i] = 0.5 * (1.0 - off * off * precision) / k as f64;
        }
        value / k as f64
    })
}

/// The mean over rows of the last axis of f(row, outputs, slopes), which gives a value and writes its derivatives.
fn over_rows<F: Scalar>(
    y: &Tensor<F>,
    targets: &Targets<'_, F>,
    weights: Option<&[f64]>,
    mut dy: Option<&mut Tensor<F>>,
    f: impl Fn(usize, &[f64], &mut [f64]) -> f64,
) -> Result<Mean, Error> {
    let (width, samples) = (y.width(), y.batch());
    if y.data().is_empty() {
        return Err(Error::argument("outputs", "at least one number", y.shape()));
    }
    match targets {
        Targets::Classes(_) => targets.check_count(&y.shape())?,
        // The loss checks their width: a likelihood has two outputs for each target.
        Targets::Values(t) if t.batch() != samples => {
            return Err(Error::argument("targets", format!("{samples}, one for each sample"), t.batch()));
        }
        Targets::Values(_) => {}
    }
    let weights = RowWeights::new(weights, samples, y.data().len() / width)?;
    let count = weights.count(samples);
    if let Some(dy) = dy.as_deref_mut() {
        dy.copy_from(y);
    }
    let (mut sum, mut outputs, mut slopes) = (0.0, vec![0.0; width], vec![0.0; width]);
    for (row, y) in y.data().chunks_exact(width).enumerate() {
        outputs.iter_mut().zip(y).for_each(|(to, y)| *to = y.as_f64());
        sum += weights.of(row) * f(row, &outputs, &mut slopes);
        if let Some(dy) = dy.as_deref_mut() {
            let to = &mut dy.data_mut()[row * width..][..width];
            to.iter_mut().zip(&slopes).for_each(|(d, s)| *d = F::from_f64(weights.of(row) * s / count));
        }
    }
    Ok(Mean { sum, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four samples of outputs of width 2.
    fn refused(loss: &impl Loss<f64>, targets: &Targets<'_, f64>) -> String {
        let y = Tensor::zeros(&[4, 2]).unwrap();
        let mut dy = Tensor::default();
        let errors = [loss.loss(&y, targets, Some(&mut dy)), loss.weighted(&y, targets, &[1.0; 4], None)]
            .map(|result| result.unwrap_err().to_string());
        assert_eq!(errors[0], errors[1]);
        errors[0].clone()
    }

    #[test]
    fn as_many_targets_as_samples_are_asked_for() {
        for samples in [3, 5] {
            let mut rows = Tensor::zeros(&[samples, 2]).unwrap();
            rows.data_mut().fill(0.5);
            let expected = format!("targets: expected 4, one for each sample, got {samples}");
            assert_eq!(refused(&KlDivergence, &Targets::Values(&rows)), expected);
            let values = Tensor::zeros(&[samples, 1]).unwrap();
            assert_eq!(refused(&GaussianNll, &Targets::Values(&values)), expected);
            let labels = vec![0; samples];
            let message = refused(&MultiClassHinge, &Targets::Classes(&labels));
            assert_eq!(
                message,
                format!("targets: expected 4, one for each row of the outputs, got {samples}")
            );
        }
    }
}
