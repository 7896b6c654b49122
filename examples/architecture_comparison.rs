//! `cargo run --release --example architecture_comparison`: some 90 minutes on two cores; with
//! `--part architectures` alone 45. Test accuracy after 6 epochs, about: traditional CNN 0.93, Inception 0.92, ResNet 0.92, dense 0.89.
//!
//! A dense, a traditional convolutional, a residual and an Inception network on all of Fashion-MNIST, with the
//! published assignment's figures beside ours; then activations and optimizers on the traditional one. `--submit test.csv`
//! writes a submission to Kaggle.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::{optim::Optimizer, zoo};
use backstitch::io::{history, table};
use backstitch::prelude::*;
use clap::{Parser, ValueEnum};
use common::architectures::{Entry, TEXT_ACTIVATIONS, TEXT_ARCHITECTURES, TEXT_OPTIMIZERS, report};
use common::callbacks::Interrupt;
use common::images::{self, Maps};
use common::{AnyError, Flags, Run};
use serde_json::Value;

/// Compares architectures, activations and optimizers.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Which tables to make, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "architectures,activations,optimizers")]
    part: Vec<Part>,
    /// A CSV file of pictures without labels, for which to write submission.csv
    #[arg(long)]
    submit: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    Architectures,
    Activations,
    Optimizers,
}

type NewOptimizer = fn() -> Result<Box<dyn Optimizer<f32>>, AnyError>;

/// What is trained for which table; the traditional CNN with ReLU and Adam stands in all three.
struct Job {
    name: &'static str,
    parts: &'static [Part],
    net: fn() -> Sequential,
    optimizer: NewOptimizer,
}

const ADAM: NewOptimizer = || Ok(Box::new(Adam::new(1e-3)?));
const RMSPROP: NewOptimizer = || Ok(Box::new(RmsProp::new(1e-3)?));
const SGD: NewOptimizer = || Ok(Box::new(Sgd::new(1e-2)?.momentum(0.9)?));
const BATCH: usize = 128;

const fn job(
    name: &'static str,
    parts: &'static [Part],
    net: fn() -> Sequential,
    optimizer: NewOptimizer,
) -> Job {
    Job { name, parts, net, optimizer }
}

const JOBS: [Job; 8] = [
    job("dense ANN", &[Part::Architectures], || zoo::dense_ann(10), ADAM),
    job(
        "traditional CNN",
        &[Part::Architectures, Part::Activations, Part::Optimizers],
        || zoo::traditional_cnn(Activation::Relu),
        ADAM,
    ),
    job("ResNet", &[Part::Architectures], zoo::resnet, ADAM),
    job("Inception", &[Part::Architectures], zoo::inception, ADAM),
    job("sigmoid", &[Part::Activations], || zoo::traditional_cnn(Activation::Sigmoid), ADAM),
    job("tanh", &[Part::Activations], || zoo::traditional_cnn(Activation::Tanh), ADAM),
    job("RMSprop", &[Part::Optimizers], || zoo::traditional_cnn(Activation::Relu), RMSPROP),
    job("SGD", &[Part::Optimizers], || zoo::traditional_cnn(Activation::Relu), SGD),
];

fn main() -> ExitCode {
    common::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    // Read first: a mistake in it shall not be found after an hour.
    let to_submit = options.submit.as_ref().map(|path| table::read_pictures(path)).transpose()?;
    let mut run = Run::start("architecture_comparison", &options.flags, (6, 1), 16 << 20)?;
    let data = run.fashion_mnist()?;
    let parts = images::parts(&mut run, &data, 0.1, 1_000)?;
    drop(data);
    let interrupt = Interrupt::install()?;
    let steps = parts[0].labels.len().div_ceil(BATCH) * run.epochs;
    let trainer =
        Trainer::new(run.epochs, BATCH, run.flags.seed)?.schedule(Schedule::one_cycle(steps as u64)?);
    let mut entries = Vec::new();
    for job in JOBS.iter().filter(|job| job.parts.iter().any(|part| options.part.contains(part))) {
        let (mut optimizer, with) = ((job.optimizer)()?, (&parts[0], Some(&parts[1])));
        let net = (job.net)();
        let trained =
            images::train(job.name, net, &mut *optimizer, &trainer, with, &interrupt, run.flags.seed)?;
        let Some(trained) = trained else { return Ok(()) };
        let (validation, test) = (trained.score(&parts[1])?, trained.score(&parts[2])?);
        println!("{}: test accuracy {:.4}", job.name, test.matrix.accuracy());
        entries.push(Entry { trained, validation, test });
    }
    let histories: Vec<_> = entries.iter().map(|e| (e.trained.name.as_str(), &e.trained.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let best = entries.iter().max_by(|a, b| a.validated().total_cmp(&b.validated()));
    if let (Some((rows, _)), Some(best)) = (to_submit, best) {
        let labels = vec![0; rows.nrows()];
        let x = rows.into_shape_with_order((labels.len(), 28, 28, 1))?.into_dyn();
        let classes = images::Score::of(&best.trained.model, &Maps { x, labels })?.predictions;
        table::write_submission(&run.out.join("submission.csv"), &classes)?;
        println!("submission.csv: {} pictures by {}", classes.len(), best.trained.name);
    }
    let text = [
        (Part::Architectures, &TEXT_ARCHITECTURES[..]),
        (Part::Activations, &TEXT_ACTIVATIONS[..]),
        (Part::Optimizers, &TEXT_OPTIMIZERS[..]),
    ];
    let tables: Vec<_> =
        text.iter().filter(|(part, _)| options.part.contains(part)).map(|(_, t)| *t).collect();
    let report = report(&run, BATCH, &tables, &entries)?;
    let runs: Vec<Value> = entries.iter().map(|entry| entry.trained.json(&entry.test)).collect();
    run.finish(&report, &runs)
}
