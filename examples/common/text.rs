//! Texts: reading them, writing on with a model, and showing numbers behind characters.

use std::fs;

use backstitch::Block;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use ndarray::Array2;
use rand::Rng;

use super::{AnyError, Run};

/// The file `text/NAME` of the folder of data sets, or a generated text where it is not there; says which.
pub fn read(run: &mut Run, name: &str, sample: fn() -> String) -> Result<String, AnyError> {
    let path = run.data_folder().map(|root| root.join("text").join(name)).filter(|path| path.exists());
    match path {
        Some(path) => {
            run.source(format!("{name} from {}", path.display()), false);
            Ok(fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None => {
            run.source(format!("GENERATED SAMPLE, not {name} (no folder of data sets has it)"), true);
            Ok(sample())
        }
    }
}

/// Sentences of a small grammar, for where there is no text.
pub fn sentences() -> String {
    let mut rng = stream(0, Purpose::Split, 0, 0);
    let mut pick = |words: &[&'static str]| words[rng.random_range(0..words.len())];
    let mut text = String::new();
    for _ in 0..4000 {
        let line = [
            pick(&["The king", "The queen", "A fool", "My lord", "The ghost"]),
            pick(&["sees", "hears", "loves", "fears", "calls"]),
            pick(&["the moon", "a sword", "his crown", "the sea", "her brother"]),
            pick(&["at night.", "in vain.", "once more!", "again?", "and weeps."]),
        ];
        text += &line.join(" ");
        text.push('\n');
    }
    text
}

/// Draws from the softmax of logits / temperature. A logit that is NaN is an error, as is none that is above -∞.
pub fn draw(logits: &[f32], temperature: f32, rng: &mut impl Rng) -> Result<usize, AnyError> {
    let most = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let weights: Vec<f32> = logits.iter().map(|z| ((z - most) / temperature).exp()).collect();
    let sum: f32 = weights.iter().sum();
    if !sum.is_finite() {
        return Err(format!("the model's outputs are not finite: {logits:?}").into());
    }
    let mut left = rng.random_range(0.0..sum);
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    Ok(drawn.unwrap_or(weights.len() - 1))
}

/// Writes on for `length` ids. Where the model can take `longest` positions only, it begins again with the second half of them.
pub fn write_on(
    model: &Model,
    begin: &[usize],
    length: usize,
    longest: usize,
    temperature: f32,
    seed: u64,
) -> Result<Vec<usize>, AnyError> {
    let mut rng = stream(seed, Purpose::Split, 1, 0);
    let (mut ids, mut stream) = (begin.to_vec(), model.stream());
    let (mut from, mut told) = (0, 0);
    for _ in 0..length {
        if ids.len() - from > longest {
            from = ids.len() - longest / 2;
            told = from;
            stream.restart();
        }
        let next = Array2::from_shape_fn((1, ids.len() - told), |(_, i)| ids[told + i] as f32);
        told = ids.len();
        let logits = stream.next(next)?;
        let last = logits.data().len() - logits.width();
        ids.push(draw(&logits.data()[last..], temperature, &mut rng)?);
    }
    Ok(ids.split_off(begin.len()))
}

/// Characters in a line of a drawing.
const COLUMNS: usize = 64;
/// Pixels of a character.
const CELL: (usize, usize) = (11, 20);

/// A text whose characters stand on a colour: red for 1, blue for -1, none for 0.
pub fn coloured(text: &str, values: &[f32], caption: impl Into<String>) -> Block {
    let characters: Vec<char> = text.chars().collect();
    let (width, height) = (COLUMNS * CELL.0, characters.len().div_ceil(COLUMNS) * CELL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" \
         font-family=\"monospace\" font-size=\"15\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    for (i, (&character, &value)) in characters.iter().zip(values).enumerate() {
        let (x, y) = (i % COLUMNS * CELL.0, i / COLUMNS * CELL.1);
        let (colour, share) = (if value > 0.0 { "#d62728" } else { "#1f77b4" }, value.abs().min(1.0) * 0.85);
        let shown = match character {
            '\n' => "↵".to_owned(),
            '<' => "&lt;".to_owned(),
            '&' => "&amp;".to_owned(),
            other => other.to_string(),
        };
        svg += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{colour}\" fill-opacity=\"{share:.2}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{shown}</text>",
            CELL.0,
            CELL.1,
            x + CELL.0 / 2,
            y + CELL.1 - 5
        );
    }
    svg += "</svg>";
    Block::Figure { svg, caption: caption.into() }
}
