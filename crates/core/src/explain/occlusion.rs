//! Occlusion: a check that needs no gradient.

use ndarray::{Array2, Axis, s};

use crate::error::Error;
use crate::explain::{check_classes, check_maps, checked};
use crate::net::model::Model;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::finite;
use crate::tensor::scalar::Scalar;

/// The most numbers in the batch of copies of a picture.
const MAX_BATCH_NUMBERS: usize = 1 << 26;

/// How much the logit of a class falls when a patch of the picture is covered with `fill`: for each pixel the mean over the patches
/// that cover it (M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2).
/// `x` is one picture, `[1, height, width, channels]`; the result `[height, width]`. A patch is `patch` pixels wide and
/// high, and moved by `stride`; the last ones end at the edge.
///
/// # Errors
/// If `x` is not one of the model's inputs, the class does not exist, patch or stride are 0 or larger than the picture, or a number of
/// the picture, `fill` or an output is not finite.
pub fn occlusion<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    class: usize,
    patch: usize,
    stride: usize,
    fill: F,
) -> Result<Array2<F>, Error> {
    let x = &x.as_view();
    let [height, width, _] = check_maps(model)?;
    let samples = x.shape().first().copied().unwrap_or(0);
    if samples != 1 {
        return Err(Error::argument("x", "a batch of one picture", samples));
    }
    check_classes(model, 1, &[class])?;
    let side = height.min(width);
    for (name, value) in [("patch", patch), ("stride", stride)] {
        if value == 0 || value > side {
            return Err(Error::argument(name, format!("from 1 to {side}"), value));
        }
    }
    checked(x)?;
    finite::check(|| "fill".to_owned(), &[fill], &[])?;
    let base = model.predict(x)?[[0, class]];
    // Copies of one row of patches, or of a part of it: few copies if the picture is large.
    let copies = (MAX_BATCH_NUMBERS / x.len()).max(1);
    let (mut sums, mut counts) = (Array2::zeros((height, width)), Array2::zeros((height, width)));
    for top in starts(height, patch, stride) {
        for lefts in starts(width, patch, stride).chunks(copies) {
            let shape: Vec<usize> = [lefts.len()].iter().chain(&x.shape()[1..]).copied().collect();
            let mut covered = x.broadcast(shape).expect("one picture, many times").to_owned();
            for (mut picture, &left) in covered.axis_iter_mut(Axis(0)).zip(lefts) {
                picture.slice_mut(s![top..top + patch, left..left + patch, ..]).fill(fill);
            }
            let outputs = model.predict(covered.view())?;
            for (i, &left) in lefts.iter().enumerate() {
                let place = s![top..top + patch, left..left + patch];
                sums.slice_mut(place).mapv_inplace(|sum: F| sum + base - outputs[[i, class]]);
                counts.slice_mut(place).mapv_inplace(|count: F| count + F::one());
            }
        }
    }
    // With a stride larger than the patch some pixels are never covered.
    Ok(ndarray::Zip::from(&sums).and(&counts).map_collect(|&sum, &count| sum / count.max(F::one())))
}

/// Where patches begin along one side.
fn starts(length: usize, patch: usize, stride: usize) -> Vec<usize> {
    let last = length - patch;
    let mut starts: Vec<usize> = (0..=last).step_by(stride).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}
