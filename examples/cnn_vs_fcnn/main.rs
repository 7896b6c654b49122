//! `cargo run --release --example cnn_vs_fcnn`: about 25 minutes on two cores, nearly all of it for model 4. Test
//! accuracy after 5 epochs, about: model 1 0.87, model 2 0.88, model 3 0.87, model 4 0.89.
//!
//! Trains four networks on all of Fashion-MNIST with the same hyperparameters. Do convolutions reach more with fewer
//! parameters? How much time and memory do parameters and depth cost? `--tune` searches the learning rate of each
//! network.
//!
//! The networks are in `nets.rs`, beside this file.

mod nets;
mod report;

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, epochs, fashion};
use clap::Parser;
use report::{Entry, Tuned, report};
use serde_json::Value;

/// Compares dense and convolutional networks.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Number of the model to train, 1 to 4 [default: all]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    model_number: Option<u8>,
    /// Search for the best learning rate of each network, on part of the data
    #[arg(long)]
    tune: bool,
}

type NewNet = fn() -> Net;

/// The networks, in the order of their numbers, with what they are called in tables.
const MODELS: [(&str, NewNet); 4] = [
    ("model 1 (dense)", nets::model1),
    ("model 2 (convolutional)", nets::model2),
    ("model 3 (dense)", nets::model3),
    ("model 4 (convolutional, deep)", nets::model4),
];

/// The same for all: the text fixes them in a script that is lost.
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 1e-3;
/// What `--tune` tries, and for how many epochs on how many pictures.
const RATES: [f64; 3] = [3e-4, 1e-3, 3e-3];
const TUNE_EPOCHS: usize = 3;
const TUNE_SAMPLES: usize = 6_000;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("cnn_vs_fcnn", &options.flags, (5, 1), 8 << 20)?;
    let [train, validation, test] = fashion::published(&mut run, 0.1, 1_500)?;
    let fit = |name: &str, net: Net, rate: f64, epochs: usize, train: &Dataset| {
        let mut model = Model::new(net, &[28, 28, 1], run.seed)?;
        let mut watch = Watch::start(name)?;
        let history = Trainer::new(Adam::new(rate))
            .epochs(epochs)
            .batch_size(BATCH)
            .seed(run.seed)
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, train)?;
        watch.end(model, history)
    };
    // Every learning rate's validation accuracy after a few epochs on part of the data.
    let tune = |net: NewNet| {
        let (few, epochs) = (train.take(TUNE_SAMPLES), if run.quick { 1 } else { TUNE_EPOCHS });
        let one = |rate: f64| {
            let trained = fit(&format!("learning rate {rate}"), net(), rate, epochs, &few)?;
            Ok(Tuned { rate, accuracy: trained.validated(), fixed: rate == LEARNING_RATE })
        };
        RATES.into_iter().map(one).collect::<Result<Vec<_>, AnyError>>()
    };
    let mut entries = Vec::new();
    for (number, (name, net)) in (1..).zip(MODELS) {
        if options.model_number.is_some_and(|wanted| wanted != number) {
            continue;
        }
        let trained: Trained = fit(name, net(), LEARNING_RATE, run.epochs, &train)?;
        let score = trained.score(&test)?;
        println!("{}\n{name}: test accuracy {:.4}\n", trained.summary, score.accuracy());
        let tuned = if options.tune { tune(net)? } else { Vec::new() };
        entries.push(Entry { trained, score, tuned });
    }
    run.histories(entries.iter().map(|entry| &entry.trained))?;
    let settings = format!(
        "The same for all: Adam with learning rate {LEARNING_RATE}, batches of {BATCH}, {}, Glorot uniform initial \
         weights. (The text fixes these in a starter script that is lost.)",
        epochs(run.epochs)
    );
    let report = report(&run, &settings, &entries)?;
    let runs: Vec<Value> = entries.iter().map(Entry::json).collect();
    run.finish(&report, &runs)
}
