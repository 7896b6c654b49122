//! `cargo run --release --example activations -- --weights runs/caltech_lenet5/weights.safetensors`: a second; without weights it trains
//! the plain LeNet5 first, some 2 minutes on two cores to a validation accuracy of about 0.58.
//!
//! What the two convolutions of a LeNet5 make of two photographs: all 32 maps of the first and all 64 of the second, and the filters of
//! the first.

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::zoo::Lenet5;
use backstitch::io::safetensors;
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::folders::{FolderFlags, Photographs};
use backstitch_examples::images::{self, Maps};
use backstitch_examples::recipe::Recipe;
use backstitch_examples::{AnyError, Flags, Run, seeing};
use clap::Parser;
use serde_json::json;

/// Shows the activations of LeNet5.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    folder: FolderFlags,
    /// Weights that the example caltech_lenet5 left
    #[arg(long)]
    weights: Option<PathBuf>,
}

const SHOWN: [&str; 2] = ["accordion/image_0001", "camera/image_0001"];

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("activations", &options.flags, (10, 1), 8 << 20)?;
    let photographs = Photographs::open(&mut run, options.folder)?;
    let Some((model, names)) = network(&run, options, &photographs)? else { return Ok(()) };
    let mut report = run.report("What LeNet5's convolutions make of two photographs");
    let mut runs = Vec::new();
    for (i, name) in SHOWN.iter().enumerate() {
        // The drawn sample has no such files: its first and its last training picture then.
        let elsewhere = (&photographs.train, i * (photographs.train.labels.len() - 1));
        let (part, index): (&Maps, usize) = photographs.find(name).unwrap_or(elsewhere);
        let class = &photographs.classes[part.labels[index]];
        let one = part.chosen(&[index]);
        let probabilities = model.predict_proba(&one.x.view())?;
        let taken = backstitch::core::metrics::likeliest(probabilities.view())?[0];
        let taken = (names.get(taken).ok_or("a name for every class")?, probabilities[[0, taken]]);
        report.heading(format!("A picture of the class {class}"));
        let grid = backstitch::plot::PictureGrid {
            title: class.clone(),
            columns: 1,
            enlarge: 3,
            bar: None,
            pictures: vec![(
                format!("taken for {} {:.2}", taken.0, taken.1),
                photographs.picture(part, index)?,
            )],
        };
        report.png(
            &grid.png()?,
            format!("64x64 pixels; the network takes it for {} with probability {:.3}.", taken.0, taken.1),
        );
        for (layer, shape) in [("conv1", (8, 2)), ("conv2", (16, 4))] {
            let (grid, silent) = seeing::maps(&model, &one.x.view(), layer, shape)?;
            let maps = grid.pictures.len();
            run.show(
                &mut report,
                &format!("{class}_{layer}"),
                &grid,
                format!(
                    "All {maps} maps, each from 0 to its own largest value; {silent} are zero everywhere."
                ),
            )?;
            runs.push(json!({ "name": format!("{class}, {layer}"), "maps": maps, "silent": silent, "taken_for": taken.0 }));
        }
    }
    report.heading("The filters of the first convolution");
    let grid = seeing::filters(&model, "conv1", 8, 12)?;
    run.show(&mut report, "filters", &grid, "Red, green and blue weights as one colour; grey is zero.")?;
    run.finish(&report, &runs)
}

/// The network and the names of its classes; none where Ctrl-C was pressed.
fn network(
    run: &Run,
    options: &Options,
    photographs: &Photographs,
) -> Result<Option<(Model, Vec<String>)>, AnyError> {
    let Some(path) = &options.weights else {
        let trainer = Recipe::PLAIN.trainer(run, photographs, options.folder)?;
        let (net, interrupt) = (Lenet5::default().build(photographs.classes.len()), Interrupt::install()?);
        let with = (&photographs.train, Some(&photographs.validation));
        let trained = images::train("LeNet5", net, trainer, with, &interrupt, run.flags.seed)?;
        return Ok(trained.map(|trained| (trained.model, photographs.classes.clone())));
    };
    let names = safetensors::classes(path)?.ok_or("weights with the names of their classes")?;
    let weights = safetensors::read::<f32>(path)?;
    // With same padding the last maps are 4x4, without 2x2.
    let padded = weights.get("dense1.weight").is_some_and(|weight| weight.shape()[0] == 4 * 4 * 64);
    let batch_norm = weights.contains_key("batchnorm1.weight");
    let net = Lenet5 { padded, batch_norm, ..Lenet5::default() }.build(names.len());
    let mut model = Model::new(net, &[64, 64, 3], 0)?;
    safetensors::load(path, &mut model)?;
    Ok(Some((model, names)))
}
