//! Fashion-MNIST as data sets.

use std::ops::Range;

use backstitch::images;
pub use backstitch::mnist::FASHION_CLASSES as CLASSES;
use backstitch::prelude::*;
use backstitch::split::check_every_class;
use ndarray::{Array3, Array4};

use super::trained::labels;
use super::{AnyError, Run};

/// The 60,000 training pictures and the 10,000 test pictures: `[n, 28, 28, 1]` from 0 to 1, with their classes.
pub fn open(run: &mut Run) -> Result<[Dataset; 2], AnyError> {
    let data = run.fashion_mnist()?;
    let first_test = data.train.labels.len();
    let pictures = |samples: Range<usize>| {
        let (rows, labels) = data.rows(&samples.collect::<Vec<_>>());
        Ok::<_, AnyError>(Dataset::classes(rows.into_shape_with_order((labels.len(), 28, 28, 1))?, &labels)?)
    };
    Ok([pictures(0..first_test)?, pictures(first_test..data.len())?])
}

/// Training, validation and test set: of the training pictures a share to validate with, and the test pictures. With `--quick` the first
/// `quick` pictures of the training set, and a quarter of that of the others.
pub fn published(run: &mut Run, validation: f64, quick: usize) -> Result<[Dataset; 3], AnyError> {
    let opened = open(run)?;
    divided(run, opened, validation, quick)
}

/// As [`published`], of what was opened.
pub fn divided(
    run: &mut Run,
    [train, test]: [Dataset; 2],
    validation: f64,
    quick: usize,
) -> Result<[Dataset; 3], AnyError> {
    let [train, validation] = train.split([1.0 - validation, validation], run.seed)?;
    let mut sets = [train, validation, test];
    if run.quick {
        sets = [sets[0].take(quick), sets[1].take(quick / 4), sets[2].take(quick / 4)];
    }
    for (name, set) in ["training set", "validation set", "test set"].iter().zip(&sets) {
        check_every_class(name, &labels(set), CLASSES.len())?;
    }
    run.samples(sets.each_ref().map(Dataset::len));
    Ok(sets)
}

/// All 70,000 pictures as rows of 784 numbers, dealt out 80/10/10: training, validation and test set. With `--quick` a seventh of each.
pub fn rows(run: &mut Run) -> Result<[Dataset; 3], AnyError> {
    let data = run.fashion_mnist()?;
    let (rows, labels) = data.rows(&(0..data.len()).collect::<Vec<_>>());
    let mut sets = Dataset::classes(rows, &labels)?.split([0.8, 0.1, 0.1], run.seed)?;
    if run.quick {
        sets = sets.map(|set| set.take(set.len() / 7));
    }
    run.samples(sets.each_ref().map(Dataset::len));
    Ok(sets)
}

/// The pictures as inputs of this shape that are the targets too, for networks that learn to reproduce them.
pub fn to_reproduce(set: &Dataset, shape: &[usize]) -> Result<Dataset, AnyError> {
    let all = [&[set.len()], shape].concat();
    Ok(Dataset::autoencoding(set.inputs()?.to_array().into_shape_with_order(all)?)?)
}

/// Pictures as networks for photographs take them, `[n, side, side, 3]`: resized, in three equal channels from 0 to 255, each multiplied,
/// then less its mean.
pub fn in_colour(set: &Dataset, side: usize, scale: f32, means: [f32; 3]) -> Result<Dataset, AnyError> {
    let mut x = Array4::zeros((set.len(), side, side, 3));
    for (from, mut to) in set.inputs()?.data().chunks(28 * 28).zip(x.outer_iter_mut()) {
        let grey = Array3::from_shape_fn((28, 28, 3), |(i, j, _)| (from[28 * i + j] * 255.0).round() as u8);
        let large = images::resize(grey.view(), side, side)?;
        to.assign(&Array3::from_shape_fn(large.dim(), |at| f32::from(large[at]) * scale - means[at.2]));
    }
    Ok(Dataset::classes(x, &labels(set))?)
}
