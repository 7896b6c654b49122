//! A progress bar for training.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Scalar;
use crate::train::{Callback, CallbackError, Run, StepEnd, Trainer};

/// How often the bar moves.
const SHOWN: Duration = Duration::from_millis(100);

/// Shows how training goes, on standard output: a bar with the time left on a terminal, and a line an epoch everywhere.
///
/// ```
/// use backstitch::prelude::*;
/// let data: Dataset = blobs(60, 3, 0.1, 0)?;
/// let mut model = Model::new(dense(3), &data.input_shape(), 0)?;
/// let mut progress = Progress::named("blobs");
/// Trainer::new(Sgd::new(0.5)).epochs(2).callback(&mut progress).fit(&mut model, &data)?;
/// assert!(progress.seconds_per_epoch() > 0.0);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct Progress {
    name: String,
    bar: ProgressBar,
    epoch_start: Instant,
    shown: Instant,
    spent: Duration,
    done: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self::named("")
    }
}

impl Progress {
    /// A progress bar with a name before every line, for several runs.
    pub fn named(name: &str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left")
            .expect("a valid template");
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stdout()).with_style(style);
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let now = Instant::now();
        Self { name, bar, epoch_start: now, shown: now, spent: Duration::ZERO, done: 0 }
    }

    /// Mean time of an epoch, validation included.
    pub fn seconds_per_epoch(&self) -> f64 {
        self.spent.as_secs_f64() / f64::from(self.done.max(1))
    }
}

impl<F: Scalar> Callback<F> for Progress {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        let done = (at.epoch - 1) * at.steps + at.step;
        if at.step == 1 {
            self.bar.set_length((at.steps * at.epochs) as u64);
            self.bar.set_message(format!("{}epoch {}/{}", self.name, at.epoch, at.epochs));
        }
        if at.step == 1 && self.done == 0 {
            // The epochs of a run that is resumed took no time here.
            self.bar.set_position(done as u64);
            self.bar.reset_eta();
        }
        // Seldom enough to cost nothing beside the smallest steps; the end of a short epoch is always shown.
        if at.step == at.steps || self.shown.elapsed() >= SHOWN {
            self.shown = Instant::now();
            self.bar.set_position(done as u64);
        }
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, run: &Run<'_, F>) -> Result<ControlFlow<()>, CallbackError> {
        let Some(record) = run.history().epochs.last() else { return Ok(ControlFlow::Continue(())) };
        let took = self.epoch_start.elapsed();
        self.spent += took;
        self.done += 1;
        self.epoch_start = Instant::now();
        let (name, epochs, seconds) = (&self.name, run.epochs(), took.as_secs_f64());
        let line = format!("{name}epoch {}/{epochs}: {}, {seconds:.2} s", record.epoch, record.figures);
        // If nobody reads the output any more (a closed pipe), training stops with an error and keeps its checkpoint.
        self.bar.suspend(|| writeln!(io::stdout(), "{line}"))?;
        if record.epoch == epochs {
            self.bar.finish_and_clear();
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Drop for Progress {
    /// Removes the bar of a run that ends early.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// [`Progress`] as a setting of a [`Trainer`].
pub trait WithProgress {
    /// Shows how training goes, on standard output: a bar on a terminal, and a line an epoch everywhere.
    #[must_use]
    fn progress(self) -> Self;
}

impl<F: Scalar> WithProgress for Trainer<'_, F> {
    fn progress(self) -> Self {
        self.callback(Progress::default())
    }
}
