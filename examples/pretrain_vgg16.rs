//! `cargo run --release --example pretrain_vgg16`, 20 epochs: some 12 minutes on two cores with AVX-512.
//! Validation accuracy after those, about: 0.70.
//!
//! Trains VGG16 with batch normalization on the 101 classes of photographs, and saves its weights for `vgg16_transfer --backbone FILE`:
//! where the published ImageNet weights cannot be had, something that was really trained.

use std::process::ExitCode;

use backstitch::core::zoo;
use backstitch::io::{history, safetensors};
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::folders::{self, FolderFlags, GAIN_HEAD, Photographs};
use backstitch_examples::recipe::Recipe;
use backstitch_examples::{AnyError, Flags, Run, images};
use clap::Parser;

/// Trains VGG16 on photographs.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    folder: FolderFlags,
    /// Side of the resized pictures
    #[arg(long, default_value_t = 32)]
    size: usize,
}

const RECIPE: Recipe = Recipe { augment: true, smoothing: 0.1, one_cycle: Some(1e-3), ..Recipe::PLAIN };

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("pretrain_vgg16", &options.flags, (20, 1), 128 << 20)?;
    let photographs = Photographs::sized(&mut run, options.folder, options.size)?;
    let (interrupt, seed) = (Interrupt::install()?, run.flags.seed);
    let net = zoo::vgg16_batch_norm_features()
        .push(global_avg_pool())
        .push(dropout(0.5))
        .push(dense(photographs.classes.len()));
    let trainer = RECIPE.trainer(&run, &photographs, options.folder)?;
    let with = (&photographs.train, Some(&photographs.validation));
    let trained = images::train("VGG16", net, trainer, with, &interrupt, seed)?;
    let Some(trained) = trained else { return Ok(()) };
    safetensors::save_with_classes(&run.out.join("vgg16.safetensors"), &trained.model, &photographs.classes)?;
    history::write_csv(&run.out.join("history.csv"), &[("VGG16", &trained.history)])?;
    let mut report = run.report("VGG16 on photographs of many classes");
    let all = [trained];
    report.table("What it came to", &GAIN_HEAD, folders::gains(&all, &[]));
    folders::curves(&run, &mut report, &all[0], "vgg16")?;
    folders::detail(&run, &mut report, &all[0], &photographs)?;
    run.finish(&report, &[all[0].json(None)])
}
