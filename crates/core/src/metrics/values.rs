//! Metrics of outputs that are values, or logits of several labels.

use crate::error::Error;
use crate::losses::targets::Targets;
use crate::metrics::Metric;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// Outputs and targets of a batch as pairs of numbers; `None` if the targets are classes.
fn pairs<'a, F: Scalar>(
    y: &'a Tensor<F>,
    targets: &Targets<'a, F>,
) -> impl Iterator<Item = (f64, f64)> + use<'a, F> {
    let t = targets.values_like(y.shape().get(1..).unwrap_or_default()).map_or(&[][..], Tensor::data);
    y.data().iter().zip(t).map(|(y, t)| (y.as_f64(), t.as_f64()))
}

/// The mean absolute error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mae;

impl<F: Scalar> Metric<F> for Mae {
    fn name(&self) -> String {
        "mae".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(output).map(drop)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        for (y, t) in pairs(y, targets) {
            sums[0] += (y - t).abs();
            sums[1] += 1.0;
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        sums[0] / sums[1]
    }
}

/// The root of the mean squared error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rmse;

impl<F: Scalar> Metric<F> for Rmse {
    fn name(&self) -> String {
        "rmse".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(output).map(drop)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        for (y, t) in pairs(y, targets) {
            sums[0] += (y - t) * (y - t);
            sums[1] += 1.0;
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        (sums[0] / sums[1]).sqrt()
    }
}

/// The coefficient of determination, 1 - Σ (t - y)² / Σ (t - mean of t)²: for each number of an output over all samples, and then the
/// mean of these, as in scikit-learn. A number whose target is constant counts as 1 if the prediction is exact, and else as 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct R2;

impl<F: Scalar> Metric<F> for R2 {
    fn name(&self) -> String {
        "r2".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(output).map(drop)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        // For each number: samples, Σ (t - y)², mean of t, Σ (t - mean)² (Welford 1962).
        let width = y.data().len() / y.batch().max(1);
        sums.resize(4 * width, 0.0);
        for (i, (y, t)) in pairs(y, targets).enumerate() {
            let [n, errors, mean, squares] = &mut sums[4 * (i % width)..][..4] else { return };
            *n += 1.0;
            *errors += (t - y) * (t - y);
            let off = t - *mean;
            *mean += off / *n;
            *squares += off * (t - *mean);
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        let one = |of: &[f64]| match (of[1], of[3]) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (errors, squares) => 1.0 - errors / squares,
        };
        sums.chunks_exact(4).map(one).sum::<f64>() / (sums.len() / 4) as f64
    }
}

/// The share of outputs that are on the same side as their target: above 0 if the target is above a threshold. It suits logits.
#[derive(Debug, Clone, Copy)]
pub struct BinaryAccuracy {
    threshold: f64,
}

impl BinaryAccuracy {
    /// Use the threshold 0.5 for targets of 0 and 1, and 0 for targets of -1 and 1.
    pub fn new(threshold: f64) -> Self {
        Self { threshold }
    }
}

impl<F: Scalar> Metric<F> for BinaryAccuracy {
    fn name(&self) -> String {
        "accuracy".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets<'_, F>) -> Result<(), Error> {
        targets.values_like(output).map(drop)
    }

    fn add(&self, y: &Tensor<F>, targets: &Targets<'_, F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        for (y, t) in pairs(y, targets) {
            sums[0] += f64::from(!y.is_nan() && (y > 0.0) == (t > self.threshold));
            sums[1] += 1.0;
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        sums[0] / sums[1]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn figure(metric: &dyn Metric<f64>, y: &Tensor<f64>, t: &Tensor<f64>) -> f64 {
        let mut sums = Vec::new();
        metric.add(y, &Targets::Values(t), &mut sums);
        metric.value(&sums)
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        let y =
            Tensor::from_array(array![[2.5, 0.0], [0.0, 1.5], [2.0, -1.0], [8.0, 3.0]].into_dyn()).unwrap();
        let t =
            Tensor::from_array(array![[3.0, 0.5], [-0.5, 1.0], [2.0, -1.0], [7.0, 3.0]].into_dyn()).unwrap();
        assert!((figure(&Mae, &y, &t) - 0.375).abs() < 1e-15);
        assert!((figure(&Rmse, &y, &t) - (2.0_f64 / 8.0).sqrt()).abs() < 1e-15);
        // r2_score(t, y): 0.94860... of the first column, 0.94117... of the second.
        let first = 1.0 - 1.5 / 29.1875;
        let second = 1.0 - 0.5 / (0.5_f64.powi(2) + 1.0 + 1.0 + 9.0 - 4.0 * 0.875_f64.powi(2));
        assert!((figure(&R2, &y, &t) - (first + second) / 2.0).abs() < 1e-12);
        assert_eq!(figure(&R2, &t, &t), 1.0);
    }

    #[test]
    fn figures_of_large_values_lose_no_digits() {
        let shifted = |by: f64| {
            let column = |v: [f64; 4]| {
                Tensor::from_array(array![[v[0]], [v[1]], [v[2]], [v[3]]].mapv(|v| v + by).into_dyn())
            };
            let (y, t) = (column([2.5, 0.0, 2.0, 8.0]).unwrap(), column([3.0, -0.5, 2.0, 7.0]).unwrap());
            figure(&R2, &y, &t)
        };
        assert!((shifted(1e8) - shifted(0.0)).abs() < 1e-7);
    }

    #[test]
    fn signs_are_compared_with_a_threshold() {
        let y = Tensor::from_array(array![[0.3, -2.0, 0.0, f64::NAN]].into_dyn()).unwrap();
        let bits = Tensor::from_array(array![[1.0, 1.0, 0.0, 0.0]].into_dyn()).unwrap();
        let signs = Tensor::from_array(array![[1.0, -1.0, 1.0, -1.0]].into_dyn()).unwrap();
        assert_eq!(figure(&BinaryAccuracy::new(0.5), &y, &bits), 0.5);
        assert_eq!(figure(&BinaryAccuracy::new(0.0), &y, &signs), 0.5);
    }
}
