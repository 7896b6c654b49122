//! A training run, which can be saved after each epoch and resumed.

use std::ops::ControlFlow;

use crate::augment::Augment;
use crate::data::{Batch, Dataset};
use crate::early_stopping::EarlyStopping;
use crate::error::Error;
use crate::kernels::keep_awake;
use crate::layer::Context;
use crate::losses::Mean;
use crate::metrics::Metric;
use crate::net::model::Model;
use crate::net::not_finite;
use crate::optim::Schedule;
use crate::tensor::Tensor;
use crate::tensor::finite;
use crate::tensor::scalar::Scalar;
use crate::train::ahead::while_reading;
use crate::train::callback::{Callback, StepEnd};
use crate::train::checkpoint::{Checkpoint, ModelState, state_of};
use crate::train::evaluate::{Evaluator, evaluate_augmented};
use crate::train::{BatchView, Epoch, Figures, History, StepLoss, StepSettings, Workspace, step};

/// A run: model, optimizer, history and best weights. Made by [`Trainer::start`](crate::Trainer::start), for those who want the loop
/// themselves.
///
/// ```
/// use backstitch::{Dataset, Model, Trainer, layers::dense, optim::Sgd};
/// let data: Dataset = backstitch::data::blobs(60, 3, 0.1, 0)?;
/// let mut model = Model::new(dense(3), &data.input_shape(), 0)?;
/// let mut run = Trainer::new(Sgd::new(0.5)).epochs(5).start(&mut model, &data)?;
/// while let Some(epoch) = run.epoch()? {
///     println!("{epoch}");
/// }
/// let history = run.finish();
/// assert_eq!(history.epochs.len(), 5);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct Run<'a, F: Scalar = f32> {
    pub(super) model: &'a mut Model<F>,
    pub(super) data: &'a Dataset<F>,
    pub(super) validation: Option<(Dataset<F>, Evaluator<F>)>,
    pub(super) rules: StepSettings<F>,
    pub(super) metrics: Vec<std::sync::Arc<dyn Metric<F>>>,
    pub(super) plan: LoopSettings,
    pub(super) settings: Vec<(String, String)>,
    pub(super) workspace: Workspace<F>,
    pub(super) history: History,
    pub(super) best: Option<(usize, ModelState<F>)>,
    pub(super) batches: [Batch<F>; 2],
    /// A callback stopped the run.
    pub(super) stopped: bool,
}

/// The settings of the loop itself.
#[derive(Debug, Clone)]
pub(super) struct LoopSettings {
    pub(super) epochs: usize,
    pub(super) batch_size: usize,
    pub(super) drop_last: bool,
    pub(super) most_steps: Option<usize>,
    pub(super) seed: u64,
    pub(super) schedule: Schedule,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) augment: Augment,
}

impl LoopSettings {
    /// The number of steps an epoch has.
    pub(super) fn steps(&self, samples: usize) -> usize {
        let all = self.all_steps(samples);
        self.most_steps.map_or(all, |most| most.min(all))
    }

    /// The number of steps over all samples.
    pub(super) fn all_steps(&self, samples: usize) -> usize {
        if self.drop_last { samples / self.batch_size } else { samples.div_ceil(self.batch_size) }
    }
}

/// Callbacks, to be called in their order.
pub(super) type Callbacks<'c, F> = [Box<dyn Callback<F> + Send + 'c>];

impl<F: Scalar> Run<'_, F> {
    /// The model as it is now.
    pub fn model(&self) -> &Model<F> {
        self.model
    }

    /// All epochs so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The best epoch so far, with early stopping, and the state after it.
    pub fn best(&self) -> Option<(usize, &ModelState<F>)> {
        self.best.as_ref().map(|(epoch, state)| (*epoch, state))
    }

    /// The number of epochs of the whole run.
    pub fn epochs(&self) -> usize {
        self.plan.epochs
    }

    /// The state of the whole run, to write to a file.
    pub fn checkpoint(&self) -> Checkpoint<F> {
        Checkpoint {
            settings: self.settings.clone(),
            state: state_of(self.model),
            optimizer: self.workspace.memory.state(&*self.rules.optimizer),
            history: self.history.clone(),
            best: self.best.clone(),
        }
    }

    /// Trains one epoch, and evaluates the validation samples. `None` if training is over: all epochs are done, or early stopping ends it.
    ///
    /// # Errors
    /// If something becomes NaN or infinite (the message says what, and at which epoch and step), or a sample cannot be read.
    pub fn epoch(&mut self) -> Result<Option<Epoch>, Error> {
        self.epoch_with(&mut [])
    }

    /// As [`epoch`](Self::epoch), with callbacks after each step.
    pub(super) fn epoch_with(&mut self, callbacks: &mut Callbacks<'_, F>) -> Result<Option<Epoch>, Error> {
        let epoch = self.history.epochs.len() + 1;
        let is_over = self.plan.early_stopping.as_ref().is_some_and(|rule| rule.is_over(&self.history));
        if epoch > self.plan.epochs || is_over || self.stopped {
            return Ok(None);
        }
        let trained = keep_awake(|| self.train(epoch, callbacks))?;
        let steps = self.plan.steps(self.data.len());
        // No loss has tested the last update yet; and a weight can be infinite although the output is finite.
        check_weights(self.model, (epoch, steps))?;
        let Some(mut figures) = trained else { return Ok(None) };
        if let Some((data, judge)) = &self.validation {
            let judged = evaluate_augmented(self.model, data, &self.plan.augment, judge);
            let judged = judged.map_err(|error| match error {
                Error::NotFinite { what, got } => {
                    let (what, got) = ("validation loss".to_owned(), format!("{what}: {got}"));
                    Error::Diverged { what, epoch, step: steps, got }
                }
                error => error,
            })?;
            judged.iter().for_each(|(name, value)| figures.push(format!("validation_{name}"), value));
        }
        self.look(Epoch { epoch, figures }).map(Some)
    }

    /// Records an epoch, and keeps the weights if it is the best one.
    fn look(&mut self, record: Epoch) -> Result<Epoch, Error> {
        let epoch = record.epoch;
        if let Some(rule) = &self.plan.early_stopping
            && record.get(rule.figure()).is_none()
        {
            let expected = format!("one of {}", record.figures.names());
            return Err(Error::argument("metric to stop early by", expected, rule.figure()));
        }
        self.history.epochs.push(record.clone());
        if self.plan.early_stopping.as_ref().is_some_and(|rule| rule.best_epoch(&self.history) == Some(epoch))
        {
            self.best = Some((epoch, state_of(self.model)));
        }
        Ok(record)
    }

    /// The steps of one epoch: loss and metrics of the training samples, or `None` if a callback stopped it.
    fn train(&mut self, epoch: usize, callbacks: &mut Callbacks<'_, F>) -> Result<Option<Figures>, Error> {
        let LoopSettings { seed, batch_size, .. } = self.plan;
        let order = self.data.training_order(seed, epoch as u64, batch_size);
        let steps = self.plan.steps(self.data.len());
        let pieces: Vec<&[usize]> = order.chunks(batch_size).take(steps).collect();
        let (mut total, mut penalty, mut samples) = (Mean::default(), 0.0, 0);
        let mut sums = vec![Vec::new(); self.metrics.len()];
        let data = self.data;
        let mut batches = std::mem::take(&mut self.batches);
        data.gather(pieces[0], &mut batches[0])?;
        for i in 0..pieces.len() {
            let loss = while_reading(data, pieces.get(i + 1).copied(), &mut batches, |batch| {
                let loss = self.learn(epoch, i, pieces[i], batch)?;
                let (y, targets) = (self.workspace.trace.output(), batch.targets());
                self.metrics.iter().zip(&mut sums).for_each(|(metric, sums)| metric.add(y, &targets, sums));
                Ok(loss)
            })?;
            total += loss.data;
            penalty += loss.penalty * pieces[i].len() as f64;
            samples += pieces[i].len();
            let (epochs, loss) = (self.plan.epochs, loss.data.value());
            let at = StepEnd { epoch, epochs, step: i + 1, steps, loss };
            // Every callback is called, also after one of them has stopped training.
            let wishes = callbacks.iter_mut().map(|callback| callback.step(&at));
            if wishes.fold(false, |stop, wish| stop | (wish == ControlFlow::Break(()))) {
                self.stopped = true;
                return Ok(None);
            }
        }
        self.batches = batches;
        let (loss, penalty) = (total.value(), penalty / samples as f64);
        // Each step was finite; their sum can overflow, as with class weights near the largest number.
        for (what, value) in [("training loss", loss), ("penalty", penalty)] {
            if !value.is_finite() {
                let what = format!("{what} of all steps together");
                return Err(Error::Diverged { what, epoch, step: steps, got: value.to_string() });
            }
        }
        let mut figures = Figures::default();
        figures.push("train_loss", loss);
        if self.rules.penalty != Default::default() {
            figures.push("penalty", penalty);
        }
        for (metric, sums) in self.metrics.iter().zip(&sums) {
            figures.push(format!("train_{}", metric.name()), metric.value(sums));
        }
        Ok(Some(figures))
    }

    /// One step, counted from 0 in the epoch.
    fn learn(
        &mut self,
        epoch: usize,
        i: usize,
        samples: &[usize],
        batch: &mut Batch<F>,
    ) -> Result<StepLoss, Error> {
        let steps = self.plan.steps(self.data.len());
        self.plan.augment.train(&mut batch.inputs, samples, self.plan.seed, epoch)?;
        let taken = ((epoch - 1) * steps + i) as u64;
        let factor = self.plan.schedule.factor(taken, epoch, &self.history);
        let Batch { inputs, named, .. } = &*batch;
        let examples = BatchView { inputs, named, targets: batch.targets(), weights: batch.weights() };
        let ctx = Context { memory: self.data.memory(i), ..Context::train(self.plan.seed, taken) };
        let loss = step(self.model, &self.rules, examples, factor, &mut self.workspace, &ctx);
        let loss = loss.map_err(|error| match error {
            Error::GradientNorm { value } => {
                let what = "norm of the gradients".to_owned();
                Error::Diverged { what, epoch, step: i + 1, got: value.to_string() }
            }
            other => other,
        })?;
        match loss.is_finite() {
            true => Ok(loss),
            false => Err(reason(self.model, loss, &batch.inputs, (epoch, i + 1))),
        }
    }

    /// Ends the run. With early stopping the model then has the weights of the best epoch.
    pub fn finish(mut self) -> History {
        self.restore();
        std::mem::take(&mut self.history)
    }

    /// Gives the model the weights of the best epoch.
    pub(super) fn restore(&mut self) {
        let Some((epoch, state)) = &self.best else { return };
        for mut slot in self.model.slots_mut() {
            if let Some(best) = state.get(slot.name()) {
                slot.data_mut().copy_from_slice(best.data());
            }
        }
        self.history.restored = Some(*epoch);
    }
}

/// Checks what the updates made, up to this step of an epoch.
fn check_weights<F: Scalar>(model: &Model<F>, (epoch, step): (usize, usize)) -> Result<(), Error> {
    not_finite::check_model(model).map_err(|error| match error {
        Error::NotFinite { what, got } => Error::Diverged { what, epoch, step, got },
        error => error,
    })
}

/// Why the loss of a step is not finite: the transformed inputs, or the weights, or else the values computed from them.
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
    // They come from the update of the previous step.
    if let Err(error) = check_weights(model, (epoch, step - 1)) {
        return error;
    }
    let data = loss.data.value();
    let (what, value) = if data.is_finite() { ("penalty", loss.penalty) } else { ("training loss", data) };
    Error::Diverged { what: what.to_owned(), epoch, step, got: value.to_string() }
}
