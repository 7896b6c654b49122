//! `cargo run --release --example vgg16_transfer`: some 4 minutes on two cores with AVX-512.
//! Test accuracy with the first four convolutions of VGG16 frozen, after 10 epochs, about: 0.88; with random ones as much.
//!
//! Fashion-MNIST by a network trained on something else: its convolutions are frozen, their features computed once, and a new head of our own
//! trained on them. Beside it the same network with random convolutions, and trained from scratch in the same time: what was the pretraining worth?

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::split;
use backstitch::io::history;
use backstitch::io::tensorboard::{EventWriter, Hyperparameter};
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::images;
use backstitch_examples::transfer::{self, Base, Features};
use backstitch_examples::transfer_report::{Entry, report};
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;

/// Trains a new head on a frozen base.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// vgg16 (fetched, or --weights), vgg16-blocks12, squeezenet, or a file of the example pretrain_vgg16
    #[arg(long, default_value = "vgg16-blocks12")]
    backbone: String,
    /// torchvision's vgg16 file, .pth or .safetensors
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Side of the resized pictures
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Compare sizes and normalizations on part of the data
    #[arg(long)]
    ablate: bool,
}

const BATCH: usize = 128;

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("vgg16_transfer", &options.flags, (20, 2), 16 << 20)?;
    let (interrupt, seed) = (Interrupt::install()?, run.flags.seed);
    let base = Base::named(
        &options.backbone,
        options.size,
        options.weights.as_deref(),
        run.data_folder().as_deref(),
    )?;
    // Read now: a wrong file shall not be found after minutes.
    let models = [base.model(seed)?.fuse(), base.untrained().model(seed)?.fuse()];
    let data = run.fashion_mnist()?;
    let training = data.train.labels.len();
    let mut parts = split::hold_out(training, &[0.8, 0.2], seed)?;
    parts.push((training..data.len()).collect());
    if run.flags.quick {
        parts.iter_mut().zip([600, 150, 150]).for_each(|(part, most)| part.truncate(most));
    }
    run.parts(parts[0].len(), parts[1].len(), parts[2].len());

    let mut entries = Vec::new();
    for (name, model) in ["pretrained, frozen", "random, frozen"].into_iter().zip(&models) {
        let chosen: Vec<&[usize]> = parts.iter().map(Vec::as_slice).collect();
        let features = Features::standardized(model, &data, &chosen, base.preparation)?;
        let seconds: f64 = features.iter().map(|part| part.seconds).sum();
        println!("{name}: features of {} pictures in {seconds:.1} s", data.len().min(parts.concat().len()));
        let mut events = EventWriter::create(&run.out.join("tensorboard").join(name.replace(", ", "_")))?;
        events.hyperparameters(&[
            ("backbone", Hyperparameter::Text(base.name.clone())),
            ("size", Hyperparameter::Number(base.preparation.size as f64)),
            ("learning rate", Hyperparameter::Number(1e-3)),
        ])?;
        let head = Model::new(transfer::head(Net::new()), &features[0].maps.x.shape()[1..], seed)?;
        let (trainer, with) =
            (run.trainer(Adam::new(1e-3), BATCH), (&features[0].maps, Some(&features[1].maps)));
        let trained = images::train_model(name, head, trainer.callback(&mut events), with, &interrupt)?;
        let Some(trained) = trained else { return Ok(()) };
        let score = trained.score(&features[2].maps)?;
        let entry = Entry { trained, score, seconds };
        entry.log_confusion(&mut events)?;
        entries.push(entry);
    }
    let seconds = entries[0].seconds + 60.0 * entries[0].trained.minutes;
    entries.extend(transfer::scratch(&run, &base, &data, &parts, seconds, &interrupt)?);
    let histories: Vec<_> = entries.iter().map(|e| (e.trained.name.as_str(), &e.trained.history)).collect();
    history::write_csv(&run.out.join("history.csv"), &histories)?;
    let ablation =
        if options.ablate { transfer::ablate(&run, &base, &data, &parts, &interrupt)? } else { Vec::new() };
    let report = report(&run, &base, &entries, &ablation)?;
    let runs: Vec<_> = entries.iter().map(Entry::json).collect();
    run.finish(&report, &runs)
}
