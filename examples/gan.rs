//! `cargo run --release --example gan` takes 5 minutes on two cores with AVX-512.
//!
//! A generator learns to draw garments that a discriminator cannot tell from those of Fashion-MNIST (Goodfellow et al.
//! 2014), both convolutional as in DCGAN (Radford, Metz and Chintala 2016). The training loop is written by hand: the
//! generator's gradient is the discriminator's input gradient.

use std::process::ExitCode;
use std::time::Instant;

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::{Grads, LineChart, PictureGrid, Report, Series, SeriesStyle};
use backstitch_examples::noise::fill_normal;
use backstitch_examples::pictures::mosaic;
use backstitch_examples::{AnyError, Flags, Run, Steps, fashion};
use clap::Parser;
use serde_json::json;

/// Random numbers of a picture.
const NOISE: usize = 64;
const BATCH: usize = 64;
const RATE: f64 = 2e-4;
/// Initial weights N(0, 0.02²), and a slope of 0.2 below zero (DCGAN, section 4).
const INIT: Init = Init::NormalOf(0.02);
const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Noise `[1, 1, 64]` to a picture `[28, 28, 1]` from -1 to 1.
fn generator() -> Net {
    let larger = |filters| transposed_conv2d(filters, 4).stride(2).padding(1).init(INIT);
    chain![
        transposed_conv2d(64, 7).init(INIT).without_bias(),
        batch_norm().relu(),
        larger(32).without_bias(),
        batch_norm().relu(),
        larger(1).activation(Activation::Tanh),
    ]
}

/// A picture to one logit: above 0 for real.
fn discriminator() -> Net {
    let smaller = |filters| conv2d(filters, 4).stride(2).padding(1).init(INIT);
    chain![
        smaller(32).activation(LEAKY),
        smaller(64).without_bias(),
        batch_norm().activation(LEAKY),
        flatten(),
        dense(1).init(INIT),
    ]
}

/// Trains a generator against a discriminator.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

/// A network and what it needs to be trained by hand.
struct Player {
    model: Model,
    trace: Trace<f32>,
    grads: Grads,
    memory: OptimizerMemory,
}

/// Mean losses of an epoch, and pictures of the same noise after it.
struct EpochEnd {
    discriminator: f64,
    generator: f64,
    pictures: Vec<f32>,
}

impl Player {
    fn new(net: Net, input: &[usize], seed: u64) -> Result<Self, AnyError> {
        let model = Model::new(net, input, seed)?;
        let grads = model.grads();
        Ok(Self { model, trace: Trace::new(Keep::ForBackward), grads, memory: OptimizerMemory::new() })
    }

    /// A forward pass, then the loss of calling all of these pictures real (1) or generated (0), and its gradient.
    fn judge(&mut self, x: &Tensor, real: f32, ctx: &Context) -> Result<f64, AnyError> {
        self.model.forward(x, &mut self.trace, ctx)?;
        let (logits, dy) = self.trace.output_and_gradient();
        dy.set_shape(&logits.shape())?;
        let mut target = logits.clone();
        target.fill(real);
        Ok(BceWithLogits::new().loss(logits, &Targets::Values(&target), Some(dy))?.value())
    }
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("gan", &options.flags, (12, 2), 16 << 20)?;
    let [train, _] = fashion::open(&mut run)?;
    let train = if run.quick { train.take(1_280) } else { train };
    run.samples([train.len(), 0, 0]);
    let mut g = Player::new(generator(), &[1, 1, NOISE], run.seed)?;
    let mut d = Player::new(discriminator(), &[28, 28, 1], run.seed)?;
    let (mut batch, mut z) = (Batch::default(), Tensor::zeros(&[BATCH, 1, 1, NOISE])?);
    let (mut epochs, steps) = (Vec::new(), train.len() / BATCH);
    let (start, mut progress) = (Instant::now(), Steps::new("training", run.epochs * steps)?);
    for epoch in 0..run.epochs {
        let shuffled = train.shuffled(run.seed.wrapping_add(epoch as u64));
        let mut total = [0.0; 2];
        for at in 0..steps {
            let ctx = Context::train(run.seed, (epoch * steps + at) as u64);
            let samples: Vec<usize> = (at * BATCH..(at + 1) * BATCH).collect();
            shuffled.gather(&samples, &mut batch)?;
            batch.inputs.data_mut().iter_mut().for_each(|pixel| *pixel = 2.0 * *pixel - 1.0);
            fill_normal(z.data_mut(), &mut stream(run.seed, Purpose::Noise, 0, ctx.step));
            let losses = step(&mut g, &mut d, &batch.inputs, &z, &ctx)?;
            total = [total[0] + losses[0], total[1] + losses[1]];
            progress.add();
        }
        let [discriminator, generator] = total.map(|sum| sum / steps as f64);
        let line = format!("discriminator {discriminator:.4}, generator {generator:.4}");
        if !(discriminator + generator).is_finite() {
            return Err(format!("epoch {}: expected finite losses, got {line}", epoch + 1).into());
        }
        progress.line(&format!("epoch {}/{}: {line}", epoch + 1, run.epochs))?;
        epochs.push(EpochEnd { discriminator, generator, pictures: drawn(&g.model, run.seed)? });
    }
    drop(progress);
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    g.model.save(run.out.join("generator.safetensors"))?;
    d.model.save(run.out.join("discriminator.safetensors"))?;
    let mut csv = "run,epoch,discriminator_loss,generator_loss\n".to_owned();
    for (i, end) in epochs.iter().enumerate() {
        csv += &format!("gan,{},{:?},{:?}\n", i + 1, end.discriminator, end.generator);
    }
    run.save("history.csv", csv.as_bytes())?;
    let report = report(&run, &epochs, &train, [&g.model, &d.model])?;
    let last = epochs.last().expect("there is at least one epoch");
    let json = json!({
        "name": "gan", "epochs": epochs.len(), "parameters": g.model.parameter_count() + d.model.parameter_count(),
        "discriminator_loss": last.discriminator, "generator_loss": last.generator,
        "minutes": minutes, "seconds_per_epoch": 60.0 * minutes / epochs.len() as f64,
    });
    run.finish(&report, &[json])
}

/// One step of both, with these real pictures and this noise: the losses of the discriminator and of the generator.
fn step(
    g: &mut Player,
    d: &mut Player,
    real: &Tensor,
    z: &Tensor,
    ctx: &Context,
) -> Result<[f64; 2], AnyError> {
    // A short memory of gradients (DCGAN, section 4), because the other player changes all the time.
    let adam = Adam::new(RATE).betas(0.5, 0.999);
    g.model.forward(z, &mut g.trace, ctx)?;

    // 1. The discriminator learns that these are real and those are generated. Both gradients are added up.
    d.grads.clear();
    let mut d_loss = 0.0;
    for (x, target) in [(real, 1.0), (g.trace.output(), 0.0)] {
        d_loss += d.judge(x, target, ctx)?;
        d.model.backward(x, &mut d.trace, None, Some(&mut d.grads), ctx)?;
        d.model.commit(&d.trace)?;
    }
    d.memory.step(&adam, RATE, &mut d.model, &d.grads)?;

    // 2. The generator learns to be taken for real: the loss is -log D(G(z)). That of the game itself, log(1 - D(G(z))), has hardly
    // a gradient while the discriminator is sure (Goodfellow et al., section 3). The gradient of the pictures is the
    // discriminator's dx; its parameters stay as they are.
    let g_loss = d.judge(g.trace.output(), 1.0, ctx)?;
    let mut dx = Tensor::default();
    d.model.backward(g.trace.output(), &mut d.trace, Some(&mut dx), None, ctx)?;
    g.trace.output_and_gradient().1.copy_from(&dx);
    g.grads.clear();
    g.model.backward(z, &mut g.trace, None, Some(&mut g.grads), ctx)?;
    g.model.commit(&g.trace)?;
    g.memory.step(&adam, RATE, &mut g.model, &g.grads)?;
    Ok([d_loss, g_loss])
}

/// 64 pictures from 0 to 1, always of the same noise.
fn drawn(generator: &Model, seed: u64) -> Result<Vec<f32>, AnyError> {
    let mut z = Tensor::zeros(&[64, 1, 1, NOISE])?;
    fill_normal(z.data_mut(), &mut stream(seed, Purpose::Noise, 1, 0));
    Ok(generator.predict(&z)?.iter().map(|pixel| 0.5 * pixel + 0.5).collect())
}

fn report(run: &Run, epochs: &[EpochEnd], train: &Dataset, models: [&Model; 2]) -> Result<Report, AnyError> {
    let mut report = run.report("A generative adversarial network on Fashion-MNIST");
    report.paragraph(format!(
        "DCGAN for 28x28 pixels: a generator with {} parameters and a discriminator with {}, Adam {RATE} with β₁ = 0.5, batches of {BATCH}, \
         non-saturating loss. The losses measure the players against each other and not the quality of the pictures: \
         for that, look at them.",
        models[0].parameter_count(),
        models[1].parameter_count(),
    ));
    let series = |name: &str, colour, loss: fn(&EpochEnd) -> f64| Series {
        label: name.to_owned(),
        points: epochs.iter().enumerate().map(|(i, end)| (i as f64 + 1.0, loss(end))).collect(),
        style: SeriesStyle::Line,
        colour,
    };
    let lines = vec![
        series("discriminator: real and generated", 0, |end| end.discriminator),
        series("generator", 1, |end| end.generator),
    ];
    let chart = LineChart::new("Losses by epoch", "epoch", "loss, nats", lines);
    let caption = "Means over an epoch. A discriminator that only guesses has 2 log 2 = 1.386, and its generator log 2 = 0.693.";
    run.chart(&mut report, "losses", &chart, caption)?;
    let grid = |title: &str, pictures| PictureGrid {
        title: title.to_owned(),
        columns: 1,
        enlarge: 2,
        bar: None,
        pictures,
    };
    let row = |(i, end): (usize, &EpochEnd)| {
        Ok((format!("epoch {}", i + 1), mosaic(&end.pictures[..16 * 28 * 28], 28, 16)?))
    };
    let rows: Result<Vec<_>, AnyError> = epochs.iter().enumerate().map(row).collect();
    let caption = "The same 16 noises after each epoch.";
    run.show(&mut report, "by_epoch", &grid("As training goes on", rows?), caption)?;
    let last = &epochs[epochs.len() - 1].pictures;
    let pictures = vec![(String::new(), mosaic(last, 28, 16)?)];
    run.show(
        &mut report,
        "samples",
        &grid("At the end", pictures),
        "64 noises at the end. No sample was left out.",
    )?;
    let mut both = last[..16 * 28 * 28].to_vec();
    both.extend(nearest(last, train)?);
    let caption = "Above: the first 16. Below: the training picture that is nearest to each, in squares of differences. Equal pictures would \
                   mean that the generator has learned some by heart.";
    let pictures = vec![(String::new(), mosaic(&both, 28, 16)?)];
    run.show(&mut report, "nearest", &grid("Nearest training pictures", pictures), caption)?;
    Ok(report)
}

/// The training picture nearest to each of the first 16.
fn nearest(pictures: &[f32], train: &Dataset) -> Result<Vec<f32>, AnyError> {
    let all = train.inputs()?;
    let mut found = Vec::new();
    for picture in pictures.chunks_exact(28 * 28).take(16) {
        let distance = |other: &[f32]| picture.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let distances = all.data().chunks_exact(28 * 28).map(|other| (distance(other), other));
        if let Some((_, other)) = distances.min_by(|a, b| a.0.total_cmp(&b.0)) {
            found.extend_from_slice(other);
        }
    }
    Ok(found)
}
