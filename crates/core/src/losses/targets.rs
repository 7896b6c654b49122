//! What outputs are compared with.

use ndarray::Array2;

use crate::error::Error;
use crate::tensor::Tensor;
use crate::tensor::argmax::argmax;
use crate::tensor::memory::check_size;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::product;

/// The targets of a batch: what its outputs should be.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a, F = f32> {
    /// A class, counted from 0, for each row of the outputs' last axis: one for each sample, or one for each position of each sample, in their order.
    Classes(&'a [usize]),
    /// Numbers of the outputs' shape: values, several labels of a sample (0 or 1), or probabilities of classes.
    Values(&'a Tensor<F>),
}

impl<'a, F: Scalar> Targets<'a, F> {
    /// The classes.
    ///
    /// # Errors
    /// If they are values.
    pub fn classes(&self) -> Result<&'a [usize], Error> {
        match self {
            Self::Classes(classes) => Ok(classes),
            Self::Values(values) => {
                Err(Error::argument("targets", "classes", format!("values {}", values.shape())))
            }
        }
    }

    /// The values, if there is one for every number of outputs of this shape, that of one sample.
    ///
    /// # Errors
    /// If they are classes, or values of another shape.
    pub fn values_like(&self, output: &[usize]) -> Result<&'a Tensor<F>, Error> {
        let wrong = |got: String| {
            Err(Error::argument("targets", format!("values of shape {output:?}, as the outputs"), got))
        };
        match self {
            Self::Classes(_) => {
                wrong("classes (Dataset::values takes values; CrossEntropy takes classes)".to_owned())
            }
            Self::Values(values) => match values.shape().get(1..) {
                Some(shape) if shape == output => Ok(values),
                Some([]) if output == [1] => wrong("[] (make the values [n, 1])".to_owned()),
                shape => wrong(format!("{:?}", shape.unwrap_or_default())),
            },
        }
    }

    /// The class of one row: for probabilities, the most probable. `None` if there is no such row, or if it holds NaN.
    pub fn class(&self, row: usize) -> Option<usize> {
        match self {
            Self::Classes(classes) => classes.get(row).copied(),
            Self::Values(values) => {
                let row = values.data().chunks_exact(values.width().max(1)).nth(row)?;
                argmax(row.iter().copied())
            }
        }
    }

    /// Checks that there is one for each row of outputs of this shape, that of a batch.
    ///
    /// # Errors
    /// If there is not.
    pub(crate) fn check_count(&self, outputs: &[usize]) -> Result<(), Error> {
        let (expected, got) = match self {
            Self::Classes(classes) => {
                let rows = product(&outputs[..outputs.len().saturating_sub(1)]);
                if classes.len() == rows {
                    return Ok(());
                }
                (format!("{rows}, one for each row of the outputs"), classes.len().to_string())
            }
            Self::Values(values) => {
                if *values.shape() == *outputs {
                    return Ok(());
                }
                (format!("values {outputs:?}"), format!("values {}", values.shape()))
            }
        };
        Err(Error::argument("targets", expected, got))
    }

    /// Checks that the targets can be compared with outputs for this many classes, of which one label may be any number.
    pub(crate) fn check_classes(&self, classes: usize, ignored: Option<usize>) -> Result<(), Error> {
        match self {
            Self::Classes(labels) => {
                let wrong = |&label: &usize| label >= classes && Some(label) != ignored;
                match labels.iter().position(wrong) {
                    None => Ok(()),
                    Some(_) if classes == 1 => {
                        let expected = "an output for each class: dense(2), or more (or values 0 and 1 with BceWithLogits)";
                        Err(Error::argument("model output", expected, "1 number"))
                    }
                    Some(sample) => Err(Error::Label {
                        sample,
                        last_class: classes.saturating_sub(1),
                        label: labels[sample],
                    }),
                }
            }
            Self::Values(values) if values.width() != classes => Err(Error::argument(
                "targets",
                format!("rows of {classes} probabilities"),
                format!("rows of {}", values.width()),
            )),
            Self::Values(values) => check_probabilities("targets", values.data(), classes),
        }
    }
}

/// Checks that each row holds probabilities that sum to 1, to one in a thousand. NaN is none.
pub(crate) fn check_probabilities<F: Scalar>(name: &str, rows: &[F], classes: usize) -> Result<(), Error> {
    let mut rows = rows.chunks_exact(classes.max(1));
    let wrong = |row: &&[F]| {
        let (mut sum, mut all) = (0.0, true);
        for &p in *row {
            all &= p >= F::zero();
            sum += p.as_f64();
        }
        !(all && (sum - 1.0).abs() <= 1e-3)
    };
    match rows.by_ref().enumerate().find(|(_, row)| wrong(row)) {
        None => Ok(()),
        Some((i, row)) => {
            Err(Error::argument(format!("{name} of sample {i}"), "probabilities that sum to 1", some_of(row)))
        }
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
/// use backstitch::ndarray::array;
/// let rows = backstitch::losses::one_hot::<f64>(&[2, 0], 3)?;
/// assert_eq!(rows, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If a label is not below `classes`, or the rows would take more than 4 GiB.
pub fn one_hot<F: Scalar>(labels: &[usize], classes: usize) -> Result<Array2<F>, Error> {
    Targets::<F>::Classes(labels).check_classes(classes, None)?;
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
        let check = |rows: Array2<f64>| {
            Targets::Values(&Tensor::from_array(rows.into_dyn()).unwrap()).check_classes(2, None)
        };
        let message = |rows: Array2<f64>| check(rows).unwrap_err().to_string();
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
        assert!(check(array![[0.25, 0.75]]).is_ok());
    }

    #[test]
    fn a_class_that_there_is_not_is_none() {
        assert_eq!(Targets::<f32>::Classes(&[3]).class(1), None);
        let rows = Tensor::from_array(array![[0.1, 0.9], [f32::NAN, 1.0]].into_dyn()).unwrap();
        let rows = Targets::Values(&rows);
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
