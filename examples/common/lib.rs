//! What the examples share: flags, data, progress, reports. Not an example itself.

pub mod contents;
pub mod fashion;
pub mod imagenet;
pub mod memory;
pub mod mlp;
pub mod noise;
pub mod photographs;
pub mod pictures;
mod run;
pub mod steps;
pub mod text;
pub mod trained;
pub mod watch;

// The networks of two assignments. They stand beside their examples; other examples, tests and benchmarks take them from here.
#[path = "../architecture_comparison/nets.rs"]
pub mod architecture_comparison;
#[path = "../cnn_vs_fcnn/nets.rs"]
pub mod cnn_vs_fcnn;

use std::error::Error;
use std::process::ExitCode;

use backstitch::prelude::{Dataset, Schedule};

pub use run::{Flags, Run};
pub use steps::Steps;
pub use trained::{Score, Trained};
pub use watch::Watch;

pub type AnyError = Box<dyn Error>;

/// Ends the program: quietly, or with the error in one line. Training that Ctrl-C stopped is no failure, and neither is a closed pipe
/// (`| head`).
pub fn exit(result: Result<(), AnyError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) if stopped.is::<watch::Stopped>() => {
            println!("{stopped}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One cycle of the learning rate over all steps of a training.
pub fn one_cycle(train: &Dataset, batch_size: usize, epochs: usize) -> Result<Schedule, AnyError> {
    Ok(Schedule::one_cycle((train.len().div_ceil(batch_size) * epochs) as u64)?)
}

/// 0.8934 as `0.8934`: accuracies and losses in tables.
pub fn four(value: f64) -> String {
    format!("{value:.4}")
}

/// A score, or that there is none.
pub fn defined(value: Option<f64>) -> String {
    value.map_or("undefined".to_owned(), four)
}

/// A number of epochs, in words.
pub fn epochs(count: usize) -> String {
    if count == 1 { "1 epoch".to_owned() } else { format!("{count} epochs") }
}

/// How often.
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
