//! `cargo run --release --example architecture_comparison`: some 2 hours on two cores with AVX2, most of them Inception's and ResNet's.
//! Test accuracy, about: traditional CNN 0.924 after 8 epochs, Inception 0.916 after 10, ResNet 0.915 and dense 0.888 after 5.
//!
//! A dense, a traditional convolutional, a residual and an Inception network on all of Fashion-MNIST, with the
//! published assignment's figures beside ours; then activations and optimizers on the traditional one. `--submit test.csv`
//! writes a submission to Kaggle.

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::zoo;
use backstitch::io::{history, table};
use backstitch::prelude::*;
use backstitch_examples::architectures::{Entry, Part, report};
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::images::{self, Maps, NewNet};
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;
use serde_json::Value;

/// Compares architectures, activations and optimizers.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Which tables to make, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "architectures,activations,optimizers")]
    part: Vec<Part>,
    /// Train only the network of this name, such as "traditional CNN"
    #[arg(long)]
    only: Option<String>,
    /// A CSV file of pictures without labels, for which to write submission.csv
    #[arg(long)]
    submit: Option<PathBuf>,
}

type NewTrainer = fn(&Run) -> Trainer<'static>;

/// What is trained, for which tables, and with what; the traditional CNN with ReLU and Adam stands in all three.
type Job = (&'static str, &'static [Part], NewNet, NewTrainer);

const ADAM: NewTrainer = |run| run.trainer(Adam::new(1e-3), BATCH);
const RMSPROP: NewTrainer = |run| run.trainer(RmsProp::new(1e-3), BATCH);
const SGD: NewTrainer = |run| run.trainer(Sgd::new(3e-2).momentum(0.9), BATCH);
/// For networks that learn slowly with less.
const FAST_ADAM: NewTrainer = |run| run.trainer(Adam::new(3e-3), BATCH);
const RELU_CNN: NewNet = || zoo::traditional_cnn(Activation::Relu);
const ALL: [Part; 3] = [Part::Architectures, Part::Activations, Part::Optimizers];

const JOBS: [Job; 8] = [
    ("dense ANN", &[Part::Architectures], || zoo::dense_ann(10), ADAM),
    ("traditional CNN", &ALL, RELU_CNN, ADAM),
    ("ResNet", &[Part::Architectures], zoo::resnet, ADAM),
    ("Inception", &[Part::Architectures], zoo::inception, FAST_ADAM),
    ("sigmoid", &[Part::Activations], || zoo::traditional_cnn(Activation::Sigmoid), FAST_ADAM),
    ("tanh", &[Part::Activations], || zoo::traditional_cnn(Activation::Tanh), ADAM),
    ("RMSprop", &[Part::Optimizers], RELU_CNN, RMSPROP),
    ("SGD", &[Part::Optimizers], RELU_CNN, SGD),
];
const BATCH: usize = 128;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    // Read first: a mistake in it shall not be found after an hour.
    let to_submit = options.submit.as_ref().map(|path| table::read_pictures(path)).transpose()?;
    let mut run = Run::start("architecture_comparison", &options.flags, (8, 1), 16 << 20)?;
    let data = run.fashion_mnist()?;
    let parts = images::parts(&mut run, &data, 0.1, 600)?;
    drop(data);
    let interrupt = Interrupt::install()?;
    let steps = parts[0].labels.len().div_ceil(BATCH) * run.epochs;
    let mut entries = Vec::new();
    for (name, tables, net, trainer) in JOBS {
        let wanted = options.only.as_deref().is_none_or(|only| only == name);
        if !wanted || !tables.iter().any(|part| options.part.contains(part)) {
            continue;
        }
        let (with, seed) = ((&parts[0], Some(&parts[1])), run.flags.seed);
        let trainer = trainer(&run).schedule(Schedule::one_cycle(steps as u64)?);
        let trained = images::train(name, net(), trainer, with, &interrupt, seed)?;
        let Some(trained) = trained else { return Ok(()) };
        let (validation, test) = (trained.score(&parts[1])?, trained.score(&parts[2])?);
        println!("{name}: test accuracy {:.4}", test.matrix.accuracy());
        entries.push(Entry { trained, validation, test });
    }
    if entries.is_empty() {
        return Err(format!("--only: expected one of {}", JOBS.map(|job| job.0).join(", ")).into());
    }
    let histories: Vec<_> = entries.iter().map(|e| (e.trained.name.as_str(), &e.trained.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let best = entries.iter().max_by(|a, b| a.validated().total_cmp(&b.validated()));
    if let (Some(pictures), Some(best)) = (to_submit, best) {
        let labels = vec![0; pictures.rows.nrows()];
        let x = pictures.rows.into_shape_with_order((labels.len(), 28, 28, 1))?.into_dyn();
        let classes = images::Score::of(&best.trained.model, &Maps { x, labels })?.predictions;
        table::write_submission(&run.out.join("submission.csv"), pictures.ids.as_deref(), &classes)?;
        println!("submission.csv: {} pictures by {}", classes.len(), best.trained.name);
    }
    let tables: Vec<_> = options.part.iter().map(|part| part.text()).collect();
    let report = report(&run, BATCH, &tables, &entries)?;
    let runs: Vec<Value> = entries.iter().map(|entry| entry.trained.json(Some(&entry.test))).collect();
    run.finish(&report, &runs)
}
