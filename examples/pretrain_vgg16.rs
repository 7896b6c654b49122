//! `cargo run --release --example pretrain_vgg16`, 20 epochs: about 12 minutes on two cores with AVX-512. Validation
//! accuracy after 20 epochs, about: 0.70.
//!
//! Trains VGG16 with batch normalization on the 101 classes of photographs, and saves its weights for `vgg16_transfer
//! --backbone FILE`. Use it if the published ImageNet weights are not available.

use std::process::ExitCode;

use backstitch::augment::Augment;
use backstitch::prelude::*;
use backstitch::safetensors;
use backstitch::zoo;
use backstitch_examples::photographs::{FolderFlags, Photographs, curves, detail, gains};
use backstitch_examples::{AnyError, Run, Watch, one_cycle};
use clap::Parser;

/// Trains VGG16 on photographs.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: FolderFlags,
    /// Height and width that images are resized to, in pixels
    #[arg(long, default_value_t = 32)]
    size: usize,
}

const BATCH: usize = 64;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("pretrain_vgg16", &options.flags.run, (20, 1), 128 << 20)?;
    let photographs = Photographs::sized(&mut run, &options.flags, options.size)?;
    let (train, classes) = (&photographs.train, &photographs.classes);
    let net = zoo::vgg16_batch_norm_features()
        .push(global_avg_pool())
        .push(dropout(0.5))
        .push(dense(classes.len()));
    let mut model = Model::new(net, &train.input_shape(), run.seed)?;
    let mut watch = Watch::start("VGG16")?;
    let history = Trainer::new(Adam::adamw(1e-3, 0.05))
        .schedule(one_cycle(train, BATCH, run.epochs)?)
        .epochs(run.epochs)
        .batch_size(BATCH)
        .seed(run.seed)
        .loss(photographs.loss(0.1)?)
        .augment(Augment::new().horizontal_flip().random_crop_reflected(6))
        .validation(&photographs.validation)
        .callback(&mut watch)
        .fit(&mut model, train)?;
    let trained = [watch.end(model, history)?];
    let [vgg16] = &trained;
    safetensors::save_with_classes(run.out.join("vgg16.safetensors"), &vgg16.model, classes)?;
    run.histories(&trained)?;
    let mut report = run.report("VGG16 on photographs of many classes");
    gains(&mut report, "Loss and accuracy after training", &trained, &[]);
    curves(&run, &mut report, vgg16, "vgg16_")?;
    detail(&run, &mut report, vgg16, &photographs)?;
    run.finish(&report, &[vgg16.json(None)])
}
