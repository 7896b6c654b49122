//! What training tells Python, and how Python ends it.
//!
//! Training runs on a thread of its own. The thread that called `fit` waits for it without the GIL: it calls Python's callbacks, whose
//! exceptions so arrive with their tracebacks, and it looks for signals, which Python delivers to its main thread alone.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use backstitch::train::{Callback, CallbackError, Epoch, Run, StepEnd};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::model::Model;

/// How often to look for signals.
const PATIENCE: Duration = Duration::from_millis(20);

/// A report from training.
pub enum Report {
    Step(StepEnd),
    /// The epoch, the number of epochs, and the model after it.
    Epoch(Box<(Epoch, usize, backstitch::Model)>),
}

/// What Python wants to hear.
#[derive(Clone, Copy)]
pub struct Wishes {
    /// The least time between two reports of steps. Zero: each step. `None`: no step.
    pub steps: Option<Duration>,
    /// Every epoch.
    pub epochs: bool,
}

/// The side of training: it waits for an answer to each report.
pub struct Reporter<'a> {
    pub wishes: Wishes,
    pub reports: Sender<Report>,
    pub answers: Receiver<()>,
    pub stop: &'a AtomicBool,
    pub last: Option<Instant>,
}

impl Reporter<'_> {
    fn tell(&self, report: Report) {
        if self.reports.send(report).is_ok() {
            // No answer comes where nobody listens any more, and then nobody has to be waited for.
            let _ = self.answers.recv();
        }
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.stop.load(Ordering::Acquire) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Callback<f32> for Reporter<'_> {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        let due = |every: Duration| self.last.is_none_or(|last| last.elapsed() >= every);
        if self.wishes.steps.is_some_and(due) {
            self.last = Some(Instant::now());
            self.tell(Report::Step(*at));
        }
        self.flow()
    }

    fn epoch(&mut self, run: &Run<'_, f32>) -> Result<ControlFlow<()>, CallbackError> {
        if self.wishes.epochs
            && let Some(epoch) = run.history().epochs.last()
        {
            self.tell(Report::Epoch(Box::new((epoch.clone(), run.epochs(), run.model().clone()))));
        }
        Ok(self.flow())
    }
}

/// The side of Python: listens until training is over. Gives the exception that ended it, if one did.
pub fn listen(
    reports: &Receiver<Report>,
    answers: &Sender<()>,
    stop: &AtomicBool,
    listener: &Py<PyAny>,
) -> Option<PyErr> {
    let mut error = None;
    loop {
        let answer = match reports.recv_timeout(PATIENCE) {
            Ok(_) if stop.load(Ordering::Acquire) => Ok(true),
            Ok(report) => Python::attach(|py| told(listener.bind(py), report)),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(raised) = Python::attach(signal) {
                    stop.store(true, Ordering::Release);
                    error = error.or(Some(raised));
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return error,
        };
        match answer {
            Ok(true) => {}
            Ok(false) => stop.store(true, Ordering::Release),
            Err(raised) => {
                stop.store(true, Ordering::Release);
                error = error.or(Some(raised));
            }
        }
        let _ = answers.send(());
    }
}

/// The exception of a signal that has arrived, such as `KeyboardInterrupt`.
fn signal(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

/// Calls Python with a report. Gives whether to go on.
fn told(listener: &Bound<'_, PyAny>, report: Report) -> PyResult<bool> {
    let py = listener.py();
    match report {
        Report::Step(at) => {
            listener.call_method1("step", (at.epoch, at.epochs, at.step, at.steps, at.loss))?.extract()
        }
        Report::Epoch(report) => {
            let (epoch, epochs, model) = *report;
            let model = Py::new(py, Model::of(model))?;
            listener.call_method1("epoch", (epoch.epoch, epochs, figures(py, &epoch)?, model))?.extract()
        }
    }
}

/// The losses and metrics of an epoch, by name.
pub fn figures<'py>(py: Python<'py>, epoch: &Epoch) -> PyResult<Bound<'py, PyDict>> {
    let figures = PyDict::new(py);
    for (name, value) in epoch.figures.iter() {
        figures.set_item(name, value)?;
    }
    Ok(figures)
}
