//! `cargo run --release --example char_lm` takes 9 minutes on two cores with AVX-512, the transformer 1.5 of them.
//!
//! Two networks that write: an LSTM and a transformer learn the next character of tiny Shakespeare. The transformer has the published
//! CPU settings of nanoGPT: 4 layers, 4 heads, 128 wide, sequences of 64, batches of 12, 2000 steps, no dropout, AdamW, cosine; the published validation
//! loss is 1.88.

mod look;

use std::ops::ControlFlow;
use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::train::CallbackError;
use backstitch::zoo::Gpt;
use backstitch::{Block, Report};
use backstitch_examples::text::{read, sentences, write_on};
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, four, trained};
use clap::Parser;

/// The longest sequence of the transformer, and of a piece of text for the LSTM.
const TIME: usize = 64;
/// Characters that give 64 streams to train on and 16 for validation.
const FEWEST: usize = 11_000;
/// Characters of a sample.
const SAMPLE: usize = 300;

/// Trains an LSTM and a transformer to write characters.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Networks to train, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "lstm,transformer")]
    network: Vec<Network>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    Lstm,
    Transformer,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn lstm_net(characters: usize) -> Net {
    chain![embedding(characters, 128), "lstm" => lstm(256).layers(2), dense(characters)]
}

fn transformer(vocabulary: usize) -> Net {
    Gpt { vocabulary, longest: TIME, width: 128, layers: 4, heads: 4, tanh_gelu: false, bias: false }.net()
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("char_lm", &options.flags, (10, 1), 64 << 20)?;
    let text = read(&mut run, "tinyshakespeare.txt", sentences)?;
    let count = text.chars().count();
    if count < FEWEST {
        return Err(format!("tinyshakespeare.txt: expected at least {FEWEST} characters, got {count}").into());
    }
    // nanoGPT's split: the first nine tenths to train on, the rest for validation.
    let characters = Vocabulary::characters(&text)?;
    let ids = characters.encode(&text)?;
    let ids = if run.quick { &ids[..ids.len().min(60_000)] } else { &ids[..] };
    let (train, validation) = ids.split_at(ids.len() * 9 / 10);
    run.samples([train.len(), validation.len(), 0]);
    let mut written = Vec::new();
    for &network in &options.network {
        written.push(match network {
            Network::Lstm => fit_lstm(&run, &characters, train, validation)?,
            Network::Transformer => fit_transformer(&run, &characters, train, validation)?,
        });
    }
    run.histories(written.iter().map(|written| &written.trained))?;
    let report = report(&run, &characters, &written, validation)?;
    let summaries = written.iter().map(|written| written.trained.json(None)).collect::<Vec<_>>();
    run.finish(&report, &summaries)
}

/// A trained network, and what it wrote after each epoch.
struct Written {
    network: Network,
    trained: Trained,
    samples: Vec<(usize, String)>,
}

/// The text in 64 streams: the state goes on from piece to piece, and an epoch reads every character once.
fn fit_lstm(
    run: &Run,
    characters: &Vocabulary,
    train: &[usize],
    validation: &[usize],
) -> Result<Written, AnyError> {
    let streams = if run.quick { 16 } else { 64 };
    let data: Dataset = Dataset::streams(train, streams, TIME)?;
    let validation = Dataset::streams(validation, streams.min(16), TIME)?;
    let mut model = Model::new(lstm_net(characters.size()), &data.input_shape(), run.seed)?;
    let (mut watch, mut writer) = (Watch::start("lstm")?, Writer::new(characters, usize::MAX, run.seed));
    let steps = data.len() / streams * run.epochs;
    let history = Trainer::new(Adam::new(4e-3))
        .epochs(run.epochs)
        .seed(run.seed)
        .clip_norm(1.0)
        .schedule(Schedule::cosine(steps as u64)?)
        .validation(&validation)
        .callback(&mut watch)
        .callback(&mut writer)
        .fit(&mut model, &data)?;
    Ok(Written { network: Network::Lstm, trained: watch.end(model, history)?, samples: writer.samples })
}

/// Windows at random places. Validation is over windows beside each other.
fn fit_transformer(
    run: &Run,
    characters: &Vocabulary,
    train: &[usize],
    validation: &[usize],
) -> Result<Written, AnyError> {
    let data: Dataset = Dataset::windows(train, TIME)?;
    let pieces = Dataset::streams(validation, 1, TIME)?;
    // A part of the streams is plain samples, each of which begins anew.
    let validation = pieces.take(pieces.len());
    let mut model = Model::new(transformer(characters.size()), &data.input_shape(), run.seed)?;
    let (mut watch, mut writer) = (Watch::start("transformer")?, Writer::new(characters, TIME, run.seed));
    let steps = if run.quick { 40 } else { 200 };
    let history = Trainer::new(Adam::adamw(1e-3, 0.1).betas(0.9, 0.99))
        .epochs(run.epochs)
        .batch_size(12)
        .steps_per_epoch(steps)
        .seed(run.seed)
        .clip_norm(1.0)
        .schedule(Schedule::cosine_to((steps * run.epochs) as u64, 0.1)?.warm_up(100))
        .validation(&validation)
        .callback(&mut watch)
        .callback(&mut writer)
        .fit(&mut model, &data)?;
    Ok(Written {
        network: Network::Transformer,
        trained: watch.end(model, history)?,
        samples: writer.samples,
    })
}

/// Lets the network write after each epoch.
struct Writer<'a> {
    characters: &'a Vocabulary,
    longest: usize,
    seed: u64,
    samples: Vec<(usize, String)>,
}

impl<'a> Writer<'a> {
    fn new(characters: &'a Vocabulary, longest: usize, seed: u64) -> Self {
        Self { characters, longest, seed, samples: Vec::new() }
    }
}

impl Callback<f32> for Writer<'_> {
    fn epoch(&mut self, run: &backstitch::train::Run<'_, f32>) -> Result<ControlFlow<()>, CallbackError> {
        // A text without line ends begins with its first character.
        let begin = self.characters.encode("\n").unwrap_or_else(|_| vec![0]);
        let ids = write_on(run.model(), &begin, SAMPLE, self.longest, 0.8, self.seed);
        let ids = ids.map_err(|error| error.to_string())?;
        self.samples.push((run.history().epochs.len(), self.characters.decode(&ids)?));
        Ok(ControlFlow::Continue(()))
    }
}

fn report(
    run: &Run,
    characters: &Vocabulary,
    written: &[Written],
    validation: &[usize],
) -> Result<Report, AnyError> {
    let mut report = run.report("An LSTM and a transformer that write characters");
    report.paragraph(format!(
        "The text has {} different characters. Losses are in nats a character: a network that guesses has {:.2}.",
        characters.size(),
        (characters.size() as f64).ln()
    ));
    let rows = written.iter().map(|Written { trained, .. }| {
        let lowest = trained.history.epochs.iter().filter_map(|epoch| epoch.get("validation_loss"));
        let last = |figure| four(trained.last(figure).unwrap_or(f64::NAN));
        let minutes = format!("{:.1}", trained.minutes);
        let parameters = trained.parameters().to_string();
        let lowest = four(lowest.fold(f64::INFINITY, f64::min));
        vec![trained.name.clone(), parameters, last("train_loss"), last("validation_loss"), lowest, minutes]
    });
    let head =
        ["network", "parameters", "training loss", "validation loss", "lowest validation loss", "minutes"];
    report.table("After training", &head, rows.collect());
    let all = written.iter().map(|written| &written.trained);
    let chart = trained::together("Validation loss by epoch", "loss", all, "validation_loss");
    run.chart(
        &mut report,
        "validation_loss",
        &chart,
        "An epoch of the transformer is 200 steps of 12 windows (--quick: 40).",
    )?;
    for Written { network, trained, samples } in written {
        report.heading(format!("What the {} writes", trained.name));
        for (epoch, sample) in
            samples.iter().filter(|(epoch, _)| epoch.is_power_of_two() || *epoch == run.epochs)
        {
            report.paragraph(format!("After epoch {epoch}, temperature 0.8:"));
            report.block(Block::Preformatted(sample.clone()));
        }
        let looked = match network {
            Network::Lstm => look::cells(&mut report, &trained.model, characters, validation),
            Network::Transformer => look::attention(run, &mut report, &trained.model, characters, validation),
        };
        looked?;
    }
    Ok(report)
}
