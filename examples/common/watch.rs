//! What happens during training: progress, Ctrl-C, and what it took.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backstitch::prelude::*;

use super::memory::MemorySince;
use super::steps::Steps;
use super::trained::Trained;
use super::{AnyError, epochs};

static INSTALLED: AtomicBool = AtomicBool::new(false);
static PRESSED: AtomicBool = AtomicBool::new(false);

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(250);

/// A callback of every training: a bar with the time left on a terminal, a plain line an epoch where the output is piped. At Ctrl-C training stops between two
/// steps; files on the disk stay as they are.
pub struct Watch {
    name: String,
    steps: Steps,
    start: Instant,
    epoch_start: Instant,
    spent: Duration,
    done: u32,
    memory: Option<MemorySince>,
    shown: Instant,
}

/// Training that Ctrl-C stopped: the end of the program, but no failure.
#[derive(Debug)]
pub struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Stopped {}

impl Watch {
    /// To be made just before training: time and memory count from here on.
    pub fn start(name: impl Into<String>) -> Result<Self, AnyError> {
        if !INSTALLED.swap(true, Ordering::Relaxed) {
            ctrlc::set_handler(|| PRESSED.store(true, Ordering::Relaxed))?;
        }
        let name = name.into();
        let steps = Steps::new(name.clone(), 0)?;
        let (memory, start) = (MemorySince::now(), Instant::now());
        Ok(Self {
            name,
            steps,
            start,
            epoch_start: start,
            spent: Duration::ZERO,
            done: 0,
            memory,
            shown: start,
        })
    }

    /// The model with its history and what training took.
    ///
    /// # Errors
    /// [`Stopped`], where Ctrl-C was pressed.
    pub fn end(self, model: Model, history: History) -> Result<Trained, AnyError> {
        if PRESSED.load(Ordering::Relaxed) {
            let (name, count) = (self.name, epochs(history.epochs.len()));
            return Err(Box::new(Stopped(format!("{name}: stopped after {count}"))));
        }
        Ok(Trained {
            name: self.name,
            summary: model.summary(),
            model,
            history,
            seconds_per_epoch: self.spent.as_secs_f64() / f64::from(self.done.max(1)),
            minutes: self.start.elapsed().as_secs_f64() / 60.0,
            peak_memory: self.memory.and_then(|since| since.most()),
        })
    }
}

impl Callback<f32> for Watch {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        if at.step == 1 {
            self.steps.name(format!("{}: epoch {}/{}", self.name, at.epoch, at.epochs));
        }
        if at.step == 1 && self.done == 0 {
            self.steps.start_at(((at.epoch - 1) * at.steps) as u64);
        }
        // Seldom enough to cost nothing beside the smallest steps; the end of a short epoch is always shown.
        if at.step == 1 || at.step == at.steps || self.shown.elapsed() >= TICK {
            self.shown = Instant::now();
            let done = (at.epoch - 1) * at.steps + at.step;
            self.steps.set(done as u64, (at.steps * at.epochs) as u64);
        }
        if PRESSED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, run: &Run<'_, f32>) -> Result<ControlFlow<()>, CallbackError> {
        let Some(record) = run.history().epochs.last() else { return Ok(ControlFlow::Continue(())) };
        let took = self.epoch_start.elapsed();
        self.spent += took;
        self.done += 1;
        self.epoch_start = Instant::now();
        let train_loss = record.get("train_loss").unwrap_or(f64::NAN);
        let validation = match (record.get("validation_loss"), record.get("validation_accuracy")) {
            (Some(loss), Some(accuracy)) => format!(", validation loss {loss:.4}, accuracy {accuracy:.4}"),
            _ => String::new(),
        };
        let (name, epoch, epochs, took) = (&self.name, record.epoch, run.epochs(), took.as_secs_f64());
        let line =
            format!("{name}: epoch {epoch}/{epochs}, training loss {train_loss:.4}{validation}, {took:.2} s");
        // Where nobody reads on (a closed pipe), training stops with an error and keeps its checkpoint.
        self.steps.line(&line)?;
        Ok(ControlFlow::Continue(()))
    }
}
