//! `cargo run --release --example grad_cam`: about 3 minutes on two cores. Test accuracy of the network that it
//! explains, about: 0.90.
//!
//! Where does a convolutional network look? Trains model 2 or 4 of `cnn_vs_fcnn` (or loads its weights). Then shows
//! Grad-CAM at an early and at the last convolution, for right and wrong predictions; and the pictures that single
//! neurons of the last convolution respond to, and those that maximize them.

mod garments;
mod photographs;

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::safetensors;
use backstitch_examples::cnn_vs_fcnn::{model2, model4};
use backstitch_examples::fashion::{self, CLASSES};
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Flags, Run, Score, Watch, four};
use clap::{Parser, ValueEnum};
use garments::Layers;
use serde_json::json;

/// Shows where a network looks.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// The network
    #[arg(long, default_value = "cnn2")]
    model: Network,
    /// File of weights from an earlier run (weights.safetensors); the network is not trained then
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
    // The network, and its first and last convolution.
    let (net, layers) = match options.model {
        Network::Squeezenet => return photographs::experiment(run),
        Network::Cnn2 => (model2(), Layers { early: "conv1", last: "conv3" }),
        Network::Cnn4 => (model4(), Layers { early: "conv1", last: "conv5" }),
    };
    let [train, validation, test] = fashion::published(&mut run, 0.1, 4_000)?;
    let mut model = Model::new(net, &[28, 28, 1], run.seed)?;
    if let Some(path) = &options.weights {
        safetensors::load(path, &mut model)?;
    } else {
        let mut watch = Watch::start("network")?;
        let history = Trainer::new(Adam::new(1e-3))
            .epochs(run.epochs)
            .batch_size(64)
            .seed(run.seed)
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, &train)?;
        model = watch.end(model, history)?.model;
        safetensors::save(run.out.join("weights.safetensors"), &model)?;
    }
    let score = Score::of(&model, &test)?;
    let mut report = run.report("Where a convolutional network looks");
    report.paragraph(format!("Test accuracy of the network: {}.", four(score.accuracy())));
    let mut runs = Vec::new();
    for (stem, title, right) in [("right", "Right predictions", true), ("wrong", "Wrong predictions", false)]
    {
        let chosen = choose(&test, &score, right);
        report.heading(title);
        if chosen.is_empty() {
            report.paragraph("There are none in the test set.");
            continue;
        }
        let seen = garments::look(&model, &test.subset(&chosen)?, layers)?;
        run.show(&mut report, stem, &seen.grid()?, seen.caption())?;
        seen.table(&mut report);
        runs.push(
            json!({ "name": title, "test_accuracy": score.accuracy(), "on_garment_early": seen.on_garment(0),
            "on_garment_last": seen.on_garment(1), "empty": seen.empty() }),
        );
    }
    report.heading("What single neurons respond to, and want");
    let iterations = if run.quick { 40 } else { 200 };
    let neurons = garments::neurons(&model, &test, layers.last, iterations, run.seed)?;
    run.show(&mut report, "neurons", &neurons.grid, neurons.caption())?;
    report.paragraph(neurons.compared(&runs));
    run.finish(&report, &runs)
}

/// Test pictures that were predicted right or wrong, the first of each class in turn, so that classes differ.
fn choose(test: &Dataset, score: &Score, right: bool) -> Vec<usize> {
    let labels = labels(test);
    let mut chosen = Vec::new();
    for class in 0..CLASSES.len() {
        let fits = |&i: &usize| labels[i] == class && (score.predictions[i] == class) == right;
        chosen.extend((0..labels.len()).find(fits));
    }
    chosen.truncate(SHOWN);
    chosen
}
