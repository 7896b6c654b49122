//! Scores that use all probabilities and not only the largest.

use ndarray::ArrayView2;

use crate::error::Error;
use crate::losses::targets::check_probabilities;
use crate::metrics::confusion::check;
use crate::tensor::scalar::Scalar;

/// The area under the curve of true positives against false positives (ROC): the chance that a positive sample has a
/// higher score than a negative one, equal scores counting half (T. Fawcett, "An introduction to ROC analysis", 2006,
/// section 7). `None` where there are no positives or no negatives.
///
/// ```
/// use backstitch::metrics::roc_auc;
/// assert_eq!(roc_auc([(0.1, false), (0.4, false), (0.35, true), (0.8, true)])?, Some(0.75));
/// assert_eq!(roc_auc([(0.1, true)])?, None);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If a score is NaN, which cannot be sorted: the message names the sample.
pub fn roc_auc(scores: impl IntoIterator<Item = (f64, bool)>) -> Result<Option<f64>, Error> {
    let mut scores: Vec<_> = scores.into_iter().collect();
    if let Some(sample) = scores.iter().position(|(score, _)| score.is_nan()) {
        return Err(Error::argument(format!("score of sample {sample}"), "a number", "NaN"));
    }
    let positives = scores.iter().filter(|(_, positive)| *positive).count();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return Ok(None);
    }
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    // For every group of equal scores: its positives beat the negatives below it, and half of its own.
    let (mut below, mut wins) = (0.0, 0.0);
    for group in scores.chunk_by(|a, b| a.0 == b.0) {
        let positive = group.iter().filter(|(_, positive)| *positive).count() as f64;
        let negative = group.len() as f64 - positive;
        wins += positive * (below + negative / 2.0);
        below += negative;
    }
    Ok(Some(wins / (positives as f64 * negatives as f64)))
}

/// The area under the ROC curve of every class against all others, from probabilities `[n, classes]`; `None` for a class
/// that has no samples, or all of them.
///
/// # Errors
/// If there are no samples, not as many labels as rows, a label is no class, or a score is NaN.
pub fn roc_auc_one_against_rest<F: Scalar>(
    labels: &[usize],
    probabilities: ArrayView2<'_, F>,
) -> Result<Vec<Option<f64>>, Error> {
    check(labels, probabilities.nrows(), probabilities.ncols())?;
    let of_class = |class: usize| {
        let column = probabilities.column(class);
        roc_auc(column.iter().zip(labels).map(|(score, &label)| (score.as_f64(), label == class)))
    };
    (0..probabilities.ncols()).map(of_class).collect()
}

/// The mean of -ln p of the true class, from probabilities `[n, classes]`. A probability of 0 counts as the smallest step
/// from 1 that the number type can express, as in scikit-learn.
///
/// # Errors
/// If there are no samples, not as many labels as rows, a label is no class, or a row holds what is no probability or does not
/// sum to 1 (to one in a thousand): the message says which.
pub fn log_loss<F: Scalar>(labels: &[usize], probabilities: ArrayView2<'_, F>) -> Result<f64, Error> {
    check(labels, probabilities.nrows(), probabilities.ncols())?;
    let list: Vec<F> = probabilities.iter().copied().collect();
    check_probabilities("probabilities", &list, probabilities.ncols())?;
    let rows = probabilities.rows().into_iter().zip(labels);
    let losses = rows.map(|(row, &label)| -row[label].max(F::epsilon()).as_f64().ln());
    Ok(losses.sum::<f64>() / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn equal_scores_count_half() {
        assert_eq!(roc_auc([(0.5, true), (0.5, false)]).unwrap(), Some(0.5));
        assert_eq!(roc_auc([(0.5, true), (0.5, false), (0.1, false), (0.9, true)]).unwrap(), Some(0.875));
    }

    #[test]
    fn nan_is_no_score_and_no_probability() {
        for scores in
            [[(f64::NAN, true), (0.5, false)], [(-f64::NAN, false), (0.5, true)], [(f64::NAN, true); 2]]
        {
            let error = roc_auc(scores).unwrap_err().to_string();
            assert_eq!(error, "score of sample 0: expected a number, got NaN");
        }
        let rows = array![[0.5, 0.5], [f64::NAN, 1.0]];
        assert!(roc_auc_one_against_rest(&[0, 1], rows.view()).is_err());
        for wrong in [[f64::NAN, 1.0], [1.0, f64::NAN], [-0.5, 1.5], [7.0, -6.0], [7.0, 0.0], [0.5, 0.2]] {
            let rows = array![[0.5, 0.5], wrong];
            let error = log_loss(&[0, 1], rows.view()).unwrap_err().to_string();
            assert!(
                error.starts_with("probabilities of sample 1: expected probabilities that sum to 1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_class_without_samples_has_no_curve() {
        let areas = roc_auc_one_against_rest(&[0, 1], array![[0.8_f32, 0.1, 0.1], [0.3, 0.6, 0.1]].view());
        assert_eq!(areas.unwrap(), [Some(1.0), Some(1.0), None]);
    }

    #[test]
    fn no_probability_makes_the_loss_infinite() {
        let loss = log_loss(&[1], array![[1.0, 0.0]].view()).unwrap();
        assert_eq!(loss, -f64::EPSILON.ln());
    }
}
