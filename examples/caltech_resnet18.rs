//! `cargo run --release --example caltech_resnet18`: 40 epochs, some 23 s each on two cores with AVX-512 and 45 s with AVX2, and 5 and 7 s for LeNet5.
//! Validation accuracy, about: 0.80, LeNet5's 0.79.
//!
//! ResNet-18 from scratch on 101 classes of photographs of 64x64 pixels, beside the LeNet5 of `caltech_lenet5` with all that was added to it.

use std::process::ExitCode;

use backstitch::core::zoo::{self, Lenet5};
use backstitch::io::{history, safetensors};
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::folders::{self, FolderFlags, GAIN_HEAD, Photographs, validated};
use backstitch_examples::images::{self, Trained};
use backstitch_examples::recipe::Recipe;
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;

/// Compares ResNet-18 with LeNet5.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    folder: FolderFlags,
}

/// Both networks: flips, crops, label smoothing, AdamW with one cycle.
const RECIPE: Recipe = Recipe { augment: true, smoothing: 0.1, one_cycle: Some(3e-3), ..Recipe::PLAIN };
/// ResNet-18 with dropout nowhere knows its training pictures by heart unless its weights decay ten times as fast as LeNet5's.
const RESNET: Recipe = Recipe { weight_decay: 0.5, ..RECIPE };
const LENET: Lenet5 = Lenet5 { padded: true, batch_norm: true, dropout: 0.5, init: Init::GlorotUniform };

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("caltech_resnet18", &options.flags, (40, 1), 64 << 20)?;
    let photographs = Photographs::open(&mut run, options.folder)?;
    let (interrupt, seed, classes) = (Interrupt::install()?, run.flags.seed, photographs.classes.len());
    let mut all: Vec<Trained> = Vec::new();
    let networks = [("LeNet5", LENET.build(classes), RECIPE), ("ResNet-18", zoo::resnet18(classes), RESNET)];
    for (name, net, recipe) in networks {
        let trainer = recipe.trainer(&run, &photographs, options.folder)?;
        let with = (&photographs.train, Some(&photographs.validation));
        match images::train(name, net, trainer, with, &interrupt, seed)? {
            Some(trained) => all.push(trained),
            None => return Ok(()),
        }
    }
    let [lenet, resnet] = &all[..] else { return Err("two networks".into()) };
    safetensors::save_with_classes(
        &run.out.join("weights.safetensors"),
        &resnet.model,
        &photographs.classes,
    )?;
    let histories: Vec<_> = all.iter().map(|t| (t.name.as_str(), &t.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let mut report = run.report("ResNet-18 and LeNet5 on photographs of many classes");
    report.table(
        "Both by the same recipe, ResNet-18 with ten times the weight decay",
        &GAIN_HEAD,
        folders::gains(&all, &[("ResNet-18", "LeNet5")]),
    );
    report.paragraph(format!(
        "ResNet-18 has {:.1} times the parameters of LeNet5 and {:.0} times its multiply-adds; an epoch takes {:.1} times as long, and \
         validation accuracy differs by {:+.1} points.",
        resnet.parameters() as f64 / lenet.parameters() as f64,
        resnet.multiply_adds() as f64 / lenet.multiply_adds() as f64,
        resnet.seconds_per_epoch / lenet.seconds_per_epoch,
        100.0 * (validated(resnet) - validated(lenet)),
    ));
    for trained in &all {
        folders::curves(&run, &mut report, trained, &trained.name.to_lowercase())?;
    }
    folders::detail(&run, &mut report, resnet, &photographs)?;
    let runs: Vec<_> = all.iter().map(|trained| trained.json(None)).collect();
    run.finish(&report, &runs)
}
