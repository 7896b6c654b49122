//! `cargo run --release --example caltech_lenet5`: 140 epochs in all, some 7 s each on two cores with AVX2.
//! Validation accuracy, about: 0.58 for the plain network, 0.62 with same padding, 0.74 with batch normalization, 0.785 with everything.
//!
//! LeNet5 on 101 classes of photographs of 64x64 pixels, then what can be added to it, one on top of the other, and what each gave.
//! Its weights are what the example `activations` looks into.

use std::process::ExitCode;

use backstitch::core::zoo::Lenet5;
use backstitch::io::{history, safetensors};
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::folders::{self, FolderFlags, GAIN_HEAD, Photographs, validated};
use backstitch_examples::images::{self, Trained};
use backstitch_examples::recipe::Recipe;
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;

/// Improves LeNet5 step by step.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    folder: FolderFlags,
    /// Train only the network of this name, such as "the text's"
    #[arg(long)]
    only: Option<String>,
}

const TEXT: Lenet5 = Lenet5 { padded: false, batch_norm: false, dropout: 0.0, init: Init::GlorotUniform };
const PADDED: Lenet5 = Lenet5 { padded: true, ..TEXT };
const NORMED: Lenet5 = Lenet5 { batch_norm: true, ..PADDED };
const DROPPED: Lenet5 = Lenet5 { dropout: 0.5, ..NORMED };
const HE: Lenet5 = Lenet5 { init: Init::HeNormal, ..TEXT };

const AUGMENTED: Recipe = Recipe { augment: true, ..Recipe::PLAIN };
const SMOOTHED: Recipe = Recipe { smoothing: 0.1, ..AUGMENTED };
const CYCLED: Recipe = Recipe { one_cycle: Some(3e-3), ..SMOOTHED };

/// Networks, each with the one that it adds a single thing to.
const STEPS: [(&str, &str, Lenet5, Recipe); 11] = [
    ("the text's", "", TEXT, Recipe::PLAIN),
    ("same padding", "the text's", PADDED, Recipe::PLAIN),
    ("batch norm", "same padding", NORMED, Recipe::PLAIN),
    ("dropout", "batch norm", DROPPED, Recipe::PLAIN),
    ("flips and crops", "dropout", DROPPED, AUGMENTED),
    ("smoothed labels", "flips and crops", DROPPED, SMOOTHED),
    ("AdamW and one cycle", "smoothed labels", DROPPED, CYCLED),
    ("four times the epochs", "AdamW and one cycle", DROPPED, Recipe { longer: 4, ..CYCLED }),
    ("L1", "the text's", TEXT, Recipe { penalty: (1e-5, 0.0), ..Recipe::PLAIN }),
    ("L2", "the text's", TEXT, Recipe { penalty: (0.0, 1e-4), ..Recipe::PLAIN }),
    ("He for Xavier", "the text's", HE, Recipe::PLAIN),
];

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let names = STEPS.map(|(name, ..)| name);
    if options.only.as_deref().is_some_and(|only| !names.contains(&only)) {
        return Err(format!("--only: expected one of {}", names.join(", ")).into());
    }
    let mut run = Run::start("caltech_lenet5", &options.flags, (10, 1), 32 << 20)?;
    let photographs = Photographs::open(&mut run, options.folder)?;
    let (interrupt, seed) = (Interrupt::install()?, run.flags.seed);
    let mut all: Vec<Trained> = Vec::new();
    for (name, _, net, recipe) in STEPS {
        if options.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let trainer = recipe.trainer(&run, &photographs, options.folder)?;
        let with = (&photographs.train, Some(&photographs.validation));
        let net = net.build(photographs.classes.len());
        match images::train(name, net, trainer, with, &interrupt, seed)? {
            Some(trained) => all.push(trained),
            None => return Ok(()),
        }
    }
    let best = all.iter().max_by(|a, b| validated(a).total_cmp(&validated(b))).ok_or("a network to train")?;
    safetensors::save_with_classes(&run.out.join("weights.safetensors"), &best.model, &photographs.classes)?;
    let histories: Vec<_> = all.iter().map(|t| (t.name.as_str(), &t.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let mut report = run.report("LeNet5 on photographs of many classes");
    let bases = STEPS.map(|(name, base, ..)| (name, base));
    report.table("What was added, and what it gave", &GAIN_HEAD, folders::gains(&all, &bases));
    folders::curves(&run, &mut report, best, "best")?;
    folders::detail(&run, &mut report, best, &photographs)?;
    let runs: Vec<_> = all.iter().map(|trained| trained.json(None)).collect();
    run.finish(&report, &runs)
}
