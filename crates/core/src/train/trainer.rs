//! The settings of a training run.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::augment::Augment;
use crate::data::Dataset;
use crate::early_stopping::EarlyStopping;
use crate::error::Error;
use crate::losses::Loss;
use crate::metrics::Metric;
use crate::net::model::Model;
use crate::net::not_finite;
use crate::optim::{Optimizer, OptimizerMemory, Schedule};
use crate::penalty::Penalty;
use crate::tensor::scalar::Scalar;
use crate::train::callback::{Callback, CallbackError, EachEpoch, EachStep, StepEnd};
use crate::train::checkpoint::{Checkpoint, TRAINING_DATA, VALIDATION_DATA};
use crate::train::evaluate::{Evaluator, usual};
use crate::train::run::{Callbacks, LoopSettings, Run};
use crate::train::{History, StepSettings, Workspace};

/// Trains a model: batches in a new order each epoch, one optimizer step a batch. Settings are checked once, in [`fit`](Self::fit).
///
/// ```
/// use backstitch::{Activation, Dataset, Model, Net, Trainer, layers::dense, optim::Sgd};
/// use backstitch::ndarray::array;
/// // The exclusive or, which no single layer can learn.
/// let data: Dataset = Dataset::classes(array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &[0, 1, 1, 0])?;
/// let net = Net::new().push(dense(8).activation(Activation::Tanh)).push(dense(2));
/// let mut model = Model::new(net, &[2], 1)?;
/// let history = Trainer::new(Sgd::new(0.5)).epochs(300).batch_size(4).seed(1).fit(&mut model, &data)?;
/// assert_eq!(history.last("train_accuracy"), Some(1.0));
/// # Ok::<(), backstitch::Error>(())
/// ```
pub struct Trainer<'c, F: Scalar = f32> {
    optimizer: Arc<dyn Optimizer<F>>,
    loss: Option<Arc<dyn Loss<F>>>,
    metrics: Option<Vec<Arc<dyn Metric<F>>>>,
    penalty: Penalty,
    clip_norm: Option<f64>,
    plan: LoopSettings,
    /// The batch size is the caller's, not the default.
    batch_size_is_set: bool,
    validation: Option<Dataset<F>>,
    resumed: Option<Checkpoint<F>>,
    more: Vec<(String, String)>,
    callbacks: Vec<Box<dyn Callback<F> + Send + 'c>>,
}

impl<F: Scalar> fmt::Debug for Trainer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Trainer");
        shown.field("optimizer", &self.optimizer).field("loss", &self.loss).field("plan", &self.plan);
        shown.field("callbacks", &self.callbacks.len()).finish_non_exhaustive()
    }
}

impl<'c, F: Scalar> Trainer<'c, F> {
    /// The defaults: 10 epochs in batches of 32 with seed 0.
    #[must_use]
    pub fn new(optimizer: impl Optimizer<F>) -> Self {
        Self::with(Arc::new(optimizer))
    }

    /// As [`new`](Self::new), with an optimizer that other trainers may share.
    pub(crate) fn with(optimizer: Arc<dyn Optimizer<F>>) -> Self {
        let plan = LoopSettings {
            epochs: 10,
            batch_size: 32,
            drop_last: false,
            most_steps: None,
            seed: 0,
            schedule: Schedule::constant(),
            early_stopping: None,
            augment: Augment::new(),
        };
        Self {
            optimizer,
            loss: None,
            metrics: None,
            penalty: Penalty::default(),
            clip_norm: None,
            plan,
            batch_size_is_set: false,
            validation: None,
            resumed: None,
            more: Vec::new(),
            callbacks: Vec::new(),
        }
    }

    /// The number of passes over the training samples.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.plan.epochs = epochs;
        self
    }

    /// The number of samples in a step: 32 by default, and for [`Dataset::streams`] the number of streams.
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.plan.batch_size = batch_size;
        self.batch_size_is_set = true;
        self
    }

    /// Ends an epoch after this number of steps, with the rest of the samples left out: for data such as all windows of a long text, of which one pass
    /// would take too long to look at the validation loss. The order of samples is a new one in each epoch.
    #[must_use]
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.plan.most_steps = Some(steps);
        self
    }

    /// The seed of the order of samples, of dropout and of augmentation.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = seed;
        self
    }

    /// Drops the last batch of an epoch if it is smaller than the others. The samples that are left out are different ones in each epoch.
    /// Batch normalization after a dense layer needs this if the last batch would have one sample.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.plan.drop_last = true;
        self
    }

    /// Sets the loss. The default is cross-entropy if samples have classes, and the mean squared error if they have values. Validation
    /// samples are evaluated with it too, and cross-entropy then without label smoothing and class weights.
    #[must_use]
    pub fn loss(mut self, loss: impl Loss<F>) -> Self {
        self.loss = Some(Arc::new(loss));
        self
    }

    /// Sets the metrics, in place of those that belong to the loss.
    #[must_use]
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Arc<dyn Metric<F>>>) -> Self {
        self.metrics = Some(metrics.into_iter().collect());
        self
    }

    /// Changes the learning rate during training.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.plan.schedule = schedule;
        self
    }

    /// Adds a penalty on the weights to the loss that is minimized; the history reports it separately.
    #[must_use]
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.penalty = penalty;
        self
    }

    /// Clips the gradient of a step to this norm.
    #[must_use]
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// The validation set: the model is evaluated on it after each epoch.
    #[must_use]
    pub fn validation(mut self, data: &Dataset<F>) -> Self {
        self.validation = Some(data.clone());
        self
    }

    /// Ends training when the validation loss has not fallen for a number of epochs, or as an [`EarlyStopping`] says, and restores the
    /// best weights.
    #[must_use]
    pub fn early_stopping(mut self, rule: impl Into<EarlyStopping>) -> Self {
        self.plan.early_stopping = Some(rule.into());
        self
    }

    /// Transforms the maps of every batch.
    #[must_use]
    pub fn augment(mut self, augment: Augment) -> Self {
        self.plan.augment = augment;
        self
    }

    /// Calls this after each epoch.
    #[must_use]
    pub fn each_epoch(
        self,
        f: impl FnMut(&Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> + Send + 'c,
    ) -> Self {
        self.callback(EachEpoch(f))
    }

    /// Calls this after each step.
    #[must_use]
    pub fn each_step(self, f: impl FnMut(&StepEnd) -> ControlFlow<()> + Send + 'c) -> Self {
        self.callback(EachStep(f))
    }

    /// Calls this after each step and each epoch.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<F> + Send + 'c) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Resumes from a checkpoint, as if training had never stopped. With `None`, training begins at the first epoch.
    #[must_use]
    pub fn resume(mut self, saved: impl Into<Option<Checkpoint<F>>>) -> Self {
        self.resumed = saved.into();
        self
    }

    /// Adds a setting of your own: a run resumes only if the checkpoint has the same value.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.more.push((name.to_owned(), value.to_string()));
        self
    }

    /// Prepares training up to the first epoch, for a loop of your own. Callbacks are called by [`fit`](Self::fit) alone.
    ///
    /// # Errors
    /// If a setting is not allowed, data and model do not fit each other, the model ends in an activation that the loss applies itself or holds a number that is
    /// not finite, the batch is larger than the data, one of the at most 8 samples of the fingerprint of the data cannot be read, or the
    /// checkpoint has other settings or data.
    pub fn start<'a>(&self, model: &'a mut Model<F>, data: &'a Dataset<F>) -> Result<Run<'a, F>, Error> {
        let loss = self.loss.clone().unwrap_or_else(|| usual(data));
        let metrics = self.metrics.clone().unwrap_or_else(|| loss.metrics());
        let judge = loss.judge().unwrap_or_else(|| Arc::clone(&loss));
        let rules = StepSettings {
            optimizer: Arc::clone(&self.optimizer),
            loss: Arc::clone(&loss),
            penalty: self.penalty,
            clip_norm: self.clip_norm,
        };
        rules.check()?;
        Evaluator { loss, metrics: metrics.clone() }.check(model, data)?;
        let validation = match &self.validation {
            None => None,
            Some(data) => {
                let judge = Evaluator { loss: judge, metrics: metrics.clone() };
                judge.check(model, data).map_err(|source| Error::Validation { source: Box::new(source) })?;
                Some((data.clone(), judge))
            }
        };
        self.plan.augment.check(&model.input_shape())?;
        if let Some(rule) = &self.plan.early_stopping {
            rule.check()?;
            if validation.is_none() && rule.figure().starts_with("validation_") {
                return Err(Error::argument("validation", "samples to stop early by", "none"));
            }
        }
        let mut plan = self.plan.clone();
        if let Some(own) = data.own_batch_size(self.batch_size_is_set.then_some(plan.batch_size))? {
            plan.batch_size = own;
        }
        self.check_batches(model, data.len(), &plan)?;
        not_finite::check_model(model)?;
        let settings = self.settings(&rules, data, &plan)?;
        let mut workspace = Workspace::new(model);
        let (mut history, mut best) = (History::default(), None);
        if let Some(saved) = &self.resumed {
            saved.check(&settings)?;
            let mut memory = OptimizerMemory::new();
            memory.load(&*rules.optimizer, &saved.optimizer, model)?;
            model.load_state(&saved.state)?;
            workspace.memory = memory;
            (history, best) = (History { restored: None, ..saved.history.clone() }, saved.best.clone());
        }
        Ok(Run {
            model,
            data,
            validation,
            rules,
            metrics,
            plan,
            settings,
            workspace,
            history,
            best,
            batches: Default::default(),
            stopped: false,
        })
    }

    /// Trains until all epochs are done, early stopping ends it, a callback stops it, or a number is no longer finite: the loss of a
    /// step, that of the validation samples, or, after an epoch, a parameter or statistic of the model. It consumes the trainer,
    /// whose callbacks belong to one run: for several runs, make a new trainer each time.
    ///
    /// With early stopping the model has the weights of its best epoch at the end, also if training ends with an error.
    ///
    /// # Errors
    /// As [`start`](Self::start); if a callback fails, a sample cannot be read, or something becomes NaN or infinite (the message says
    /// what, and at which epoch and step).
    pub fn fit(mut self, model: &mut Model<F>, data: &Dataset<F>) -> Result<History, Error> {
        let mut callbacks = std::mem::take(&mut self.callbacks);
        let mut run = self.start(model, data)?;
        let result = all_epochs(&mut run, &mut callbacks);
        run.restore();
        result.map(|()| std::mem::take(&mut run.history))
    }

    /// The settings that must be the same in a resumed run: all but the number of epochs.
    fn settings(
        &self,
        rules: &StepSettings<F>,
        data: &Dataset<F>,
        plan: &LoopSettings,
    ) -> Result<Vec<(String, String)>, Error> {
        let fingerprint = |data: &Dataset<F>| Ok(format!("fingerprint {:016x}", data.fingerprint()?));
        let [validation, validation_data] = match &self.validation {
            None => ["none".to_owned(), "none".to_owned()],
            Some(data) => {
                let read =
                    fingerprint(data).map_err(|source| Error::Validation { source: Box::new(source) })?;
                [data.len().to_string(), read]
            }
        };
        let mut settings = vec![
            ("seed".to_owned(), plan.seed.to_string()),
            ("batch_size".to_owned(), plan.batch_size.to_string()),
            ("drop_last".to_owned(), plan.drop_last.to_string()),
            ("steps_per_epoch".to_owned(), format!("{:?}", plan.most_steps)),
            ("training samples".to_owned(), data.len().to_string()),
            ("validation samples".to_owned(), validation),
            (TRAINING_DATA.to_owned(), fingerprint(data)?),
            (VALIDATION_DATA.to_owned(), validation_data),
            ("optimizer".to_owned(), format!("{:?}", rules.optimizer)),
            ("loss".to_owned(), format!("{:?}", rules.loss)),
            ("penalty".to_owned(), format!("{:?}", rules.penalty)),
            ("clip_norm".to_owned(), format!("{:?}", rules.clip_norm)),
            ("schedule".to_owned(), format!("{:?}", plan.schedule)),
            ("early_stopping".to_owned(), format!("{:?}", plan.early_stopping)),
            ("augment".to_owned(), format!("{:?}", plan.augment)),
        ];
        settings.extend(self.more.iter().cloned());
        Ok(settings)
    }

    /// Checks that there is a batch, and that each has enough samples for the model's layers.
    fn check_batches(&self, model: &Model<F>, samples: usize, plan: &LoopSettings) -> Result<(), Error> {
        let LoopSettings { epochs, batch_size, drop_last, .. } = *plan;
        if epochs == 0 {
            return Err(Error::argument("epochs", "at least 1", epochs));
        }
        if batch_size == 0 || batch_size > samples {
            let expected = format!("from 1 to {samples}, the number of samples");
            let default = if self.batch_size_is_set { "" } else { " (the default)" };
            return Err(Error::argument("batch_size", expected, format!("{batch_size}{default}")));
        }
        let all = plan.all_steps(samples);
        if let Some(steps) = plan.most_steps.filter(|steps| !(1..=all).contains(steps)) {
            let expected = format!("from 1 to {all}, the steps of all samples");
            return Err(Error::argument("steps_per_epoch", expected, steps));
        }
        if batch_size == 1 {
            return model.check_one_sample();
        }
        if plan.steps(samples) < all {
            return Ok(());
        }
        if samples % batch_size != 1 || drop_last {
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
                format!("one sample in the last batch ({samples} samples in batches of {batch_size})"),
            )
        })
    }
}

/// Runs epochs until training is over, with callbacks.
fn all_epochs<F: Scalar>(run: &mut Run<'_, F>, callbacks: &mut Callbacks<'_, F>) -> Result<(), Error> {
    while let Some(record) = run.epoch_with(callbacks)? {
        let mut stop = false;
        for callback in &mut *callbacks {
            let wish = callback.epoch(run);
            let wish = wish.map_err(|source| Error::Callback { epoch: record.epoch, source })?;
            stop |= wish == ControlFlow::Break(());
        }
        if stop {
            break;
        }
    }
    Ok(())
}
