//! `cargo run --release --example edge_filters`: seconds.
//!
//! A convolution with hand-made filters for vertical and horizontal edges, applied to a garment of Fashion-MNIST and to
//! a generated shape. It shows what a filter of a convolutional network computes.

use std::process::ExitCode;

use backstitch::prelude::*;
use backstitch::{ColourBar, ColourMap, Picture, PictureGrid};
use backstitch_examples::fashion::CLASSES;
use backstitch_examples::{AnyError, Flags, Run};
use clap::Parser;
use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::json;

/// Shows what edge filters respond to.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
    /// Number of the image in the test set
    #[arg(long, default_value_t = 0)]
    picture: usize,
}

/// Weights of 3x3, row by row: right minus left, and below minus above (I. Sobel 1968).
const FILTERS: [(&str, [f32; 9]); 2] = [
    ("vertical edges", [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]),
    ("horizontal edges", [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0]),
];

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("edge_filters", &options.flags, (0, 0), 1 << 20)?;
    let data = run.fashion_mnist()?;
    let count = data.test.labels.len();
    if options.picture >= count {
        return Err(format!("--picture: expected below {count}, got {}", options.picture).into());
    }
    run.samples([0, 0, 1]);
    let (pixels, labels) = data.rows(&[data.train.labels.len() + options.picture]);
    let (class, garment) = (CLASSES[labels[0]], pixels.into_shape_with_order((28, 28))?);
    let mut report = run.report("Edge filters by hand");
    let numbers = FILTERS.map(|(name, w)| {
        vec![name.to_owned(), format!("{:?}", &w[..3]), format!("{:?}", &w[3..6]), format!("{:?}", &w[6..])]
    });
    report.table("The filters, row by row", &["", "upper", "middle", "lower"], numbers.to_vec());
    let mut runs = Vec::new();
    for (stem, name, picture) in
        [("garment", class, garment.view()), ("shape", "a drawn square", square().view())]
    {
        let maps = filtered(picture)?;
        let most = maps.iter().flatten().fold(0.0_f32, |most, v| most.max(v.abs()));
        let mut pictures = vec![(name.to_owned(), Picture::grey(picture)?)];
        let mut shares = Vec::new();
        for ((filter, _), map) in FILTERS.iter().zip(&maps) {
            pictures
                .push(((*filter).to_owned(), Picture::mapped(map.view(), -most, most, ColourMap::BlueRed)?));
            shares.push(map.iter().map(|v| v.abs()).sum::<f32>());
        }
        let bar = Some(ColourBar { map: ColourMap::BlueRed, low: -most, high: most });
        let grid = PictureGrid { title: format!("Edges of {name}"), columns: 3, enlarge: 8, bar, pictures };
        let caption = format!(
            "{name}: the vertical filter responds with {:.1} in all, the horizontal one with {:.1} (sums of absolute values). Red: \
             lighter to the right or below; blue: darker.",
            shares[0], shares[1],
        );
        run.show(&mut report, stem, &grid, caption)?;
        runs.push(json!({ "name": name, "vertical": shares[0], "horizontal": shares[1] }));
    }
    run.finish(&report, &runs)
}

/// The responses of the filters: a convolution whose weights are given, not learned.
fn filtered(picture: ArrayView2<'_, f32>) -> Result<Vec<Array2<f32>>, AnyError> {
    let net = Net::new().push(conv2d(FILTERS.len(), 3).same().without_bias());
    let mut model: Model = Model::new(net, &[28, 28, 1], 0)?;
    // A kernel is [height, width, channels, filters].
    for mut slot in model.slots_mut() {
        for (i, weight) in slot.data_mut().iter_mut().enumerate() {
            *weight = FILTERS[i % FILTERS.len()].1[i / FILTERS.len()];
        }
    }
    let x = picture.insert_axis(Axis(0)).insert_axis(Axis(3));
    let maps = model.predict(x.into_dyn())?;
    Ok((0..FILTERS.len()).map(|filter| maps.slice(s![0, .., .., filter]).to_owned()).collect())
}

/// A light square on black.
fn square() -> Array2<f32> {
    Array2::from_shape_fn(
        (28, 28),
        |(i, j)| if (7..21).contains(&i) && (7..21).contains(&j) { 1.0 } else { 0.0 },
    )
}
