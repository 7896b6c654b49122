//! Metrics: how good predictions are.

mod classes;
mod confusion;
mod metric;
mod ranking;
mod values;

pub use crate::tensor::argmax::argmax;
pub use classes::{BalancedAccuracy, F1, TopK};
pub use confusion::{Average, ClassScores, ConfusionMatrix};
pub use metric::{Accuracy, Metric};
pub use ranking::{log_loss, roc_auc, roc_auc_one_against_rest};
pub use values::{BinaryAccuracy, Mae, R2, Rmse};

use ndarray::ArrayView2;

use crate::error::Error;
use crate::losses::targets::Targets;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// The class of every row of logits or probabilities, `[n, classes]`: the position of the largest number, as `argmax(axis=1)` in NumPy.
///
/// # Errors
/// If a row has no numbers, or one of them is NaN: the message says which.
pub fn argmax_rows<F: Scalar>(rows: ArrayView2<'_, F>) -> Result<Vec<usize>, Error> {
    let class = |(sample, row): (usize, ndarray::ArrayView1<'_, F>)| {
        argmax(row.iter().copied()).ok_or_else(|| match row.iter().position(|v| v.is_nan()) {
            Some(at) => Error::NotFinite {
                what: format!("outputs for sample {sample}"),
                got: format!("NaN at {:?}", [at]),
            },
            None => {
                Error::argument("outputs", "[n, classes], at least one class", format!("{:?}", rows.shape()))
            }
        })
    };
    rows.rows().into_iter().enumerate().map(class).collect()
}

/// The number of rows of `outputs` (`[n, classes]`, logits or probabilities) whose largest number is at the target. A row with NaN is wrong.
///
/// # Errors
/// If the outputs are not rows, there is not one target for each row, or a target is not one of the classes.
pub fn count_correct<F: Scalar>(outputs: &Tensor<F>, targets: &Targets<'_, F>) -> Result<usize, Error> {
    let shape = outputs.shape();
    let &[_, classes] = &*shape else {
        return Err(Error::argument("outputs", "[n, classes]", shape));
    };
    targets.check_count(&shape)?;
    targets.check_classes(classes, None)?;
    Ok(correct(outputs, targets, None))
}

/// As [`count_correct`], for targets that are already checked, and without the samples that have the ignored label.
pub(crate) fn correct<F: Scalar>(
    outputs: &Tensor<F>,
    targets: &Targets<'_, F>,
    ignored: Option<usize>,
) -> usize {
    let width = outputs.width();
    let rows = outputs.data().chunks_exact(width.max(1)).enumerate();
    rows.filter(|(i, row)| {
        let class = targets.class(*i);
        class.is_some() && class != ignored && argmax(row.iter().copied()) == class
    })
    .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_without_a_largest_number_are_errors() {
        let error = argmax_rows(array![[0.0, 1.0], [1.0, f32::NAN]].view()).unwrap_err().to_string();
        assert_eq!(error, "outputs for sample 1: expected finite numbers, got NaN at [1]");
        assert!(argmax_rows(ndarray::Array2::<f32>::zeros((2, 0)).view()).is_err());
    }

    #[test]
    fn correct_rows_are_counted() {
        let outputs =
            Tensor::from_array(array![[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [f64::NAN, f64::NAN]].into_dyn())
                .unwrap();
        assert_eq!(count_correct(&outputs, &Targets::Classes(&[1, 0, 0, 0])).unwrap(), 2);
        assert_eq!(count_correct(&outputs, &Targets::Classes(&[1, 0, 0, 1])).unwrap(), 2);
        assert_eq!(correct(&outputs, &Targets::Classes(&[1, 0, 0, 0]), Some(1)), 1);
    }

    #[test]
    fn targets_that_do_not_fit_are_errors() {
        let outputs = Tensor::from_array(array![[0.1, 0.9], [0.8, 0.2]].into_dyn()).unwrap();
        for labels in [&[][..], &[0], &[0, 1, 1], &[0, 2], &[0, usize::MAX]] {
            assert!(count_correct(&outputs, &Targets::Classes(labels)).is_err(), "{labels:?}");
        }
        assert!(count_correct(&Tensor::<f32>::default(), &Targets::Classes(&[])).is_err());
    }
}
