//! The confusion matrix, and the scores that are computed from it.

use std::fmt;

use ndarray::Array2;

use crate::error::Error;
use crate::tensor::memory::check_size;

/// The number of samples for each pair of a true class (row) and a predicted class (column).
///
/// ```
/// use backstitch::metrics::{Average, ConfusionMatrix};
/// let matrix = ConfusionMatrix::new(&[0, 0, 1, 2], &[0, 1, 1, 1], 3)?;
/// assert_eq!(matrix.counts()[[0, 1]], 1);
/// assert_eq!(matrix.accuracy(), 0.5);
/// let scores = matrix.class_scores();
/// assert_eq!(scores[1].recall, Some(1.0));
/// // Class 2 was never predicted, so its precision is undefined.
/// assert_eq!(scores[2].precision, None);
/// assert_eq!(matrix.average(Average::Macro).recall, Some(0.5));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Array2<u64>,
}

/// Scores of one class, or their average. `None` where a score is undefined.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ClassScores {
    /// Of the samples predicted as this class, the share that belong to it. Undefined if there are none.
    pub precision: Option<f64>,
    /// Of the samples of the class, the share that were predicted as it. Undefined if there are none.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall, 2 right / (predicted as it + samples of it). Undefined if both are.
    pub f1: Option<f64>,
    /// Samples of the class.
    pub support: u64,
}

/// How the scores of classes are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Average {
    /// Every class counts the same.
    Macro,
    /// Every class counts by its samples.
    Weighted,
}

impl ConfusionMatrix {
    /// Counts labels against predictions.
    ///
    /// # Errors
    /// If there are no samples, the two lengths differ, a label or a prediction is not a class, or the matrix would take more than 4 GiB.
    pub fn new(labels: &[usize], predictions: &[usize], classes: usize) -> Result<Self, Error> {
        check(labels, predictions.len(), classes)?;
        if let Some(class) = predictions.iter().find(|&&class| class >= classes) {
            return Err(Error::argument("predictions", format!("classes below {classes}"), class));
        }
        check_size("classes", classes, &[classes, classes], size_of::<u64>())?;
        let mut counts = Array2::zeros((classes, classes));
        for (&label, &prediction) in labels.iter().zip(predictions) {
            counts[[label, prediction]] += 1;
        }
        Ok(Self { counts })
    }

    /// `[true class, predicted class]`.
    pub fn counts(&self) -> &Array2<u64> {
        &self.counts
    }

    /// The number of samples.
    pub fn total(&self) -> u64 {
        self.counts.sum()
    }

    /// The share of samples that are right.
    pub fn accuracy(&self) -> f64 {
        self.counts.diag().sum() as f64 / self.total() as f64
    }

    /// The mean recall of the classes that have samples: the accuracy if all classes were equally frequent.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self.class_scores().iter().filter_map(|scores| scores.recall).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// Precision, recall and F1 of every class, against all others.
    pub fn class_scores(&self) -> Vec<ClassScores> {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        (0..self.counts.nrows())
            .map(|class| {
                let right = self.counts[[class, class]];
                let (support, taken) = (self.counts.row(class).sum(), self.counts.column(class).sum());
                ClassScores {
                    precision: share(right, taken),
                    recall: share(right, support),
                    f1: share(2 * right, taken + support),
                    support,
                }
            })
            .collect()
    }

    /// The average over classes. An average of precision, recall or F1 is over the classes for which it is defined; it is
    /// undefined only where it is for all. (scikit-learn counts undefined ones as `zero_division` says, 0 by default.)
    pub fn average(&self, average: Average) -> ClassScores {
        let scores = self.class_scores();
        let mean = |score: fn(&ClassScores) -> Option<f64>| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for class in &scores {
                let weight = if average == Average::Macro { 1.0 } else { class.support as f64 };
                if let Some(score) = score(class) {
                    sum += weight * score;
                    weights += weight;
                }
            }
            (weights > 0.0).then(|| sum / weights)
        };
        ClassScores {
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            f1: mean(|class| class.f1),
            support: self.total(),
        }
    }

    /// The pairs (true class, predicted class, samples) that were confused most often, at most `pairs` of them.
    pub fn most_confused(&self, pairs: usize) -> Vec<(usize, usize, u64)> {
        let mut confused: Vec<_> = self
            .counts
            .indexed_iter()
            .filter(|&((label, prediction), &count)| label != prediction && count > 0)
            .map(|((label, prediction), &count)| (label, prediction, count))
            .collect();
        confused.sort_by_key(|&(label, prediction, count)| (std::cmp::Reverse(count), label, prediction));
        confused.truncate(pairs);
        confused
    }
}

/// Classes of the largest matrix that is printed whole.
const MAX_PRINTED: usize = 12;
/// Pairs of classes that are printed of a larger one.
const PRINTED_PAIRS: usize = 10;

/// The counts, a row for each true class and a column for each predicted one; of more than 12 classes, the pairs that were confused
/// most often.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (classes, samples) = (self.counts.nrows(), self.total());
        writeln!(f, "{samples} samples, {classes} classes, accuracy {:.4}", self.accuracy())?;
        if classes > MAX_PRINTED {
            write!(f, "most confused (true class, predicted class, samples):")?;
            let pairs = self.most_confused(PRINTED_PAIRS).into_iter();
            return pairs.into_iter().try_for_each(|(label, prediction, count)| {
                write!(f, "\n{label:>6} {prediction:>6} {count:>6}")
            });
        }
        let cells = self.counts.iter().map(u64::to_string).map(|cell| cell.len());
        let width = cells.chain([(classes - 1).to_string().len()]).max().unwrap_or(1);
        write!(f, "true \\ predicted")?;
        (0..classes).try_for_each(|class| write!(f, " {class:>width$}"))?;
        for (class, row) in self.counts.outer_iter().enumerate() {
            write!(f, "\n{class:>16}")?;
            row.iter().try_for_each(|count| write!(f, " {count:>width$}"))?;
        }
        Ok(())
    }
}

/// `precision 0.9000, recall 0.7500, f1 0.8182, support 12`.
impl fmt::Display for ClassScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, score) in [("precision", self.precision), ("recall", self.recall), ("f1", self.f1)] {
            match score {
                Some(score) => write!(f, "{name} {score:.4}, ")?,
                None => write!(f, "{name} undefined, ")?,
            }
        }
        write!(f, "support {}", self.support)
    }
}

/// Checks labels, and that there is one prediction for each.
pub(super) fn check(labels: &[usize], others: usize, classes: usize) -> Result<(), Error> {
    if labels.is_empty() {
        return Err(Error::argument("labels", "at least one sample", 0));
    }
    if labels.len() != others {
        return Err(Error::argument("predictions", format!("{}, one for each label", labels.len()), others));
    }
    match labels.iter().find(|&&class| class >= classes) {
        Some(class) => Err(Error::argument("labels", format!("classes below {classes}"), class)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_is_undefined_is_none_and_not_a_number() {
        let matrix = ConfusionMatrix::new(&[0, 0, 1], &[0, 0, 0], 3).unwrap();
        let scores = matrix.class_scores();
        assert_eq!((scores[1].precision, scores[1].recall, scores[1].f1), (None, Some(0.0), Some(0.0)));
        assert_eq!((scores[2].precision, scores[2].recall, scores[2].f1), (None, None, None));
        assert_eq!(matrix.average(Average::Macro).precision, Some(2.0 / 3.0));
        assert_eq!(matrix.balanced_accuracy(), 0.5);
    }

    #[test]
    fn a_matrix_is_printed_whole_or_by_its_largest_errors() {
        let matrix = ConfusionMatrix::new(&[0, 0, 1, 2], &[0, 1, 1, 1], 3).unwrap();
        let expected = "4 samples, 3 classes, accuracy 0.5000
true \\ predicted 0 1 2
               0 1 1 0
               1 0 1 0
               2 0 1 0";
        assert_eq!(matrix.to_string(), expected);
        let scores: Vec<String> = matrix.class_scores().iter().map(ToString::to_string).collect();
        assert_eq!(scores[1], "precision 0.3333, recall 1.0000, f1 0.5000, support 1");
        assert_eq!(scores[2], "precision undefined, recall 0.0000, f1 0.0000, support 1");
        let large = ConfusionMatrix::new(&[0, 99, 99, 5], &[0, 3, 3, 6], 100).unwrap();
        let expected = "4 samples, 100 classes, accuracy 0.2500
most confused (true class, predicted class, samples):
    99      3      2
     5      6      1";
        assert_eq!(large.to_string(), expected);
    }

    #[test]
    fn the_most_confused_pairs_come_first() {
        let matrix = ConfusionMatrix::new(&[0, 0, 1, 1, 1, 2], &[1, 1, 2, 0, 1, 2], 3).unwrap();
        assert_eq!(matrix.most_confused(2), [(0, 1, 2), (1, 0, 1)]);
        assert_eq!(matrix.most_confused(9).len(), 3);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let message = |labels: &[usize], predictions: &[usize]| {
            ConfusionMatrix::new(labels, predictions, 2).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[]), "labels: expected at least one sample, got 0");
        assert_eq!(message(&[0, 1], &[0]), "predictions: expected 2, one for each label, got 1");
        assert_eq!(message(&[2], &[0]), "labels: expected classes below 2, got 2");
        assert_eq!(message(&[0], &[2]), "predictions: expected classes below 2, got 2");
        assert_eq!(
            message(&[0], &[usize::MAX]),
            format!("predictions: expected classes below 2, got {}", usize::MAX)
        );
    }

    #[test]
    fn a_matrix_that_takes_too_much_is_refused_before_it_is_made() {
        for classes in [1 << 17, 1 << 32, 1 << 40, usize::MAX] {
            let error = ConfusionMatrix::new(&[0], &[0], classes).unwrap_err().to_string();
            assert!(error.starts_with("classes: expected few enough for 4 GiB"), "{error}");
        }
    }
}
