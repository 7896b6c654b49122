//! Where samples come from, and batches of them.

use std::fmt::Debug;

use crate::error::Error;
use crate::losses::Targets;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What goes wrong where a sample is read: whatever the source likes.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// What a sample is to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A class for each position of this shape; `[]` for one class a sample.
    Classes(Shape),
    /// Numbers of this shape.
    Values(Shape),
    /// The inputs themselves.
    Inputs,
}

/// Samples that are read when they are wanted: from a folder that is larger than memory, or made by a program. Training reads the samples of
/// the next batch on the other threads while it learns from this one.
pub trait Source<F: Scalar>: Debug + Send + Sync + 'static {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one input.
    fn input_shape(&self) -> Shape;

    /// What samples are compared with.
    fn targets(&self) -> TargetKind;

    /// Reads one sample, counted from 0: every number of it is to be written.
    ///
    /// # Errors
    /// Whatever goes wrong; training then stops with it, and says which sample it was.
    fn read(&self, sample: usize, to: &mut Sample<'_, F>) -> Result<(), SourceError>;

    /// The class of a sample, where it has one and that is known without reading it: for parts with all classes in them.
    fn class(&self, _sample: usize) -> Option<usize> {
        None
    }
}

/// Where a sample is to be written.
#[derive(Debug)]
pub struct Sample<'a, F> {
    /// The input, row by row.
    pub input: &'a mut [F],
    /// The class of each position; empty where the targets are no classes.
    pub classes: &'a mut [usize],
    /// The values; empty where the targets are no values.
    pub values: &'a mut [F],
}

/// Samples side by side, in memory that is used again.
#[derive(Debug, Default)]
pub struct Batch<F: Scalar> {
    /// `[n, ..]`.
    pub inputs: Tensor<F>,
    pub(super) classes: Vec<usize>,
    pub(super) values: Tensor<F>,
    pub(super) weights: Vec<f64>,
    pub(super) kind: Option<TargetKind>,
}

impl<F: Scalar> Batch<F> {
    /// What the outputs are compared with.
    pub fn targets(&self) -> Targets<'_, F> {
        match self.kind {
            Some(TargetKind::Classes(_)) | None => Targets::Classes(&self.classes),
            Some(TargetKind::Values(_)) => Targets::Values(&self.values),
            Some(TargetKind::Inputs) => Targets::Values(&self.inputs),
        }
    }

    /// The weights of the samples, where they have some.
    pub fn weights(&self) -> Option<&[f64]> {
        (!self.weights.is_empty()).then_some(&self.weights)
    }

    /// Makes room for this number of samples.
    pub(super) fn prepare(&mut self, input: &Shape, kind: TargetKind, samples: usize) -> Result<(), Error> {
        self.kind = Some(kind);
        self.inputs.set_shape(&input.batched(samples)?)?;
        let (classes, values) = sizes(kind);
        self.classes.resize(samples * classes, 0);
        match kind {
            TargetKind::Values(shape) => self.values.set_shape(&shape.batched(samples)?),
            _ => self.values.set_shape(&[0, values]),
        }
    }

    /// A place for each sample.
    pub(super) fn places(&mut self) -> Vec<Sample<'_, F>> {
        let samples = self.inputs.batch();
        let (classes, values) = self.kind.map_or((0, 0), sizes);
        let width = self.inputs.data().len() / samples.max(1);
        let mut inputs = self.inputs.data_mut().chunks_exact_mut(width.max(1));
        let (mut class, mut value) = (&mut self.classes[..], self.values.data_mut());
        let mut places = Vec::with_capacity(samples);
        for _ in 0..samples {
            let (own, rest) = std::mem::take(&mut class).split_at_mut(classes);
            class = rest;
            let (numbers, rest) = std::mem::take(&mut value).split_at_mut(values);
            value = rest;
            let input = inputs.next().unwrap_or_default();
            places.push(Sample { input, classes: own, values: numbers });
        }
        places
    }
}

/// Classes and values of a sample.
fn sizes(kind: TargetKind) -> (usize, usize) {
    match kind {
        TargetKind::Classes(positions) => (positions.elements(), 0),
        TargetKind::Values(shape) => (0, shape.elements()),
        TargetKind::Inputs => (0, 0),
    }
}
