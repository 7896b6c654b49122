//! Data sets: samples with their targets, which are shared and split without copies.

mod check;
mod fingerprint;
mod mapped;
mod named;
mod order;
mod sequences;
mod source;
mod standardize;
mod text;
mod toys;

use std::fmt;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::error::Error;
use crate::losses::check_weights;
use crate::split;
use crate::tensor::Tensor;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::finite;
use crate::tensor::memory;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

use mapped::Mapped;
use named::NamedInput;
use order::Order;
pub use source::{Batch, Sample, Source, SourceError, TargetKind};
pub use standardize::{standardize, unstandardize};
pub use toys::{blobs, moons, spirals};

/// Samples with their targets. Clones and subsets share the same memory.
///
/// ```
/// use backstitch::Dataset;
/// use backstitch::ndarray::Array;
/// let pictures = Array::<f32, _>::zeros((10, 28, 28, 1));
/// let data = Dataset::classes(pictures, &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1])?;
/// let [train, test] = data.split([0.8, 0.2], 0)?;
/// assert_eq!((train.len(), test.len()), (8, 2));
/// assert_eq!(train.to_string(), "8 samples: inputs [28, 28, 1], a class each");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dataset<F: Scalar = f32> {
    from: From<F>,
    /// The indices of the samples, in order.
    samples: Arc<[usize]>,
    /// One weight for each sample, or none.
    weights: Arc<[f64]>,
    named: Vec<NamedInput<F>>,
    order: Order,
    ids: Option<Ids>,
}

/// What is known of ids before they are read.
#[derive(Debug, Clone, Copy)]
struct Ids {
    largest_input: usize,
    largest_class: usize,
}

/// `8 samples: inputs [28, 28, 1], a class each`.
impl<F: Scalar> fmt::Display for Dataset<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples: inputs {}, ", self.len(), self.input_shape())?;
        match self.target_kind() {
            TargetKind::Classes(shape) if shape.is_empty() => write!(f, "a class each")?,
            TargetKind::Classes(shape) => write!(f, "classes {shape}")?,
            TargetKind::Values(shape) => write!(f, "values {shape}")?,
            TargetKind::Inputs => write!(f, "which are the targets too")?,
        }
        if let Some(streams) = self.stream_count() {
            write!(f, ", in {streams} streams")?;
        }
        for (name, shape) in self.named_shapes() {
            write!(f, ", {name:?} {shape}")?;
        }
        if self.sample_weights().is_some() { write!(f, ", with weights") } else { Ok(()) }
    }
}

#[derive(Debug, Clone)]
enum From<F: Scalar> {
    Memory(Arc<InMemory<F>>),
    Source(Arc<dyn Source<F>>),
}

impl<F: Scalar> From<F> {
    fn input_shape(&self) -> Shape {
        match self {
            Self::Memory(memory) => memory.input,
            Self::Source(source) => source.input_shape(),
        }
    }

    fn target_kind(&self) -> TargetKind {
        match self {
            Self::Memory(memory) => memory.kind,
            Self::Source(source) => source.targets(),
        }
    }
}

/// Samples in memory, one after the other.
#[derive(Debug)]
struct InMemory<F: Scalar> {
    inputs: Tensor<F>,
    input: Shape,
    kind: TargetKind,
    classes: Vec<usize>,
    values: Tensor<F>,
}

impl<F: Scalar> Dataset<F> {
    /// Inputs `[n, ..]` with one class for each, counted from 0.
    ///
    /// # Errors
    /// If there are no samples, not one class for each sample, an input is NaN or infinite (the message names the sample), or there is not
    /// enough memory for the inputs.
    pub fn classes(inputs: impl IntoTensor<F>, labels: &[usize]) -> Result<Self, Error> {
        Self::classes_at(inputs, &[], labels)
    }

    /// Inputs `[n, ..]` with a class for each position of every sample, such as `[height, width]` of a picture: `labels` has them sample by
    /// sample and row by row.
    ///
    /// # Errors
    /// As [`classes`](Self::classes).
    pub fn classes_at(
        inputs: impl IntoTensor<F>,
        positions: &[usize],
        labels: &[usize],
    ) -> Result<Self, Error> {
        let (inputs, positions) = (checked("inputs", inputs)?, Shape::new(positions)?);
        let expected = inputs.batch().saturating_mul(positions.elements());
        if labels.len() != expected {
            let each = if positions.is_empty() { "sample" } else { "position of a sample" };
            return Err(Error::argument("labels", format!("{expected}, one for each {each}"), labels.len()));
        }
        let (kind, classes) = (TargetKind::Classes(positions), labels.to_vec());
        Self::in_memory(inputs, kind, classes, Tensor::default())
    }

    /// Inputs `[n, ..]` with numbers `[n, ..]`, of the shape of the model's outputs: values to predict, several labels of a sample (0 or
    /// 1), or probabilities of classes.
    ///
    /// # Errors
    /// If there are no samples, not as many targets as inputs, or a number is NaN or infinite (the message says of which sample).
    pub fn values(inputs: impl IntoTensor<F>, values: impl IntoTensor<F>) -> Result<Self, Error> {
        let (inputs, values) = (checked("inputs", inputs)?, checked("values", values)?);
        if values.batch() != inputs.batch() {
            let expected = format!("{}, one for each sample", inputs.batch());
            return Err(Error::argument("values", expected, values.batch()));
        }
        let kind = TargetKind::Values(Shape::of(&values.shape()[1..]));
        Self::in_memory(inputs, kind, Vec::new(), values)
    }

    /// Inputs `[n, ..]` that are the targets too, for an autoencoder.
    ///
    /// # Errors
    /// If there are no samples, or an input is NaN or infinite.
    pub fn autoencoding(inputs: impl IntoTensor<F>) -> Result<Self, Error> {
        let inputs = checked("inputs", inputs)?;
        Self::in_memory(inputs, TargetKind::Inputs, Vec::new(), Tensor::default())
    }

    fn in_memory(
        inputs: Tensor<F>,
        kind: TargetKind,
        classes: Vec<usize>,
        values: Tensor<F>,
    ) -> Result<Self, Error> {
        let input = Shape::of(&inputs.shape()[1..]);
        let samples = (0..inputs.batch()).collect();
        let memory = InMemory { inputs, input, kind, classes, values };
        Ok(Self::of(From::Memory(Arc::new(memory)), samples))
    }

    /// A data set whose samples are read only when they are needed.
    ///
    /// # Errors
    /// If there are none.
    pub fn from_source(source: impl Source<F>) -> Result<Self, Error> {
        if source.is_empty() {
            return Err(Error::argument("samples", "at least one", 0));
        }
        let samples = (0..source.len()).collect();
        Ok(Self::of(From::Source(Arc::new(source)), samples))
    }

    fn of(from: From<F>, samples: Arc<[usize]>) -> Self {
        Self { from, samples, weights: Arc::default(), named: Vec::new(), order: Order::Any, ids: None }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no samples. A data set has at least one, so this is always false.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Shape of one input.
    pub fn input_shape(&self) -> Shape {
        self.from.input_shape()
    }

    /// What the outputs for these samples are compared with.
    pub fn target_kind(&self) -> TargetKind {
        self.from.target_kind()
    }

    /// The class of each sample, where each has one.
    pub fn labels(&self) -> Option<Vec<usize>> {
        match &self.from {
            From::Memory(memory) => match memory.kind {
                TargetKind::Classes(positions) if positions.is_empty() => {
                    Some(self.samples.iter().map(|&i| memory.classes[i]).collect())
                }
                _ => None,
            },
            From::Source(source) => self.samples.iter().map(|&i| source.class(i)).collect(),
        }
    }

    /// Whether samples are read only when they are needed.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.from, From::Source(_))
    }

    /// Gives each sample a weight, in the training loss and in the evaluation loss.
    ///
    /// # Errors
    /// If there is not one weight for each sample, or one is not above 0 and finite.
    pub fn weights(mut self, weights: &[f64]) -> Result<Self, Error> {
        check_weights(Some(weights), self.len())?;
        self.weights = weights.into();
        Ok(self)
    }

    /// The weights of the samples, if they have weights.
    pub fn sample_weights(&self) -> Option<&[f64]> {
        (!self.weights.is_empty()).then_some(&self.weights)
    }

    /// The samples with these indices, in this order. An index may occur more than once. Labels do not change.
    ///
    /// # Errors
    /// If there are no indices, or one is too large.
    pub fn subset(&self, samples: &[usize]) -> Result<Self, Error> {
        if let Some(wrong) = samples.iter().find(|&&i| i >= self.len()) {
            return Err(Error::argument("subset", format!("numbers below {}", self.len()), wrong));
        }
        if samples.is_empty() {
            return Err(Error::argument("subset", "at least one sample", 0));
        }
        Ok(self.part(samples))
    }

    /// The first samples, at most `most` of them.
    #[must_use]
    pub fn take(&self, most: usize) -> Self {
        let first: Vec<usize> = (0..most.clamp(1, self.len())).collect();
        self.part(&first)
    }

    /// The same samples in a random order.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut stream(seed, Purpose::Split, 0, 0));
        self.part(&order)
    }

    /// Splits the samples at random into parts of these shares, which sum to 1. The remainder of rounding goes to the first part.
    ///
    /// # Errors
    /// If the shares do not sum to 1, or a part would have no samples.
    pub fn split<const N: usize>(&self, shares: [f64; N], seed: u64) -> Result<[Self; N], Error> {
        let parts = split::hold_out(self.len(), &shares, seed)?;
        let parts: Vec<_> = parts.iter().map(|part| self.part(part)).collect();
        parts.try_into().map_err(|_| Error::argument("shares", format!("{N} parts"), "another number"))
    }

    /// A share of each class for validation, and the rest for training: `[train, validation]`.
    ///
    /// # Errors
    /// If samples do not have one class each, the share is not between 0 and 1, or a class has only one sample.
    pub fn stratified_split(&self, validation: f64, seed: u64) -> Result<[Self; 2], Error> {
        let fold = split::stratified(&self.known_labels()?, validation, seed)?;
        Ok([self.part(&fold.train), self.part(&fold.validation)])
    }

    /// k pairs of training and validation samples. Every sample is in one validation set. Where samples have a class each, every
    /// validation set has nearly the same share of each class.
    ///
    /// # Errors
    /// If there are fewer than 2 folds, or fewer samples of a class than folds.
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<Vec<(Self, Self)>, Error> {
        let labels = self.labels().unwrap_or_else(|| vec![0; self.len()]);
        let folds = split::k_fold(&labels, k, seed)?;
        Ok(folds.iter().map(|fold| (self.part(&fold.train), self.part(&fold.validation))).collect())
    }

    fn known_labels(&self) -> Result<Vec<usize>, Error> {
        let got = || format!("{:?}", self.target_kind());
        self.labels().ok_or_else(|| Error::argument("samples", "a class each", got()))
    }

    /// The samples with these indices, which are already checked.
    fn part(&self, samples: &[usize]) -> Self {
        let weights = samples.iter().filter_map(|&i| self.weights.get(i)).copied().collect();
        // A part of streams does not go on from batch to batch.
        let order = match &self.order {
            Order::Any | Order::Streams(_) => Order::Any,
            Order::Lengths(lengths) => Order::Lengths(Arc::clone(lengths)),
        };
        Self {
            from: self.from.clone(),
            samples: samples.iter().map(|&i| self.samples[i]).collect(),
            weights,
            named: self.named.iter().map(|named| named.part(samples)).collect(),
            order,
            ids: self.ids,
        }
    }

    /// The same samples, each input changed by a function when it is read: scaled, or with noise that depends on the input alone.
    #[must_use]
    pub fn map(&self, f: impl Fn(&mut [F]) + Send + Sync + 'static) -> Self {
        let mapped = Mapped { of: self.from.clone(), f: Box::new(f) };
        // Ids may be others now.
        Self { from: From::Source(Arc::new(mapped)), ids: None, ..self.clone() }
    }

    /// Copies the samples with these indices into a batch. Sequences of unequal lengths are cut to the longest of them.
    ///
    /// # Errors
    /// If an index is too large, or a sample cannot be read (the message names it).
    pub fn gather(&self, samples: &[usize], batch: &mut Batch<F>) -> Result<(), Error> {
        if let Some(wrong) = samples.iter().find(|&&i| i >= self.len()) {
            return Err(Error::argument("samples", format!("numbers below {}", self.len()), wrong));
        }
        let (mut input, mut kind) = (self.input_shape(), self.target_kind());
        if let Some((lengths, _)) = self.length(0) {
            let longest = samples.iter().filter_map(|&i| self.length(i)).map(|(_, length)| length).max();
            input.set_first(longest.unwrap_or(input[0]));
            if lengths.each_position {
                kind = TargetKind::Classes(input);
            }
        }
        self.gather_as(samples, &input, kind, batch)
    }

    /// As [`gather`](Self::gather), with inputs and targets of these shapes.
    fn gather_as(
        &self,
        samples: &[usize],
        input: &Shape,
        kind: TargetKind,
        batch: &mut Batch<F>,
    ) -> Result<(), Error> {
        batch.prepare(input, kind, samples.len())?;
        self.gather_named(samples, batch)?;
        batch.weights.clear();
        batch.weights.extend(samples.iter().filter_map(|&i| self.weights.get(i)));
        match &self.from {
            From::Memory(memory) => {
                for (&i, mut to) in samples.iter().zip(batch.places()) {
                    memory.read(self.samples[i], &mut to);
                }
                Ok(())
            }
            From::Source(source) => {
                let mut places = batch.places();
                let places = places.par_iter_mut().zip(samples);
                places.try_for_each(|(to, &i)| {
                    let error = |source| Error::Sample { sample: i, source };
                    source.read(self.samples[i], to).map_err(error)
                })
            }
        }
    }

    /// All inputs, `[n, ..]`.
    ///
    /// # Errors
    /// If a sample cannot be read, or there is not enough memory for all of them.
    pub fn inputs(&self) -> Result<Tensor<F>, Error> {
        let (input, kind) = (self.input_shape(), self.target_kind());
        memory::check_tensor::<F>("inputs", &input.batched(self.len())?)?;
        let mut batch = Batch::default();
        self.gather_as(&(0..self.len()).collect::<Vec<_>>(), &input, kind, &mut batch)?;
        Ok(batch.inputs)
    }
}

/// An array of at least one sample, with finite numbers only.
fn checked<F: Scalar>(name: &str, array: impl IntoTensor<F>) -> Result<Tensor<F>, Error> {
    let tensor = array.into_tensor()?;
    if tensor.shape().is_empty() || tensor.batch() == 0 {
        return Err(Error::argument(name, "at least one sample", tensor.shape()));
    }
    // One pass over the data that training reads in every epoch. If NaN were found later, the learning rate would seem to be the cause.
    finite::check_samples(name, tensor.data(), &tensor.shape())?;
    Ok(tensor)
}

impl<F: Scalar> InMemory<F> {
    fn read(&self, sample: usize, to: &mut Sample<'_, F>) {
        fn copy<T: Copy>(from: &[T], i: usize, to: &mut [T]) {
            to.copy_from_slice(&from[i * to.len()..][..to.len()]);
        }
        copy(self.inputs.data(), sample, to.input);
        copy(&self.classes, sample, to.classes);
        copy(self.values.data(), sample, to.values);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
