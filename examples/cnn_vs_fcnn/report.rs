//! The report of `cnn_vs_fcnn`: every answer from the figures of the run.

use backstitch::plot::{Report, Series};
use backstitch_examples::trained::by_epoch;
use backstitch_examples::{AnyError, Run, Score, Trained, four};
use serde_json::{Value, json};

/// A learning rate of the search, and the validation accuracy after it.
pub struct Tuned {
    pub rate: f64,
    pub accuracy: f64,
    /// Whether it is the rate that all models were trained with.
    pub fixed: bool,
}

/// A model of the comparison.
pub struct Entry {
    pub trained: Trained,
    pub score: Score,
    pub tuned: Vec<Tuned>,
}

impl Entry {
    pub fn json(&self) -> Value {
        let mut json = self.trained.json(Some(&self.score));
        let tuned = |t: &Tuned| json!({ "learning_rate": t.rate, "validation_accuracy": t.accuracy });
        json["tuned"] = self.tuned.iter().map(tuned).collect();
        json["activation_bytes_training_per_sample"] = self.trained.summary.training_bytes_per_sample.into();
        json
    }

    fn accuracy(&self) -> f64 {
        self.score.accuracy()
    }

    fn minutes(&self) -> f64 {
        self.trained.minutes
    }

    /// Bytes that training holds by `cost.rs`: parameters, gradients, Adam's two averages, and the maps of a batch.
    fn analytic_mb(&self) -> f64 {
        let summary = &self.trained.summary;
        (4 * summary.parameter_bytes + 64 * summary.training_bytes_per_sample) as f64 / 1e6
    }

    fn name(&self) -> &str {
        &self.trained.name
    }
}

pub fn report(run: &Run, settings: &str, entries: &[Entry]) -> Result<Report, AnyError> {
    let mut report = run.report("Dense and convolutional networks on Fashion-MNIST");
    report.paragraph(settings);
    table(&mut report, entries);
    report.heading("What the figures say");
    for (a, b) in [(0, 1), (1, 2)] {
        if let [Some(a), Some(b)] = [entries.get(a), entries.get(b)] {
            report.paragraph(pair(a, b));
        }
    }
    if entries.len() > 1 {
        report.paragraph(best(entries));
        report.paragraph(parameters_and_time(entries));
        depth(&mut report, entries);
    }
    tuning(&mut report, entries);
    report.heading("Learning curves");
    for (stem, title, y) in [
        ("validation_accuracy", "Validation accuracy by epoch", "accuracy"),
        ("validation_loss", "Validation loss by epoch", "cross-entropy loss"),
    ] {
        let lines = entries.iter().enumerate();
        let lines = lines.map(|(i, e)| Series::by_epoch(e.name(), &e.trained.history, i, stem)).collect();
        let chart = by_epoch(title, y, lines);
        run.chart(&mut report, stem, &chart, "On the validation set, after each epoch.")?;
    }
    Ok(report)
}

fn table(report: &mut Report, entries: &[Entry]) {
    let rows = entries.iter().map(|e| {
        vec![
            e.name().to_owned(),
            e.trained.parameters().to_string(),
            e.trained.multiply_adds().to_string(),
            four(e.accuracy()),
            four(e.score.log_loss),
            format!("{:.2}", e.minutes()),
            e.trained.peak_memory.map_or("not known".to_owned(), |mb| format!("{mb}")),
            format!("{:.0}", e.analytic_mb()),
        ]
    });
    let head = [
        "model",
        "trainable parameters",
        "multiply-adds a picture",
        "test accuracy",
        "test loss",
        "training minutes",
        "measured peak MB",
        "computed MB",
    ];
    report.table("Evaluation on the test set, and what training took", &head, rows.collect());
    report.paragraph(
        "Measured: the most memory of the process while the model trained, above what it held before: evaluation \
         works on larger batches than training, and a later model may find room in what an earlier one gave back (with \
         --model-number it is alone). Computed: parameters, gradients, Adam's two averages, and activations with \
         their gradients for a batch of 64, from shapes alone.",
    );
}

/// Two models side by side: parameters and accuracy.
fn pair(a: &Entry, b: &Entry) -> String {
    let (pa, pb) = (a.trained.parameters(), b.trained.parameters());
    let points = 100.0 * (b.accuracy() - a.accuracy());
    let wrong = |e: &Entry| e.score.matrix.total() as f64 * (1.0 - e.accuracy());
    format!(
        "{} has {pb} parameters, {:.2} times the {pa} of {}. Its test accuracy is {:.4} against {:.4}, {points:+.2} \
         percentage points: {:.0} pictures wrong against {:.0}, with {:.2} times the multiply-adds.",
        b.name(),
        pb as f64 / pa as f64,
        a.name(),
        b.accuracy(),
        a.accuracy(),
        wrong(b),
        wrong(a),
        b.trained.multiply_adds() as f64 / a.trained.multiply_adds() as f64,
    )
}

fn best(entries: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| b.accuracy().total_cmp(&a.accuracy()));
    let (first, second) = (sorted[0], sorted[1]);
    let n = first.score.matrix.total() as f64;
    // Standard deviation of the difference of two shares.
    let deviation = |e: &Entry| e.accuracy() * (1.0 - e.accuracy()) / n;
    let noise = (deviation(first) + deviation(second)).sqrt();
    let lead = first.accuracy() - second.accuracy();
    let stands_out = if lead > 2.0 * noise { "stands out" } else { "does not stand out" };
    format!(
        "Parameters aside, {} is best with {:.4}; next is {} with {:.4}. The lead of {:.2} points is {:.1} times the \
         sampling deviation of such a difference on {n} pictures ({:.2} points): it {stands_out}.",
        first.name(),
        first.accuracy(),
        second.name(),
        second.accuracy(),
        100.0 * lead,
        lead / noise,
        100.0 * noise,
    )
}

fn parameters_and_time(entries: &[Entry]) -> String {
    let by = |e: &&Entry| e.trained.parameters();
    let (Some(most), Some(fewest)) = (entries.iter().max_by_key(by), entries.iter().min_by_key(by)) else {
        return String::new();
    };
    let ratio = |f: fn(&Entry) -> f64| f(most) / f(fewest);
    let text = format!(
        "Most parameters: {} with {}; fewest: {} with {}: {:.1} times. Training took {:.1} times as long, with {:.1} times the \
         multiply-adds.",
        most.name(),
        by(&most),
        fewest.name(),
        by(&fewest),
        ratio(|e| e.trained.parameters() as f64),
        ratio(Entry::minutes),
        ratio(|e| e.trained.multiply_adds() as f64),
    );
    let pairs = entries.iter().flat_map(|a| entries.iter().map(move |b| (a, b)));
    let against = pairs.filter(|(a, b)| by(a) > by(b) && a.minutes() < b.minutes());
    match against.max_by(|x, y| (x.1.minutes() / x.0.minutes()).total_cmp(&(y.1.minutes() / y.0.minutes()))) {
        Some((a, b)) => {
            format!(
                "{text} More parameters do not mean longer training: {} has {:.2} times the parameters of {} and trains in {:.2} of its \
             time. A weight of a convolution is used at every place of the map, one of a dense layer once.",
                a.name(),
                by(&a) as f64 / by(&b) as f64,
                b.name(),
                a.minutes() / b.minutes(),
            )
        }
        None => {
            format!("{text} In this run no model with more parameters trained faster than one with fewer.")
        }
    }
}

/// The convolutional models by depth.
fn depth(report: &mut Report, entries: &[Entry]) {
    let deep: Vec<&Entry> = entries.iter().filter(|e| e.trained.layers().0 > 0).collect();
    let [a, b] = deep.as_slice() else { return };
    let rows = deep.iter().map(|e| {
        let summary = &e.trained.summary;
        vec![
            e.name().to_owned(),
            e.trained.layers().0.to_string(),
            e.trained.layers().1.to_string(),
            (summary.parameter_bytes / 1000).to_string(),
            (summary.training_bytes_per_sample / 1000).to_string(),
            (summary.live_bytes_per_sample / 1000).to_string(),
            e.trained.peak_memory.map_or("not known".to_owned(), |mb| mb.to_string()),
            four(e.accuracy()),
        ]
    });
    let head = [
        "model",
        "convolutions",
        "layers with weights",
        "parameters, kB",
        "training, kB a picture",
        "prediction, kB a picture",
        "measured peak MB",
        "test accuracy",
    ];
    report.table("Depth, memory and accuracy of the convolutional models", &head, rows.collect());
    let ratio = |f: fn(&Entry) -> f64| f(b) / f(a);
    let gain = 100.0 * (b.accuracy() - a.accuracy());
    let worth = if gain > 0.0 {
        format!(
            "{:.1} times the multiply-adds buy {gain:.2} points",
            ratio(|e| e.trained.multiply_adds() as f64)
        )
    } else {
        format!(
            "{:.1} times the multiply-adds buy nothing here ({gain:.2} points): more layers are not better by themselves",
            ratio(|e| e.trained.multiply_adds() as f64)
        )
    };
    let overfit = |e: &Entry| e.trained.last("train_accuracy").unwrap_or(0.0) - e.accuracy();
    report.paragraph(format!(
        "From {} to {} convolutions, memory of a training pass grows {:.1} times a picture, parameters {:.1} times, training \
         time {:.1} times; {worth}. The gap between training and test accuracy goes from {:.4} to {:.4}.",
        a.trained.layers().0, b.trained.layers().0,
        ratio(|e| e.trained.summary.training_bytes_per_sample as f64),
        ratio(|e| e.trained.parameters() as f64), ratio(Entry::minutes), overfit(a), overfit(b),
    ));
}

/// What the fixed learning rate cost each model.
fn tuning(report: &mut Report, entries: &[Entry]) {
    report.heading("Fixed hyperparameters");
    let searched: Vec<&Entry> = entries.iter().filter(|e| !e.tuned.is_empty()).collect();
    let Some(first) = searched.first() else {
        report.paragraph(
            "What one set of hyperparameters for all costs each model can only be seen by searching: run with --tune.",
        );
        return;
    };
    let rates: Vec<String> = first.tuned.iter().map(|t| format!("rate {}", t.rate)).collect();
    let head: Vec<&str> = ["model"].into_iter().chain(rates.iter().map(String::as_str)).collect();
    let row = |e: &&Entry| {
        let cells = e.tuned.iter().map(|t| four(t.accuracy));
        [e.name().to_owned()].into_iter().chain(cells).collect()
    };
    report.table(
        "Validation accuracy after a short training on part of the data, by learning rate",
        &head,
        searched.iter().map(row).collect(),
    );
    for e in searched {
        let best = e.tuned.iter().max_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
        let fixed = e.tuned.iter().find(|t| t.fixed);
        if let (Some(best), Some(fixed)) = (best, fixed) {
            report.paragraph(format!(
                "{}: best at {}, {:.4}; the fixed {} costs it {:.2} points.",
                e.name(),
                best.rate,
                best.accuracy,
                fixed.rate,
                100.0 * (best.accuracy - fixed.accuracy),
            ));
        }
    }
}
