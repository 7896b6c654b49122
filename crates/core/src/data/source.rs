//! Sources of samples, and batches.

use std::fmt::Debug;

use crate::error::Error;
use crate::losses::Targets;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The error of reading a sample, of any type.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The kind of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A class for each position of this shape; `[]` for one class a sample.
    Classes(Shape),
    /// Numbers of this shape.
    Values(Shape),
    /// The inputs themselves.
    Inputs,
}

/// Samples that are read only when they are needed, for example from a folder that is larger than memory, or computed by a program.
/// Training reads the next batch on idle threads while it processes the current one.
pub trait Source<F: Scalar>: Debug + Send + Sync + 'static {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one input.
    fn input_shape(&self) -> Shape;

    /// What the outputs are compared with.
    fn targets(&self) -> TargetKind;

    /// Reads one sample, counted from 0. Write every number of it.
    ///
    /// # Errors
    /// Any error. Training stops with it, and the message names the sample.
    fn read(&self, sample: usize, to: &mut Sample<'_, F>) -> Result<(), SourceError>;

    /// The class of a sample, if it is known without reading the sample. Stratified splits need it.
    fn class(&self, _sample: usize) -> Option<usize> {
        None
    }
}

/// The memory to which a sample is written.
#[derive(Debug)]
pub struct Sample<'a, F> {
    /// The input, row by row.
    pub input: &'a mut [F],
    /// The class of each position; empty if the targets are not classes.
    pub classes: &'a mut [usize],
    /// The values; empty if the targets are not values.
    pub values: &'a mut [F],
}

/// A batch of samples, in memory that the next batch uses again.
#[derive(Debug, Default)]
pub struct Batch<F: Scalar> {
    /// `[n, ..]`.
    pub inputs: Tensor<F>,
    /// The named inputs, `[n, ..]` each.
    pub named: Vec<(String, Tensor<F>)>,
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

    /// The weights of the samples, if they have weights.
    pub fn weights(&self) -> Option<&[f64]> {
        (!self.weights.is_empty()).then_some(&self.weights)
    }

    /// Allocates memory for this number of samples.
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

    /// The memory of each sample.
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
