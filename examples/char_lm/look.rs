//! What is inside: single cells of the LSTM, and what the heads of the transformer attend to.

use backstitch::prelude::*;
use backstitch::{PictureGrid, Report};
use backstitch_examples::pictures::{heat, heat_bar};
use backstitch_examples::text::coloured;
use backstitch_examples::{AnyError, Run};
use ndarray::{Array2, Axis, s};

/// Characters that the cells are shown on.
const SHOWN: usize = 384;
/// Characters that cells are compared over.
const READ: usize = 4096;

/// Something that a reader of the text knows at each position.
type Property = (&'static str, fn(&[char], usize) -> f32);

/// The properties that cells are looked for.
const PROPERTIES: [Property; 5] = [
    ("the position in the line", |text, i| text[..i].iter().rev().take_while(|c| **c != '\n').count() as f32),
    ("the name of a speaker (capitals up to a colon)", |text, i| {
        f32::from(text[i..].iter().take(20).take_while(|c| **c != '\n').any(|c| *c == ':'))
    }),
    ("the inside of a word", |text, i| f32::from(text[i].is_alphabetic())),
    ("vowels", |text, i| f32::from("aeiouAEIOU".contains(text[i]))),
    ("the length of the word so far", |text, i| {
        text[..=i].iter().rev().take_while(|c| c.is_alphabetic()).count() as f32
    }),
];

/// For each property, the cell of the upper LSTM whose state follows it most closely (A. Karpathy, J. Johnson and L. Fei-Fei, "Visualizing and understanding
/// recurrent networks", 2015, section 4.2).
pub fn cells(
    report: &mut Report,
    model: &Model,
    characters: &Vocabulary,
    validation: &[usize],
) -> Result<(), AnyError> {
    let ids = &validation[..validation.len().min(READ)];
    let text: Vec<char> = characters.decode(ids)?.chars().collect();
    let states = states(model, ids)?;
    report.heading("What single cells of the LSTM follow");
    for (name, property) in PROPERTIES {
        let values: Vec<f32> = (0..text.len()).map(|i| property(&text, i)).collect();
        let of_cells = states.axis_iter(Axis(1)).map(|cell| correlation(&values, cell.iter().copied()));
        let best = of_cells.enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        let Some((cell, r)) = best else { continue };
        let shown: String = text.iter().take(SHOWN).collect();
        let colours: Vec<f32> = states.column(cell).iter().take(SHOWN).copied().collect();
        report.block(coloured(
            &shown,
            &colours,
            format!(
                "Cell {cell} follows {name}: correlation {r:.2} over {} characters of the validation text. Red is a \
                 state near 1, blue one near -1.",
                text.len()
            ),
        ));
    }
    Ok(())
}

/// The states of the upper LSTM over a text, `[characters, units]`, in pieces that carry the state on.
fn states(model: &Model, ids: &[usize]) -> Result<Array2<f32>, AnyError> {
    let (mut trace, mut memory) = (Trace::new(Keep::All), Memory::Fresh);
    let mut all = Vec::new();
    for piece in ids.chunks(model.input_shape()[0]) {
        let x = Array2::from_shape_fn((1, piece.len()), |(_, i)| piece[i] as f32);
        let ctx = Context { memory, ..Context::evaluate() };
        model.forward(&Tensor::from_array(&x)?, &mut trace, &ctx)?;
        all.extend_from_slice(trace.get("lstm.l1")?.0.data());
        memory = Memory::Continue;
    }
    let units = all.len() / ids.len();
    Ok(Array2::from_shape_vec((ids.len(), units), all)?)
}

fn correlation(a: &[f32], b: impl Iterator<Item = f32> + Clone) -> f32 {
    let n = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / n, b.clone().sum::<f32>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// The weights of every head over one piece of text: a row for each character, and how much it looks at each one before it.
pub fn attention(
    run: &Run,
    report: &mut Report,
    model: &Model,
    characters: &Vocabulary,
    validation: &[usize],
) -> Result<(), AnyError> {
    const HEADS: usize = 4;
    let ids = &validation[..model.input_shape()[0]];
    let x = Array2::from_shape_fn((1, ids.len()), |(_, i)| ids[i] as f32);
    let trace = model.trace(&x)?;
    let blocks = model.names("h.*.attn.c_attn.weight").len();
    let mut pictures = Vec::new();
    for block in 0..blocks {
        let qkv = trace.get(&format!("h.{block}.attn.c_attn"))?.0.to_array();
        let qkv = qkv.index_axis(Axis(0), 0).into_dimensionality::<ndarray::Ix2>()?;
        let (width, size) = (qkv.ncols() / 3, qkv.ncols() / 3 / HEADS);
        for head in 0..HEADS {
            let part = |from: usize| qkv.slice(s![.., from + head * size..from + (head + 1) * size]);
            let mut weights = part(0).dot(&part(width).t()) / (size as f32).sqrt();
            for (i, mut row) in weights.outer_iter_mut().enumerate() {
                row.iter_mut().enumerate().for_each(|(j, v)| *v = if j > i { f32::NEG_INFINITY } else { *v });
                let most = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|v| (v - most).exp());
                let sum = row.sum();
                row.mapv_inplace(|v| v / sum);
            }
            pictures.push((format!("block {block}, head {head}"), heat(weights.view())?));
        }
    }
    report.heading("What the heads attend to");
    let title = "Weights of attention".to_owned();
    let grid = PictureGrid { title, columns: HEADS, enlarge: 3, bar: heat_bar(), pictures };
    let text = characters.decode(ids)?;
    let caption = format!(
        "Rows are the characters of {text:?}, columns what each looks at; bright is much, on a scale for each head."
    );
    run.show(report, "attention", &grid, caption)
}
