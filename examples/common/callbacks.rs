//! What happens during training: progress, checkpoints, Ctrl-C.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backstitch::prelude::*;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on a terminal, a plain line an epoch where the output is piped.
pub struct ShowProgress {
    name: String,
    bar: ProgressBar,
    epoch_start: Instant,
    spent: Duration,
    done: u32,
}

impl ShowProgress {
    pub fn new(name: &str) -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}").expect("a valid template");
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stdout()).with_style(style);
        let (epoch_start, spent) = (Instant::now(), Duration::ZERO);
        Self { name: name.to_owned(), bar, epoch_start, spent, done: 0 }
    }

    /// Mean time of an epoch, validation included.
    pub fn seconds_per_epoch(&self) -> f64 {
        self.spent.as_secs_f64() / f64::from(self.done.max(1))
    }
}

impl Callback<f32> for ShowProgress {
    fn step(&mut self, at: &StepEnd) -> Flow {
        if at.step == 1 {
            self.bar.reset();
            self.bar.set_length(at.steps as u64);
            self.bar.set_message(format!("{}: epoch {}/{}", self.name, at.epoch, at.epochs));
        }
        if at.step.is_multiple_of(64) {
            self.bar.set_position(at.step as u64);
        }
        Flow::Continue
    }

    fn epoch(&mut self, run: &Run<'_, f32>) -> Result<Flow, CallbackError> {
        let Some(record) = run.history().epochs.last() else { return Ok(Flow::Continue) };
        let took = self.epoch_start.elapsed();
        self.spent += took;
        self.done += 1;
        self.epoch_start = Instant::now();
        let (epoch, figure) = (record.epoch, |name| record.get(name));
        let train_loss = figure("train_loss").unwrap_or(f64::NAN);
        let validation = match (figure("validation_loss"), figure("validation_accuracy")) {
            (Some(loss), Some(accuracy)) => format!(", validation loss {loss:.4}, accuracy {accuracy:.4}"),
            _ => String::new(),
        };
        let (name, epochs, took) = (&self.name, run.epochs(), took.as_secs_f64());
        let line =
            format!("{name}: epoch {epoch}/{epochs}, training loss {train_loss:.4}{validation}, {took:.2} s");
        // Where nobody reads on (a closed pipe), training stops with an error and keeps its checkpoint.
        self.bar.suspend(|| writeln!(io::stdout(), "{line}"))?;
        if epoch == epochs {
            self.bar.finish_and_clear();
        }
        Ok(Flow::Continue)
    }
}

/// Stops training at Ctrl-C, between two steps; files on the disk stay as they are.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn install() -> Result<Self, ctrlc::Error> {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&flag);
        ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed))?;
        Ok(Self(flag))
    }

    /// Whether Ctrl-C was pressed.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Callback<f32> for Interrupt {
    fn step(&mut self, _at: &StepEnd) -> Flow {
        if self.raised() { Flow::Stop } else { Flow::Continue }
    }
}

/// Stops training when its time is up, between two steps.
pub struct TimeLimit {
    end: Instant,
}

impl TimeLimit {
    pub fn new(seconds: f64) -> Self {
        Self { end: Instant::now() + Duration::from_secs_f64(seconds) }
    }
}

impl Callback<f32> for TimeLimit {
    fn step(&mut self, _at: &StepEnd) -> Flow {
        if Instant::now() >= self.end { Flow::Stop } else { Flow::Continue }
    }
}
