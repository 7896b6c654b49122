//! Cross-entropy.

use std::sync::Arc;

use crate::error::{Error, below_one};
use crate::kernels::elementwise::exponentials;
use crate::kernels::simd::vectorised;
use crate::layers::Activation;
use crate::losses::{Loss, Mean, RowWeights, Targets, impossible};
use crate::metrics::{Accuracy, Metric};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// Mean cross-entropy of the softmax of logits.
///
/// For one sample with logits z and target probabilities t, with p = softmax(z):
///
/// L = -Σ_i t_i log p_i, dL/dz_i = p_i Σ_j t_j - t_i
///
/// With m the largest logit, -log p_i = (m - z_i) + log(1 + Σ' e^(z_j - m)), the last sum without the largest itself: two numbers that
/// are not negative, so that neither a large logit nor a loss near 0 loses digits. At the largest logit the derivative is a sum
/// over the others, and not a difference from 1, for the same reason. (Goodfellow, Bengio and Courville, Deep Learning, section 6.2.2.3.)
///
/// Logits are `[n, classes]`, or `[n, .., classes]` with a class for each position. The loss of a batch is the mean over its samples, or
/// over all their positions. Class weights, label smoothing and an ignored class count as in PyTorch's
/// `cross_entropy`; the methods say how.
///
/// ```
/// use backstitch::{Tensor, losses::{CrossEntropy, Loss, Targets}};
/// use backstitch::ndarray::array;
/// let logits = Tensor::from_array(&array![[1000.0_f64, 0.0], [0.0, 0.0]].into_dyn())?;
/// let loss = CrossEntropy::new().loss(&logits, &Targets::Classes(&[0, 1]), None)?;
/// assert!((loss.value() - 2.0_f64.ln() / 2.0).abs() < 1e-12);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CrossEntropy {
    smoothing: f64,
    /// One weight for each class, or none if all have the weight 1.
    class_weights: Vec<f64>,
    ignored: Option<usize>,
}

impl CrossEntropy {
    /// The loss without label smoothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spreads the share α of every target's probability evenly over all K classes: t' = (1 - α) t + α / K (Szegedy et al.
    /// 2016, section 7), as in PyTorch.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn label_smoothing(smoothing: f64) -> Result<Self, Error> {
        Ok(Self { smoothing: below_one("label_smoothing", smoothing)?, ..Self::default() })
    }

    /// Sets a weight for each class, as in PyTorch: the term of class i is weighted, -w_i t'_i log p_i. The loss of a
    /// batch with labels is the sum divided by that of the weights of its labels; with rows of probabilities, by the number of
    /// samples.
    ///
    /// # Errors
    /// If there are none, or one is not above 0 and finite.
    pub fn class_weights(mut self, weights: Vec<f64>) -> Result<Self, Error> {
        let wrong = impossible(&weights);
        if weights.is_empty() || wrong.is_some() {
            let got =
                wrong.map_or("none".to_owned(), |class| format!("{} for class {class}", weights[class]));
            return Err(Error::argument("class weights", "finite numbers above 0, one for each class", got));
        }
        self.class_weights = weights;
        Ok(self)
    }

    /// Ignores samples with this label: they count neither in the sum nor in its divisor, and their gradient is 0. The label may be a number
    /// that is not a class, such as 255. A batch in which all samples are ignored is an error (in PyTorch its loss is NaN).
    ///
    /// ```
    /// use backstitch::{Tensor, losses::{CrossEntropy, Loss, Targets}};
    /// use backstitch::ndarray::array;
    /// let logits = Tensor::from_array(&array![[0.0_f64, 0.0], [9.0, -3.0]].into_dyn())?;
    /// let loss = CrossEntropy::new().ignore_index(255);
    /// assert_eq!(loss.loss(&logits, &Targets::Classes(&[0, 255]), None)?.value(), 2.0_f64.ln());
    /// assert!(loss.loss(&logits, &Targets::Classes(&[255, 255]), Some(&mut Tensor::default())).is_err());
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn ignore_index(mut self, class: usize) -> Self {
        self.ignored = Some(class);
        self
    }

    fn ignores(&self, label: usize) -> bool {
        self.ignored == Some(label)
    }

    /// The weight of a class.
    fn weight(&self, class: usize) -> f64 {
        self.class_weights.get(class).copied().unwrap_or(1.0)
    }

    /// The divisor of the sum over a batch.
    fn divisor<F: Scalar>(&self, rows: &RowTargets<'_, F>, learns: bool) -> Result<f64, Error> {
        let Targets::Classes(labels) = rows.targets else {
            return Ok((0..rows.count).map(|row| rows.weights.of(row)).sum());
        };
        let counting = labels.iter().enumerate().filter(|(_, label)| !self.ignores(**label));
        let sum: f64 = counting.map(|(row, &label)| rows.weights.of(row) * self.weight(label)).sum();
        // In evaluation such a batch adds nothing. In training it is an error.
        if sum == 0.0 && learns {
            let ignored = self.ignored.unwrap_or_default();
            let expected = format!("at least one label other than {ignored}, which is ignored");
            return Err(Error::argument("targets", expected, format!("{} of it", labels.len())));
        }
        if sum.is_infinite() {
            return Err(Error::argument("class weights", "a finite sum over the batch", sum));
        }
        Ok(sum)
    }

    fn all<F: Scalar>(
        &self,
        logits: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: Option<&[f64]>,
        gradient: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        let shape = logits.shape();
        let (Some(&classes @ 1..), Some(&samples @ 1..), 2..) = (shape.last(), shape.first(), shape.len())
        else {
            return Err(Error::argument("logits", "[samples, .., classes], at least one of each", shape));
        };
        targets.check_count(&shape)?;
        self.check(&shape[1..], targets)?;
        let count = logits.data().len() / classes;
        let rows =
            RowTargets { targets: *targets, weights: RowWeights::new(weights, samples, count)?, count };
        let all = self.divisor(&rows, gradient.is_some())?;
        let logits_of = logits.data().chunks_exact(classes).enumerate();
        let sum = match gradient {
            Some(gradient) => {
                gradient.copy_from(logits);
                let gradients = gradient.data_mut().chunks_exact_mut(classes);
                let one = |((i, logits), row)| self.one(logits, &rows, (i, all), row, true);
                logits_of.zip(gradients).map(one).sum()
            }
            None => {
                // One row at a time, so that only one row is copied.
                let mut copy = vec![F::zero(); classes];
                let one = |(i, logits): (usize, &[F])| {
                    copy.copy_from_slice(logits);
                    self.one(logits, &rows, (i, all), &mut copy, false)
                };
                logits_of.map(one).sum()
            }
        };
        Ok(Mean { sum, count: all })
    }

    /// What one row of logits adds to the sum. `row` is a copy of it, which is overwritten with the gradient if it is needed.
    fn one<F: Scalar>(
        &self,
        logits: &[F],
        rows: &RowTargets<'_, F>,
        (at, all): (usize, f64),
        row: &mut [F],
        gradient: bool,
    ) -> f64 {
        if matches!(rows.targets, Targets::Classes(labels) if self.ignores(labels[at])) {
            row.fill(F::zero());
            return 0.0;
        }
        let (top, others) = vectorised(
            #[inline(always)]
            || exponentials(row),
        );
        // With a_i the share of -log p_i: at the largest logit, elsewhere, and elsewhere times how far below the largest.
        let (mut at_top, mut elsewhere, mut below) = (0.0, 0.0, 0.0);
        let highest = logits[top].as_f64();
        self.shares(rows, at, logits.len(), |class, share| {
            if class == top {
                at_top = share;
            } else if share != 0.0 {
                // An impossible class may have a logit of minus infinity: 0 times that is 0 here.
                elsewhere += share;
                below += share * (highest - logits[class].as_f64());
            }
        });
        let sum = at_top + elsewhere;
        if gradient {
            let factor = F::from_f64(sum / all / (1.0 + others));
            vectorised(
                #[inline(always)]
                || row.iter_mut().for_each(|e| *e *= factor),
            );
            self.shares(rows, at, logits.len(), |class, share| row[class] -= F::from_f64(share / all));
            row[top] = F::from_f64((elsewhere - sum * others / (1.0 + others)) / all);
        }
        sum * others.ln_1p() + below
    }

    /// Calls `f(i, w_i t'_i)` for the classes of a row; for ignored ones it is 0.
    #[inline(always)]
    fn shares<F: Scalar>(
        &self,
        rows: &RowTargets<'_, F>,
        at: usize,
        classes: usize,
        mut f: impl FnMut(usize, f64),
    ) {
        let (kept, spread, own) =
            (1.0 - self.smoothing, self.smoothing / classes as f64, rows.weights.of(at));
        match rows.targets {
            Targets::Classes(labels) if self.smoothing == 0.0 => {
                f(labels[at], own * self.weight(labels[at]));
            }
            Targets::Classes(labels) => {
                for class in 0..classes {
                    let target = if class == labels[at] { kept } else { 0.0 };
                    f(class, own * self.weight(class) * (target + spread));
                }
            }
            Targets::Values(values) => {
                for (class, t) in values.data()[at * classes..][..classes].iter().enumerate() {
                    f(class, own * self.weight(class) * (kept * t.as_f64() + spread));
                }
            }
        }
    }
}

/// The targets of the rows of a batch of logits.
struct RowTargets<'a, F> {
    targets: Targets<'a, F>,
    weights: RowWeights<'a>,
    count: usize,
}

impl<F: Scalar> Loss<F> for CrossEntropy {
    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        let Some(&classes) = output.last() else {
            return Err(Error::argument("model output", "[.., classes]", "[]"));
        };
        if !(self.class_weights.is_empty() || self.class_weights.len() == classes) {
            let expected = format!("{classes}, one for each class");
            return Err(Error::argument("class weights", expected, self.class_weights.len()));
        }
        if self.ignored.is_some() && matches!(targets, Targets::Values(_)) {
            return Err(Error::argument("targets", "labels, of which ignore_index leaves one out", "rows"));
        }
        if let Targets::Values(_) = targets {
            targets.values_like(output)?;
        }
        targets.check_classes(classes, self.ignored)
    }

    fn loss(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        self.all(y, targets, None, dy)
    }

    fn weighted(
        &self,
        y: &Tensor<F>,
        targets: &Targets<'_, F>,
        weights: &[f64],
        dy: Option<&mut Tensor<F>>,
    ) -> Result<Mean, Error> {
        self.all(y, targets, Some(weights), dy)
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        vec![Arc::new(Accuracy { ignored: self.ignored })]
    }

    fn judge(&self) -> Option<Arc<dyn Loss<F>>> {
        Some(Arc::new(Self { ignored: self.ignored, ..Self::default() }))
    }

    fn applies(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn tensor<F: Scalar>(logits: Array2<F>) -> Tensor<F> {
        Tensor::from_array(logits.into_dyn()).unwrap()
    }

    fn logits() -> Tensor<f64> {
        tensor(array![[0.5, -1.0, 2.0], [1.0, 1.5, -0.5], [0.0, 0.0, 3.0]])
    }

    fn with_gradient<F: Scalar>(
        loss: &CrossEntropy,
        z: &Tensor<F>,
        targets: Targets<'_, F>,
    ) -> (f64, Vec<f64>) {
        let mut gradient = Tensor::default();
        let value = loss.loss(z, &targets, Some(&mut gradient)).unwrap().value();
        (value, gradient.data().iter().map(|g| g.as_f64()).collect())
    }

    #[track_caller]
    fn close(got: f64, expected: f64, relative: f64) {
        assert!((got - expected).abs() <= relative * expected.abs(), "{got} {expected}");
    }

    #[test]
    fn a_loss_near_0_keeps_its_digits_and_so_does_its_gradient() {
        // Σ' e^(z - 1014) in f64, and its ln(1 + .): what PyTorch gives in f64.
        let others = (-14.0_f64).exp() + (-15.0_f64).exp();
        let (value, gradient) = with_gradient(
            &CrossEntropy::new(),
            &tensor(array![[1014.0_f32, 1000.0, 999.0]]),
            Targets::Classes(&[0]),
        );
        close(value, 1.1374298e-6, 1e-6);
        close(value, others.ln_1p(), 3e-7);
        close(gradient[0], -others / (1.0 + others), 3e-7);
        close(gradient[1], (-14.0_f64).exp() / (1.0 + others), 3e-7);
        // One-hot rows take the other way through the code.
        let rows = tensor(array![[1.0_f32, 0.0, 0.0]]);
        let by_rows = with_gradient(
            &CrossEntropy::new(),
            &tensor(array![[1014.0, 1000.0, 999.0]]),
            Targets::Values(&rows),
        );
        assert_eq!(by_rows, (value, gradient));
        // Far below what 1 + x can hold, in f64 too.
        let (value, gradient) =
            with_gradient(&CrossEntropy::new(), &tensor(array![[50.0_f64, 0.0]]), Targets::Classes(&[0]));
        close(value, (-50.0_f64).exp(), 1e-15);
        close(gradient[0], -(-50.0_f64).exp(), 1e-15);
    }

    #[test]
    fn many_classes_are_summed_up_exactly() {
        // One in front of 2^16 others that each are too small to change an f32 sum of 1.
        let mut z = vec![-17.0_f32; 1 << 16];
        z[40_000] = 0.0;
        let z = tensor(Array2::from_shape_vec((1, 1 << 16), z).unwrap());
        let (value, gradient) = with_gradient(&CrossEntropy::new(), &z, Targets::Classes(&[40_000]));
        let others = f64::from((1 << 16) - 1) * (-17.0_f64).exp();
        close(value, others.ln_1p(), 1e-6);
        close(gradient[40_000], -others / (1.0 + others), 1e-6);
    }

    #[test]
    fn weights_with_smoothing_are_those_of_pytorch() {
        // torch.nn.functional.cross_entropy(tensor([[1., 0.]]), tensor([0]), weight=tensor([1., 3.]), label_smoothing=.5)
        let loss = CrossEntropy::label_smoothing(0.5).unwrap().class_weights(vec![1.0, 3.0]).unwrap();
        let (value, gradient) = with_gradient(&loss, &tensor(array![[1.0_f64, 0.0]]), Targets::Classes(&[0]));
        close(value, 1.219892530, 1e-8);
        close(gradient[0], 0.346587867, 1e-8);
        close(gradient[1], -0.346587867, 1e-8);
    }

    #[test]
    fn class_weights_are_those_of_pytorch() {
        // torch.nn.functional.cross_entropy(z, tensor([2, 1, 0]), weight=tensor([1., 2., .5])), and z.grad
        let loss = CrossEntropy::new().class_weights(vec![1.0, 2.0, 0.5]).unwrap();
        let targets = Targets::Classes(&[2, 1, 0]);
        let (value, gradient) = with_gradient(&loss, &logits(), targets);
        assert!((value - 1.2358549840095774).abs() < 1e-14);
        assert!((loss.loss(&logits(), &targets, None).unwrap().value() - value).abs() < 1e-15);
        let expected = [
            [0.025041484591, 0.005587510467, -0.030628995059],
            [0.198975673076, -0.243373146876, 0.044397473799],
            [-0.272777571216, 0.012936714498, 0.259840856718],
        ];
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-11;
        assert!(gradient.iter().zip(expected.as_flattened()).all(close), "{gradient:?}");
    }

    #[test]
    fn gradients_are_central_differences() {
        let weighted = |loss: CrossEntropy| loss.class_weights(vec![1.0, 2.0, 0.5]).unwrap();
        let smoothed = || CrossEntropy::label_smoothing(0.1).unwrap();
        let soft = tensor(array![[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.7, 0.0, 0.3]]);
        let (labels, soft) = (Targets::Classes(&[2, 1, 0]), Targets::Values(&soft));
        for (loss, targets) in [
            (weighted(smoothed()), labels),
            (weighted(smoothed()), soft),
            (weighted(CrossEntropy::new()), soft),
            (smoothed().ignore_index(1), labels),
            (weighted(smoothed()).ignore_index(0), labels),
        ] {
            let mut z = logits();
            let (_, gradient) = with_gradient(&loss, &z, targets);
            for (i, by_hand) in gradient.into_iter().enumerate() {
                let mut at = |by: f64| {
                    z.data_mut()[i] += by;
                    let value = loss.loss(&z, &targets, None).unwrap().value();
                    z.data_mut()[i] -= by;
                    value
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((numeric - by_hand).abs() < 1e-9, "{loss:?} {i}: {numeric} {by_hand}");
            }
        }
    }

    #[test]
    fn ignored_samples_count_neither_in_the_sum_nor_in_the_mean() {
        let plain = CrossEntropy::new();
        let two = tensor(array![[0.5, -1.0, 2.0], [0.0, 0.0, 3.0]]);
        let (expected, rows) = with_gradient(&plain, &two, Targets::Classes(&[2, 0]));
        for ignored in [1, 3, 255, usize::MAX] {
            let loss = plain.clone().ignore_index(ignored);
            let labels = [2, ignored, 0];
            let (value, gradient) = with_gradient(&loss, &logits(), Targets::Classes(&labels));
            assert_eq!(value, expected);
            assert_eq!((&gradient[..3], &gradient[6..]), (&rows[..3], &rows[3..]));
            assert_eq!(gradient[3..6], [0.0; 3]);
            // Not even a NaN of theirs counts.
            let mut z = logits();
            z.data_mut()[4] = f64::NAN;
            assert_eq!(with_gradient(&loss, &z, Targets::Classes(&labels)), (value, gradient));
        }
        let (all, mut dy) = (Targets::Classes(&[1, 1]), Tensor::default());
        let error = plain.clone().ignore_index(1).loss(&two, &all, Some(&mut dy)).unwrap_err();
        assert_eq!(plain.clone().ignore_index(1).loss(&two, &all, None).unwrap(), Mean::default());
        assert_eq!(
            error.to_string(),
            "targets: expected at least one label other than 1, which is ignored, got 2 of it"
        );
        let rows = tensor(array![[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        assert!(plain.ignore_index(1).loss(&two, &Targets::Values(&rows), None).is_err());
    }

    #[test]
    fn nan_and_infinite_logits_show_in_the_loss() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        for row in
            [[nan, 0.0], [0.0, nan], [nan, nan], [infinite, 0.0], [0.0, infinite], [-infinite, -infinite]]
        {
            for label in [0, 1] {
                let z = tensor(Array2::from_shape_vec((1, 2), row.to_vec()).unwrap());
                let value = CrossEntropy::new().loss(&z, &Targets::Classes(&[label]), None).unwrap().value();
                assert!(value.is_nan(), "{row:?} {label}: {value}");
            }
        }
        let single = tensor(array![[nan]]);
        assert!(CrossEntropy::new().loss(&single, &Targets::Classes(&[0]), None).unwrap().value().is_nan());
        // An impossible class: minus infinity is a logit like another.
        let z = tensor(array![[-infinite, 0.0]]);
        assert_eq!(with_gradient(&CrossEntropy::new(), &z, Targets::Classes(&[1])), (0.0, vec![0.0, 0.0]));
        assert_eq!(CrossEntropy::new().loss(&z, &Targets::Classes(&[0]), None).unwrap().value(), infinite);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let loss = CrossEntropy::new();
        for labels in [&[][..], &[0], &[0, 1, 2, 0], &[0, 1, 3], &[0, 1, usize::MAX]] {
            assert!(loss.loss(&logits(), &Targets::Classes(labels), None).is_err(), "{labels:?}");
        }
        for rows in
            [Array2::from_elem((2, 3), 1.0 / 3.0), Array2::from_elem((3, 2), 0.5), Array2::zeros((3, 3))]
        {
            assert!(loss.loss(&logits(), &Targets::Values(&tensor(rows.clone())), None).is_err(), "{rows}");
        }
        for shape in [&[][..], &[0, 3], &[2, 0], &[2], &[2, 2, 2]] {
            let labels = vec![0; shape.first().copied().unwrap_or(0)];
            assert!(
                loss.loss(&Tensor::<f32>::zeros(shape).unwrap(), &Targets::Classes(&labels), None).is_err(),
                "{shape:?}"
            );
        }
    }

    #[test]
    fn weights_that_weigh_nothing_are_refused() {
        for (weights, got) in [(vec![], "none"), (vec![1.0, 0.0], "0 for class 1"), (vec![f64::NAN], "NaN")] {
            let error = CrossEntropy::new().class_weights(weights).unwrap_err().to_string();
            assert!(error.contains(got), "{error}");
        }
        let message = |weights: Vec<f64>| {
            let loss = CrossEntropy::new().class_weights(weights).unwrap();
            loss.loss(&logits(), &Targets::Classes(&[0, 0, 0]), None).unwrap_err().to_string()
        };
        assert!(message(vec![1.0; 4]).contains("expected 3, one for each class, got 4"));
        assert!(message(vec![f64::MAX; 3]).contains("a finite sum over the batch"));
    }
}
