//! The report of `architecture_comparison`, with the text's figures beside ours.

use backstitch::Report;
use backstitch_examples::fashion::CLASSES;
use backstitch_examples::{AnyError, Run, Score, Trained, defined, epochs, four};
use clap::ValueEnum;

/// A network that was trained, on the validation set and on the test set.
pub struct Entry {
    pub trained: Trained,
    pub validation: Score,
    pub test: Score,
}

impl Entry {
    /// Accuracy on the validation set.
    pub fn validated(&self) -> f64 {
        self.validation.accuracy()
    }
}

/// A row of one of the text's tables: the name it has there, the name it has here, and the text's training loss, validation loss,
/// training accuracy and validation accuracy. The last column of the architectures is seconds an epoch, parameters and layers.
pub struct TextRow {
    pub name: &'static str,
    pub ours: &'static str,
    pub figures: [f64; 4],
    pub size: Option<(f64, usize, usize)>,
}

const fn row(name: &'static str, ours: &'static str, figures: [f64; 4]) -> TextRow {
    TextRow { name, ours, figures, size: None }
}

/// The text's three tables.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Part {
    Architectures,
    Activations,
    Optimizers,
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Self::Architectures => "Architectures",
            Self::Activations => "Activations",
            Self::Optimizers => "Optimizers",
        }
    }

    /// The text's numbers.
    pub fn text(self) -> &'static [TextRow] {
        match self {
            Self::Architectures => &TEXT_ARCHITECTURES,
            Self::Activations => &TEXT_ACTIVATIONS,
            Self::Optimizers => &TEXT_OPTIMIZERS,
        }
    }
}

/// The text's comparison of architectures, after 400 epochs on a GPU with batches of 1024.
const TEXT_ARCHITECTURES: [TextRow; 4] = [
    TextRow {
        size: Some((0.47, 1_398_597, 5)),
        ..row("dense ANN", "dense ANN", [0.0411, 0.8803, 0.9852, 0.8619])
    },
    TextRow {
        // Printed as 9891.
        size: Some((1.0, 6_484_330, 7)),
        ..row("traditional CNN", "traditional CNN", [0.0327, 0.2995, 0.9891, 0.9137])
    },
    TextRow { size: Some((5.0, 6_753_669, 11)), ..row("ResNet", "ResNet", [0.012, 0.6031, 0.999, 0.897]) },
    TextRow {
        size: Some((4.0, 325_426, 9)),
        ..row("Inception", "Inception", [0.0153, 0.5963, 0.9952, 0.9027])
    },
];

/// The text's comparison of activations.
const TEXT_ACTIVATIONS: [TextRow; 3] = [
    row("sigmoid", "sigmoid", [0.2427, 0.2518, 0.905, 0.9013]),
    row("ReLU", "traditional CNN", [0.0327, 0.2995, 0.9891, 0.9137]),
    row("tanh", "tanh", [0.063, 0.2928, 0.978, 0.9023]),
];

/// The text's comparison of optimizers.
const TEXT_OPTIMIZERS: [TextRow; 3] = [
    row("RMSprop", "RMSprop", [0.0231, 1.0896, 0.9932, 0.8625]),
    row("Adam", "traditional CNN", [0.0327, 0.2995, 0.9891, 0.9137]),
    row("SGD", "SGD", [0.2679, 0.2622, 0.8926, 0.8972]),
];

pub fn report(run: &Run, batch: usize, parts: &[Part], entries: &[Entry]) -> Result<Report, AnyError> {
    let mut report = run.report("Four architectures on Fashion-MNIST");
    report.paragraph(format!(
        "All alike: batches of {batch}, {}, one cycle of the learning rate up to 0.001 for Adam and RMSprop (0.003 for Inception \
         and the sigmoid, which learn slowly with less) and 0.03 for SGD with momentum 0.9, Glorot uniform initial weights; validation on a tenth of the 60,000 training pictures, test on the \
         published 10,000. The text trained 400 epochs with batches of 1024 and a fixed rate, on a GPU: its seconds are another \
         machine's. Training loss and accuracy are means over an epoch, taken before each step and with dropout.",
        epochs(run.epochs)
    ));
    for part in parts {
        table(&mut report, *part, entries);
    }
    seen(&mut report, parts, entries);
    report.heading("Loss and accuracy by epoch");
    for entry in entries {
        let prefix = format!("{}_", entry.trained.name.to_lowercase().replace(' ', "_"));
        let loss = format!("{:.1} s an epoch.", entry.trained.seconds_per_epoch);
        let accuracy = format!("Validation accuracy {:.4} at the end.", entry.validated());
        entry.trained.curves(run, &mut report, &prefix, [loss, accuracy])?;
    }
    let best = entries.iter().max_by(|a, b| a.validated().total_cmp(&b.validated()));
    if let Some(best) = best {
        detail(run, &mut report, best)?;
    }
    Ok(report)
}

fn table(report: &mut Report, part: Part, entries: &[Entry]) {
    let rows = part.text();
    let sizes = rows.iter().any(|row| row.size.is_some());
    let mut cells = Vec::new();
    for row in rows {
        let Some(entry) = entries.iter().find(|entry| entry.trained.name == row.ours) else { continue };
        let last = |figure| entry.trained.last(figure);
        let validated = Some(entry.validated());
        let ours = [last("train_loss"), last("validation_loss"), last("train_accuracy"), validated];
        let mut line = vec![row.name.to_owned()];
        if let Some((seconds, parameters, layers)) = row.size {
            line.push(format!("{:.1} ({seconds})", entry.trained.seconds_per_epoch));
            line.push(format!("{} ({parameters})", entry.trained.parameters()));
            line.push(format!("{} ({layers})", entry.trained.layers().1));
        }
        line.extend(ours.iter().zip(row.figures).map(|(ours, text)| format!("{} ({text})", defined(*ours))));
        line.push(four(entry.test.accuracy()));
        cells.push(line);
    }
    let mut head = vec![""];
    if sizes {
        head.extend(["seconds an epoch", "parameters", "layers with weights"]);
    }
    head.extend([
        "training loss",
        "validation loss",
        "training accuracy",
        "validation accuracy",
        "test accuracy",
    ]);
    report.table(format!("{}: ours, and in brackets the text's", part.title()), &head, cells);
}

/// Statements that the figures of the run decide.
fn seen(report: &mut Report, parts: &[Part], entries: &[Entry]) {
    report.heading("What the numbers say");
    let find = |name: &str| entries.iter().find(|entry| entry.trained.name == name);
    for row in parts.iter().flat_map(|part| part.text()) {
        let Some(entry) = find(row.ours) else { continue };
        let (ours, text) = (entry.validated(), row.figures[3]);
        let word = if ours >= text { "at or above" } else { "below" };
        report.paragraph(format!(
            "{}: validation accuracy {ours:.4} after {:.1} minutes, {word} the text's {text}.",
            row.name, entry.trained.minutes
        ));
    }
    if let [Some(traditional), Some(inception)] = [find("traditional CNN"), find("Inception")] {
        let share = traditional.trained.parameters() as f64 / inception.trained.parameters() as f64;
        report.paragraph(format!(
            "Inception has one {share:.0}th of the traditional CNN's parameters and {:.1} times its multiply-adds; its epoch takes {:.1} \
             times as long, its validation accuracy differs by {:+.2} points.",
            inception.trained.multiply_adds() as f64 / traditional.trained.multiply_adds() as f64,
            inception.trained.seconds_per_epoch / traditional.trained.seconds_per_epoch,
            100.0 * (inception.validated() - traditional.validated()),
        ));
    }
    for entry in entries {
        let last = |figure| entry.trained.last(figure).unwrap_or(f64::NAN);
        let gap = last("validation_loss") - last("train_loss");
        report.paragraph(format!(
            "{}: validation loss is {gap:+.4} against training loss at the end: {}.",
            entry.trained.name,
            if gap > 0.1 { "it overfits" } else { "little overfitting" }
        ));
    }
}

/// The best model by validation accuracy, in all metrics.
fn detail(run: &Run, report: &mut Report, best: &Entry) -> Result<(), AnyError> {
    let name = &best.trained.name;
    report.heading(format!("Best by validation accuracy: {name}"));
    for (set, score) in [("validation", &best.validation), ("test", &best.test)] {
        let title = format!(
            "{set} set: accuracy {:.4}, log loss {:.4}, ROC AUC {} (mean of one against rest)",
            score.accuracy(),
            score.log_loss,
            defined(score.roc_auc()),
        );
        score.table(report, title, &CLASSES);
    }
    let chart = best.test.confusion(format!("{name}: confusion matrix on the test set"), &CLASSES);
    run.confusion(report, "confusion", &chart, best.test.confused(&CLASSES, 4))
}
