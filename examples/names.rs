//! `cargo run --release --example names` takes half a minute on two cores with AVX-512.
//!
//! First names, letter by letter, as in A. Karpathy's "makemore": from counted pairs of letters over a perceptron with three letters of context (Bengio et al. 2003)
//! to an LSTM. The figure is the mean negative log-likelihood of a letter, the end of a name included.

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::{Block, Report};
use backstitch_examples::text::{draw, read};
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, four, trained};
use clap::Parser;
use ndarray::{Array2, array};
use rand::seq::SliceRandom;

/// Letters and the end of a name, which is id 0 and stands before its first letter too.
const IDS: usize = 27;
/// Names that give 3 for validation and 3 for the test.
const FEWEST: usize = 30;
/// Letters that the perceptron reads.
const CONTEXT: usize = 3;

/// Trains networks of growing memory on first names.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

/// Each letter from the one before it: the logits are a row of a table.
fn bigrams() -> Net {
    chain![embedding(IDS, IDS)]
}

fn perceptron() -> Net {
    chain![embedding(IDS, 24), flatten(), dense(256).activation(Activation::Tanh), dense(IDS)]
}

fn recurrent() -> Net {
    chain![embedding(IDS, 32), "lstm" => lstm(128), dropout(0.2), dense(IDS)]
}

/// The names of one part, as ids: 0, the letters, 0.
type Names = Vec<Vec<usize>>;

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("names", &options.flags, (20, 2), 16 << 20)?;
    let text = read(&mut run, "names.txt", invented)?;
    let mut names = encoded(&text)?;
    names.shuffle(&mut stream(run.seed, Purpose::Split, 2, 0));
    names.truncate(if run.quick { 1500 } else { names.len() });
    let (tenth, count) = (names.len() / 10, names.len());
    let test = names.split_off(count - tenth);
    let validation = names.split_off(count - 2 * tenth);
    run.samples([names.len(), validation.len(), test.len()]);
    let parts = [&names, &validation, &test];
    let counted = Counted::of(&names);
    let mut rows = vec![{
        let mut row = vec!["counted pairs".to_owned(), (IDS * IDS).to_string()];
        row.extend(parts.map(|part| four(counted.loss(part))));
        row
    }];
    let mut all = Vec::new();
    for (name, net, context) in
        [("pairs", bigrams(), None), ("perceptron", perceptron(), Some(CONTEXT)), ("lstm", recurrent(), None)]
    {
        let data = |part: &Names| match context {
            None => Dataset::next_ids(part),
            Some(length) => contexts(part, length),
        };
        let [train, validation, test] = [data(parts[0])?, data(parts[1])?, data(parts[2])?];
        let trained = fit(&run, name, net, &train, &validation)?;
        let loss =
            |set| Ok::<_, AnyError>(four(evaluate(&trained.model, set)?.get("loss").unwrap_or(f64::NAN)));
        let parameters = trained.parameters().to_string();
        rows.push(vec![name.to_owned(), parameters, loss(&train)?, loss(&validation)?, loss(&test)?]);
        all.push((trained, context));
    }
    run.histories(all.iter().map(|(trained, _)| trained))?;
    let report = report(&run, rows, &all)?;
    run.finish(&report, &all.iter().map(|(trained, _)| trained.json(None)).collect::<Vec<_>>())
}

/// The names as ids.
fn encoded(text: &str) -> Result<Names, AnyError> {
    let name = |(i, line): (usize, &str)| {
        let letter = |c: char| match c {
            'a'..='z' => Ok(c as usize - 'a' as usize + 1),
            other => Err(format!("names.txt, line {}: expected letters from a to z, got {other:?}", i + 1)),
        };
        let letters: Result<Vec<usize>, String> = line.trim().chars().map(letter).collect();
        letters.map(|letters| [&[0], &letters[..], &[0]].concat())
    };
    let names = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(name);
    let names = names.collect::<Result<Names, String>>()?;
    if names.len() < FEWEST {
        return Err(format!("names.txt: expected at least {FEWEST} names, got {}", names.len()).into());
    }
    Ok(names)
}

/// Names of syllables, for where there are none.
fn invented() -> String {
    let syllables =
        ["an", "be", "ca", "do", "el", "fi", "ga", "hu", "in", "jo", "ka", "li", "ma", "no", "ra", "su"];
    let pairs = syllables.iter().flat_map(|a| syllables.iter().map(move |b| format!("{a}{b}")));
    pairs
        .flat_map(|pair| ["", "a", "n", "lia", "to", "rin", "s"].map(|end| format!("{pair}{end}\n")))
        .collect()
}

/// How often each letter follows each other one, plus 1.
struct Counted(Array2<f64>);

impl Counted {
    fn of(names: &Names) -> Self {
        let mut counts = Array2::from_elem((IDS, IDS), 1.0);
        names.iter().flat_map(|name| name.windows(2)).for_each(|pair| counts[[pair[0], pair[1]]] += 1.0);
        Self(counts)
    }

    /// The mean of -ln p over all letters.
    fn loss(&self, names: &Names) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for pair in names.iter().flat_map(|name| name.windows(2)) {
            sum -= (self.0[[pair[0], pair[1]]] / self.0.row(pair[0]).sum()).ln();
            count += 1.0;
        }
        sum / count
    }
}

/// Each letter with the `length` letters before it; before a name there are ends.
fn contexts(names: &Names, length: usize) -> Result<Dataset, backstitch::Error> {
    let (mut inputs, mut classes) = (Vec::new(), Vec::new());
    for name in names {
        let padded = [vec![0; length - 1], name.clone()].concat();
        for window in padded.windows(length + 1) {
            inputs.extend(window[..length].iter().map(|&id| id as f32));
            classes.push(window[length]);
        }
    }
    let inputs = Array2::from_shape_vec((classes.len(), length), inputs).expect("windows of equal length");
    Dataset::classes(inputs, &classes)
}

fn fit(run: &Run, name: &str, net: Net, train: &Dataset, validation: &Dataset) -> Result<Trained, AnyError> {
    let mut model = Model::new(net, &train.input_shape(), run.seed)?;
    let mut watch = Watch::start(name)?;
    let batch_size = if train.input_shape()[0] == CONTEXT { 256 } else { 64 };
    let steps = train.len().div_ceil(batch_size) * run.epochs;
    let history = Trainer::new(Adam::new(5e-3))
        .epochs(run.epochs)
        .batch_size(batch_size)
        .seed(run.seed)
        .schedule(Schedule::cosine(steps as u64)?)
        .validation(validation)
        .callback(&mut watch)
        .fit(&mut model, train)?;
    watch.end(model, history)
}

/// New names from a network.
fn invent(model: &Model, context: Option<usize>, count: usize, seed: u64) -> Result<Vec<String>, AnyError> {
    let mut rng = stream(seed, Purpose::Split, 3, 0);
    let (mut names, mut stream) = (Vec::new(), model.stream());
    while names.len() < count {
        let mut ids = vec![0; context.unwrap_or(1)];
        let mut name = String::new();
        stream.restart();
        while name.len() < 20 {
            let logits = match context {
                None => stream.next(array![[ids[ids.len() - 1] as f32]])?.data().to_vec(),
                Some(length) => {
                    let last = &ids[ids.len() - length..];
                    let x = Array2::from_shape_fn((1, length), |(_, i)| last[i] as f32);
                    model.predict(&x)?.into_raw_vec_and_offset().0
                }
            };
            match draw(&logits, 1.0, &mut rng)? {
                0 => break,
                id => {
                    ids.push(id);
                    name.push((b'a' + (id - 1) as u8) as char);
                }
            }
        }
        names.push(name);
    }
    Ok(names)
}

fn report(run: &Run, rows: Vec<Vec<String>>, all: &[(Trained, Option<usize>)]) -> Result<Report, AnyError> {
    let mut report = run.report("First names, letter by letter");
    report.paragraph(format!(
        "The mean of -ln p of each next letter, the end of a name included: {:.4} is that of a guess among {IDS}. Counted \
         pairs are the best that a network of pairs can reach on the training set.",
        (IDS as f64).ln()
    ));
    let head = ["network", "parameters", "training set", "validation set", "test set"];
    report.table("Negative log-likelihood of a letter", &head, rows);
    let trained = all.iter().map(|(trained, _)| trained);
    let chart = trained::together("Validation loss by epoch", "loss", trained, "validation_loss");
    run.chart(
        &mut report,
        "validation_loss",
        &chart,
        "Negative log-likelihood of a letter of the validation set.",
    )?;
    report.heading("New names");
    for (trained, context) in all {
        let names = invent(&trained.model, *context, 40, run.seed)?;
        report.paragraph(format!("{}:", trained.name));
        report.block(Block::Preformatted(
            names.chunks(8).map(|row| row.join(" ")).collect::<Vec<_>>().join("\n"),
        ));
    }
    Ok(report)
}
