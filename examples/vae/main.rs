//! `cargo run --release --example vae` takes 3.5 minutes on two cores with AVX-512.
//!
//! A variational autoencoder (Kingma and Welling 2014): an encoder gives a normal distribution over codes, a decoder
//! makes a picture from a code. After training, codes drawn at random become new pictures.

mod elbo;

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::{LineChart, Picture, PictureGrid, Report, Series, SeriesStyle};
use backstitch_examples::noise::fill_normal;
use backstitch_examples::pictures::mosaic;
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, fashion};
use clap::Parser;
use elbo::{Elbo, Reparametrize};

const PIXELS: usize = 28 * 28;
/// Numbers of a code: a plane that can be drawn, and enough for good pictures.
const CODES: [usize; 2] = [2, 20];
/// Pictures along a side of the walk through the plane.
const WALK: usize = 15;

/// Means and logarithms of variances of the code.
fn encoder(code: usize) -> Net {
    chain![dense(400).relu(), dense(2 * code)]
}

/// Logits of the pixels.
fn decoder() -> Net {
    chain![dense(400).relu(), dense(PIXELS)]
}

/// `[784]` to the 784 logits of the reconstruction, and beside them what the encoder said: the loss needs both.
fn network(code: usize) -> Net {
    let reconstruction = chain![layer(Reparametrize), "decoder" => decoder()].inline();
    chain!["encoder" => encoder(code), concat([reconstruction, chain![]]).inline()]
}

/// Trains variational autoencoders and draws new pictures.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

/// A trained network and its bound on the test set.
struct Outcome {
    trained: Trained,
    code: usize,
    /// The negative evidence lower bound, and its part that is the KL divergence.
    test: [f64; 2],
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("vae", &options.flags, (30, 4), 16 << 20)?;
    let sets = fashion::published(&mut run, 0.1, 3_000)?;
    let [train, validation, test] = sets.each_ref().map(|set| fashion::to_reproduce(set, &[PIXELS]));
    let (train, validation, test) = (train?, validation?, test?);
    let mut outcomes = Vec::new();
    for code in CODES {
        let mut model = Model::new(network(code), &[PIXELS], run.seed)?;
        let mut watch = Watch::start(format!("{code} numbers"))?;
        let history = Trainer::new(Adam::new(1e-3))
            .loss(Elbo { code })
            .epochs(run.epochs)
            .batch_size(128)
            .seed(run.seed)
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, &train)?;
        let trained = watch.end(model, history)?;
        trained.model.save(run.out.join(format!("code_{code}.safetensors")))?;
        let test = bound(&trained.model, &test, code, run.seed)?;
        println!("{}: test ELBO {:.2} nats a picture, of it KL {:.2}", trained.name, -test[0], test[1]);
        outcomes.push(Outcome { trained, code, test });
    }
    run.histories(outcomes.iter().map(|outcome| &outcome.trained))?;
    let report = report(&run, &outcomes, &test)?;
    let json = |outcome: &Outcome| {
        let mut json = outcome.trained.json(None);
        json["code"] = outcome.code.into();
        json["test_loss"] = outcome.test[0].into();
        json["test_kl"] = outcome.test[1].into();
        json
    };
    run.finish(&report, &outcomes.iter().map(json).collect::<Vec<_>>())
}

/// The negative bound and its KL divergence, with one random code for each picture. With the code at its mean, as in evaluation, it
/// would be no bound. The network has nothing else that differs between training and evaluation.
fn bound(model: &Model, set: &Dataset, code: usize, seed: u64) -> Result<[f64; 2], AnyError> {
    let (elbo, mut total, mut divergence) = (Elbo { code }, Mean::default(), Vec::new());
    let (mut trace, mut batch) = (Trace::new(Keep::Last), Batch::default());
    let samples: Vec<usize> = (0..set.len()).collect();
    for (step, samples) in samples.chunks(500).enumerate() {
        set.gather(samples, &mut batch)?;
        model.forward(&batch.inputs, &mut trace, &Context::train(seed, step as u64))?;
        total += elbo.loss(trace.output(), &batch.targets(), None)?;
        elbo.add(trace.output(), &batch.targets(), &mut divergence);
    }
    Ok([total.value(), Metric::<f32>::value(&elbo, &divergence)])
}

/// The decoder alone, with the trained weights: codes in, pixels from 0 to 1 out.
fn trained_decoder(outcome: &Outcome) -> Result<Model, AnyError> {
    let net = chain!["decoder" => decoder(), activation(Activation::Sigmoid)];
    let mut model = Model::new(net, &[outcome.code], 0)?;
    model.copy_part("decoder.*", &outcome.trained.model)?;
    Ok(model)
}

fn report(run: &Run, outcomes: &[Outcome], test: &Dataset) -> Result<Report, AnyError> {
    let mut report = run.report("Variational autoencoders of garments");
    report.paragraph(
        "Encoder 784-400-2k, decoder k-400-784, Adam 0.001, batches of 128. All figures are nats a picture: a mean over pictures, a sum over \
         pixels and over the numbers of a code. Pixels from 0 to 1 are treated as probabilities of white, as is usual; so \
         the bound compares networks on these data, and is not the likelihood of grey values.",
    );
    let row = |o: &Outcome| {
        let figures = [-o.test[0], o.test[0] - o.test[1], o.test[1], o.trained.minutes];
        [o.code.to_string(), o.trained.parameters().to_string()]
            .into_iter()
            .chain(figures.map(|figure| format!("{figure:.2}")))
            .collect()
    };
    let head = ["numbers of a code", "parameters", "ELBO", "reconstruction", "KL", "minutes"];
    let caption =
        "Evidence lower bound on the test set, one random code a picture: ELBO = -(reconstruction + KL)";
    report.table(caption, &head, outcomes.iter().map(row).collect());
    for outcome in outcomes {
        let stem = format!("bound_{}", outcome.code);
        let title = format!("{} numbers of a code: the bound by epoch", outcome.code);
        let lines = [(0, "-ELBO", loss as Figure), (1, "reconstruction", reconstruction)]
            .into_iter()
            .flat_map(|(colour, name, figure)| curves(outcome, name, colour, figure));
        let chart = LineChart::new(title, "epoch", "nats a picture", lines.collect());
        let caption = "In training a code is random. In validation it is at its mean, so the dashed lines are lower and are not a \
                       bound.";
        run.chart(&mut report, &stem, &chart, caption)?;
    }
    let lines = outcomes
        .iter()
        .enumerate()
        .flat_map(|(i, outcome)| curves(outcome, &format!("{} numbers", outcome.code), i, divergence));
    let chart = LineChart::new("KL divergence by epoch", "epoch", "nats a picture", lines.collect());
    let caption = "How far the distributions of codes are from N(0, 1): what a code says about its picture.";
    run.chart(&mut report, "kl", &chart, caption)?;
    reconstructions(run, &mut report, outcomes, test)?;
    for outcome in outcomes {
        drawn(run, &mut report, outcome)?;
    }
    Ok(report)
}

/// One picture under a title.
fn grid(title: impl Into<String>, picture: Picture) -> PictureGrid {
    let pictures = vec![(String::new(), picture)];
    PictureGrid { title: title.into(), columns: 1, enlarge: 2, bar: None, pictures }
}

/// Pictures of the test set, and below them what each network makes of them.
fn reconstructions(
    run: &Run,
    report: &mut Report,
    outcomes: &[Outcome],
    test: &Dataset,
) -> Result<(), AnyError> {
    let few = test.take(16).inputs()?;
    let mut rows = few.data().to_vec();
    for outcome in outcomes {
        let y = outcome.trained.model.predict(&few)?;
        let logits = y.iter().enumerate().filter(|(i, _)| i % (PIXELS + 2 * outcome.code) < PIXELS);
        rows.extend(logits.map(|(_, l)| 1.0 / (1.0 + (-l).exp())));
    }
    let caption =
        "The first pictures of the test set; below them their reconstructions from 2 and from 20 numbers.";
    run.show(report, "reconstructions", &grid("Reconstructions", mosaic(&rows, 28, 16)?), caption)
}

/// New pictures: a walk through the plane where a code is a plane, and random codes.
fn drawn(run: &Run, report: &mut Report, outcome: &Outcome) -> Result<(), AnyError> {
    let decoder = trained_decoder(outcome)?;
    let pixels = |codes: &Tensor| Ok::<_, AnyError>(decoder.predict(codes)?.into_iter().collect::<Vec<_>>());
    if outcome.code == 2 {
        let mut walk = Tensor::zeros(&[WALK * WALK, 2])?;
        let along = |step: usize| 0.3 * (step as f32 - (WALK / 2) as f32);
        for (i, z) in walk.data_mut().chunks_exact_mut(2).enumerate() {
            z.copy_from_slice(&[along(i % WALK), -along(i / WALK)]);
        }
        let caption =
            "Decoded from the plane of codes: from -2.1 to 2.1 to the right and upwards, in steps of 0.3.";
        let picture = mosaic(&pixels(&walk)?, 28, WALK)?;
        run.show(report, "plane", &grid("The plane of codes", picture), caption)?;
    }
    let mut codes = Tensor::zeros(&[64, outcome.code])?;
    fill_normal(codes.data_mut(), &mut stream(run.seed, Purpose::Noise, 0, 0));
    let title = format!("New pictures from {} random numbers", outcome.code);
    let caption = "Codes are drawn from N(0, 1), and the picture shows the probabilities of white. No sample was left out.";
    let picture = mosaic(&pixels(&codes)?, 28, 16)?;
    run.show(report, &format!("samples_{}", outcome.code), &grid(title, picture), caption)
}

/// A figure of an epoch, from its loss and its KL divergence.
type Figure = fn(f64, f64) -> f64;

fn loss(loss: f64, _: f64) -> f64 {
    loss
}

fn reconstruction(loss: f64, kl: f64) -> f64 {
    loss - kl
}

fn divergence(_: f64, kl: f64) -> f64 {
    kl
}

/// A figure by epoch: solid in training, dashed in validation.
fn curves(outcome: &Outcome, name: &str, colour: usize, figure: Figure) -> [Series; 2] {
    [("train", SeriesStyle::Line), ("validation", SeriesStyle::Dashes)].map(|(part, style)| {
        let at = |epoch: &Epoch| {
            let get = |name: &str| epoch.get(&format!("{part}_{name}")).unwrap_or(f64::NAN);
            (epoch.epoch as f64, figure(get("loss"), get("kl")))
        };
        let points = outcome.trained.history.epochs.iter().map(at).collect();
        Series { label: format!("{name}, {part}"), points, style, colour }
    })
}
