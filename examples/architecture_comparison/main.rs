//! `cargo run --release --example architecture_comparison`: about 2 hours on two cores with AVX2, most of it for
//! Inception and ResNet. Test accuracy, about: traditional CNN 0.924 after 8 epochs, Inception 0.916 after 10, ResNet
//! 0.915 and dense 0.888 after 5.
//!
//! Trains a dense, a traditional convolutional, a residual and an Inception network on all of Fashion-MNIST, and
//! compares them with the numbers of the published assignment. Then compares activations and optimizers on the
//! traditional network. `--submit test.csv` writes a submission to Kaggle.
//!
//! The networks are in `nets.rs`, beside this file.

mod nets;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::kaggle;
use backstitch::metrics::argmax_rows;
use backstitch::prelude::*;
use backstitch_examples::{AnyError, Flags, Run, Watch, fashion, one_cycle};
use clap::Parser;
use report::{Entry, Part, report};
use serde_json::Value;

/// Compares architectures, activations and optimizers.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Tables to make, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "architectures,activations,optimizers")]
    part: Vec<Part>,
    /// Train only the network of this name, such as "traditional CNN"
    #[arg(long)]
    only: Option<String>,
    /// CSV file of images without labels; their predicted classes are written to submission.csv
    #[arg(long)]
    submit: Option<PathBuf>,
}

/// What is trained, for which tables, and with what; the traditional CNN with ReLU and Adam stands in all three.
type Job = (&'static str, &'static [Part], fn() -> Net, fn() -> Trainer<'static>);

const RELU_CNN: fn() -> Net = || nets::traditional_cnn(Activation::Relu);
const ALL: [Part; 3] = [Part::Architectures, Part::Activations, Part::Optimizers];
const ADAM: fn() -> Trainer<'static> = || Trainer::new(Adam::new(1e-3));
/// For networks that learn slowly with less.
const FAST_ADAM: fn() -> Trainer<'static> = || Trainer::new(Adam::new(3e-3));
const RMSPROP: fn() -> Trainer<'static> = || Trainer::new(RmsProp::new(1e-3));
const SGD: fn() -> Trainer<'static> = || Trainer::new(Sgd::new(3e-2).momentum(0.9));

const JOBS: [Job; 8] = [
    ("dense ANN", &[Part::Architectures], || nets::dense_ann(10), ADAM),
    ("traditional CNN", &ALL, RELU_CNN, ADAM),
    ("ResNet", &[Part::Architectures], nets::resnet, ADAM),
    ("Inception", &[Part::Architectures], nets::inception, FAST_ADAM),
    ("sigmoid", &[Part::Activations], || nets::traditional_cnn(Activation::Sigmoid), FAST_ADAM),
    ("tanh", &[Part::Activations], || nets::traditional_cnn(Activation::Tanh), ADAM),
    ("RMSprop", &[Part::Optimizers], RELU_CNN, RMSPROP),
    ("SGD", &[Part::Optimizers], RELU_CNN, SGD),
];
const BATCH: usize = 128;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    // Read first: a mistake in it shall not be found after an hour.
    let to_submit = options.submit.as_ref().map(kaggle::read_pictures).transpose()?;
    let mut run = Run::start("architecture_comparison", &options.flags, (8, 1), 16 << 20)?;
    let [train, validation, test] = fashion::published(&mut run, 0.1, 600)?;
    let mut entries = Vec::new();
    for (name, tables, net, trainer) in JOBS {
        let wanted = options.only.as_deref().is_none_or(|only| only == name);
        if !wanted || !tables.iter().any(|part| options.part.contains(part)) {
            continue;
        }
        let mut model = Model::new(net(), &[28, 28, 1], run.seed)?;
        let mut watch = Watch::start(name)?;
        let history = trainer()
            .epochs(run.epochs)
            .batch_size(BATCH)
            .seed(run.seed)
            .schedule(one_cycle(&train, BATCH, run.epochs)?)
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, &train)?;
        let trained = watch.end(model, history)?;
        let (validation, test) = (trained.score(&validation)?, trained.score(&test)?);
        println!("{name}: test accuracy {:.4}", test.accuracy());
        entries.push(Entry { trained, validation, test });
    }
    if entries.is_empty() {
        return Err(format!("--only: expected one of {}", JOBS.map(|job| job.0).join(", ")).into());
    }
    run.histories(entries.iter().map(|entry| &entry.trained))?;
    let best = entries.iter().max_by(|a, b| a.validated().total_cmp(&b.validated()));
    if let (Some(pictures), Some(best)) = (to_submit, best) {
        let x = pictures.rows.to_shape((pictures.rows.nrows(), 28, 28, 1))?;
        let classes = argmax_rows(best.trained.model.predict_proba(x.view().into_dyn())?.view())?;
        kaggle::write_submission(run.out.join("submission.csv"), pictures.ids.as_deref(), &classes)?;
        println!("submission.csv: {} pictures by {}", classes.len(), best.trained.name);
    }
    let report = report(&run, BATCH, &options.part, &entries)?;
    let runs: Vec<Value> = entries.iter().map(|entry| entry.trained.json(Some(&entry.test))).collect();
    run.finish(&report, &runs)
}
