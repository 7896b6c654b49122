//! `cargo run --release --example cnn_arithmetic`: seconds. Needs no data.
//!
//! Computes sizes of maps, padding, parameters, multiply-adds and bytes of the assignments' convolutions. All of them
//! come from models, by shape inference and `cost.rs`. Shows where the solutions of the assignments are wrong.

mod arithmetic;

use std::process::ExitCode;

use arithmetic::{bottleneck, summary, three_layers};
use backstitch::prelude::*;
use backstitch::{ColourBar, ColourMap, Picture, PictureGrid, Report};
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;
use ndarray::Array;
use serde_json::{Value, json};

/// Works out the arithmetic of convolutions.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("cnn_arithmetic", &options.flags, (0, 0), 1 << 20)?;
    run.no_data();
    let mut report = run.report("The arithmetic of convolutions");
    let runs = [one_layer(&run, &mut report)?, three_layers(&mut report)?, bottleneck(&mut report)?];
    run.finish(&report, &runs)
}

/// 32x32 grey, three 5x5 filters, no padding; and the dense network it is.
fn one_layer(run: &Run, report: &mut Report) -> Result<Value, AnyError> {
    let input = [32, 32, 1];
    let conv = || conv2d(3, 5);
    let plain = summary(Net::new().push(conv()), &input)?;
    let keeps = |p: &usize| {
        Layer::<f32>::output_shape(&conv().padding(*p), &input).is_ok_and(|shape| shape[..2] == input[..2])
    };
    let padding = (0..5).find(keeps).ok_or("a padding that keeps the size")?;
    report.heading("Three 5x5 filters on 32x32");
    report.paragraph(format!(
        "Feature map: {} with the three filters. A padding of {padding} keeps 32x32. Parameters: {}.",
        plain.lines[0].output,
        plain.parameters(),
    ));
    let model: Model = Model::new(Net::new().push(conv()), &input, 0)?;
    let state = model.state();
    let (w, b) = conv().to_dense(state["conv1.weight"], state["conv1.bias"], &input)?;
    let x = Array::from_shape_fn((1, 32, 32, 1), |(_, i, j, _)| ((i * 7 + j * 3) % 11) as f32 / 11.0);
    let y = model.predict(x.view().into_dyn())?;
    let dense = x.into_shape_with_order((1, 32 * 32))?.dot(&w) + &b;
    let worst = y.iter().zip(&dense).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    let zeros = w.iter().filter(|w| **w == 0.0).count() as f64 / w.len() as f64;
    report.paragraph(format!(
        "As an ordinary network with the pixels as inputs it has {} by {} weights, of which {:.2} per cent are fixed at zero, and the rest \
         are {} numbers repeated: each output sees its own 5x5 pixels, and all outputs of a filter share their weights. The two give \
         the same outputs to {worst:.0e}.",
        w.nrows(), w.ncols(), 100.0 * zeros, plain.parameters() - 3,
    ));
    // Small enough that the pattern can be seen: one 3x3 filter on 8x8.
    let small = || conv2d(1, 3);
    let model: Model = Model::new(Net::new().push(small()), &[8, 8, 1], 0)?;
    let state = model.state();
    let (w, _) = small().to_dense(state["conv1.weight"], state["conv1.bias"], &[8, 8, 1])?;
    let most = w.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    let map = ColourMap::BlueRed;
    let picture = Picture::mapped(w.t(), -most, most, map)?;
    let bar = Some(ColourBar { map, low: -most, high: most });
    let title = "One 3x3 filter on 8x8 as a dense layer".to_owned();
    let pictures = vec![("a row for each of 36 outputs, a column for each of 64 pixels".to_owned(), picture)];
    let grid = PictureGrid { title, columns: 1, enlarge: 9, bar, pictures };
    run.show(report, "to_dense", &grid, "The same nine weights in every row, moved along; white is zero.")?;
    Ok(
        json!({ "name": "32x32, three 5x5", "output": plain.lines[0].output.to_string(), "padding_same": padding,
        "parameters": plain.parameters(), "dense_difference": worst }),
    )
}
