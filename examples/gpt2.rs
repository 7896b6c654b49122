//! `cargo run --release --example gpt2` takes some seconds on two cores with AVX-512.
//!
//! GPT-2 with 124 million parameters, from the layers of this library and under the names of the published weights. `--weights model.safetensors` loads
//! these; without them the weights are random, and what is written means nothing. Measures how fast it goes on step by step with kept keys and values, and
//! checks that this gives what one pass over the whole text gives.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use backstitch::metrics::argmax;
use backstitch::prelude::*;
use backstitch::pytorch;
use backstitch::rng::{Purpose, stream};
use backstitch::zoo::Gpt;
use backstitch_examples::{AnyError, Flags, Run, Steps};
use clap::Parser;
use ndarray::Array2;
use rand::Rng;
use serde_json::json;

/// Goes on with a sequence of ids by GPT-2.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// The published weights, a safetensors file
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Ids to begin with, separated by commas [default: 32 random ones]
    #[arg(long, value_delimiter = ',')]
    ids: Vec<usize>,
    /// Ids to go on by [default: 64]
    #[arg(long, default_value_t = 64)]
    length: usize,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("gpt2", &options.flags, (0, 0), 1 << 20)?;
    run.no_data();
    let sizes = match run.quick {
        false => Gpt::gpt2(),
        true => Gpt { width: 96, layers: 2, heads: 4, vocabulary: 1000, longest: 128, ..Gpt::gpt2() },
    };
    check(options, &sizes)?;
    let mut steps = Steps::new("making the weights", 0)?;
    let mut model: Model = Model::new(sizes.net(), &[sizes.longest], run.seed)?;
    if let Some(path) = &options.weights {
        steps.name(format!("reading {}", path.display()));
        let mut state = pytorch::read(path)?;
        // The published file also has the causal masks, which are no weights: attention knows them.
        state.retain(|name, _| !(name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")));
        model.load_state(&state)?;
    }
    let mut rng = stream(run.seed, Purpose::Split, 4, 0);
    let begin: Vec<usize> = match options.ids.is_empty() {
        true => (0..32).map(|_| rng.random_range(0..sizes.vocabulary)).collect(),
        false => options.ids.clone(),
    };
    let length = if run.quick { options.length.min(16) } else { options.length };
    let (ids, seconds, begun) = go_on(&model, &begin, length, &mut steps)?;
    drop(steps);
    let difference = difference(&model, &ids)?;
    let rate = length as f64 / seconds;
    println!("{} parameters; {} ids read in {begun:.2} s", model.parameter_count(), begin.len());
    println!("{rate:.1} ids a second, one by one; largest difference to one pass over all: {difference:.1e}");
    println!("ids: {:?}", &ids[begin.len()..]);
    let mut report = run.report("GPT-2, step by step");
    let weights = match &options.weights {
        Some(path) => format!("Weights from {}.", path.display()),
        None => "Random weights: what is written means nothing. The published ones are not part of this repository.".to_owned(),
    };
    report.paragraph(weights);
    let cell = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        cell("parameters", model.parameter_count().to_string()),
        cell("ids to begin with", begin.len().to_string()),
        cell("seconds to read them", format!("{begun:.2}")),
        cell("ids written", length.to_string()),
        cell("ids a second", format!("{rate:.1}")),
        cell(
            "largest difference between logits with kept keys and values and those of one pass",
            format!("{difference:.1e}"),
        ),
    ];
    report.table("With kept keys and values", &["", ""], rows);
    let summary = json!({ "name": "gpt2", "parameters": model.parameter_count(), "ids_per_second": rate, "difference": difference,
        "ids": ids });
    run.finish(&report, &[summary])
}

/// Whether the flags fit the network, before its weights are made.
fn check(options: &Options, sizes: &Gpt) -> Result<(), AnyError> {
    if let Some(id) = options.ids.iter().find(|&&id| id >= sizes.vocabulary) {
        return Err(format!("--ids: expected ids below {}, got {id}", sizes.vocabulary).into());
    }
    let begin = if options.ids.is_empty() { 32 } else { options.ids.len() };
    let room = sizes.longest.saturating_sub(begin);
    if begin > sizes.longest || !(1..=room).contains(&options.length) {
        let longest = sizes.longest;
        let got = format!("{begin} and {}", options.length);
        return Err(format!(
            "--ids and --length: expected at least 1 each and at most {longest} together, got {got}"
        )
        .into());
    }
    Ok(())
}

/// Goes on by the most probable ids. Returns all ids, the seconds, and those for the beginning.
fn go_on(
    model: &Model,
    begin: &[usize],
    length: usize,
    steps: &mut Steps,
) -> Result<(Vec<usize>, f64, f64), AnyError> {
    let mut stream = model.stream();
    let start = Instant::now();
    let mut next = best(stream.next(row(begin))?)?;
    let begun = start.elapsed().as_secs_f64();
    let mut ids = begin.to_vec();
    let start = Instant::now();
    steps.name("going on".to_owned());
    for done in 1..=length {
        ids.push(next);
        next = best(stream.next(row(&[next]))?)?;
        steps.set(done as u64, length as u64);
    }
    Ok((ids, start.elapsed().as_secs_f64(), begun))
}

/// The largest difference between logits step by step and those of one pass, relative to the largest logit.
fn difference(model: &Model, ids: &[usize]) -> Result<f32, AnyError> {
    let all = model.predict(row(ids))?;
    let width = model.output_shape()[1];
    let (mut stream, mut most, mut largest) = (model.stream(), 0.0_f32, 0.0_f32);
    for (i, &id) in ids.iter().enumerate() {
        let step = stream.next(row(&[id]))?;
        for (a, b) in step.data().iter().zip(all.iter().skip(i * width)) {
            most = most.max((a - b).abs());
            largest = largest.max(b.abs());
        }
    }
    Ok(most / largest)
}

fn row(ids: &[usize]) -> Array2<f32> {
    Array2::from_shape_fn((1, ids.len()), |(_, i)| ids[i] as f32)
}

/// The most probable next id, after the last position.
fn best(logits: &Tensor) -> Result<usize, AnyError> {
    let last = &logits.data()[logits.data().len() - logits.width()..];
    Ok(argmax(last.iter().copied()).ok_or("a logit is NaN: what are the weights?")?)
}
