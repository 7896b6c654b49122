//! `cargo run --release --example segmentation` takes 6 minutes on two cores with AVX-512.
//!
//! A small U-Net (Ronneberger, Fischer and Brox 2015) labels each pixel of generated scenes: garments of Fashion-MNIST,
//! turned and scaled, on a textured background among other shapes.

mod iou;
mod scenes;

use std::process::ExitCode;
use std::sync::Arc;

use backstitch::prelude::*;
use backstitch::{Picture, PictureGrid, Report, Series, SeriesStyle};
use backstitch_examples::trained::{Column, by_epoch, table, together};
use backstitch_examples::{AnyError, Flags, Run, Trained, Watch, fashion, four, one_cycle};
use clap::Parser;
use iou::MeanIou;
use ndarray::{Array3, Axis};
use scenes::{CLASSES, SIDE, Scenes};

/// Filters at each resolution: 64, 32, 16 and 8 pixels.
const WIDTHS: [usize; 4] = [16, 32, 64, 64];
const BATCH: usize = 16;

/// A convolution, normalized.
fn block(filters: usize) -> Net {
    chain![conv2d(filters, 3).same().without_bias(), batch_norm().relu()]
}

/// A U-Net: maps of one resolution, then the same at half the resolution and back. With a skip connection the maps stand beside what
/// comes back, so that edges are not lost on the way.
fn unet(widths: &[usize], skip: bool) -> Net {
    let (width, deeper) = (widths[0], &widths[1..]);
    if deeper.is_empty() {
        return block(width);
    }
    let around = chain![max_pool(2), unet(deeper, skip), transposed_conv2d(width, 2).stride(2)];
    let both = if skip { concat([chain![], around]) } else { around };
    chain![block(width), both, block(width)]
}

/// `[64, 64, 1]` to the logits of the classes for each pixel, `[64, 64, 6]`.
fn network(skip: bool) -> Net {
    chain!["unet" => unet(&WIDTHS, skip), "classes" => conv2d(CLASSES.len(), 1)]
}

/// Trains a U-Net to label pixels.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    flags: Flags,
}

/// A network with its IoU of each class on the test scenes.
struct Outcome {
    trained: Trained,
    ious: Vec<Option<f64>>,
}

fn main() -> ExitCode {
    backstitch_examples::exit(experiment(&Options::parse()))
}

fn experiment(options: &Options) -> Result<(), AnyError> {
    let mut run = Run::start("segmentation", &options.flags, (8, 2), 16 << 20)?;
    let [train, validation, test] = fashion::published(&mut run, 0.1, 2_000)?;
    // No garment is in scenes of two sets.
    let counts = if run.quick { [300, 60, 60] } else { [6_000, 500, 1_000] };
    let train = Scenes::dataset(&train, counts[0], run.seed)?;
    let validation = Scenes::dataset(&validation, counts[1], run.seed.wrapping_add(1))?;
    let test = Scenes::dataset(&test, counts[2], run.seed.wrapping_add(2))?;
    run.samples(counts);
    let mut outcomes = Vec::new();
    for (name, skip) in [("U-Net", true), ("without skip connections", false)] {
        let mut model = Model::new(network(skip), &[SIDE, SIDE, 1], run.seed)?;
        let mut watch = Watch::start(name)?;
        let history = Trainer::new(Adam::new(2e-3))
            .epochs(run.epochs)
            .batch_size(BATCH)
            .seed(run.seed)
            .schedule(one_cycle(&train, BATCH, run.epochs)?)
            .metrics([Arc::new(Accuracy::new()) as Arc<dyn Metric<f32>>, Arc::new(MeanIou)])
            .validation(&validation)
            .callback(&mut watch)
            .fit(&mut model, &train)?;
        let trained = watch.end(model, history)?;
        trained.model.save(run.out.join(format!("{}.safetensors", name.replace(' ', "_"))))?;
        let ious = tested(&trained.model, &test)?;
        println!("{name}: test mean IoU {:.4}", iou::mean(&ious));
        outcomes.push(Outcome { trained, ious });
    }
    run.histories(outcomes.iter().map(|outcome| &outcome.trained))?;
    let report = report(&run, &outcomes, &test)?;
    let json = |outcome: &Outcome| {
        let mut json = outcome.trained.json(None);
        json["test_mean_iou"] = iou::mean(&outcome.ious).into();
        json["test_iou"] = outcome.ious.clone().into();
        json["validation_mean_iou"] = outcome.trained.last("validation_mean_iou").into();
        json
    };
    run.finish(&report, &outcomes.iter().map(json).collect::<Vec<_>>())
}

/// The IoU of each class, over all pixels of all scenes.
fn tested(model: &Model, set: &Dataset) -> Result<Vec<Option<f64>>, AnyError> {
    let (mut trace, mut batch, mut counts) = (Trace::new(Keep::Last), Batch::default(), Vec::new());
    for samples in (0..set.len()).collect::<Vec<_>>().chunks(50) {
        set.gather(samples, &mut batch)?;
        model.forward(&batch.inputs, &mut trace, &Context::evaluate())?;
        MeanIou.add(trace.output(), &batch.targets(), &mut counts);
    }
    Ok(iou::by_class(&counts))
}

fn report(run: &Run, outcomes: &[Outcome], test: &Dataset) -> Result<Report, AnyError> {
    let mut report = run.report("Which pixel shows which garment: a small U-Net");
    report.paragraph(
        "Scenes of 64x64 pixels are drawn when they are read, from a seed: waves and noise, two to four grey shapes, then two or three \
         garments (of the five classes equally often) \
         at any place and angle, 0.8 to 1.5 times their size, one over the other. Shapes count as background. Test \
         scenes have garments of the test set. IoU is, over all pixels of all scenes, the number of pixels that are of a class in \
         truth and in prediction, divided by the number that are in one of both (intersection over union).",
    );
    let mut columns: Vec<Column<&Outcome>> = vec![
        ("network", &|o| o.trained.name.clone()),
        ("parameters", &|o| o.trained.parameters().to_string()),
        ("minutes", &|o| format!("{:.1}", o.trained.minutes)),
        ("mean IoU", &|o| four(iou::mean(&o.ious))),
    ];
    let of_class = |class: usize| move |o: &&Outcome| o.ious[class].map_or("undefined".to_owned(), four);
    let cells: Vec<_> = (0..CLASSES.len()).map(of_class).collect();
    columns.extend(CLASSES.iter().zip(&cells).map(|(name, cell)| (*name, cell as _)));
    table(&mut report, "IoU on the test scenes", outcomes, &columns);
    let all = || outcomes.iter().map(|outcome| &outcome.trained);
    let chart = together("Validation: mean IoU by epoch", "mean IoU", all(), "validation_mean_iou");
    run.chart(
        &mut report,
        "mean_iou",
        &chart,
        "Mean of the IoU of the six classes on the validation scenes.",
    )?;
    let losses = all().enumerate().flat_map(|(i, trained)| {
        let line = |part: &str| {
            let label = format!("{}, {part}", trained.name);
            Series::by_epoch(label, &trained.history, i, &format!("{part}_loss"))
        };
        let dashed = Series { style: SeriesStyle::Dashes, ..line("train") };
        [line("validation"), dashed]
    });
    let chart = by_epoch("Cross-entropy by epoch", "loss", losses.collect());
    run.chart(&mut report, "loss", &chart, "A mean over pixels; dashed in training.")?;
    let caption = "The first test scenes: scene, truth, U-Net, and the net without skip connections. Black is background, yellow upper body, \
                   blue trousers, pink dress, green shoe, orange bag.";
    run.show(&mut report, "scenes", &pictures(outcomes, test)?, caption)?;
    Ok(report)
}

/// A row for each of eight scenes.
fn pictures(outcomes: &[Outcome], test: &Dataset) -> Result<PictureGrid, AnyError> {
    let mut batch = Batch::default();
    test.gather(&(0..test.len().min(8)).collect::<Vec<_>>(), &mut batch)?;
    let mut pictures = Vec::new();
    let predicted: Result<Vec<_>, _> =
        outcomes.iter().map(|outcome| outcome.trained.model.predict(&batch.inputs)).collect();
    let predicted = predicted?;
    let truth = batch.targets().classes()?;
    for scene in 0..batch.inputs.batch() {
        let pixels = batch.inputs.view();
        let grey = pixels.index_axis(Axis(0), scene);
        let grey = grey.into_shape_with_order((SIDE, SIDE))?;
        pictures.push(("scene".to_owned(), Picture::grey(grey)?));
        let truth = &truth[scene * SIDE * SIDE..][..SIDE * SIDE];
        pictures.push(("truth".to_owned(), coloured(|pixel| truth[pixel])?));
        for (outcome, y) in outcomes.iter().zip(&predicted) {
            let rows = y.as_slice().expect("a new array is in standard layout");
            let class = |pixel: usize| {
                iou::largest(&rows[(scene * SIDE * SIDE + pixel) * CLASSES.len()..][..CLASSES.len()])
            };
            pictures.push((outcome.trained.name.clone(), coloured(class)?));
        }
    }
    Ok(PictureGrid { title: "Scenes".to_owned(), columns: 4, enlarge: 3, bar: None, pictures })
}

/// A colour for each class.
fn coloured(class: impl Fn(usize) -> usize) -> Result<Picture, AnyError> {
    const COLOURS: [[f32; 3]; 6] = [
        [0.0, 0.0, 0.0],
        [0.95, 0.9, 0.25],
        [0.2, 0.45, 0.9],
        [0.9, 0.5, 0.75],
        [0.1, 0.65, 0.4],
        [0.9, 0.45, 0.1],
    ];
    let colour = |(i, j, c): (usize, usize, usize)| COLOURS[class(SIDE * i + j)][c];
    Ok(Picture::colour(Array3::from_shape_fn((SIDE, SIDE, 3), colour).view())?)
}
