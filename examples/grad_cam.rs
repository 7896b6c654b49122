//! `cargo run --release --example grad_cam`: some 3 minutes on two cores.
//! Test accuracy of the network it looks into, about: 0.90.
//!
//! Where does a convolutional network look? Trains model 2 or 4 of `cnn_vs_fcnn` (or loads its weights), then shows Grad-CAM at an early and
//! at the last convolution for right and wrong predictions; and beside it what single neurons of the last one respond to and want.

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::zoo;
use backstitch::io::safetensors;
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::imagenet;
use backstitch_examples::images::{self, CLASSES, Maps, NewNet, Score};
use backstitch_examples::seeing::{self, Layers};
use backstitch_examples::{AnyError, Flags, Run, four};
use clap::{Parser, ValueEnum};
use serde_json::json;

/// Shows where a network looks.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Which network
    #[arg(long, default_value = "cnn2")]
    model: Network,
    /// Weights of an earlier run (its weights.safetensors), and no training
    #[arg(long)]
    weights: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Network {
    Cnn2,
    Cnn4,
    /// Trained on ImageNet, on photographs in place of garments
    Squeezenet,
}

/// Right and wrong predictions that are shown of each.
const SHOWN: usize = 4;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("grad_cam", &options.flags, (4, 1), 8 << 20)?;
    // How a network is made, and its first and last convolution.
    let (net, layers): (NewNet, Layers) = match options.model {
        Network::Squeezenet => return imagenet::experiment(run),
        Network::Cnn2 => (zoo::model2, Layers { early: "conv1", last: "conv3" }),
        Network::Cnn4 => (zoo::model4, Layers { early: "conv1", last: "conv5" }),
    };
    let data = run.fashion_mnist()?;
    let parts = images::parts(&mut run, &data, 0.1, 4_000)?;
    let (interrupt, seed) = (Interrupt::install()?, run.flags.seed);
    let mut model = match &options.weights {
        Some(path) => {
            let mut model = Model::new(net(), &[28, 28, 1], seed)?;
            safetensors::load(path, &mut model)?;
            model
        }
        None => {
            let (trainer, with) = (run.trainer(Adam::new(1e-3), 64), (&parts[0], Some(&parts[1])));
            let trained = images::train("network", net(), trainer, with, &interrupt, seed)?;
            let Some(trained) = trained else { return Ok(()) };
            safetensors::save(&run.out.join("weights.safetensors"), &trained.model)?;
            trained.model
        }
    };
    let test = &parts[2];
    let score = Score::of(&model, test)?;
    let mut report = run.report("Where a convolutional network looks");
    report.paragraph(format!("Test accuracy of the network: {}.", four(score.matrix.accuracy())));
    let mut runs = Vec::new();
    for (stem, title, right) in [("right", "Right predictions", true), ("wrong", "Wrong predictions", false)]
    {
        let chosen = choose(test, &score, right);
        report.heading(title);
        if chosen.is_empty() {
            report.paragraph("There are none in the test part.");
            continue;
        }
        let seen = seeing::look(&mut model, &test.chosen(&chosen), layers)?;
        run.show(&mut report, stem, &seen.grid(title)?, seen.caption())?;
        report.table("Where the maps lie, and what was predicted", &seeing::HEAD, seen.rows());
        runs.push(json!({ "name": title, "test_accuracy": score.matrix.accuracy(), "on_garment_early": seen.on_garment(0),
            "on_garment_last": seen.on_garment(1), "empty": seen.empty() }));
    }
    report.heading("What single neurons respond to, and want");
    let neurons =
        seeing::neurons(&mut model, test, layers.last, if run.flags.quick { 40 } else { 200 }, seed)?;
    run.show(&mut report, "neurons", &neurons.grid, neurons.caption())?;
    report.paragraph(neurons.compared(&runs));
    run.finish(&report, &runs)
}

/// Test pictures that were predicted right or wrong, the first of each class in turn, so that classes differ.
fn choose(test: &Maps, score: &Score, right: bool) -> Vec<usize> {
    let mut chosen = Vec::new();
    for class in 0..CLASSES.len() {
        let fits = |&i: &usize| test.labels[i] == class && (score.predictions[i] == class) == right;
        chosen.extend((0..test.labels.len()).find(fits));
    }
    chosen.truncate(SHOWN);
    chosen
}
