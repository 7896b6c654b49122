//! `cargo run --release --example kl_cross_entropy`: under a minute.
//!
//! CE(P, Q) = H(P) + KL(P || Q), shown on the outputs of a trained network for four target distributions P: when is minimizing the
//! cross-entropy the same as minimizing the KL divergence?

use std::process::ExitCode;

use backstitch::core::zoo;
use backstitch::prelude::*;
use backstitch_examples::callbacks::Interrupt;
use backstitch_examples::divergence::{answer, compare};
use backstitch_examples::images;
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;
use ndarray::Array2;

/// Shows that cross-entropy is entropy plus KL divergence.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("kl_cross_entropy", &options.flags, (3, 1), 1 << 20)?;
    let data = run.fashion_mnist()?;
    let parts = images::parts(&mut run, &data, 0.1, 2_000)?;
    let (interrupt, seed) = (Interrupt::install()?, run.flags.seed);
    let with = (&parts[0], Some(&parts[1]));
    let trainer = || run.trainer(Adam::new(1e-3), 64);
    let train = |name, net| images::train(name, net, trainer(), with, &interrupt, seed);
    let Some(model) = train("model 3", zoo::model3())? else { return Ok(()) };
    let Some(teacher) = train("a teacher, model 1", zoo::model1())? else { return Ok(()) };
    let test = &parts[2];
    let q = model.model.predict_proba(&test.x.view())?.mapv(f64::from);
    let classes = q.ncols();
    let one_hot = Array2::from_shape_fn(q.dim(), |(i, c)| f64::from(u8::from(test.labels[i] == c)));
    let taught = teacher.model.predict_proba(&test.x.view())?.mapv(f64::from);
    let targets = [
        ("one-hot labels", one_hot.clone()),
        ("labels smoothed by 0.1", &one_hot * 0.9 + 0.1 / classes as f64),
        ("another network's probabilities", taught),
        ("the network's own probabilities", q.clone()),
    ];
    let mut report = run.report("Cross-entropy and KL divergence");
    let runs = compare(&mut report, &targets, &q)?;
    answer(&mut report, &runs);
    run.finish(&report, &runs)
}
