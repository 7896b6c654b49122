//! Metrics of outputs that are logits or probabilities of classes.

use crate::error::{Error, in_range};
use crate::losses::targets::Targets;
use crate::metrics::{Metric, argmax};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// Top-k accuracy: the share of rows whose class is among the k largest outputs. Of equal outputs the first counts as larger; a row with NaN is wrong.
#[derive(Debug, Clone, Copy)]
pub struct TopK {
    k: usize,
}

impl TopK {
    /// Top-k accuracy for this k.
    ///
    /// # Errors
    /// If it is 0.
    pub fn new(k: usize) -> Result<Self, Error> {
        Ok(Self { k: in_range("k", k, usize::MAX)? })
    }
}

impl<F: Scalar> Metric<F> for TopK {
    fn name(&self) -> String {
        format!("top_{}", self.k)
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.check_classes(output.last().copied().unwrap_or(0), None)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        for (i, row) in y.data().chunks_exact(y.width().max(1)).enumerate() {
            sums[1] += 1.0;
            let Some(class) = targets.class(i) else { continue };
            let own = row[class];
            let before =
                row.iter().enumerate().filter(|&(at, &other)| other > own || other == own && at < class);
            sums[0] += f64::from(row.iter().all(|v| !v.is_nan()) && before.count() < self.k);
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        sums[0] / sums[1]
    }
}

/// For every class: the number of its rows, of those that were right, and of the rows predicted as this class.
fn count<F: Scalar>(y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
    let classes = y.width();
    sums.resize(3 * classes, 0.0);
    for (i, row) in y.data().chunks_exact(classes.max(1)).enumerate() {
        let Some(class) = targets.class(i) else { continue };
        sums[3 * class] += 1.0;
        if let Some(taken) = argmax(row.iter().copied()) {
            sums[3 * class + 1] += f64::from(taken == class);
            sums[3 * taken + 2] += 1.0;
        }
    }
}

/// Balanced accuracy: the mean recall of the classes, so that rare classes count like others. Classes without a row are left
/// out, as in scikit-learn's `balanced_accuracy_score`.
#[derive(Debug, Clone, Copy, Default)]
pub struct BalancedAccuracy;

impl<F: Scalar> Metric<F> for BalancedAccuracy {
    fn name(&self) -> String {
        "balanced_accuracy".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.check_classes(output.last().copied().unwrap_or(0), None)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        count(y, targets, sums);
    }

    fn value(&self, sums: &[f64]) -> f64 {
        let recalls = sums.chunks_exact(3).filter(|of| of[0] > 0.0).map(|of| of[1] / of[0]);
        let (sum, classes) = recalls.fold((0.0, 0.0), |(sum, count), recall| (sum + recall, count + 1.0));
        sum / classes
    }
}

/// The mean over classes of F1, the harmonic mean of precision and recall: 2 right / (rows of the class + rows predicted as it). Classes that
/// have no rows and were never predicted are left out, as in scikit-learn's `f1_score(average="macro")`.
#[derive(Debug, Clone, Copy, Default)]
pub struct F1;

impl<F: Scalar> Metric<F> for F1 {
    fn name(&self) -> String {
        "f1".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.check_classes(output.last().copied().unwrap_or(0), None)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        count(y, targets, sums);
    }

    fn value(&self, sums: &[f64]) -> f64 {
        let there = sums.chunks_exact(3).filter(|of| of[0] + of[2] > 0.0);
        let scores = there.map(|of| 2.0 * of[1] / (of[0] + of[2]));
        let (sum, classes) = scores.fold((0.0, 0.0), |(sum, count), score| (sum + score, count + 1.0));
        sum / classes
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// A metric of two batches: taken 0, 1, 1 for the classes 0, 1, 0; and 2, 0 for 2, 2. The fourth class is nowhere.
    fn figure(metric: &dyn Metric<f64>) -> f64 {
        let tensor = |rows: ndarray::Array2<f64>| Tensor::from_array(rows.into_dyn()).unwrap();
        let first = tensor(array![[0.9, 0.1, 0.0, 0.0], [0.1, 0.8, 0.0, 0.1], [0.3, 0.4, 0.2, 0.1]]);
        let second = tensor(array![[0.0, 0.1, 0.8, 0.1], [0.5, 0.2, 0.1, 0.2]]);
        let mut sums = Vec::new();
        metric.check(&[4], &Targets::Classes(&[0, 1, 0])).unwrap();
        metric.add(&first, &Targets::Classes(&[0, 1, 0]), &mut sums);
        metric.add(&second, &Targets::Classes(&[2, 2]), &mut sums);
        metric.value(&sums)
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        // sklearn.metrics of [0, 1, 0, 2, 2] and [0, 1, 1, 2, 0]; top_k_accuracy_score with labels 0..3.
        assert!((figure(&BalancedAccuracy) - 2.0 / 3.0).abs() < 1e-15);
        assert!((figure(&F1) - (0.5 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
        for (k, expected) in [(1, 0.6), (2, 0.8), (3, 0.8), (4, 1.0), (9, 1.0)] {
            assert!((figure(&TopK::new(k).unwrap()) - expected).abs() < 1e-15, "{k}");
        }
        assert!(TopK::new(0).is_err());
    }

    #[test]
    fn a_row_with_nan_is_never_right() {
        let y = Tensor::from_array(array![[f64::NAN, 1.0]].into_dyn()).unwrap();
        for metric in [&TopK::new(2).unwrap() as &dyn Metric<f64>, &BalancedAccuracy, &F1] {
            let mut sums = Vec::new();
            metric.add(&y, &Targets::Classes(&[1]), &mut sums);
            assert_eq!(metric.value(&sums), 0.0, "{metric:?}");
        }
    }
}
