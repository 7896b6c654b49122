//! The report of `lenet_fashion`.

use backstitch::{Block, Report};
use backstitch_examples::fashion::CLASSES;
use backstitch_examples::trained::{Column, table};
use backstitch_examples::{AnyError, Run, Score, Trained, epochs, four, pictures};

/// Hyperparameters and their accuracy in every fold.
pub struct Candidate {
    pub dropout: f64,
    pub rate: f64,
    pub accuracies: Vec<f64>,
}

impl Candidate {
    pub fn mean(&self) -> f64 {
        self.accuracies.iter().sum::<f64>() / self.accuracies.len() as f64
    }

    /// Standard deviation over folds.
    fn deviation(&self) -> f64 {
        let squares = self.accuracies.iter().map(|a| (a - self.mean()).powi(2)).sum::<f64>();
        (squares / (self.accuracies.len() - 1) as f64).sqrt()
    }
}

pub fn report(
    run: &Run,
    plain: &Trained,
    candidates: &[Candidate],
    (chosen, samples): (&Trained, usize),
    scores: &[Score; 2],
) -> Result<Report, AnyError> {
    let mut report = run.report("LeNet-5 on Fashion-MNIST");
    report.heading("The network");
    report.block(Block::Preformatted(plain.summary.to_string()));
    report.heading("Learning curves");
    let last = |figure| plain.last(figure).unwrap_or(f64::NAN);
    let at_end = last("validation_loss") - last("train_loss");
    let loss = format!("At the end validation loss is {at_end:+.4} against training loss.");
    plain.curves(run, &mut report, "", [loss, format!("Test accuracy {:.4}.", scores[0].accuracy())])?;
    cross_validation(&mut report, candidates);
    report.heading("The best, trained on all training pictures");
    report.paragraph(format!(
        "{samples} pictures, {}, {:.1} minutes: test accuracy {:.4}, log loss {:.4}; the first network, without dropout, with a \
         learning rate of 0.001 and on the training set alone, had {:.4} and {:.4}.",
        epochs(chosen.history.epochs.len()), chosen.minutes, scores[1].accuracy(), scores[1].log_loss,
        scores[0].accuracy(), scores[0].log_loss,
    ));
    let chart = scores[1].confusion("Confusion matrix on the test set", &CLASSES);
    run.confusion(&mut report, "confusion", &chart, scores[1].confused(&CLASSES, 4))?;
    scores[1].table(&mut report, "Every class on the test set", &CLASSES);
    let caption =
        "The six filters of the first convolution, 5x5: red adds to the response, blue takes from it.";
    run.show(&mut report, "filters", &pictures::filters(&chosen.model, "conv1", 6, 22)?, caption)?;
    Ok(report)
}

fn cross_validation(report: &mut Report, candidates: &[Candidate]) {
    report.heading("Cross-validation");
    let folds = |c: &Candidate| c.accuracies.iter().map(|a| four(*a)).collect::<Vec<_>>().join(", ");
    let columns: [Column<&Candidate>; 5] = [
        ("dropout", &|c| c.dropout.to_string()),
        ("learning rate", &|c| c.rate.to_string()),
        ("mean accuracy", &|c| four(c.mean())),
        ("deviation", &|c| four(c.deviation())),
        ("folds", &|c| folds(c)),
    ];
    table(report, "Validation accuracy by hyperparameters", candidates, &columns);
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| b.mean().total_cmp(&a.mean()));
    if let [first, second, ..] = sorted.as_slice() {
        let lead = first.mean() - second.mean();
        let word = if lead > first.deviation() { "more" } else { "less" };
        report.paragraph(format!(
            "Best: dropout {}, learning rate {}. Its lead of {lead:.4} over the next (dropout {}, learning rate {}) is {word} than \
             the deviation between its own folds, {:.4}.",
            first.dropout, first.rate, second.dropout, second.rate, first.deviation(),
        ));
    }
}
