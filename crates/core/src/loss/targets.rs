//! What outputs are compared with.

use ndarray::{Array2, ArrayView2};

use crate::error::Error;
use crate::memory::check_size;
use crate::scalar::Scalar;

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

    /// The class of one sample: for a row of probabilities, the likeliest. `None` where there is no such sample, or its
    /// row holds NaN.
    pub fn class(&self, sample: usize) -> Option<usize> {
        match self {
            Self::Classes(classes) => classes.get(sample).copied(),
            Self::Rows(rows) if sample < rows.nrows() => {
                crate::metrics::largest(rows.row(sample).iter().copied())
            }
            Self::Rows(_) => None,
        }
    }

    /// Checks that the targets can be compared with outputs for this many classes.
    ///
    /// # Errors
    /// If a label is no class, or rows have another length, or hold what is no probability (NaN among it).
    pub fn check(&self, classes: usize) -> Result<(), Error> {
        self.check_but(classes, None)
    }

    /// As [`check`](Self::check), but one label may be any number.
    pub(crate) fn check_but(&self, classes: usize, ignored: Option<usize>) -> Result<(), Error> {
        match self {
            Self::Classes(labels) => {
                let wrong = |&label: &usize| label >= classes && Some(label) != ignored;
                match labels.iter().position(wrong) {
                    None => Ok(()),
                    Some(sample) => Err(Error::Label {
                        sample,
                        last_class: classes.saturating_sub(1),
                        label: labels[sample],
                    }),
                }
            }
            Self::Rows(rows) if rows.ncols() != classes => Err(Error::argument(
                "targets",
                format!("rows of {classes} probabilities"),
                format!("rows of {}", rows.ncols()),
            )),
            Self::Rows(rows) => check_probabilities("targets", *rows),
        }
    }

    /// Checks that there is one target for each of `samples` samples.
    pub(crate) fn check_count(&self, samples: usize) -> Result<(), Error> {
        if self.len() == samples {
            return Ok(());
        }
        Err(Error::argument("targets", format!("{samples}, one a sample"), self.len()))
    }
}

/// Checks that each row holds probabilities that sum to 1, to one in a thousand. NaN is none.
pub(crate) fn check_probabilities<F: Scalar>(name: &str, rows: ArrayView2<'_, F>) -> Result<(), Error> {
    let wrong = rows.outer_iter().position(|row| {
        let (mut sum, mut all) = (0.0, true);
        for &p in row {
            all &= p >= F::zero();
            sum += p.as_f64();
        }
        !(all && (sum - 1.0).abs() <= 1e-3)
    });
    match wrong {
        None => Ok(()),
        Some(i) => Err(Error::argument(
            format!("{name} of sample {i}"),
            "probabilities that sum to 1",
            some_of(&rows.row(i).to_vec()),
        )),
    }
}

/// The first numbers of a row, for a message.
fn some_of<F: Scalar>(row: &[F]) -> String {
    const SHOWN: usize = 10;
    if row.len() <= SHOWN {
        return format!("{row:?}");
    }
    format!("{:?} and {} more", &row[..SHOWN], row.len() - SHOWN)
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
/// If a label is not below `classes`, or the rows would take more than 4 GiB.
pub fn one_hot<F: Scalar>(labels: &[usize], classes: usize) -> Result<Array2<F>, Error> {
    Targets::<F>::Classes(labels).check(classes)?;
    check_size("classes", classes, &[labels.len(), classes], size_of::<F>())?;
    let mut rows = Array2::zeros((labels.len(), classes));
    labels.iter().enumerate().for_each(|(sample, &class)| rows[[sample, class]] = F::one());
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_is_no_probability_is_refused() {
        let message = |rows: Array2<f64>| Targets::Rows(rows.view()).check(2).unwrap_err().to_string();
        assert_eq!(
            message(array![[0.5, 0.5], [f64::NAN, 1.0]]),
            "targets of sample 1: expected probabilities that sum to 1, got [NaN, 1.0]"
        );
        assert!(message(array![[f64::NAN, f64::NAN]]).starts_with("targets of sample 0"));
        assert!(message(array![[f64::INFINITY, 0.0]]).starts_with("targets of sample 0"));
        assert!(message(array![[-0.5, 1.5]]).starts_with("targets of sample 0"));
        assert!(message(array![[0.5, 0.49]]).starts_with("targets of sample 0"));
        assert!(
            message(Array2::from_elem((1, 3), 1.0 / 3.0)).contains("rows of 2 probabilities, got rows of 3")
        );
        assert!(Targets::Rows(array![[0.25, 0.75]].view()).check(2).is_ok());
    }

    #[test]
    fn a_class_that_there_is_not_is_none() {
        assert_eq!(Targets::<f32>::Classes(&[3]).class(1), None);
        let rows = array![[0.1, 0.9], [f32::NAN, 1.0]];
        let rows = Targets::Rows(rows.view());
        assert_eq!([0, 1, 2].map(|sample| rows.class(sample)), [Some(1), None, None]);
    }

    #[test]
    fn one_hot_refuses_what_is_no_class_and_what_takes_too_much() {
        assert!(one_hot::<f32>(&[3], 3).is_err() && one_hot::<f32>(&[0], 0).is_err());
        for classes in [1 << 40, usize::MAX] {
            for labels in [&[0, 1][..], &[]] {
                let error = one_hot::<f32>(labels, classes).map(|rows| rows.dim()).unwrap_err().to_string();
                assert!(error.starts_with("classes: expected") && error.contains("GiB"), "{error}");
            }
        }
    }
}
