//! The training loop.

use ndarray::{ArrayViewD, CowArray, IxDyn};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kernels::keep_awake;
use crate::layer::{Context, Layer};
use crate::loss::{CrossEntropy, Targets};
use crate::metrics::count_correct;
use crate::model::Model;
use crate::optim::Optimizer;
use crate::rng::{Purpose, stream};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};

/// Samples evaluated at once.
const EVALUATION_BATCH: usize = 256;

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
    /// If there are no samples, or not as many targets as inputs.
    pub fn new(inputs: ArrayViewD<'a, F>, targets: Targets<'a, F>) -> Result<Self, Error> {
        let samples = inputs.shape().first().copied().unwrap_or(0);
        if samples == 0 {
            return Err(Error::argument("inputs", "at least one sample", format!("{:?}", inputs.shape())));
        }
        if samples != targets.len() {
            return Err(Error::argument("targets", format!("{samples}, one a sample"), targets.len()));
        }
        let inputs = if inputs.is_standard_layout() {
            inputs.into()
        } else {
            inputs.as_standard_layout().into_owned().into()
        };
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

    fn check(&self, model: &Model<F>) -> Result<(), Error> {
        let expected = model.input_shape().batched(self.len());
        if self.inputs.shape() != &*expected {
            return Err(Error::argument(
                "inputs",
                expected.to_string(),
                format!("{:?}", self.inputs.shape()),
            ));
        }
        match *model.output_shape() {
            [classes] => self.targets.check(classes),
            _ => Err(Error::argument("model output", "[classes]", model.output_shape())),
        }
    }
}

/// A few samples copied side by side, in memory that is used again for the next ones.
#[derive(Debug, Default)]
struct Batch<F: Scalar> {
    inputs: Tensor<F>,
    classes: Vec<usize>,
    rows: Tensor<F>,
}

impl<F: Scalar> Batch<F> {
    fn gather(&mut self, data: &Dataset<'_, F>, samples: impl ExactSizeIterator<Item = usize>) {
        let sample_shape = Shape::of(&data.inputs.shape()[1..]);
        let width = sample_shape.elements();
        let all = data.inputs.as_slice().expect("made row by row");
        self.inputs.resize(&sample_shape.batched(samples.len()));
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

    fn targets(&self, of: &Dataset<'_, F>) -> Targets<'_, F> {
        match of.targets {
            Targets::Classes(_) => Targets::Classes(&self.classes),
            Targets::Rows(_) => Targets::Rows(self.rows.rows()),
        }
    }
}

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the training samples, each taken just before the step that learned from it.
    pub train_loss: f64,
    /// Share of the training samples that were right at that moment.
    pub train_accuracy: f64,
    /// Loss on the validation samples after the epoch.
    pub validation_loss: Option<f64>,
    /// Share of the validation samples that are right after the epoch.
    pub validation_accuracy: Option<f64>,
}

/// What came of every epoch so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub epochs: Vec<EpochRecord>,
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// On to the next step.
    Continue,
    /// Training ends here, without an error.
    Stop,
}

/// Where training stands after a step.
#[derive(Debug, Clone, Copy)]
pub struct StepEnd {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Steps taken in this epoch.
    pub step: usize,
    /// Steps an epoch has.
    pub steps: usize,
    /// Loss of the step's batch.
    pub loss: f64,
}

/// Where training stands after an epoch.
pub struct EpochEnd<'a, F: Scalar> {
    /// What the epoch came to.
    pub record: &'a EpochRecord,
    /// All epochs so far, this one included.
    pub history: &'a History,
    /// The model as it is now.
    pub model: &'a Model<F>,
    /// The optimizer as it is now.
    pub optimizer: &'a dyn Optimizer<F>,
}

/// The error of a callback: whatever it likes.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Something that wants to know how training goes: a progress bar, a checkpoint, a log.
pub trait Callback<F: Scalar>: Send {
    /// After each step.
    fn step(&mut self, _at: &StepEnd) -> Flow {
        Flow::Continue
    }

    /// After each epoch.
    ///
    /// # Errors
    /// Whatever went wrong; training then stops with it.
    fn epoch(&mut self, _at: &EpochEnd<'_, F>) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue)
    }
}

/// Trains a model: batches in a new order each epoch, one optimizer step a batch.
///
/// ```
/// use backstitch_core::{Activation, Dataset, Model, Sequential, Targets, Trainer};
/// use backstitch_core::{layers::dense, optim::Sgd};
/// use ndarray::array;
/// // The exclusive or, which no single layer can learn.
/// let inputs = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]].into_dyn();
/// let data = Dataset::new(inputs.view(), Targets::Classes(&[0, 1, 1, 0]))?;
/// let net = Sequential::new().push(dense(8, Activation::Tanh)).push(dense(2, Activation::Linear));
/// let mut model: Model<f64> = Model::new(net, &[2], 1)?;
/// let history = Trainer::new(300, 4, 1)?.fit(&mut model, &mut Sgd::new(0.5)?, &data, None, &mut [])?;
/// assert_eq!(history.epochs.last().unwrap().train_accuracy, 1.0);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    epochs: usize,
    batch_size: usize,
    seed: u64,
    history: History,
}

impl Trainer {
    /// Trains for so many epochs, with so many samples a step. The seed gives the order of samples
    /// and whatever layers draw at random.
    ///
    /// # Errors
    /// If the batch size is 0.
    pub fn new(epochs: usize, batch_size: usize, seed: u64) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::argument("batch_size", "at least 1", 0));
        }
        Ok(Self { epochs, batch_size, seed, history: History::default() })
    }

    /// Goes on after the epochs of a history, as if training had never stopped: the model and the
    /// optimizer must be in the state they had then.
    #[must_use]
    pub fn after(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// Trains until all epochs are done, a callback stops it, or the loss is no longer finite.
    ///
    /// # Errors
    /// If data and model do not fit, the batch is larger than the data, a callback fails, or a loss
    /// becomes NaN or infinite (the message says at which epoch and step).
    pub fn fit<F: Scalar>(
        &self,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        validation: Option<&Dataset<'_, F>>,
        callbacks: &mut [&mut dyn Callback<F>],
    ) -> Result<History, Error> {
        data.check(model)?;
        if let Some(validation) = validation {
            validation.check(model)?;
        }
        if self.batch_size > data.len() {
            let expected = format!("at most {}, the number of samples", data.len());
            return Err(Error::argument("batch_size", expected, self.batch_size));
        }
        keep_awake(|| self.run(model, optimizer, data, validation, callbacks))
    }

    fn run<F: Scalar>(
        &self,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        validation: Option<&Dataset<'_, F>>,
        callbacks: &mut [&mut dyn Callback<F>],
    ) -> Result<History, Error> {
        let mut history = self.history.clone();
        let mut trace = Trace::new(Keep::ForBackward);
        let mut batch = Batch::default();
        for epoch in history.epochs.len() + 1..=self.epochs {
            let trained = self.epoch(epoch, model, optimizer, data, callbacks, &mut trace, &mut batch)?;
            let Some((train_loss, train_accuracy)) = trained else { break };
            let judged = validation.map(|data| evaluate(model, data)).transpose()?;
            let record = EpochRecord {
                epoch,
                train_loss,
                train_accuracy,
                validation_loss: judged.map(|(loss, _)| loss),
                validation_accuracy: judged.map(|(_, accuracy)| accuracy),
            };
            if let Some(value) = record.validation_loss.filter(|loss| !loss.is_finite()) {
                let step = data.len().div_ceil(self.batch_size);
                return Err(Error::Diverged { what: "validation loss", epoch, step, value });
            }
            history.epochs.push(record.clone());
            let at = EpochEnd { record: &record, history: &history, model, optimizer };
            let mut flow = Flow::Continue;
            for callback in &mut *callbacks {
                let wish = callback.epoch(&at).map_err(|source| Error::Callback { epoch, source })?;
                flow = if wish == Flow::Stop { wish } else { flow };
            }
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(history)
    }

    /// One epoch: mean loss and accuracy, or `None` where a callback stopped it on the way.
    #[expect(clippy::too_many_arguments, reason = "the parts of one loop, and private")]
    fn epoch<F: Scalar>(
        &self,
        epoch: usize,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        callbacks: &mut [&mut dyn Callback<F>],
        trace: &mut Trace<F>,
        batch: &mut Batch<F>,
    ) -> Result<Option<(f64, f64)>, Error> {
        let mut order: Vec<usize> = (0..data.len()).collect();
        order.shuffle(&mut stream(self.seed, Purpose::Shuffle, epoch as u64, 0));
        let steps = data.len().div_ceil(self.batch_size);
        let (mut loss_sum, mut correct) = (0.0, 0);
        for (i, samples) in order.chunks(self.batch_size).enumerate() {
            batch.gather(data, samples.iter().copied());
            let targets = batch.targets(data);
            let ctx = Context::train(self.seed, ((epoch - 1) * steps + i) as u64);
            let loss = step(model, optimizer, &batch.inputs, targets, trace, &ctx)?;
            if !loss.is_finite() {
                return Err(Error::Diverged { what: "training loss", epoch, step: i + 1, value: loss });
            }
            loss_sum += loss * samples.len() as f64;
            correct += count_correct(&trace.y, targets);
            let at = StepEnd { epoch, step: i + 1, steps, loss };
            // Every callback hears of the step, also after one of them has said stop.
            let wishes = callbacks.iter_mut().map(|callback| callback.step(&at));
            if wishes.fold(false, |stop, wish| stop | (wish == Flow::Stop)) {
                return Ok(None);
            }
        }
        Ok(Some((loss_sum / data.len() as f64, correct as f64 / data.len() as f64)))
    }
}

/// One training step: forward, loss, backward, commit, optimizer. Returns the loss of the batch
/// before the update; where it is not finite, nothing has been changed. The outputs are in
/// `trace.y`. After the first step at a batch size no memory is allocated.
///
/// # Errors
/// If `x` is not a batch of the model's inputs.
pub fn step<F: Scalar>(
    model: &mut Model<F>,
    optimizer: &mut dyn Optimizer<F>,
    x: &Tensor<F>,
    targets: Targets<'_, F>,
    trace: &mut Trace<F>,
    ctx: &Context,
) -> Result<f64, Error> {
    model.forward(x, trace, ctx)?;
    let Trace { y, dy, .. } = trace;
    let loss = CrossEntropy.loss(y, targets, Some(dy));
    if loss.is_finite() {
        model.clear_grads();
        model.backward(x, trace, None, ctx)?;
        model.commit(trace);
        optimizer.step(model);
    }
    Ok(loss)
}

/// Mean cross-entropy and accuracy of a model, as it is at evaluation.
///
/// # Errors
/// If data and model do not fit.
pub fn evaluate<F: Scalar>(model: &Model<F>, data: &Dataset<'_, F>) -> Result<(f64, f64), Error> {
    data.check(model)?;
    let mut trace = Trace::new(Keep::Last);
    let mut batch = Batch::default();
    let (mut loss, mut correct) = (0.0, 0);
    for from in (0..data.len()).step_by(EVALUATION_BATCH) {
        batch.gather(data, from..data.len().min(from + EVALUATION_BATCH));
        model.net().forward(&batch.inputs, &mut trace, &Context::evaluate());
        let targets = batch.targets(data);
        loss += CrossEntropy.loss(&trace.y, targets, None) * targets.len() as f64;
        correct += count_correct(&trace.y, targets);
    }
    Ok((loss / data.len() as f64, correct as f64 / data.len() as f64))
}
