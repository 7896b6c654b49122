//! `cargo run --release --example kl_cross_entropy`: under a minute.
//!
//! Shows CE(P, Q) = H(P) + KL(P || Q) for the outputs of a trained network and four target distributions P. When is
//! minimizing the cross-entropy the same as minimizing the KL divergence?

mod divergence;

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch_examples::trained::labels;
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, cnn_vs_fcnn, fashion};
use clap::Parser;
use divergence::{answer, compare};
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
    let [train, validation, test] = fashion::published(&mut run, 0.1, 2_000)?;
    let fit = |name: &str, net: Net| {
        let mut model = Model::new(net, &[28, 28, 1], run.seed)?;
        let mut watch = Watch::start(name)?;
        let history = Trainer::new(Adam::new(1e-3))
            .epochs(run.epochs)
            .batch_size(64)
            .seed(run.seed)
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, &train)?;
        watch.end(model, history)
    };
    let model = fit("model 3", cnn_vs_fcnn::model3())?;
    let teacher = fit("a teacher, model 1", cnn_vs_fcnn::model1())?;

    let (inputs, labels) = (test.inputs()?, labels(&test));
    let probabilities = |of: &Trained| of.model.predict_proba(inputs.view());
    let (q, taught) = (probabilities(&model)?.mapv(f64::from), probabilities(&teacher)?.mapv(f64::from));
    let classes = q.ncols();
    let one_hot = Array2::from_shape_fn(q.dim(), |(i, c)| f64::from(u8::from(labels[i] == c)));
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
