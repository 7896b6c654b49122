//! The trainer: epochs of steps, and what is watched on the way.

use rand::seq::SliceRandom;

use crate::augment::Augment;
use crate::data::{Batch, Dataset};
use crate::early_stopping::{Best, EarlyStopping};
use crate::error::{Error, above_zero};
use crate::finite;
use crate::kernels::keep_awake;
use crate::layer::Context;
use crate::loss::CrossEntropy;
use crate::metrics::correct;
use crate::model::Model;
use crate::optim::{Optimizer, Schedule};
use crate::penalty::Penalty;
use crate::rng::{Purpose, stream};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::train::evaluate::evaluate_with;
use crate::train::{
    Callback, EpochEnd, EpochRecord, Flow, History, Rules, StepEnd, StepLoss, Workspace, step,
};

/// Trains a model: batches in a new order each epoch, one optimizer step a batch.
///
/// ```
/// use backstitch_core::{Activation, Dataset, Model, Net, Targets, Trainer};
/// use backstitch_core::{layers::dense, optim::Sgd};
/// use ndarray::array;
/// // The exclusive or, which no single layer can learn.
/// let inputs = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]].into_dyn();
/// let data = Dataset::new(inputs.view(), Targets::Classes(&[0, 1, 1, 0]))?;
/// let net = Net::new().push(dense(8).activation(Activation::Tanh)).push(dense(2));
/// let mut model: Model<f64> = Model::new(net, &[2], 1)?;
/// let history = Trainer::new(300, 4, 1)?.fit(&mut model, &mut Sgd::new(0.5)?, &data, None, &mut [])?;
/// assert_eq!(history.epochs.last().unwrap().train_accuracy, 1.0);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    epochs: usize,
    batch_size: usize,
    drop_last: bool,
    seed: u64,
    history: History,
    schedule: Schedule,
    rules: Rules,
    early_stopping: Option<EarlyStopping>,
    augment: Augment,
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
            drop_last: false,
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

    /// Leaves out what remains of an epoch when no whole batch is left, other samples each time: every step then has as many samples.
    /// Batch normalization behind a dense layer needs it where a single sample would remain.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
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

    /// The loss that is learned from, with label smoothing, class weights or a class to ignore; validation losses are without the
    /// first two.
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

    /// Trains until all epochs are done, a callback stops it, or something is no longer finite: the loss of a step, that of the
    /// validation samples, or, after an epoch, a parameter or buffer of the model.
    ///
    /// With early stopping the model has the weights of its best epoch at the end, also where training ends with an error.
    ///
    /// # Errors
    /// If data and model do not fit, the model ends in a softmax (the loss takes logits) or holds what is not finite, the batch is
    /// larger than the data, a callback fails, or something becomes NaN or infinite (the message says what, and at which epoch and
    /// step).
    pub fn fit<F: Scalar>(
        &self,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        validation: Option<&Dataset<'_, F>>,
        callbacks: &mut [&mut dyn Callback<F>],
    ) -> Result<History, Error> {
        data.check(model, &self.rules.loss)?;
        if let Some(validation) = validation {
            validation.check(model, &self.rules.loss.for_judging())?;
        }
        self.augment.check(&model.input_shape())?;
        if self.early_stopping.is_some() && validation.is_none() {
            return Err(Error::argument("validation", "samples to stop early by", "none"));
        }
        self.check_batches(model, data.len())?;
        finite::check_model(model)?;
        let rate = optimizer.learning_rate();
        let mut best = Best::default();
        let result = self.run(model, optimizer, data, validation, callbacks, &mut best);
        optimizer.set_learning_rate(rate);
        let restored = best.restore(model);
        result.map(|history| History { restored, ..history })
    }

    /// Checks that there is a batch, and that each has enough samples for the model's layers.
    fn check_batches<F: Scalar>(&self, model: &Model<F>, samples: usize) -> Result<(), Error> {
        if self.batch_size > samples {
            let expected = format!("at most {samples}, the number of samples");
            return Err(Error::argument("batch_size", expected, self.batch_size));
        }
        if self.batch_size == 1 {
            return model.check_one_sample();
        }
        if samples % self.batch_size != 1 || self.drop_last {
            return Ok(());
        }
        model.check_one_sample().map_err(|error| {
            let Error::Shape(layer) = error else { return error };
            Error::argument(
                "batch_size",
                format!(
                    "batches of at least 2 samples, which {} ({}) needs in training: `Trainer::drop_last` leaves the rest of an \
                     epoch out, or take another size",
                    layer.path, layer.layer
                ),
                format!("one sample in the last batch ({samples} samples in batches of {})", self.batch_size),
            )
        })
    }

    /// The number of steps an epoch has.
    fn steps(&self, samples: usize) -> usize {
        if self.drop_last { samples / self.batch_size } else { samples.div_ceil(self.batch_size) }
    }

    fn run<F: Scalar>(
        &self,
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        validation: Option<&Dataset<'_, F>>,
        callbacks: &mut [&mut dyn Callback<F>],
        best: &mut Best<F>,
    ) -> Result<History, Error> {
        let mut history = self.history.clone();
        let mut workspace = Workspace::new(model);
        let mut batch = Batch::default();
        let judge = self.rules.loss.for_judging();
        let base = optimizer.learning_rate();
        for epoch in history.epochs.len() + 1..=self.epochs {
            let steps = self.steps(data.len());
            let factor = |step| self.schedule.factor(step, epoch, &history);
            let rate = |i: usize| base * factor(((epoch - 1) * steps + i) as u64);
            let trained = keep_awake(|| {
                self.epoch(epoch, &rate, model, optimizer, data, callbacks, &mut workspace, &mut batch)
            })?;
            // What the last update made, no loss has shown yet; and a weight can be infinite behind an output that is not.
            check_weights(model, (epoch, steps))?;
            let Some((loss, train_accuracy)) = trained else { break };
            // Who saves the optimizer now saves the rate that the schedule multiplies.
            optimizer.set_learning_rate(base);
            let judged = validation.map(|data| evaluate_with(model, data, &self.augment, &judge)).transpose();
            let judged = judged.map_err(|error| match error {
                Error::NotFinite { what, got } => {
                    let (step, got) = (steps, format!("{what}: {got}"));
                    Error::Diverged { what: "validation loss".to_owned(), epoch, step, got }
                }
                error => error,
            })?;
            let record = EpochRecord {
                epoch,
                train_loss: loss.data,
                penalty: loss.penalty,
                train_accuracy,
                validation_loss: judged.map(|(loss, _)| loss),
                validation_accuracy: judged.map(|(_, accuracy)| accuracy),
            };
            history.epochs.push(record.clone());
            // Before the callbacks, so that a failure of theirs does not lose this epoch's weights.
            if self.early_stopping.is_some() {
                best.look(model, &history);
            }
            let at = EpochEnd { record: &record, history: &history, model, optimizer };
            let mut flow = Flow::Continue;
            for callback in &mut *callbacks {
                let wish = callback.epoch(&at).map_err(|source| Error::Callback { epoch, source })?;
                flow = if wish == Flow::Stop { wish } else { flow };
            }
            if flow == Flow::Stop || self.early_stopping.is_some_and(|rule| rule.is_over(&history)) {
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
        rate: &(dyn Fn(usize) -> f64 + Sync),
        model: &mut Model<F>,
        optimizer: &mut dyn Optimizer<F>,
        data: &Dataset<'_, F>,
        callbacks: &mut [&mut dyn Callback<F>],
        workspace: &mut Workspace<F>,
        batch: &mut Batch<F>,
    ) -> Result<Option<(StepLoss, f64)>, Error> {
        let mut order: Vec<usize> = (0..data.len()).collect();
        order.shuffle(&mut stream(self.seed, Purpose::Shuffle, epoch as u64, 0));
        let steps = self.steps(data.len());
        let mut sums = Sums::default();
        for (i, samples) in order.chunks(self.batch_size).take(steps).enumerate() {
            batch.gather(data, samples.iter().copied());
            self.augment.train(&mut batch.inputs, samples, self.seed, epoch)?;
            let targets = batch.targets(data);
            let ctx = Context::train(self.seed, ((epoch - 1) * steps + i) as u64);
            optimizer.set_learning_rate(rate(i));
            let loss = step(model, optimizer, &batch.inputs, targets, &self.rules, workspace, &ctx);
            let loss = loss.map_err(|error| match error {
                Error::GradientNorm { value } => {
                    let what = "norm of the gradients".to_owned();
                    Error::Diverged { what, epoch, step: i + 1, got: value.to_string() }
                }
                other => other,
            })?;
            if !(loss.data.is_finite() && loss.penalty.is_finite()) {
                return Err(reason(model, loss, &batch.inputs, (epoch, i + 1)));
            }
            let right = correct(workspace.trace.output(), targets, self.rules.loss.ignored());
            sums.add(loss, right, samples.len(), self.rules.loss.counted(targets));
            let at = StepEnd { epoch, step: i + 1, steps, loss: loss.data };
            // Every callback hears of the step, also after one of them has said stop.
            let wishes = callbacks.iter_mut().map(|callback| callback.step(&at));
            if wishes.fold(false, |stop, wish| stop | (wish == Flow::Stop)) {
                return Ok(None);
            }
        }
        Ok(Some(sums.means()))
    }
}

/// What the steps of an epoch add up to.
#[derive(Debug, Default)]
struct Sums {
    loss: f64,
    penalty: f64,
    right: usize,
    samples: usize,
    /// Samples that are not ignored.
    counted: usize,
}

impl Sums {
    fn add(&mut self, loss: StepLoss, right: usize, samples: usize, counted: usize) {
        self.loss += loss.data * counted as f64;
        self.penalty += loss.penalty * samples as f64;
        self.right += right;
        self.samples += samples;
        self.counted += counted;
    }

    fn means(&self) -> (StepLoss, f64) {
        let counted = self.counted as f64;
        let loss = StepLoss { data: self.loss / counted, penalty: self.penalty / self.samples as f64 };
        (loss, self.right as f64 / counted)
    }
}

/// Checks what the updates made, up to this step of an epoch.
fn check_weights<F: Scalar>(model: &Model<F>, (epoch, step): (usize, usize)) -> Result<(), Error> {
    finite::check_model(model).map_err(|error| match error {
        Error::NotFinite { what, got } => Error::Diverged { what, epoch, step, got },
        error => error,
    })
}

/// Why the loss of a step is not finite: the inputs, as they were transformed, or the weights, or else what was computed of them.
fn reason<F: Scalar>(
    model: &Model<F>,
    loss: StepLoss,
    x: &Tensor<F>,
    (epoch, step): (usize, usize),
) -> Error {
    if let Err(Error::NotFinite { what, got }) = finite::check_samples("inputs", x.data(), &x.shape()) {
        let what = format!("epoch {epoch}, step {step}, {what} of the batch, after augmentation");
        return Error::NotFinite { what, got };
    }
    // The update of the step before made them.
    if let Err(error) = check_weights(model, (epoch, step - 1)) {
        return error;
    }
    let (what, value) =
        if loss.data.is_finite() { ("penalty", loss.penalty) } else { ("training loss", loss.data) };
    Error::Diverged { what: what.to_owned(), epoch, step, got: value.to_string() }
}
