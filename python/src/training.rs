//! Training: the settings of `Model.fit` as a trainer.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use backstitch::augment::Augment;
use backstitch::early_stopping::EarlyStopping;
use backstitch::optim::{Adagrad, Adam, RmsProp, Schedule, Sgd};
use backstitch::penalty::Penalty;
use backstitch::{Error, History, Trainer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::data::Dataset;
use crate::errors::{caught, exception};
use crate::losses::loss;
use crate::model::Model;
use crate::reports::{Report, Reporter, Wishes, figures, listen};
use crate::settings::Settings;
use crate::threads;

fn refused(error: Error) -> PyErr {
    exception(&error)
}

/// A trainer with the optimizer of these settings.
fn trainer<'c>(s: &Settings<'_>) -> PyResult<Trainer<'c>> {
    let rate = s.number("learning_rate")?;
    let decay = s.number("weight_decay")?;
    Ok(match s.kind.as_str() {
        "sgd" => {
            let rule = Sgd::new(rate).momentum(s.number("momentum")?).weight_decay(decay);
            Trainer::new(if s.flag("nesterov")? { rule.nesterov() } else { rule })
        }
        "adam" | "adamw" => {
            let rule = match s.kind.as_str() {
                "adam" => Adam::new(rate).weight_decay(decay),
                _ => Adam::adamw(rate, decay),
            };
            let betas = s.numbers("betas")?.unwrap_or_default();
            let &[first, second] = &betas[..] else {
                let got = format!("betas of {}: expected 2 numbers, got {}", s.kind, betas.len());
                return Err(PyValueError::new_err(got));
            };
            Trainer::new(rule.betas(first, second).epsilon(s.number("epsilon")?))
        }
        "rmsprop" => {
            let rule = RmsProp::new(rate).alpha(s.number("alpha")?).epsilon(s.number("epsilon")?);
            Trainer::new(rule.weight_decay(decay))
        }
        "adagrad" => Trainer::new(Adagrad::new(rate).weight_decay(decay)),
        other => {
            return Err(PyValueError::new_err(format!("optimizer: expected the name of one, got {other:?}")));
        }
    })
}

fn schedule(s: &Settings<'_>) -> PyResult<Schedule> {
    let schedule = match s.kind.as_str() {
        "step" => Schedule::step(s.count("epochs")?, s.number("factor")?),
        "cosine" => Schedule::cosine_to(s.count("steps")? as u64, s.number("end")?),
        "one_cycle" => Schedule::one_cycle(s.count("steps")? as u64),
        "on_plateau" => Schedule::on_plateau(s.count("patience")?, s.number("factor")?),
        "constant" => Ok(Schedule::constant()),
        other => {
            return Err(PyValueError::new_err(format!("schedule: expected the name of one, got {other:?}")));
        }
    };
    let schedule = schedule.map_err(refused)?;
    Ok(match s.count("warm_up")? {
        0 => schedule,
        steps => schedule.warm_up(steps as u64),
    })
}

fn early_stopping(s: &Settings<'_>) -> PyResult<EarlyStopping> {
    let rule = EarlyStopping::new(s.count("patience")?).min_delta(s.number("min_delta")?);
    let figure = s.text("figure")?;
    Ok(if s.flag("maximize")? { rule.maximize(&figure) } else { rule.minimize(&figure) })
}

fn augment(s: &Settings<'_>) -> PyResult<Augment> {
    let mut augment = Augment::new();
    if s.flag("horizontal_flip")? {
        augment = augment.horizontal_flip();
    }
    match (s.optional_count("random_crop")?, s.flag("reflected")?) {
        (Some(padding), false) => augment = augment.random_crop(padding),
        (Some(padding), true) => augment = augment.random_crop_reflected(padding),
        (None, _) => {}
    }
    if let Some(least) = s.optional_number("random_resized_crop")? {
        augment = augment.random_resized_crop(least).map_err(refused)?;
    }
    if let (Some(mean), Some(deviation)) = (s.numbers("mean")?, s.numbers("deviation")?) {
        augment = augment.normalize(&mean, &deviation).map_err(refused)?;
    }
    Ok(augment)
}

/// A trainer with all settings of `Model.fit`.
fn configured<'c>(s: &Settings<'_>, validation: Option<&Dataset>) -> PyResult<Trainer<'c>> {
    let missing = || PyValueError::new_err("optimizer: expected one, got None");
    let mut trainer = trainer(&s.within("optimizer")?.ok_or_else(missing)?)?.epochs(s.count("epochs")?);
    trainer = trainer.seed(s.count("seed")? as u64);
    if let Some(size) = s.optional_count("batch_size")? {
        trainer = trainer.batch_size(size);
    }
    if let Some(steps) = s.optional_count("steps_per_epoch")? {
        trainer = trainer.steps_per_epoch(steps);
    }
    if s.flag("drop_last")? {
        trainer = trainer.drop_last();
    }
    if let Some(norm) = s.optional_number("clip_norm")? {
        trainer = trainer.clip_norm(norm);
    }
    if let Some(own) = s.within("loss")? {
        trainer = trainer.loss(loss(&own)?);
    }
    if let Some(own) = s.within("schedule")? {
        trainer = trainer.schedule(schedule(&own)?);
    }
    if let Some(own) = s.within("early_stopping")? {
        trainer = trainer.early_stopping(early_stopping(&own)?);
    }
    if let Some(own) = s.within("penalty")? {
        trainer = trainer.penalty(Penalty::new(own.number("l1")?, own.number("l2")?).map_err(refused)?);
    }
    if let Some(own) = s.within("augment")? {
        trainer = trainer.augment(augment(&own)?);
    }
    if let Some(data) = validation {
        trainer = trainer.validation(&data.0);
    }
    Ok(trainer)
}

/// Each epoch with its figures, the epoch whose weights were restored, the table, and the exception that ended training.
type Trained<'py> = (Vec<(usize, Bound<'py, PyDict>)>, Option<usize>, String, Option<PyErr>);

/// Trains a model. The listener's `step` and `epoch` are called as wished, and say whether to go on. Where one of them raises, or a signal
/// arrives, training ends, and the exception is in the result beside the history: the model keeps what it has learned. The wishes are the
/// least number of seconds between two reports of steps, or `None` for no such report, and whether to report epochs.
#[pyfunction]
pub fn fit<'py>(
    py: Python<'py>,
    model: &Model,
    data: &Dataset,
    validation: Option<&Bound<'py, Dataset>>,
    settings: &Bound<'py, PyDict>,
    listener: Py<PyAny>,
    wishes: (Option<f64>, bool),
) -> PyResult<Trained<'py>> {
    let steps = wishes.0.map(Duration::try_from_secs_f64).transpose();
    let steps = steps.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let wishes = Wishes { steps, epochs: wishes.1 };
    let validation = validation.map(Bound::get);
    let mut guard = model.write()?;
    let (history, error) = train(
        py,
        configured(&Settings::new("fit", settings), validation)?,
        &mut guard,
        &data.0,
        listener,
        wishes,
    )?;
    let list = history.epochs.iter().map(|epoch| Ok((epoch.epoch, figures(py, epoch)?)));
    Ok((list.collect::<PyResult<_>>()?, history.restored, history.to_string(), error))
}

fn train(
    py: Python<'_>,
    trainer: Trainer<'_>,
    model: &mut backstitch::Model,
    data: &backstitch::Dataset,
    listener: Py<PyAny>,
    wishes: Wishes,
) -> PyResult<(History, Option<PyErr>)> {
    let stop = AtomicBool::new(false);
    let (to_python, reports) = channel::<Report>();
    let (to_training, answers) = channel();
    let reporter = Reporter { wishes, reports: to_python, answers, stop: &stop, last: None };
    let trainer = trainer.callback(reporter);
    let stop = &stop;
    let (result, error) = py.detach(move || {
        thread::scope(|scope| {
            let work = scope.spawn(move || caught(|| threads::run(|| trainer.fit(model, data))));
            let error = listen(&reports, &to_training, stop, &listener);
            (work.join(), error)
        })
    });
    let result = result.unwrap_or_else(|panic| Err(crate::errors::panicked(&*panic)));
    match (result, error) {
        (Ok(history), error) => Ok((history, error)),
        // What Python raised came first.
        (Err(_), Some(error)) | (Err(error), None) => Err(error),
    }
}

/// Refuses settings that no optimizer has.
#[pyfunction]
pub fn check_optimizer(kind: &str, settings: &Bound<'_, PyDict>) -> PyResult<()> {
    trainer(&Settings::new(kind, settings)).map(drop)
}

/// Refuses settings that no schedule has.
#[pyfunction]
pub fn check_schedule(kind: &str, settings: &Bound<'_, PyDict>) -> PyResult<()> {
    schedule(&Settings::new(kind, settings)).map(drop)
}
