//! The report of `cnn_vs_fcnn`: every answer from the figures of the run.

use backstitch::Report;
use backstitch_examples::trained::{Column, table, together};
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

    fn peak(&self) -> String {
        self.trained.peak_memory.map_or("not known".to_owned(), |mb| mb.to_string())
    }

    fn name(&self) -> &str {
        &self.trained.name
    }
}

pub fn report(run: &Run, settings: &str, entries: &[Entry]) -> Result<Report, AnyError> {
    let mut report = run.report("Dense and convolutional networks on Fashion-MNIST");
    report.paragraph(settings);
    evaluation(&mut report, entries);
    report.heading("What the numbers say");
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
        let chart = together(title, y, entries.iter().map(|e| &e.trained), stem);
        run.chart(&mut report, stem, &chart, "On the validation set, after each epoch.")?;
    }
    Ok(report)
}

fn evaluation(report: &mut Report, entries: &[Entry]) {
    let columns: [Column<&Entry>; 8] = [
        ("model", &|e| e.name().to_owned()),
        ("trainable parameters", &|e| e.trained.parameters().to_string()),
        ("multiply-adds a picture", &|e| e.trained.multiply_adds().to_string()),
        ("test accuracy", &|e| four(e.accuracy())),
        ("test loss", &|e| four(e.score.log_loss)),
        ("training minutes", &|e| format!("{:.2}", e.minutes())),
        ("measured peak MB", &|e| e.peak()),
        ("computed MB", &|e| format!("{:.0}", e.analytic_mb())),
    ];
    table(report, "Evaluation on the test set, and what training took", entries, &columns);
    report.paragraph(
        "Measured: the most memory of the process while the model trained, above what it held before: evaluation \
         works on larger batches than training, and a later model may find room in what an earlier one gave back (with \
         --model-number it is alone). Computed: parameters, gradients, Adam's two averages, and activations with \
         their gradients for a batch of 64, from shapes alone.",
    );
}

/// Two models side by side: parameters and accuracy.
fn pair(a: &Entry, b: &Entry) -> String {
    let parameters = [a, b].map(|e| e.trained.parameters());
    let [name_a, name_b] = [a, b].map(Entry::name);
    let [accuracy_a, accuracy_b] = [a, b].map(Entry::accuracy);
    let [wrong_a, wrong_b] = [a, b].map(|e| e.score.matrix.total() as f64 * (1.0 - e.accuracy()));
    format!(
        "{name_b} has {} parameters, {:.2} times the {} of {name_a}. Its test accuracy is {accuracy_b:.4} against {accuracy_a:.4}, {:+.2} \
         percentage points: {wrong_b:.0} pictures wrong against {wrong_a:.0}, with {:.2} times the multiply-adds.",
        parameters[1],
        parameters[1] as f64 / parameters[0] as f64,
        parameters[0],
        100.0 * (accuracy_b - accuracy_a),
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
    let columns: [Column<&Entry>; 8] = [
        ("model", &|e| e.name().to_owned()),
        ("convolutions", &|e| e.trained.layers().0.to_string()),
        ("layers with weights", &|e| e.trained.layers().1.to_string()),
        ("parameters, kB", &|e| (e.trained.summary.parameter_bytes / 1000).to_string()),
        ("training, kB a picture", &|e| (e.trained.summary.training_bytes_per_sample / 1000).to_string()),
        ("prediction, kB a picture", &|e| (e.trained.summary.live_bytes_per_sample / 1000).to_string()),
        ("measured peak MB", &|e| e.peak()),
        ("test accuracy", &|e| four(e.accuracy())),
    ];
    table(report, "Depth, memory and accuracy of the convolutional models", [*a, *b], &columns);
    let ratio = |f: fn(&Entry) -> f64| f(b) / f(a);
    let gain = 100.0 * (b.accuracy() - a.accuracy());
    let times = ratio(|e| e.trained.multiply_adds() as f64);
    let worth = if gain > 0.0 {
        format!("buy {gain:.2} points")
    } else {
        format!("buy nothing here ({gain:.2} points): more layers are not better by themselves")
    };
    let overfit = |e: &Entry| e.trained.last("train_accuracy").unwrap_or(0.0) - e.accuracy();
    report.paragraph(format!(
        "From {} to {} convolutions, memory of a training pass grows {:.1} times a picture, parameters {:.1} times, training \
         time {:.1} times; {times:.1} times the multiply-adds {worth}. The gap between training and test accuracy goes from {:.4} to {:.4}.",
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
