//! Photographs in folders as data sets, and the parts of a report on a model of many uneven classes.

use std::path::PathBuf;

use backstitch::images::{Images, Options, cache_folder};
use backstitch::prelude::*;
use backstitch::{Picture, PictureGrid, Report};
use clap::Args;
use ndarray::{Array3, ArrayView3, Axis};

use super::trained::{Column, labels, table};
use super::{AnyError, Flags, Run, Score, Trained, defined, epochs, four, times};

/// The flags of the examples on photographs.
#[derive(Args, Clone, Debug)]
pub struct FolderFlags {
    #[command(flatten)]
    pub run: Flags,
    /// Leave out broken files, and list them
    #[arg(long)]
    pub skip_broken: bool,
    /// Weight each class by 1 / (number of its samples), so that rare classes count more
    #[arg(long)]
    pub class_weights: bool,
}

/// Side of the pictures, in pixels.
pub const SIDE: usize = 64;
/// With `--quick`: the number of classes, and the most training pictures of each.
const QUICK: (usize, usize) = (20, 15);

/// Photographs, each channel less its mean and divided by its deviation over the training set.
pub struct Photographs {
    pub classes: Vec<String>,
    pub train: Dataset,
    pub validation: Dataset,
    /// Training pictures of each class.
    samples: Vec<usize>,
    weighted: bool,
    /// The files of both sets, in this order.
    files: Vec<PathBuf>,
    mean: [f32; 3],
    deviation: [f32; 3],
}

impl Photographs {
    /// The 101 classes, or generated shapes where there are none.
    pub fn open(run: &mut Run, flags: &FolderFlags) -> Result<Self, AnyError> {
        Self::sized(run, flags, SIDE)
    }

    /// As [`Photographs::open`], resized to this side.
    pub fn sized(run: &mut Run, flags: &FolderFlags, side: usize) -> Result<Self, AnyError> {
        let mut options = Options::new(side, side)?.cache(cache_folder()?);
        if flags.skip_broken {
            options = options.skip_broken();
        }
        let parts = run.image_folder("caltech101-64", &options)?;
        let mut classes = parts.train.classes.clone();
        let [train, validation] = [&parts.train, &parts.validation].map(|part| chosen(part, run.quick));
        if run.quick {
            classes.truncate(QUICK.0);
        }
        run.samples([train.len(), validation.len(), 0]);
        let mut files: Vec<PathBuf> = train.iter().map(|&i| parts.train.files[i].clone()).collect();
        files.extend(validation.iter().map(|&i| parts.validation.files[i].clone()));
        let (mean, deviation) = statistics(&parts.train, &train);
        let set = |part: &Images, indices: &[usize]| {
            let mut x = part.pixels.select(Axis(0), indices).mapv(f32::from);
            for mut pixel in x.rows_mut() {
                (0..3).for_each(|c| pixel[c] = (pixel[c] - mean[c]) / deviation[c]);
            }
            Dataset::classes(x, &indices.iter().map(|&i| part.labels[i]).collect::<Vec<_>>())
        };
        let (train, validation) = (set(&parts.train, &train)?, set(&parts.validation, &validation)?);
        let mut samples = vec![0; classes.len()];
        labels(&train).into_iter().for_each(|label| samples[label] += 1);
        Ok(Self {
            classes,
            train,
            validation,
            samples,
            weighted: flags.class_weights,
            files,
            mean,
            deviation,
        })
    }

    /// Cross-entropy with smoothed labels; with `--class-weights` each class weighs 1 / its samples, so that all together weigh the same.
    pub fn loss(&self, smoothing: f64) -> Result<CrossEntropy, AnyError> {
        let loss = CrossEntropy::label_smoothing(smoothing)?;
        if !self.weighted {
            return Ok(loss);
        }
        Ok(loss.class_weights(self.samples.iter().map(|&n| 1.0 / n.max(1) as f64).collect())?)
    }

    /// The names of the classes.
    pub fn names(&self) -> Vec<&str> {
        self.classes.iter().map(String::as_str).collect()
    }

    /// Where a file is among the training or validation pictures, by the end of its path without its extension (`camera/image_0001`).
    pub fn find(&self, name: &str) -> Option<(&Dataset, usize)> {
        let position = self.files.iter().position(|file| file.with_extension("").ends_with(name))?;
        let train = self.train.len();
        Some(if position < train { (&self.train, position) } else { (&self.validation, position - train) })
    }

    /// The picture as it was.
    pub fn picture(&self, set: &Dataset, i: usize) -> Result<Picture, AnyError> {
        let one = set.subset(&[i])?.inputs()?;
        let map: ArrayView3<'_, f32> = one.view().index_axis_move(Axis(0), 0).into_dimensionality()?;
        let colour = |(row, column, c): (usize, usize, usize)| {
            (map[[row, column, c]] * self.deviation[c] + self.mean[c]) / 255.0
        };
        Ok(Picture::colour(Array3::from_shape_fn(map.dim(), colour).view())?)
    }
}

fn chosen(part: &Images, quick: bool) -> Vec<usize> {
    let mut count = vec![0; part.classes.len()];
    let keep = |&i: &usize| {
        let class = part.labels[i];
        count[class] += 1;
        !quick || (class < QUICK.0 && count[class] <= QUICK.1)
    };
    (0..part.labels.len()).filter(keep).collect()
}

/// Mean and deviation of each channel, 0 to 255.
fn statistics(part: &Images, indices: &[usize]) -> ([f32; 3], [f32; 3]) {
    let (mut sum, mut squares, mut count) = ([0_u64; 3], [0_u64; 3], 0_u64);
    for &i in indices {
        for pixel in part.pixels.index_axis(Axis(0), i).rows() {
            for c in 0..3 {
                let value = u64::from(pixel[c]);
                sum[c] += value;
                squares[c] += value * value;
            }
            count += 1;
        }
    }
    let mean = sum.map(|sum| sum as f64 / count as f64);
    let variance = [0, 1, 2].map(|c: usize| squares[c] as f64 / count as f64 - mean[c] * mean[c]);
    (mean.map(|m| m as f32), variance.map(|v| v.max(1.0).sqrt() as f32))
}

/// Pairs of classes whose confusions are shown.
const PAIRS: usize = 10;

/// How good a model is in every class, and what it takes for what.
pub fn detail(
    run: &Run,
    report: &mut Report,
    trained: &Trained,
    photographs: &Photographs,
) -> Result<(), AnyError> {
    let (score, names) = (trained.score(&photographs.validation)?, photographs.names());
    report.heading(format!("{} in every class", trained.name));
    let samples = &photographs.samples;
    let (fewest, most) = (samples.iter().min().unwrap_or(&0), samples.iter().max().unwrap_or(&0));
    let pictures = if fewest == most { most.to_string() } else { format!("from {fewest} to {most}") };
    report.paragraph(format!(
        "Validation accuracy {:.4}; balanced accuracy (the mean of the classes') {:.4}: classes have {pictures} training pictures.",
        score.accuracy(),
        score.matrix.balanced_accuracy(),
    ));
    let title = format!("{}: confusion matrix on the validation set", trained.name);
    run.confusion(report, "confusion", &score.confusion(title, &names), score.confused(&names, PAIRS))?;
    if let Some(grid) = confused(&score, photographs)? {
        let caption = "Of each pair: a validation picture, the class it was taken for, and a training picture of that class.";
        run.show(report, "confused", &grid, caption)?;
    }
    let scores = score.matrix.class_scores();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let recall = |class: usize| scores[class].recall.unwrap_or(f64::INFINITY);
    order.sort_by(|&a, &b| recall(a).total_cmp(&recall(b)));
    let columns: [Column<usize>; 4] = [
        ("class", &|&class| photographs.classes[class].clone()),
        ("accuracy", &|&class| defined(scores[class].recall)),
        ("validation pictures", &|&class| scores[class].support.to_string()),
        ("training pictures", &|&class| photographs.samples[class].to_string()),
    ];
    table(report, "Every class, the weakest first", order, &columns);
    Ok(())
}

fn confused(score: &Score, photographs: &Photographs) -> Result<Option<PictureGrid>, AnyError> {
    let (train, validation) = (&photographs.train, &photographs.validation);
    let (shown, judged) = (labels(train), labels(validation));
    let name = |class: usize| &photographs.classes[class];
    let mut pictures = Vec::new();
    for (label, taken, count) in score.matrix.most_confused(PAIRS) {
        let wrong = |&i: &usize| judged[i] == label && score.predictions[i] == taken;
        let example = (0..judged.len()).find(wrong).ok_or("a picture of every confusion")?;
        let title = format!("{}\ntaken {} for", name(label), times(count));
        pictures.push((title, photographs.picture(validation, example)?));
        let other = shown.iter().position(|&class| class == taken).ok_or("a picture of every class")?;
        pictures.push((format!("{}\n ", name(taken)), photographs.picture(train, other)?));
    }
    let title = "Most often confused".to_owned();
    let grid = PictureGrid { title, columns: 4, enlarge: 2, bar: None, pictures };
    Ok((!grid.pictures.is_empty()).then_some(grid))
}

/// Loss and accuracy by epoch, saved under names with this prefix.
pub fn curves(run: &Run, report: &mut Report, trained: &Trained, prefix: &str) -> Result<(), AnyError> {
    let loss = format!("{:.1} s an epoch.", trained.seconds_per_epoch);
    let accuracy = format!("{}, {:.1} minutes.", epochs(trained.history.epochs.len()), trained.minutes);
    trained.curves(run, report, prefix, [loss, accuracy])
}

/// A table of networks, with what each gained over the one it is based on, where that was trained too.
pub fn gains(report: &mut Report, caption: &str, all: &[Trained], bases: &[(&str, &str)]) {
    let find = |name: &str| all.iter().find(|trained| trained.name == name);
    let gained = |trained: &Trained| {
        let (_, base) = bases.iter().find(|(name, _)| *name == trained.name)?;
        let points = 100.0 * (trained.validated() - find(base)?.validated());
        Some(format!("{points:+.1} over {base}"))
    };
    let last = |trained: &Trained, figure| defined(trained.last(figure));
    let columns: [Column<&Trained>; 9] = [
        ("network", &|t| t.name.clone()),
        ("parameters", &|t| t.parameters().to_string()),
        ("epochs", &|t| t.history.epochs.len().to_string()),
        ("minutes", &|t| format!("{:.1}", t.minutes)),
        ("training loss", &|t| last(t, "train_loss")),
        ("training accuracy", &|t| last(t, "train_accuracy")),
        ("validation loss", &|t| last(t, "validation_loss")),
        ("validation accuracy", &|t| four(t.validated())),
        ("points gained", &|t| gained(t).unwrap_or_default()),
    ];
    // A network alone gains nothing over another.
    let (_, without_gains) = columns.split_last().expect("columns are named above");
    let some = all.iter().any(|trained| gained(trained).is_some());
    table(report, caption, all, if some { &columns } else { without_gains });
}
