//! Samples with their targets, and batches of them.

use ndarray::{ArrayViewD, CowArray, IxDyn};

use crate::error::Error;
use crate::finite;
use crate::logits;
use crate::loss::{CrossEntropy, Targets};
use crate::memory;
use crate::model::Model;
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;

/// Inputs with what their outputs should be.
#[derive(Debug)]
pub struct Dataset<'a, F: Scalar = f32> {
    inputs: CowArray<'a, F, IxDyn>,
    targets: Targets<'a, F>,
}

impl<'a, F: Scalar> Dataset<'a, F> {
    /// Pairs inputs `[n, ...]` with n targets. Inputs in another order than row by row are copied.
    ///
    /// # Errors
    /// If there are no samples, not as many targets as inputs, more than [`MAX_AXES`](crate::MAX_AXES) axes, or an input is NaN or infinite: the
    /// message says of which sample.
    pub fn new(inputs: ArrayViewD<'a, F>, targets: Targets<'a, F>) -> Result<Self, Error> {
        let samples = inputs.shape().first().copied().unwrap_or(0);
        if samples == 0 {
            return Err(Error::argument("inputs", "at least one sample", format!("{:?}", inputs.shape())));
        }
        let shape = Shape::new(inputs.shape())?;
        targets.check_count(samples)?;
        let inputs: CowArray<'a, F, IxDyn> = if inputs.is_standard_layout() {
            inputs.into()
        } else {
            memory::check_tensor::<F>("inputs", &shape)?;
            inputs.as_standard_layout().into_owned().into()
        };
        // One pass over what training will read in every epoch; found later, it would look like a fault of the learning rate.
        let values = inputs.as_slice().expect("made row by row");
        finite::check_samples("inputs", values, inputs.shape())?;
        Ok(Self { inputs, targets })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Never: a data set has at least one sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The targets of all samples.
    pub(crate) fn targets(&self) -> Targets<'a, F> {
        self.targets
    }

    /// Checks that a model can be judged by this loss on these samples.
    pub(crate) fn check(&self, model: &Model<F>, loss: &CrossEntropy) -> Result<(), Error> {
        let expected = model.input_shape().batched(self.len())?;
        if self.inputs.shape() != &*expected {
            return Err(Error::argument(
                "inputs",
                expected.to_string(),
                format!("{:?}", self.inputs.shape()),
            ));
        }
        loss.check(self.targets, logits::classes(model)?)
    }
}

/// A few samples copied side by side, in memory that is used again for the next ones.
#[derive(Debug, Default)]
pub(crate) struct Batch<F: Scalar> {
    pub(crate) inputs: Tensor<F>,
    classes: Vec<usize>,
    rows: Tensor<F>,
}

impl<F: Scalar> Batch<F> {
    pub(crate) fn gather(&mut self, data: &Dataset<'_, F>, samples: impl ExactSizeIterator<Item = usize>) {
        let mut shape = Shape::of(data.inputs.shape());
        let width = product(&shape[1..]);
        let all = data.inputs.as_slice().expect("made row by row");
        shape.set_first(samples.len());
        self.inputs.resize(&shape);
        self.classes.clear();
        if let Targets::Rows(rows) = data.targets {
            self.rows.resize(&[samples.len(), rows.ncols()]);
        }
        for (i, sample) in samples.enumerate() {
            self.inputs.data_mut()[i * width..][..width].copy_from_slice(&all[sample * width..][..width]);
            match data.targets {
                Targets::Classes(classes) => self.classes.push(classes[sample]),
                Targets::Rows(rows) => {
                    let to = &mut self.rows.data_mut()[i * rows.ncols()..][..rows.ncols()];
                    to.iter_mut().zip(rows.row(sample)).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }

    pub(crate) fn targets(&self, of: &Dataset<'_, F>) -> Targets<'_, F> {
        match of.targets {
            Targets::Classes(_) => Targets::Classes(&self.classes),
            Targets::Rows(_) => Targets::Rows(self.rows.rows()),
        }
    }
}
