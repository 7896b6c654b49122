//! `cargo run --release --example sklearn_comparison`: 4 minutes, and about 20 for scikit-learn if it is installed.
//! Test accuracy of both after 100 epochs, about: relu 0.89, sigmoid 0.89.
//!
//! Trains the same network with the same data and hyperparameters here and in scikit-learn's MLPClassifier. It runs
//! scikit-learn with `$BACKSTITCH_PYTHON`, or else `python3`. If scikit-learn is not installed, a recorded run is
//! shown, and the report says so.

mod sklearn;

use std::process::ExitCode;

use backstitch::checkpoint::SaveCheckpoints;
use backstitch::prelude::*;
use backstitch::{LineChart, Report, Series, SeriesStyle};
use backstitch_examples::mlp::{Outcome, SaveWeights, halving_the_rate};
use backstitch_examples::trained::by_epoch;
use backstitch_examples::{AnyError, Flags, Run, Watch, fashion, four};
use clap::Parser;
use serde_json::Value;
use sklearn::{Sklearn, SklearnRun};

/// MLPClassifier(hidden_layer_sizes=(256, 128, 64)), with weights of the assignment: N(0, 1) times 0.01.
fn network(activation: Activation) -> Net {
    let hidden = |units| dense(units).activation(activation).init(Init::Normal);
    Net::new().push(hidden(256)).push(hidden(128)).push(hidden(64)).push(dense(10).init(Init::Normal))
}

/// Compares with scikit-learn's MLPClassifier.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse().flags))
}

fn experiment(flags: &Flags) -> Result<(), AnyError> {
    let mut run = Run::start("sklearn_comparison", flags, (100, 6), 128 << 20)?;
    let sets = fashion::rows(&mut run)?;
    let [train, validation, test] = &sets;
    // solver="sgd", learning_rate_init=rate, momentum=0, batch_size=32, alpha=0.
    let fit = |activation: Activation, rate: f64| {
        let mut model = Model::new(network(activation), &train.input_shape(), run.seed)?;
        let mut watch = Watch::start(activation.name())?;
        let history = Trainer::new(Sgd::new(rate))
            .epochs(run.epochs)
            .batch_size(32)
            .seed(run.seed)
            .validation(validation)
            .callback(&mut watch)
            .callback(SaveWeights { folder: &run.out, activation })
            .callback(SaveCheckpoints::new(run.out.join(format!("{activation}_{rate}.checkpoint"))))
            .fit(&mut model, train)?;
        Outcome::test(watch.end(model, history)?, rate, &run.out, test)
    };
    let mut outcomes = Vec::new();
    for activation in [Activation::Relu, Activation::Sigmoid, Activation::Linear, Activation::Tanh] {
        outcomes.push(halving_the_rate(activation, |rate| fit(activation, rate))?);
    }
    let (sklearn, recorded) = sklearn::run_or_recorded(&run, &sets)?;
    let report = report(&run, &outcomes, &sklearn, recorded)?;
    let with_sklearn = |outcome: &Outcome| {
        let mut summary = outcome.json();
        summary["sklearn"] = sklearn.summary(outcome.name(), recorded);
        summary
    };
    let summaries: Vec<Value> = outcomes.iter().map(with_sklearn).collect();
    run.finish(&report, &summaries)
}

fn report(run: &Run, outcomes: &[Outcome], sklearn: &Sklearn, recorded: bool) -> Result<Report, AnyError> {
    let mut report = run.report("The same network here and in scikit-learn");
    let version = format!("scikit-learn {}", sklearn.sklearn);
    if recorded {
        report.warning(format!(
            "scikit-learn is not installed here: its figures are from a recorded run of {version}, {} epochs on {} \
             training pictures of Fashion-MNIST.",
            sklearn.epochs, sklearn.samples["train"]
        ));
    }
    let (mut rows, mut tested) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let theirs = &sklearn.runs[outcome.name()];
        for ((epoch, _, accuracy), (their_epoch, their_accuracy)) in
            outcome.tested.iter().zip(&theirs.test_accuracy)
        {
            let epochs =
                if epoch == their_epoch { epoch.to_string() } else { format!("{epoch} / {their_epoch}") };
            let accuracies = [four(*accuracy), four(*their_accuracy)];
            tested.push(("backstitch", outcome.name(), *epoch, accuracies[0].clone()));
            tested.push(("scikit-learn", outcome.name(), *their_epoch, accuracies[1].clone()));
            rows.push([&[outcome.name().to_owned(), epochs][..], &accuracies].concat());
        }
        let chart = comparison(outcome, theirs, &version);
        let (our_rate, their_rate) = (outcome.learning_rate, theirs.learning_rate);
        let (ours, theirs) = (outcome.trained.seconds_per_epoch, theirs.seconds_per_epoch);
        let caption = format!(
            "Learning rate: backstitch {our_rate}, scikit-learn {their_rate} (halved where a larger one \
             diverged). Seconds an epoch: backstitch {ours:.2}, scikit-learn {theirs:.2}."
        );
        run.chart(&mut report, &format!("{}_comparison", outcome.name()), &chart, caption)?;
    }
    if let Some((whose, name, epoch, accuracy)) = tested.iter().max_by(|a, b| a.3.cmp(&b.3)) {
        report.paragraph(format!(
            "Best of all: {whose}, {name} after epoch {epoch}, test accuracy {accuracy}."
        ));
    }
    let head = ["activation", "epoch", "backstitch", version.as_str()];
    report.table("Test accuracy of the saved models, loaded again", &head, rows);
    Ok(report)
}

/// Both losses of both libraries by epoch.
fn comparison(outcome: &Outcome, theirs: &SklearnRun, version: &str) -> LineChart {
    let our_line = |label: &str, figure, style| {
        let line = Series::by_epoch(format!("backstitch, {label}"), &outcome.trained.history, 0, figure);
        Series { style, ..line }
    };
    let their_line = |label: &str, losses: &[f64], style| {
        let points = losses.iter().enumerate().map(|(i, &loss)| ((i + 1) as f64, loss)).collect();
        Series { label: format!("{version}, {label}"), points, style, colour: 1 }
    };
    let series = vec![
        our_line("training", "train_loss", SeriesStyle::Line),
        their_line("training", &theirs.train_loss, SeriesStyle::Line),
        our_line("validation", "validation_loss", SeriesStyle::Dashes),
        their_line("validation", &theirs.validation_loss, SeriesStyle::Dashes),
    ];
    by_epoch(format!("{}: loss by epoch", outcome.name()), "cross-entropy loss", series)
}
