//! `cargo run --release --example activations -- --weights runs/caltech_lenet5/weights.safetensors`: a second. Without
//! weights it first trains the plain LeNet5 for about 2 minutes on two cores, to a validation accuracy of about 0.58.
//!
//! Shows the outputs of the two convolutions of a LeNet5 for two photographs: all 32 feature maps of the first, all 64 of
//! the second, and the filters of the first.

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::PictureGrid;
use backstitch::metrics::argmax_rows;
use backstitch::prelude::*;
use backstitch::safetensors;
use backstitch::zoo::{self, Lenet5};
use backstitch_examples::photographs::{FolderFlags, Photographs};
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Run, Watch, pictures};
use clap::Parser;
use serde_json::json;

/// Shows the activations of LeNet5.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: FolderFlags,
    /// File of weights that the example caltech_lenet5 saved
    #[arg(long)]
    weights: Option<PathBuf>,
}

const SHOWN: [&str; 2] = ["accordion/image_0001", "camera/image_0001"];

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

/// The network and the names of its classes: trained, or loaded.
fn network(
    run: &Run,
    options: &Options,
    photographs: &Photographs,
) -> Result<(Model, Vec<String>), AnyError> {
    let Some(path) = &options.weights else {
        let net = zoo::lenet5(photographs.classes.len());
        let mut model = Model::new(net, &photographs.train.input_shape(), run.seed)?;
        let mut watch = Watch::start("LeNet5")?;
        let history = Trainer::new(Adam::new(1e-3))
            .epochs(run.epochs)
            .batch_size(64)
            .seed(run.seed)
            .loss(photographs.loss(0.0)?)
            .validation(&photographs.validation)
            .callback(&mut watch)
            .fit(&mut model, &photographs.train)?;
        return Ok((watch.end(model, history)?.model, photographs.classes.clone()));
    };
    let names = safetensors::classes(path)?.ok_or("weights with the names of their classes")?;
    let weights = safetensors::read::<f32>(path)?;
    // With same padding the last maps are 4x4, without 2x2.
    let padded = weights.get("dense1.weight").is_some_and(|weight| weight.shape()[0] == 4 * 4 * 64);
    let batch_norm = weights.contains_key("batchnorm1.weight");
    let net = Lenet5 { padded, batch_norm, ..Lenet5::default() }.build(names.len());
    let mut model = Model::new(net, &[64, 64, 3], 0)?;
    safetensors::load(path, &mut model)?;
    Ok((model, names))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("activations", &options.flags.run, (10, 1), 8 << 20)?;
    let photographs = Photographs::open(&mut run, &options.flags)?;
    let (model, names) = network(&run, options, &photographs)?;
    let mut report = run.report("The convolutions of LeNet5 on two photographs");
    let mut runs = Vec::new();
    for (i, name) in SHOWN.iter().enumerate() {
        // The generated sample has no such files: its first and its last training picture then.
        let elsewhere = (&photographs.train, i * (photographs.train.len() - 1));
        let (set, index) = photographs.find(name).unwrap_or(elsewhere);
        let one = set.subset(&[index])?;
        let (class, x) = (&photographs.classes[labels(&one)[0]], one.inputs()?);
        let probabilities = model.predict_proba(x.view())?;
        let predicted = argmax_rows(probabilities.view())?[0];
        let probability = probabilities[[0, predicted]];
        let predicted = names.get(predicted).ok_or("a name for every class")?;
        report.heading(format!("A picture of the class {class}"));
        let picture = photographs.picture(set, index)?;
        let pictures = vec![(format!("taken for {predicted} {probability:.2}"), picture)];
        let grid = PictureGrid { title: class.clone(), columns: 1, enlarge: 3, bar: None, pictures };
        report.png(
            &grid.png()?,
            format!("64x64 pixels; the network takes it for {predicted} with probability {probability:.3}."),
        );
        for (layer, shape) in [("conv1", (8, 2)), ("conv2", (16, 4))] {
            let (grid, silent) = pictures::maps(&model, &x.view(), layer, shape)?;
            let maps = grid.pictures.len();
            let caption = format!(
                "All {maps} feature maps, each from 0 to its own largest value; {silent} are zero everywhere."
            );
            run.show(&mut report, &format!("{class}_{layer}"), &grid, caption)?;
            runs.push(json!({ "name": format!("{class}, {layer}"), "maps": maps, "silent": silent, "taken_for": predicted }));
        }
    }
    report.heading("The filters of the first convolution");
    let grid = pictures::filters(&model, "conv1", 8, 12)?;
    run.show(&mut report, "filters", &grid, "Red, green and blue weights as one colour; grey is zero.")?;
    run.finish(&report, &runs)
}
