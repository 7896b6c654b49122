//! Losses: how wrong an output is, and the derivative of that.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, below_one};
use crate::kernels::elementwise::{softmax, vectorised};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// What the outputs should have been.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a, F = f32> {
    /// The class of each sample, counted from 0.
    Classes(&'a [usize]),
    /// A row of probabilities for each sample: one-hot, or any that sum to 1.
    Rows(ArrayView2<'a, F>),
}

impl<F: Scalar> Targets<'_, F> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Rows(rows) => rows.nrows(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of one sample: for a row of probabilities, the likeliest.
    pub fn class(&self, sample: usize) -> usize {
        match self {
            Self::Classes(classes) => classes[sample],
            Self::Rows(rows) => crate::metrics::largest(rows.row(sample).iter().copied()),
        }
    }

    /// Checks that the targets can be compared with outputs for this many classes.
    ///
    /// # Errors
    /// If a label is no class, or rows have another length, or hold what is no probability.
    pub fn check(&self, classes: usize) -> Result<(), Error> {
        match self {
            Self::Classes(labels) => match labels.iter().position(|&label| label >= classes) {
                None => Ok(()),
                Some(sample) => {
                    Err(Error::Label { sample, last_class: classes.saturating_sub(1), label: labels[sample] })
                }
            },
            Self::Rows(rows) if rows.ncols() != classes => Err(Error::argument(
                "targets",
                format!("rows of {classes} probabilities"),
                format!("rows of {}", rows.ncols()),
            )),
            Self::Rows(rows) => {
                let wrong = rows.outer_iter().position(|row| {
                    let sum: f64 = row.iter().map(|p| p.as_f64()).sum();
                    (sum - 1.0).abs() > 1e-3 || row.iter().any(|&p| p < F::zero())
                });
                match wrong {
                    None => Ok(()),
                    Some(i) => Err(Error::argument(
                        format!("targets of sample {i}"),
                        "probabilities that sum to 1",
                        format!("{:?}", rows.row(i).to_vec()),
                    )),
                }
            }
        }
    }
}

/// Labels as rows of probabilities, `[n, classes]`: 1 at the class of the sample, 0 elsewhere.
///
/// ```
/// use ndarray::array;
/// let rows = backstitch_core::loss::one_hot::<f64>(&[2, 0], 3)?;
/// assert_eq!(rows, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
///
/// # Errors
/// If a label is not below `classes`.
pub fn one_hot<F: Scalar>(labels: &[usize], classes: usize) -> Result<Array2<F>, Error> {
    Targets::<F>::Classes(labels).check(classes)?;
    let one = |(sample, class)| if labels[sample] == class { F::one() } else { F::zero() };
    Ok(Array2::from_shape_fn((labels.len(), classes), one))
}

/// Mean cross-entropy of the softmax of logits.
///
/// For one sample with logits z and target probabilities t, with p = softmax(z):
///
/// L = -Σ_i t_i log p_i = log Σ_j e^z_j - Σ_i t_i z_i, dL/dz_i = p_i - t_i,
///
/// where Σ t = 1. Both are taken after subtracting the largest logit, so no logit is too large;
/// the loss of a batch is the mean over its samples, weighted by their classes where that is wanted. (Goodfellow, Bengio and Courville, Deep
/// Learning, section 6.2.2.3.)
///
/// ```
/// use backstitch_core::{Tensor, loss::{CrossEntropy, Targets}};
/// use ndarray::array;
/// let logits = Tensor::from_array(&array![[1000.0_f64, 0.0], [0.0, 0.0]].into_dyn())?;
/// let loss = CrossEntropy::new().loss(&logits, Targets::Classes(&[0, 1]), None);
/// assert!((loss - 2.0_f64.ln() / 2.0).abs() < 1e-12);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CrossEntropy {
    smoothing: f64,
    /// One a class, or none where all count alike.
    class_weights: Vec<f64>,
}

impl CrossEntropy {
    /// The loss without label smoothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves so much of every target's probability to all K classes alike: t' = (1 - α) t + α / K (Szegedy et al.
    /// 2016, section 7), as in PyTorch.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn label_smoothing(smoothing: f64) -> Result<Self, Error> {
        Ok(Self { smoothing: below_one("label_smoothing", smoothing)?, ..Self::default() })
    }

    /// Lets samples of some classes count more than others: the loss of a batch is Σ w_i L_i / Σ w_i, w_i the weight of the class of
    /// sample i.
    ///
    /// # Errors
    /// If there are none, or one is not above 0 and finite.
    pub fn class_weights(mut self, weights: Vec<f64>) -> Result<Self, Error> {
        let wrong = weights.iter().position(|w| !(*w > 0.0 && w.is_finite()));
        if weights.is_empty() || wrong.is_some() {
            let got =
                wrong.map_or("none".to_owned(), |class| format!("{} for class {class}", weights[class]));
            return Err(Error::argument("class weights", "finite numbers above 0, one a class", got));
        }
        self.class_weights = weights;
        Ok(self)
    }

    /// Checks that outputs for so many classes can be judged.
    pub(crate) fn check(&self, classes: usize) -> Result<(), Error> {
        if self.class_weights.is_empty() || self.class_weights.len() == classes {
            return Ok(());
        }
        Err(Error::argument("class weights", format!("{classes}, one a class"), self.class_weights.len()))
    }

    /// What a sample counts.
    fn weight<F: Scalar>(&self, targets: Targets<'_, F>, sample: usize) -> f64 {
        if self.class_weights.is_empty() { 1.0 } else { self.class_weights[targets.class(sample)] }
    }

    /// The mean loss over a batch of logits `[n, classes]`; overwrites `gradient` with dL/dlogits
    /// where it is wanted. Targets must have passed [`Targets::check`].
    ///
    /// # Panics
    /// If there are fewer targets than rows of logits, or fewer class weights than classes.
    pub fn loss<F: Scalar>(
        &self,
        logits: &Tensor<F>,
        targets: Targets<'_, F>,
        gradient: Option<&mut Tensor<F>>,
    ) -> f64 {
        let samples = logits.batch();
        let width = logits.data().len() / samples.max(1);
        let all: f64 = (0..samples).map(|i| self.weight(targets, i)).sum();
        match gradient {
            Some(gradient) => {
                gradient.copy_from(logits);
                self.losses(logits, targets, gradient.data_mut(), (width, all))
            }
            None => {
                // A row at a time: 1,000 classes at most are held twice.
                let mut row = vec![F::zero(); width];
                let one = |i: usize| {
                    let loss = self.one(&logits.data()[i * width..][..width], targets, i, &mut row);
                    self.weight(targets, i) * loss
                };
                (0..samples).map(one).sum::<f64>() / all
            }
        }
    }

    /// Losses and gradients of all rows, in one vectorised loop.
    fn losses<F: Scalar>(
        &self,
        logits: &Tensor<F>,
        targets: Targets<'_, F>,
        gradient: &mut [F],
        (width, all): (usize, f64),
    ) -> f64 {
        let kept = F::from_f64(1.0 - self.smoothing);
        let spread = F::from_f64(self.smoothing / width as f64);
        let mut sum = 0.0;
        for (i, (row, logits)) in
            gradient.chunks_exact_mut(width).zip(logits.data().chunks_exact(width)).enumerate()
        {
            let weight = self.weight(targets, i);
            let scale = F::from_f64(weight) / F::from_f64(all);
            sum += weight * self.one(logits, targets, i, row);
            match targets {
                Targets::Classes(classes) => row[classes[i]] -= kept,
                Targets::Rows(rows) => row.iter_mut().zip(rows.row(i)).for_each(|(p, &t)| *p -= kept * t),
            }
            row.iter_mut().for_each(|d| *d = (*d - spread) * scale);
        }
        sum / all
    }

    /// The loss of one row of logits; leaves its softmax in `probabilities`.
    fn one<F: Scalar>(
        &self,
        logits: &[F],
        targets: Targets<'_, F>,
        sample: usize,
        probabilities: &mut [F],
    ) -> f64 {
        probabilities.copy_from_slice(logits);
        let log_sum = vectorised(
            #[inline(always)]
            || softmax(probabilities),
        );
        let expected = match targets {
            Targets::Classes(classes) => logits[classes[sample]],
            Targets::Rows(rows) => rows.row(sample).iter().zip(logits).fold(F::zero(), |sum, (&t, &z)| {
                // An impossible class may have a logit of minus infinity: 0 times that is 0 here.
                if t == F::zero() { sum } else { sum + t * z }
            }),
        };
        if self.smoothing == 0.0 {
            return (log_sum - expected).as_f64();
        }
        let mean = logits.iter().fold(F::zero(), |sum, &z| sum + z).as_f64() / logits.len() as f64;
        log_sum.as_f64() - (1.0 - self.smoothing) * expected.as_f64() - self.smoothing * mean
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn logits() -> Tensor<f64> {
        Tensor::from_array(&array![[0.5, -1.0, 2.0], [1.0, 1.5, -0.5], [0.0, 0.0, 3.0]].into_dyn()).unwrap()
    }

    #[test]
    fn class_weights_are_those_of_pytorch() {
        // torch.nn.functional.cross_entropy(z, tensor([2, 1, 0]), weight=tensor([1., 2., .5])), and z.grad
        let loss = CrossEntropy::new().class_weights(vec![1.0, 2.0, 0.5]).unwrap();
        let (mut gradient, targets) = (Tensor::default(), Targets::Classes(&[2, 1, 0]));
        let value = loss.loss(&logits(), targets, Some(&mut gradient));
        assert!((value - 1.2358549840095774).abs() < 1e-14);
        assert!((loss.loss(&logits(), targets, None) - value).abs() < 1e-15);
        let expected = [
            [0.025041484591, 0.005587510467, -0.030628995059],
            [0.198975673076, -0.243373146876, 0.044397473799],
            [-0.272777571216, 0.012936714498, 0.259840856718],
        ];
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-11;
        assert!(gradient.data().iter().zip(expected.as_flattened()).all(close), "{:?}", gradient.data());
    }

    #[test]
    fn weighted_and_smoothed_gradients_are_central_differences() {
        let loss = CrossEntropy::label_smoothing(0.1).unwrap().class_weights(vec![1.0, 2.0, 0.5]).unwrap();
        let (mut z, mut gradient, targets) = (logits(), Tensor::default(), Targets::Classes(&[2, 1, 0]));
        loss.loss(&z, targets, Some(&mut gradient));
        for i in 0..9 {
            let mut at = |by: f64| {
                z.data_mut()[i] += by;
                let value = loss.loss(&z, targets, None);
                z.data_mut()[i] -= by;
                value
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - gradient.data()[i]).abs() < 1e-9, "{i}: {numeric} {}", gradient.data()[i]);
        }
    }

    #[test]
    fn weights_that_weigh_nothing_are_refused() {
        for (weights, got) in [(vec![], "none"), (vec![1.0, 0.0], "0 for class 1"), (vec![f64::NAN], "NaN")] {
            let error = CrossEntropy::new().class_weights(weights).unwrap_err().to_string();
            assert!(error.contains(got), "{error}");
        }
        let error =
            CrossEntropy::new().class_weights(vec![1.0; 3]).unwrap().check(4).unwrap_err().to_string();
        assert!(error.contains("expected 4, one a class, got 3"), "{error}");
        assert!(one_hot::<f32>(&[3], 3).is_err() && one_hot::<f32>(&[0], 0).is_err());
    }
}
