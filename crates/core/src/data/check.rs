//! Checks that data and a model fit each other, before the first step.

use crate::data::{Batch, Dataset, From, Ids, TargetKind};
use crate::error::Error;
use crate::losses::{IGNORED, Loss, Targets};
use crate::net::model::Model;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

impl<F: Scalar> Dataset<F> {
    /// Checks that a model takes these inputs, and that its outputs can be compared with the targets. If samples are read only when they are
    /// needed, the first one is checked.
    pub(crate) fn check(&self, model: &Model<F>, loss: &dyn Loss<F>) -> Result<(), Error> {
        let (expected, got) = (model.input_shape(), self.input_shape());
        if !model.takes(&expected, &got) {
            return Err(Error::argument("inputs", format!("samples of {expected}"), got));
        }
        self.check_named(model)?;
        self.check_ids(model)?;
        if self.length(0).is_some() && !model.takes_shorter() {
            let expected = "a model of sequences, which takes shorter ones too";
            return Err(Error::argument("sequences", expected, "one that takes a single length"));
        }
        let output = self.output_shape(model)?;
        self.with_targets(|targets| loss.check(&output, targets)).map_err(|error| match error {
            Error::Label { label: IGNORED, .. } => {
                let expected = "one that ignores filled positions: CrossEntropy::ignore_index(IGNORED)";
                Error::argument("loss", expected, "one that does not")
            }
            error => error,
        })?;
        match self.sample_weights() {
            None => Ok(()),
            // The loss checks one sample, so that an error comes here and not in the first step.
            Some(weights) => {
                let mut batch = Batch::default();
                self.gather_as(&[0], &got, self.target_kind(), &mut batch)?;
                let y = Tensor::zeros(&output.batched(1)?)?;
                loss.weighted(&y, &batch.targets(), &weights[..1], None).map(drop)
            }
        }
    }

    /// Calls `f` with targets that are in memory: all classes, or the first value.
    pub(crate) fn with_targets<T>(
        &self,
        f: impl FnOnce(&Targets<'_, F>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut batch = Batch::default();
        if let From::Memory(memory) = &self.from
            && let TargetKind::Classes(positions) = memory.kind
        {
            let size = positions.elements();
            let classes = self.samples.iter().flat_map(|&i| &memory.classes[i * size..][..size]);
            return f(&Targets::Classes(&classes.copied().collect::<Vec<_>>()));
        }
        self.gather_as(&[0], &self.input_shape(), self.target_kind(), &mut batch)?;
        f(&batch.targets())
    }

    /// Shape of the output of a model for one of these samples, which may be a shorter sequence than it was made for.
    pub(crate) fn output_shape(&self, model: &Model<F>) -> Result<Shape, Error> {
        let named = self.named_shapes();
        let of = |name: &str| {
            named.iter().find(|(own, _)| own == name).map_or(Shape::default(), |(_, shape)| *shape)
        };
        model.output_shape_for(self.input_shape(), of)
    }

    /// Checks that ids are among those of the model, before one of them is met in training.
    fn check_ids(&self, model: &Model<F>) -> Result<(), Error> {
        let Some(Ids { largest_input, largest_class }) = self.ids else { return Ok(()) };
        if let Some((path, count)) = model.input_ids().into_iter().find(|&(_, count)| largest_input >= count)
        {
            return Err(Error::argument("ids", format!("below {count}, the ids of {path}"), largest_input));
        }
        match model.output_shape().last() {
            Some(&classes) if largest_class >= classes => {
                let expected = format!("classes below {classes}, the outputs of the model");
                Err(Error::argument("targets", expected, largest_class))
            }
            _ => Ok(()),
        }
    }

    /// The class of positions that do not count, where there are such.
    pub(crate) fn ignored(&self) -> Option<usize> {
        self.length(0).filter(|(lengths, _)| lengths.each_position).map(|_| IGNORED)
    }
}
