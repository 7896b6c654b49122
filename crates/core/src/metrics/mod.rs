//! How good predictions are.

mod confusion;
mod ranking;

pub use confusion::{Average, ClassScores, ConfusionMatrix};
pub use ranking::{log_loss, roc_auc, roc_auc_one_against_rest};

use ndarray::ArrayView2;

use crate::loss::Targets;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// The position of the largest value, the first of equals. NaN is never the largest.
pub fn largest<F: Scalar>(values: impl IntoIterator<Item = F>) -> usize {
    let mut best = (0, F::neg_infinity());
    for (i, value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

/// The class of every row of logits or probabilities, `[n, classes]`: where it is largest.
pub fn likeliest<F: Scalar>(rows: ArrayView2<'_, F>) -> Vec<usize> {
    rows.rows().into_iter().map(|row| largest(row.iter().copied())).collect()
}

/// How many rows of `outputs` (`[n, classes]`, logits or probabilities) are largest at the target.
pub fn count_correct<F: Scalar>(outputs: &Tensor<F>, targets: Targets<'_, F>) -> usize {
    let width = outputs.data().len() / outputs.batch().max(1);
    let rows = outputs.data().chunks_exact(width.max(1)).enumerate();
    rows.filter(|(i, row)| largest(row.iter().copied()) == targets.class(*i)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!(largest([1.0, 3.0, 3.0]), 1);
        assert_eq!(largest([f32::NAN, -1.0]), 1);
    }

    #[test]
    fn correct_rows_are_counted() {
        let outputs = Tensor::from_array(&array![[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]].into_dyn()).unwrap();
        assert_eq!(count_correct(&outputs, Targets::Classes(&[1, 0, 0])), 2);
    }
}
