//! Progress of what takes longer than a moment.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use std::{panic, process};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::AnyError;

/// Between two plain lines.
const SELDOM: Duration = Duration::from_secs(10);

/// A bar with the time left on a terminal; where the output is piped, a plain line every ten seconds.
pub struct Steps {
    bar: ProgressBar,
    /// How the bar looks as soon as the number of steps is known.
    counted: ProgressStyle,
    what: String,
    start: Instant,
    /// What was done before the start.
    before: u64,
    said: Instant,
    plain: bool,
}

impl Steps {
    /// Shows at once what is being done. `of` is the number of steps, 0 where it is not known yet.
    pub fn new(what: impl Into<String>, of: usize) -> Result<Self, AnyError> {
        Self::with(what.into(), of as u64, "{pos}/{len}")
    }

    /// As [`new`](Self::new), of bytes.
    pub fn bytes(what: impl Into<String>, of: u64) -> Result<Self, AnyError> {
        Self::with(what.into(), of, "{bytes}/{total_bytes}")
    }

    fn with(what: String, of: u64, count: &str) -> Result<Self, AnyError> {
        let counted = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {count}, {{eta}} left"))?;
        let style = if of > 0 { counted.clone() } else { ProgressStyle::with_template("{msg} ...")? };
        let target = if is_terminal() { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let bar =
            ProgressBar::with_draw_target(Some(of), target).with_style(style).with_message(what.clone());
        // Drawn again while nothing is counted, so that the time goes on.
        bar.enable_steady_tick(Duration::from_millis(250));
        let now = Instant::now();
        Ok(Self { bar, counted, what, start: now, before: 0, said: now, plain: !is_terminal() })
    }

    /// The work begins here, with `done` steps that took no time: those of a run that is resumed.
    pub fn start_at(&mut self, done: u64) {
        (self.start, self.before) = (Instant::now(), done);
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// What is being done now.
    pub fn name(&mut self, what: String) {
        self.bar.set_message(what.clone());
        self.what = what;
    }

    /// `done` steps, or bytes, of all are done.
    pub fn set(&mut self, done: u64, of: u64) {
        if self.bar.length() != Some(of) {
            self.bar.set_style(self.counted.clone());
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
        if self.plain && self.said.elapsed() >= SELDOM && done > self.before {
            self.said = Instant::now();
            let share = of.saturating_sub(done) as f64 / (done - self.before) as f64;
            let left = self.start.elapsed().mul_f64(share);
            println!("{}: {done}/{of}, {} s left", self.what, left.as_secs());
        }
    }

    /// A line that stays.
    ///
    /// # Errors
    /// If nobody reads on: a closed pipe.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.said = Instant::now();
        self.bar.suspend(|| writeln!(io::stdout(), "{line}"))
    }

    /// One step more is done.
    pub fn add(&mut self) {
        self.set(self.bar.position() + 1, self.bar.length().unwrap_or(0));
    }
}

impl Drop for Steps {
    /// Nothing is left of the bar.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where a pipe was closed (`| head -1`), the next `println!` panics: the program ends there, without a message.
pub fn end_quietly_where_nobody_reads() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        let text = what.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            process::exit(1);
        }
        usual(what);
    }));
}

/// Whether standard output is a terminal that can draw over a line.
fn is_terminal() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}
