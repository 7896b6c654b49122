//! The training loop.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::data::{Batch, Dataset};
use crate::early_stopping::{Best, EarlyStopping};
use crate::error::{Error, above_zero};
use crate::kernels::keep_awake;
use crate::layer::{Context, Layer};
use crate::loss::{CrossEntropy, Targets};
use crate::metrics::count_correct;
use crate::model::Model;
use crate::optim::{Optimizer, Schedule, clip_gradients};
use crate::penalty::Penalty;
use crate::rng::{Purpose, stream};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};

/// Samples evaluated at once.
const EVALUATION_BATCH: usize = 256;

/// What one epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the training samples, each taken just before the step that learned from it.
    pub train_loss: f64,
    /// Mean of the penalty on the weights ([`Penalty`]), which is not part of the loss.
    pub penalty: f64,
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
    /// The epoch whose weights the model was given at the end, with early stopping.
    pub restored: Option<usize>,
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
    schedule: Schedule,
    rules: Rules,
    early_stopping: Option<EarlyStopping>,
    augment: Augment,
}

/// How a step learns, beside the optimizer.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The loss of the data.
    pub loss: CrossEntropy,
    /// The penalty on the weights.
    pub penalty: Penalty,
    /// The largest norm of all gradients together, longer ones are shortened to it.
    pub clip_norm: Option<f64>,
}

/// What a step was learned from, before the update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// Mean loss of the batch.
    pub data: f64,
    /// Penalty on the weights.
    pub penalty: f64,
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
        Ok(Self {
            epochs,
            batch_size,
            seed,
            history: History::default(),
            schedule: Schedule::constant(),
            rules: Rules::default(),
            early_stopping: None,
            augment: Augment::new(),
        })
    }

    /// The number of epochs.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Changes the optimizer's learning rate in the course of training.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Adds a penalty on the weights to what is minimized; the history reports it apart.
    #[must_use]
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.rules.penalty = penalty;
        self
    }

    /// Shortens the gradient of a step to this norm where it is longer.
    ///
    /// # Errors
    /// If the norm is not above 0 and finite.
    pub fn clip_norm(mut self, norm: f64) -> Result<Self, Error> {
        self.rules.clip_norm = Some(above_zero("clip_norm", norm)?);
        Ok(self)
    }

    /// The loss that is learned from, with label smoothing or class weights; validation losses are without either.
    #[must_use]
    pub fn loss(mut self, loss: CrossEntropy) -> Self {
        self.rules.loss = loss;
        self
    }

    /// Ends training when the validation loss no longer falls, and gives back the best weights.
    #[must_use]
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Transforms the maps of every batch.
    #[must_use]
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
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
        self.augment.check(&model.input_shape())?;
        if self.early_stopping.is_some() && validation.is_none() {
            return Err(Error::argument("validation", "samples to stop early by", "none"));
        }
        // What is learned from in the first and in the last step, and so with as few samples as ever.
        let last = data.len() % self.batch_size;
        if self.batch_size == 1 || last == 1 {
            model.check_one_sample()?;
        }
        let rate = optimizer.learning_rate();
        let result = self.run(model, optimizer, data, validation, callbacks);
        optimizer.set_learning_rate(rate);
        result
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
        let mut best = Best::default();
        let rate = optimizer.learning_rate();
        for epoch in history.epochs.len() + 1..=self.epochs {
            let steps = data.len().div_ceil(self.batch_size);
            let factor = |step| self.schedule.factor(step, epoch, &history);
            let rate = |i: usize| rate * factor(((epoch - 1) * steps + i) as u64);
            let trained = keep_awake(|| {
                self.epoch(epoch, &rate, model, optimizer, data, callbacks, &mut trace, &mut batch)
            })?;
            let Some((loss, train_accuracy)) = trained else { break };
            let judged = validation.map(|data| evaluate_with(model, data, &self.augment)).transpose()?;
            let record = EpochRecord {
                epoch,
                train_loss: loss.data,
                penalty: loss.penalty,
                train_accuracy,
                validation_loss: judged.map(|(loss, _)| loss),
                validation_accuracy: judged.map(|(_, accuracy)| accuracy),
            };
            if let Some(value) = record.validation_loss.filter(|loss| !loss.is_finite()) {
                return Err(Error::Diverged { what: "validation loss", epoch, step: steps, value });
            }
            history.epochs.push(record.clone());
            let at = EpochEnd { record: &record, history: &history, model, optimizer };
            let mut flow = Flow::Continue;
            for callback in &mut *callbacks {
                let wish = callback.epoch(&at).map_err(|source| Error::Callback { epoch, source })?;
                flow = if wish == Flow::Stop { wish } else { flow };
            }
            if let Some(early_stopping) = self.early_stopping {
                best.look(model, &history);
                flow = if early_stopping.is_over(&history) { Flow::Stop } else { flow };
            }
            if flow == Flow::Stop {
                break;
            }
        }
        history.restored = best.restore(model);
        Ok(history)
    }

    /// One epoch: mean loss and accuracy, or `None` where a callback stopped it on the way.
    #[expect(clippy::too_many_arguments, reason = "the parts of one loop, and private")]
    fn epoch<F: Scalar>(
        &self,
        epoch: usize,
        rate: &(dyn Fn(usize) -> f64 + Sync),
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        callbacks: &mut [&mut dyn Callback<F>],
        trace: &mut Trace<F>,
        batch: &mut Batch<F>,
    ) -> Result<Option<(StepLoss, f64)>, Error> {
        let mut order: Vec<usize> = (0..data.len()).collect();
        order.shuffle(&mut stream(self.seed, Purpose::Shuffle, epoch as u64, 0));
        let steps = data.len().div_ceil(self.batch_size);
        let (mut loss_sum, mut penalty_sum, mut correct) = (0.0, 0.0, 0);
        for (i, samples) in order.chunks(self.batch_size).enumerate() {
            batch.gather(data, samples.iter().copied());
            self.augment.train(&mut batch.inputs, samples, self.seed, epoch);
            let targets = batch.targets(data);
            let ctx = Context::train(self.seed, ((epoch - 1) * steps + i) as u64);
            optimizer.set_learning_rate(rate(i));
            let StepLoss { data: loss, penalty } =
                step(model, optimizer, &batch.inputs, targets, &self.rules, trace, &ctx).map_err(
                    |error| match error {
                        Error::GradientNorm { value } => {
                            Error::Diverged { what: "norm of the gradients", epoch, step: i + 1, value }
                        }
                        other => other,
                    },
                )?;
            if !loss.is_finite() {
                return Err(Error::Diverged { what: "training loss", epoch, step: i + 1, value: loss });
            }
            loss_sum += loss * samples.len() as f64;
            penalty_sum += penalty * samples.len() as f64;
            correct += count_correct(&trace.y, targets);
            let at = StepEnd { epoch, step: i + 1, steps, loss };
            // Every callback hears of the step, also after one of them has said stop.
            let wishes = callbacks.iter_mut().map(|callback| callback.step(&at));
            if wishes.fold(false, |stop, wish| stop | (wish == Flow::Stop)) {
                return Ok(None);
            }
        }
        let count = data.len() as f64;
        let loss = StepLoss { data: loss_sum / count, penalty: penalty_sum / count };
        Ok(Some((loss, correct as f64 / count)))
    }
}

/// One training step: forward, loss, backward, penalty, clipping, commit, optimizer. Returns the loss of the
/// batch before the update; where it is not finite, nothing has been changed. The outputs are in
/// `trace.y`. After the first step at a batch size no memory is allocated.
///
/// # Errors
/// If `x` is not a batch of the model's inputs, the loss has weights for another number of classes, or gradients that are to be
/// clipped are not finite (the weights are then as they were).
pub fn step<F: Scalar>(
    model: &mut Model<F>,
    optimizer: &mut dyn Optimizer<F>,
    x: &Tensor<F>,
    targets: Targets<'_, F>,
    rules: &Rules,
    trace: &mut Trace<F>,
    ctx: &Context,
) -> Result<StepLoss, Error> {
    rules.loss.check(model.output_shape().elements())?;
    model.forward(x, trace, ctx)?;
    let Trace { y, dy, .. } = trace;
    let loss = StepLoss { data: rules.loss.loss(y, targets, Some(dy)), penalty: rules.penalty.value(model) };
    if loss.data.is_finite() {
        model.clear_grads();
        model.backward(x, trace, None, ctx)?;
        rules.penalty.add_gradients(model);
        if let Some(norm) = rules.clip_norm {
            clip_gradients(model, norm)?;
        }
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
    evaluate_with(model, data, &Augment::new())
}

fn evaluate_with<F: Scalar>(
    model: &Model<F>,
    data: &Dataset<'_, F>,
    augment: &Augment,
) -> Result<(f64, f64), Error> {
    data.check(model)?;
    let mut trace = Trace::new(Keep::Last);
    let mut batch = Batch::default();
    let (mut loss, mut correct) = (0.0, 0);
    for from in (0..data.len()).step_by(EVALUATION_BATCH) {
        batch.gather(data, from..data.len().min(from + EVALUATION_BATCH));
        augment.evaluate(&mut batch.inputs);
        model.net().forward(&batch.inputs, &mut trace, &Context::evaluate());
        let targets = batch.targets(data);
        loss += CrossEntropy::new().loss(&trace.y, targets, None) * targets.len() as f64;
        correct += count_correct(&trace.y, targets);
    }
    Ok((loss / data.len() as f64, correct as f64 / data.len() as f64))
}
