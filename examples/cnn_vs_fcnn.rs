//! `cargo run --release --example cnn_vs_fcnn`: some 25 minutes on two cores, nearly all of them model 4's.
//! Test accuracy after 5 epochs, about: model 1 0.87, model 2 0.88, model 3 0.87, model 4 0.89.
//!
//! Four networks on all of Fashion-MNIST with the same hyperparameters: do convolutions do more with fewer parameters? What do
//! parameters and depth cost in time and memory? `--tune` searches each network's own learning rate.

use std::process::ExitCode;

use backstitch::core::zoo;
use backstitch::io::history;
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::comparison::{Entry, Tuned, report};
use backstitch_examples::images::{self, Maps, NewNet};
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;
use serde_json::Value;

/// Compares dense and convolutional networks.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Which model to train, 1 to 4 [default: all]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    model_number: Option<u8>,
    /// Search each network's learning rate, on a part of the data
    #[arg(long)]
    tune: bool,
}

/// The networks, in the order of their numbers, with what they are called in tables.
const MODELS: [(&str, NewNet); 4] = [
    ("model 1 (dense)", zoo::model1),
    ("model 2 (convolutional)", zoo::model2),
    ("model 3 (dense)", zoo::model3),
    ("model 4 (convolutional, deep)", zoo::model4),
];

/// The same for all: the text fixes them in a script that is lost.
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 1e-3;
/// What `--tune` tries, for so many epochs on so many pictures.
const RATES: [f64; 3] = [3e-4, 1e-3, 3e-3];
const TUNE_EPOCHS: usize = 3;
const TUNE_SAMPLES: usize = 6_000;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("cnn_vs_fcnn", &options.flags, (5, 1), 8 << 20)?;
    let data = run.fashion_mnist()?;
    let parts = images::parts(&mut run, &data, 0.1, 1_500)?;
    drop(data);
    let interrupt = Interrupt::install()?;
    let mut entries = Vec::new();
    for (number, (name, net)) in (1..).zip(MODELS) {
        if options.model_number.is_some_and(|wanted| wanted != number) {
            continue;
        }
        let trainer = run.trainer(Adam::new(LEARNING_RATE), BATCH);
        let with = (&parts[0], Some(&parts[1]));
        let trained = images::train(name, net(), trainer, with, &interrupt, run.flags.seed)?;
        let Some(trained) = trained else { return Ok(()) };
        let score = trained.score(&parts[2])?;
        println!("{}\n{name}: test accuracy {:.4}\n", trained.summary, score.matrix.accuracy());
        let tuned = if options.tune { tune(&run, net, &parts, &interrupt)? } else { Vec::new() };
        entries.push(Entry { trained, score, tuned });
    }
    let histories: Vec<_> = entries.iter().map(|e| (e.trained.name.as_str(), &e.trained.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let settings = format!(
        "The same for all: Adam with learning rate {LEARNING_RATE}, batches of {BATCH}, {} epochs, Glorot uniform first \
         weights. (The text fixes these in a starter script that is lost.)",
        run.epochs
    );
    let report = report(&run, &settings, &entries)?;
    let runs: Vec<Value> = entries.iter().map(Entry::json).collect();
    run.finish(&report, &runs)
}

/// Every learning rate's validation accuracy after a few epochs on a part of the data.
fn tune(
    run: &Run,
    net: NewNet,
    [train, validation, _]: &[Maps; 3],
    interrupt: &Interrupt,
) -> Result<Vec<Tuned>, AnyError> {
    let few = train.first(TUNE_SAMPLES);
    let epochs = if run.flags.quick { 1 } else { TUNE_EPOCHS };
    let mut tuned = Vec::new();
    for rate in RATES {
        let name = format!("learning rate {rate}");
        let trainer = run.trainer(Adam::new(rate), BATCH).epochs(epochs);
        let with = (&few, Some(validation));
        let trained = images::train(&name, net(), trainer, with, interrupt, run.flags.seed)?;
        let Some(trained) = trained else { break };
        let accuracy = trained.last().and_then(|record| record.get("validation_accuracy")).unwrap_or(0.0);
        tuned.push(Tuned { rate, accuracy, fixed: rate == LEARNING_RATE });
    }
    Ok(tuned)
}
