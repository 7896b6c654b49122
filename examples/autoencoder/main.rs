//! `cargo run --release --example autoencoder` takes 4 minutes on two cores with AVX-512.
//!
//! Autoencoders of Fashion-MNIST, dense and convolutional, with codes of 2, 8 and 32 numbers, beside principal component
//! analysis, which is the best linear autoencoder.

mod pca;

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::{LineChart, PictureGrid, Report, Series, SeriesStyle};
use backstitch_examples::pictures::mosaic;
use backstitch_examples::trained::together;
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, fashion};
use clap::Parser;
use pca::{Pca, rows};

/// Numbers of a code.
const CODES: [usize; 3] = [2, 8, 32];
const BATCH: usize = 128;

/// `[784]` to a code to `[784]`.
fn dense_network(code: usize) -> Net {
    let encoder = chain![dense(256).relu(), dense(code)];
    let decoder = chain![dense(256).relu(), dense(784).activation(Activation::Sigmoid)];
    chain!["encoder" => encoder, "decoder" => decoder]
}

/// `[28, 28, 1]` to a code `[1, 1, code]` to `[28, 28, 1]`: convolutions halve the pictures, transposed convolutions double them.
fn convolutional_network(code: usize) -> Net {
    let smaller = |filters| conv2d(filters, 4).stride(2).padding(1).relu();
    let larger = |filters| transposed_conv2d(filters, 4).stride(2).padding(1);
    let encoder = chain![smaller(16), smaller(32), conv2d(code, 7)];
    let decoder =
        chain![transposed_conv2d(32, 7).relu(), larger(16).relu(), larger(1).activation(Activation::Sigmoid)];
    chain!["encoder" => encoder, "decoder" => decoder]
}

/// Trains autoencoders with codes of several sizes.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

/// One way to make codes of one size.
struct Outcome {
    kind: &'static str,
    code: usize,
    /// Mean squared error of a pixel on the test set.
    test_mse: f64,
    /// The first pictures of the test set, after encoding and decoding.
    pictures: Vec<f32>,
    trained: Option<Trained>,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("autoencoder", &options.flags, (10, 2), 8 << 20)?;
    let sets = fashion::published(&mut run, 0.1, 2_000)?;
    let test = sets[2].inputs()?;
    let shown = sets[2].take(16).inputs()?;
    let mut outcomes = pca_outcomes(&sets[0], &test, shown.batch(), run.seed)?;
    type Kind = (&'static str, fn(usize) -> Net, &'static [usize]);
    let kinds: [Kind; 2] =
        [("dense", dense_network, &[784]), ("convolutional", convolutional_network, &[28, 28, 1])];
    for (kind, network, shape) in kinds {
        let [train, validation, test] = sets.each_ref().map(|set| fashion::to_reproduce(set, shape));
        let (train, validation, test) = (train?, validation?, test?);
        for code in CODES {
            let mut model = Model::new(network(code), shape, run.seed)?;
            let mut watch = Watch::start(format!("{kind}, {code} numbers"))?;
            let history = Trainer::new(Adam::new(2e-3))
                .epochs(run.epochs)
                .batch_size(BATCH)
                .seed(run.seed)
                .schedule(backstitch_examples::one_cycle(&train, BATCH, run.epochs)?)
                .validation(&validation)
                .callback(&mut watch)
                .fit(&mut model, &train)?;
            let trained = watch.end(model, history)?;
            trained.model.save(run.out.join(format!("{kind}_{code}.safetensors")))?;
            let test_mse = evaluate(&trained.model, &test)?.get("loss").unwrap_or(f64::NAN);
            let pictures = trained.model.predict(test.take(16).inputs()?)?.into_iter().collect();
            outcomes.push(Outcome { kind, code, test_mse, pictures, trained: Some(trained) });
        }
    }
    run.histories(outcomes.iter().filter_map(|outcome| outcome.trained.as_ref()))?;
    let report = report(&run, &outcomes, &shown)?;
    let json = |outcome: &Outcome| {
        let mut json = match &outcome.trained {
            Some(trained) => trained.json(None),
            None => serde_json::json!({ "name": format!("PCA, {} numbers", outcome.code) }),
        };
        json["code"] = outcome.code.into();
        json["test_loss"] = outcome.test_mse.into();
        json
    };
    run.finish(&report, &outcomes.iter().map(json).collect::<Vec<_>>())
}

fn pca_outcomes(train: &Dataset, test: &Tensor, shown: usize, seed: u64) -> Result<Vec<Outcome>, AnyError> {
    let pca = Pca::new(rows(&train.inputs()?), CODES[CODES.len() - 1], seed);
    let of = |code| {
        let y = pca.reconstruct(rows(test), code);
        let squares = y.iter().zip(test.data()).map(|(y, t)| f64::from(y - t).powi(2));
        Outcome {
            kind: "PCA",
            code,
            test_mse: squares.sum::<f64>() / y.len() as f64,
            pictures: y.iter().take(shown * 784).copied().collect(),
            trained: None,
        }
    };
    Ok(CODES.map(of).into())
}

fn report(run: &Run, outcomes: &[Outcome], shown: &Tensor) -> Result<Report, AnyError> {
    let mut report = run.report("Autoencoders of garments: dense, convolutional, linear");
    report.paragraph(format!(
        "Each network learns to give back its input through a code of few numbers. Mean squared error, Adam with one cycle of the learning rate \
         up to 0.002, batches of {BATCH}. PCA is principal component analysis of the training set; its pictures may leave the range from 0 \
         to 1, and are cut there in the pictures alone.",
    ));
    let kinds = ["PCA", "dense", "convolutional"];
    let row = |outcome: &Outcome| {
        let trained =
            |figure: &dyn Fn(&Trained) -> String| outcome.trained.as_ref().map_or(String::new(), figure);
        vec![
            outcome.kind.to_owned(),
            outcome.code.to_string(),
            trained(&|t| t.parameters().to_string()),
            trained(&|t| format!("{:.1}", t.minutes)),
            format!("{:.5}", outcome.test_mse),
        ]
    };
    let head = ["kind", "numbers of a code", "parameters", "minutes", "mean squared error"];
    report.table("Mean squared error of a pixel on the test set", &head, outcomes.iter().map(row).collect());
    let line = |(colour, kind): (usize, &&'static str)| Series {
        label: (*kind).to_owned(),
        points: outcomes
            .iter()
            .filter(|o| o.kind == *kind)
            .map(|o| ((o.code as f64).log2(), o.test_mse))
            .collect(),
        style: SeriesStyle::Line,
        colour,
    };
    let lines = kinds.iter().enumerate().map(line).collect();
    let chart = LineChart::new(
        "Error by size of the code",
        "log₂ of the numbers of a code",
        "mean squared error",
        lines,
    );
    run.chart(
        &mut report,
        "error_by_code",
        &chart,
        "On the test set. 1, 3 and 5 are codes of 2, 8 and 32 numbers.",
    )?;
    let trained: Vec<&Trained> = outcomes.iter().filter_map(|outcome| outcome.trained.as_ref()).collect();
    let chart = together("Validation loss by epoch", "mean squared error", trained, "validation_loss");
    run.chart(&mut report, "loss", &chart, "On the validation set after each epoch.")?;
    let mut pictures = vec![("test set".to_owned(), mosaic(shown.data(), 28, 16)?)];
    for outcome in outcomes {
        let title = format!("{}, {} numbers", outcome.kind, outcome.code);
        pictures.push((title, mosaic(&outcome.pictures, 28, 16)?));
    }
    let title = "Reconstructions".to_owned();
    let grid = PictureGrid { title, columns: 1, enlarge: 2, bar: None, pictures };
    run.show(
        &mut report,
        "reconstructions",
        &grid,
        "The first pictures of the test set, and their reconstructions.",
    )?;
    Ok(report)
}
