//! Resizing and blurring of maps.

use ndarray::{Array1, Array3, ArrayView3, ArrayViewMut3, Axis};

use crate::error::Error;
use crate::tensor::bilinear::{between, blend};
use crate::tensor::memory;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Maps `[n, height, width]` in another size, bilinearly; the centres of pixels lie where those of PyTorch's
/// `interpolate(..., align_corners=False)` do.
///
/// # Errors
/// If a side is 0, before or after, or there is not enough memory for the result.
pub fn upsample<F: Scalar>(maps: ArrayView3<'_, F>, height: usize, width: usize) -> Result<Array3<F>, Error> {
    let (n, from_height, from_width) = maps.dim();
    for (name, sides) in [("maps", [from_height, from_width]), ("size of the result", [height, width])] {
        if sides.contains(&0) {
            return Err(Error::argument(name, "a height and a width of at least 1", format!("{sides:?}")));
        }
    }
    memory::check_tensor::<F>("size of the result", &Shape::from([n, height, width]))?;
    let rows = places(from_height, height);
    let columns = places(from_width, width);
    Ok(Array3::from_shape_fn((n, height, width), |(sample, i, j)| {
        let ((top, below, down), (left, right, across)) = (rows[i], columns[j]);
        let (down, across) = (F::from_f64(down), F::from_f64(across));
        let at = |row, column| maps[[sample, row, column]];
        blend([[at(top, left), at(top, right)], [at(below, left), at(below, right)]], down, across)
    }))
}

/// For every pixel along a side: the two pixels that it lies between, and its distance from the first.
fn places(from: usize, to: usize) -> Vec<(usize, usize, f64)> {
    let place = |i: usize| between((i as f64 + 0.5) * from as f64 / to as f64 - 0.5, from);
    (0..to).map(place).collect()
}

/// Blurs a picture `[height, width, channels]` with a Gaussian of this deviation in pixels; beyond the edge lies the edge's own colour. A
/// deviation of 0 changes nothing.
///
/// # Errors
/// If the deviation is below 0, or larger than the longer side of the picture.
pub fn gaussian_blur<F: Scalar>(picture: ArrayViewMut3<'_, F>, deviation: f64) -> Result<(), Error> {
    let (height, width, _) = picture.dim();
    check_deviation(deviation, height, width)?;
    blur(picture, deviation);
    Ok(())
}

/// Checks the deviation for a picture of this size, because the work grows with it.
pub(super) fn check_deviation(deviation: f64, height: usize, width: usize) -> Result<(), Error> {
    let side = height.max(width);
    if (0.0..=side as f64).contains(&deviation) {
        return Ok(());
    }
    let expected = format!("from 0 to {side}, the longer side of the picture");
    Err(Error::argument("deviation of the blur", expected, deviation))
}

/// [`gaussian_blur`] with a deviation that is already checked.
pub(super) fn blur<F: Scalar>(mut picture: ArrayViewMut3<'_, F>, deviation: f64) {
    if deviation == 0.0 {
        return;
    }
    let reach = (3.0 * deviation).ceil() as isize;
    let weights: Vec<f64> = (-reach..=reach).map(|i| (-0.5 * (i as f64 / deviation).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    // Along one axis, then along the other: the kernel is separable.
    for axis in [Axis(0), Axis(1)] {
        for mut lane in picture.lanes_mut(axis) {
            let old: Array1<F> = lane.to_owned();
            let last = old.len() as isize - 1;
            for (i, value) in lane.iter_mut().enumerate() {
                let at = |k: usize| old[(i as isize + k as isize - reach).clamp(0, last) as usize].as_f64();
                let sum: f64 = weights.iter().enumerate().map(|(k, weight)| weight * at(k)).sum();
                *value = F::from_f64(sum / total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn enlarging_is_that_of_pytorch() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 4.], [8., 12.]]]]), size=(4, 3), mode="bilinear")
        let small = array![[[0.0, 4.0], [8.0, 12.0]]];
        let expected = array![[[0.0, 2.0, 4.0], [2.0, 4.0, 6.0], [6.0, 8.0, 10.0], [8.0, 10.0, 12.0]]];
        let large: Array3<f64> = upsample(small.view(), 4, 3).unwrap();
        assert!(large.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{large}");
        assert_eq!(upsample(small.view(), 2, 2).unwrap(), small);
    }

    #[test]
    fn blurring_keeps_the_mean_and_flattens() {
        let mut picture = Array3::<f64>::zeros((9, 9, 1));
        picture[[4, 4, 0]] = 1.0;
        gaussian_blur(picture.view_mut(), 1.0).unwrap();
        assert!((picture.sum() - 1.0).abs() < 1e-2 && picture[[4, 4, 0]] < 0.2 && picture[[4, 5, 0]] > 0.05);
        let mut even = Array3::<f64>::from_elem((3, 4, 2), 0.7);
        gaussian_blur(even.view_mut(), 2.0).unwrap();
        assert!(even.iter().all(|v| (v - 0.7).abs() < 1e-12));
    }
}
