//! Losses: how wrong an output is, and the derivative of that.

use ndarray::ArrayView2;

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
                Some(sample) => Err(Error::Label { sample, last_class: classes - 1, label: labels[sample] }),
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

/// Mean cross-entropy of the softmax of logits.
///
/// For one sample with logits z and target probabilities t, with p = softmax(z):
///
/// L = -Σ_i t_i log p_i = log Σ_j e^z_j - Σ_i t_i z_i, dL/dz_i = p_i - t_i,
///
/// where Σ t = 1. Both are taken after subtracting the largest logit, so no logit is too large;
/// the loss of a batch is the mean over its samples. (Goodfellow, Bengio and Courville, Deep
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
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy {
    smoothing: f64,
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
        Ok(Self { smoothing: below_one("label_smoothing", smoothing)? })
    }

    /// The mean loss over a batch of logits `[n, classes]`; overwrites `gradient` with dL/dlogits
    /// where it is wanted. Targets must have passed [`Targets::check`].
    ///
    /// # Panics
    /// If there are fewer targets than rows of logits.
    pub fn loss<F: Scalar>(
        &self,
        logits: &Tensor<F>,
        targets: Targets<'_, F>,
        gradient: Option<&mut Tensor<F>>,
    ) -> f64 {
        let samples = logits.batch();
        let width = logits.data().len() / samples.max(1);
        match gradient {
            Some(gradient) => {
                gradient.copy_from(logits);
                self.losses(logits, targets, gradient.data_mut(), width)
            }
            None => {
                // A row at a time: 1,000 classes at most are held twice.
                let mut row = vec![F::zero(); width];
                let one = |i: usize| self.one(&logits.data()[i * width..][..width], targets, i, &mut row);
                (0..samples).map(one).sum::<f64>() / samples as f64
            }
        }
    }

    /// Losses and gradients of all rows, in one vectorised loop.
    fn losses<F: Scalar>(
        &self,
        logits: &Tensor<F>,
        targets: Targets<'_, F>,
        gradient: &mut [F],
        width: usize,
    ) -> f64 {
        let scale = F::one() / F::from_f64(logits.batch() as f64);
        let kept = F::from_f64(1.0 - self.smoothing);
        let spread = F::from_f64(self.smoothing / width as f64);
        let mut sum = 0.0;
        for (i, (row, logits)) in
            gradient.chunks_exact_mut(width).zip(logits.data().chunks_exact(width)).enumerate()
        {
            sum += self.one(logits, targets, i, row);
            match targets {
                Targets::Classes(classes) => row[classes[i]] -= kept,
                Targets::Rows(rows) => row.iter_mut().zip(rows.row(i)).for_each(|(p, &t)| *p -= kept * t),
            }
            row.iter_mut().for_each(|d| *d = (*d - spread) * scale);
        }
        sum / logits.batch() as f64
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
