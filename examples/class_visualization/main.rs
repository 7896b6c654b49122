//! `cargo run --release --example class_visualization -- --model lenet`: a minute on two cores. The other models take:
//! cnn4 about 5 minutes, vgg16 (with its first four convolutions pretrained) about 3, squeezenet (pretrained on
//! ImageNet, not trained here) about 3.
//!
//! Makes pictures that maximize each of ten classes, shows where each class looks in a real picture, and shows the feature maps
//! of every layer for a picture of random integers. The networks are in `subject.rs`, beside this file.

mod report;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::explain::{Goal, Maximizer};
use backstitch_examples::{AnyError, Flags, Run, Steps};
use clap::{Parser, ValueEnum};
use subject::Subject;

/// Shows what classes and filters want.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// The network
    #[arg(long, default_value = "lenet")]
    model: Network,
    /// File of weights from an earlier run (weights.safetensors); the network is not trained then
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Show one filter of this layer, too
    #[arg(long)]
    layer: Option<String>,
    /// Number of that filter, counted from 0
    #[arg(long, default_value_t = 0, requires = "layer")]
    filter: usize,
    /// Number of steps of gradient ascent [default: 200]
    #[arg(long)]
    iterations: Option<usize>,
}

/// The networks that can be looked into.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Network {
    Lenet,
    Cnn4,
    Vgg16,
    Squeezenet,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("class_visualization", &options.flags, (2, 1), 16 << 20)?;
    let weights = options.weights.as_deref();
    let subject = match options.model {
        Network::Lenet => Subject::lenet(&mut run, weights)?,
        Network::Cnn4 => Subject::cnn4(&mut run, weights)?,
        Network::Vgg16 => Subject::vgg16(&mut run, weights)?,
        Network::Squeezenet => Subject::squeezenet(&mut run)?,
    };
    let iterations = options.iterations.unwrap_or(if run.quick { 20 } else { 200 });
    let (low, high) = subject.range;
    let maximizer = Maximizer::new(iterations, 0.03 * (high - low))?
        .decay(0.005)?
        .blur(0.6, 4)?
        .jitter(2)
        .range(low, high)?
        .seed(run.seed);
    let start = maximizer.noise(&subject.model, 0.3 * high + 0.7 * low, 0.1 * (high - low))?;

    // First, for its layer may have been mistyped.
    let filter = options.layer.clone().map(|layer| Goal::Filter { layer, channel: options.filter });
    let filter = filter.map(|goal| maximizer.run(&subject.model, &goal, start.view())).transpose()?;
    let mut wanted = Vec::new();
    let mut steps = Steps::new("a picture for each class", subject.classes.len())?;
    for &class in &subject.classes {
        wanted.push(maximizer.run(&subject.model, &Goal::Class(class), start.view())?);
        steps.add();
    }
    drop(steps);

    let runs = report::figures(&subject, &wanted)?;
    let mut report = run.report("What classes want, and where they look");
    report.paragraph(subject.about.clone());
    let caption = format!(
        "{iterations} steps of gradient ascent from the same noise, with decay, blur and jitter; the logit and probability reached."
    );
    run.show(&mut report, "classes", &report::classes(&subject, &wanted, &runs)?, caption)?;
    report::compared(&mut report, &runs);
    let caption = "A real picture of each class, and the size of the logit's gradient in each pixel by vanilla backpropagation, from 0 to what \
                   one pixel in a hundred exceeds.";
    run.show(&mut report, "saliency", &report::saliencies(&subject)?, caption)?;
    let (grid, layers) = report::layers(&subject, &subject.random_integers(run.seed))?;
    let caption = "A picture of random integers from 0 to 255, and of every layer that has feature maps the one that responds most, from 0 to its \
                   largest value.";
    run.show(&mut report, "layers", &grid, caption)?;
    report.paragraph(layers);
    if let (Some(made), Some(layer)) = (filter, &options.layer) {
        let title = format!("{layer}, filter {}", options.filter);
        let pictures = vec![("what it wants".to_owned(), (subject.show)(made.picture.view())?)];
        let last = made.responses.last().copied().unwrap_or_default();
        let caption = format!("Mean response {:.3} at the start, {last:.3} at the end.", made.responses[0]);
        run.show(&mut report, "filter", &subject.grid(&title, 1, pictures), caption)?;
    }
    run.finish(&report, &runs)
}
