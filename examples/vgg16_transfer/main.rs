//! `cargo run --release --example vgg16_transfer`: about 4 minutes on two cores with AVX-512. Test accuracy after 10
//! epochs with the first four convolutions of VGG16 frozen, about: 0.88; with random convolutions the same.
//!
//! Classifies Fashion-MNIST with a network that was trained on other data. Its convolutions are frozen, their features
//! are computed once, and a new head is trained on the features. For comparison: the same network with random
//! convolutions, and a network trained from scratch in the same time. How much did the pretraining gain?

mod base;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use backstitch::prelude::*;
use backstitch::tensorboard::{EventWriter, Hyperparameter};
use backstitch_examples::{AnyError, Flags, Run, Watch, fashion};
use base::{Base, Preparation, standardized_features};
use clap::Parser;
use report::{Entry, report};

/// Our own fully connected layers, on features of about mean 0 and deviation 1.
fn head(features: Net) -> Net {
    features.push(dense(256).relu()).push(dropout(0.5)).push(dense(10))
}

/// Trains a new head on a frozen base.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// vgg16 (downloaded, or the file of --weights), vgg16-blocks12, squeezenet, or a file of the example pretrain_vgg16
    #[arg(long, default_value = "vgg16-blocks12")]
    backbone: String,
    /// torchvision's vgg16 file, .pth or .safetensors
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Height and width that images are resized to, in pixels
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Compare sizes and normalizations on part of the data
    #[arg(long)]
    ablate: bool,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn trainer<'c>(run: &Run, validation: &Dataset) -> Trainer<'c> {
    Trainer::new(Adam::new(1e-3)).epochs(run.epochs).batch_size(128).seed(run.seed).validation(validation)
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("vgg16_transfer", &options.flags, (20, 2), 16 << 20)?;
    let base = Base::named(&options.backbone, options.size, options.weights.as_deref(), run.data_folder())?;
    // Read now: a wrong file shall not be found after minutes.
    let models = [base.model(run.seed)?.fuse(), base.untrained().model(run.seed)?.fuse()];
    let sets = fashion::published(&mut run, 0.2, 600)?;

    let mut entries = Vec::new();
    for (name, model) in ["pretrained, frozen", "random, frozen"].into_iter().zip(&models) {
        // The convolutions are frozen, so their features are computed once.
        let ([train, validation, test], seconds) =
            standardized_features(model, sets.each_ref(), base.preparation)?;
        let pictures: usize = sets.iter().map(Dataset::len).sum();
        println!("{name}: features of {pictures} pictures in {seconds:.1} s");
        let mut events = EventWriter::create(run.out.join("tensorboard").join(name.replace(", ", "_")))?;
        events.hyperparameters(&[
            ("backbone", Hyperparameter::Text(base.name.clone())),
            ("size", Hyperparameter::Number(base.preparation.size as f64)),
            ("learning rate", Hyperparameter::Number(1e-3)),
        ])?;
        let mut model = Model::new(head(Net::new()), &train.input_shape(), run.seed)?;
        let mut watch = Watch::start(name)?;
        let history =
            trainer(&run, &validation).callback(&mut events).callback(&mut watch).fit(&mut model, &train)?;
        let trained = watch.end(model, history)?;
        let entry = Entry { score: trained.score(&test)?, trained, seconds };
        entry.log_confusion(&mut events)?;
        entries.push(entry);
    }
    let seconds = entries[0].seconds + 60.0 * entries[0].trained.minutes;
    entries.push(from_scratch(&run, &base, &sets, seconds)?);
    run.histories(entries.iter().map(|entry| &entry.trained))?;
    let ablation = if options.ablate { ablate(&run, &base, &sets)? } else { Vec::new() };
    let report = report(&run, &base, &entries, &ablation)?;
    run.finish(&report, &entries.iter().map(Entry::json).collect::<Vec<_>>())
}

/// Pictures of the network that is trained from scratch, at most.
const SCRATCH: usize = 16_000;

/// The whole network with a new head, trained from its initial weights for this many seconds, as it was after its best epoch.
fn from_scratch(run: &Run, base: &Base, sets: &[Dataset; 3], seconds: f64) -> Result<Entry, AnyError> {
    let [train, validation, test] = sets;
    let sets = [train.take(SCRATCH), validation.take(2_000), test.clone()];
    let [train, validation, test] = sets.map(|set| base.preparation.of(&set));
    let (train, validation, test) = (train?, validation?, test?);
    let mut model = Model::new(head((base.net)().push(batch_norm())), &train.input_shape(), run.seed)?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut watch = Watch::start("from scratch, in the same time")?;
    let history = trainer(run, &validation)
        .batch_size(32)
        // The time ends in the middle of an epoch, and at Adam's 0.001 single steps can still spoil the network: the best epoch counts.
        .early_stopping(run.epochs)
        .each_step(
            move |_| if Instant::now() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) },
        )
        .callback(&mut watch)
        .fit(&mut model, &train)?;
    let trained = watch.end(model, history)?;
    Ok(Entry { score: trained.score(&test)?, trained, seconds: 0.0 })
}

/// Pictures to train with in the comparison of preparations.
const FEW: usize = 6_000;

/// Validation accuracy on part of the data, in other sizes and with another normalization: name and accuracy.
fn ablate(run: &Run, base: &Base, sets: &[Dataset; 3]) -> Result<Vec<(String, f64)>, AnyError> {
    let own = base.preparation;
    let bare = Preparation { scale: 1.0 / 255.0, means: [0.0; 3], what: "0 to 1, no means", ..own };
    let sizes = [own.size, own.size * 3 / 2, own.size * 2].map(|size| Preparation { size, ..own });
    let (few, judged) = (sets[0].take(FEW), sets[1].take(FEW / 3));
    let mut found = Vec::new();
    for preparation in sizes.into_iter().chain([bare]) {
        let features = base.preparing(preparation).model(run.seed)?.fuse();
        let ([train, validation], _) = standardized_features(&features, [&few, &judged], preparation)?;
        let name = format!("{0}x{0}, {1}", preparation.size, preparation.what);
        let mut model = Model::new(head(Net::new()), &train.input_shape(), run.seed)?;
        let mut watch = Watch::start(&name)?;
        let history = trainer(run, &validation).callback(&mut watch).fit(&mut model, &train)?;
        found.push((name, watch.end(model, history)?.validated()));
    }
    Ok(found)
}
