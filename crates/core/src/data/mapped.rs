//! Samples that a function changes.

use std::fmt;

use crate::data::From;
use crate::data::source::{Sample, Source, SourceError, TargetKind};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Samples whose inputs a function changes when they are read.
pub(super) struct Mapped<F: Scalar> {
    pub(super) of: From<F>,
    pub(super) f: Box<Change<F>>,
}

/// The function that changes an input.
type Change<F> = dyn Fn(&mut [F]) + Send + Sync;

impl<F: Scalar> fmt::Debug for Mapped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("of", &self.of).finish_non_exhaustive()
    }
}

impl<F: Scalar> Source<F> for Mapped<F> {
    fn len(&self) -> usize {
        match &self.of {
            From::Memory(memory) => memory.inputs.batch(),
            From::Source(source) => source.len(),
        }
    }

    fn input_shape(&self) -> Shape {
        self.of.input_shape()
    }

    fn targets(&self) -> TargetKind {
        self.of.target_kind()
    }

    fn read(&self, sample: usize, to: &mut Sample<'_, F>) -> Result<(), SourceError> {
        match &self.of {
            From::Memory(memory) => memory.read(sample, to),
            From::Source(source) => source.read(sample, to)?,
        }
        (self.f)(to.input);
        Ok(())
    }

    fn class(&self, sample: usize) -> Option<usize> {
        match &self.of {
            From::Memory(memory) if memory.classes.len() == memory.inputs.batch() => {
                Some(memory.classes[sample])
            }
            From::Memory(_) => None,
            From::Source(source) => source.class(sample),
        }
    }
}
