//! `cargo run --release --example class_visualization -- --model lenet`: a minute on two cores; cnn4 some 5, vgg16 (its first four
//! convolutions pretrained) some 3, squeezenet (pretrained on ImageNet, not trained here) some 3.
//!
//! Pictures that each of ten classes wants, where each class looks in a real picture, and what every layer makes of a picture of random
//! integers.

use std::path::PathBuf;
use std::process::ExitCode;

use backstitch::core::explain::{Goal, Maximizer, saliency};
use backstitch::core::layer::ReluRule;
use backstitch_examples::seeing::heat_of_most;
use backstitch_examples::subject::Subject;
use backstitch_examples::{AnyError, Flags, Run, visualization};
use clap::{Parser, ValueEnum};

/// Shows what classes and filters want.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Which network
    #[arg(long, default_value = "lenet")]
    model: Network,
    /// Weights of an earlier run (its weights.safetensors), and no training
    #[arg(long)]
    weights: Option<PathBuf>,
    /// A layer, one of whose filters is shown too
    #[arg(long)]
    layer: Option<String>,
    /// Which filter of the layer, counted from 0
    #[arg(long, default_value_t = 0, requires = "layer")]
    filter: usize,
    /// Steps of gradient ascent [default: 200]
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
        Network::Squeezenet => Some(Subject::squeezenet(&mut run)?),
    };
    let Some(mut subject) = subject else { return Ok(()) };
    let iterations = options.iterations.unwrap_or(if run.flags.quick { 20 } else { 200 });
    let (low, high) = subject.range;
    let maximizer = Maximizer::new(iterations, 0.03 * (high - low))?
        .decay(0.005)?
        .blur(0.6, 4)?
        .jitter(2)
        .range(low, high)?
        .seed(run.flags.seed);
    let start = maximizer.noise(&subject.model, 0.3 * high + 0.7 * low, 0.1 * (high - low))?;

    let mut report = run.report("What classes want, and where they look");
    report.paragraph(subject.about.clone());
    let mut wanted = Vec::new();
    for &class in &subject.classes {
        wanted.push(maximizer.run(&mut subject.model, &Goal::Class(class), start.view())?);
    }
    let grid = visualization::classes(&subject, &wanted)?.png()?;
    run.save("classes.png", &grid)?;
    report.png(&grid, format!("{iterations} steps of gradient ascent from the same noise, with decay, blur and jitter; the logit and probability reached."));
    let (head, rows, json) = visualization::table(&subject, &wanted)?;
    report.table("Made pictures and real ones", &head, rows);
    report.paragraph(visualization::said(&json));

    let maps = saliency(&mut subject.model, &subject.pictures.view(), &subject.classes, ReluRule::Plain)?;
    let mut pictures = Vec::new();
    for (i, map) in maps.outer_iter().enumerate() {
        pictures.push((subject.names[i].clone(), subject.picture(i)?));
        pictures.push(("saliency".to_owned(), heat_of_most(map)?));
    }
    let grid = subject.grid("Where each class looks: |dS/dx|", 4, pictures).png()?;
    run.save("saliency.png", &grid)?;
    report.png(&grid, "A real picture of each class, and the size of the logit's gradient in each pixel by vanilla backpropagation, from 0 to what one pixel in a hundred exceeds.");

    let random = subject.random_integers(run.flags.seed);
    let (grid, layers) = visualization::layers(&subject, &random)?;
    let grid = grid.png()?;
    run.save("layers.png", &grid)?;
    report.png(&grid, "A picture of random integers from 0 to 255, and of every layer that has maps the one that responds most, from 0 to its largest value.");
    report.paragraph(layers);
    if let Some(layer) = &options.layer {
        let goal = Goal::Filter { layer: layer.clone(), channel: options.filter };
        let wanted = maximizer.run(&mut subject.model, &goal, start.view())?;
        let title = format!("{layer}, filter {}", options.filter);
        let picture = (subject.show)(wanted.picture.view())?;
        let grid = subject.grid(&title, 1, vec![("what it wants".to_owned(), picture)]).png()?;
        run.save("filter.png", &grid)?;
        let last = wanted.responses.last().copied().unwrap_or_default();
        report.png(
            &grid,
            format!("Mean response {:.3} at the start, {last:.3} at the end.", wanted.responses[0]),
        );
    }
    run.finish(&report, &json)
}
