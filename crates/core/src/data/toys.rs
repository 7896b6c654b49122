//! Small data sets in the plane, generated from a seed, on which a network trains in a second.

use std::f64::consts::{PI, TAU};

use ndarray::Array2;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::data::Dataset;
use crate::error::{Error, in_range, not_negative};
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;

/// The most samples that are generated. More would be a mistake.
const MAX_SAMPLES: usize = 10_000_000;

/// Two interleaving half circles, one for each class, with noise of this standard deviation. Inputs `[n, 2]`, classes 0 and 1. As
/// scikit-learn's `make_moons`.
///
/// ```
/// let data: backstitch::Dataset = backstitch::data::moons(200, 0.1, 0)?;
/// assert_eq!((data.len(), &*data.input_shape()), (200, &[2][..]));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If there are less than 2 samples or more than ten million, or the deviation is negative or not finite.
pub fn moons<F: Scalar>(samples: usize, noise: f64, seed: u64) -> Result<Dataset<F>, Error> {
    plane(samples, 2, noise, seed, |class, share| {
        let (sin, cos) = (PI * share).sin_cos();
        if class == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] }
    })
}

/// The arms of a spiral around the origin, one for each class, with noise of this standard deviation. Inputs `[n, 2]`. (A. Karpathy, CS231n, "Putting it
/// together: minimal neural network case study".)
///
/// # Errors
/// If there are no classes, not a sample a class or more than ten million, or the deviation is negative or not finite.
pub fn spirals<F: Scalar>(
    samples: usize,
    classes: usize,
    noise: f64,
    seed: u64,
) -> Result<Dataset<F>, Error> {
    plane(samples, classes, noise, seed, |class, share| {
        let angle = TAU * class as f64 / classes as f64 + 4.0 * share;
        [share * angle.cos(), share * angle.sin()]
    })
}

/// Gaussian clusters with this standard deviation, one for each class, with their centres on a circle of radius 1. Inputs `[n, 2]`.
///
/// # Errors
/// If there are no classes, not a sample a class or more than ten million, or the deviation is negative or not finite.
pub fn blobs<F: Scalar>(
    samples: usize,
    classes: usize,
    deviation: f64,
    seed: u64,
) -> Result<Dataset<F>, Error> {
    plane(samples, classes, deviation, seed, |class, _| {
        let angle = TAU * class as f64 / classes as f64;
        [angle.cos(), angle.sin()]
    })
}

/// Points of classes in turn: `place(class, share)`, with the share of the class's samples that came before, and noise.
fn plane<F: Scalar>(
    samples: usize,
    classes: usize,
    noise: f64,
    seed: u64,
    place: impl Fn(usize, f64) -> [f64; 2],
) -> Result<Dataset<F>, Error> {
    in_range("classes", classes, MAX_SAMPLES)?;
    in_range("samples", samples, MAX_SAMPLES)?;
    if samples < classes {
        return Err(Error::argument("samples", format!("at least {classes}, one for each class"), samples));
    }
    let noise = not_negative("noise", noise)?;
    let mut rng = stream(seed, Purpose::Noise, 0, 2);
    let of_a_class = samples.div_ceil(classes);
    let mut points = Array2::zeros((samples, 2));
    let labels: Vec<usize> = (0..samples).map(|i| i % classes).collect();
    for (i, mut row) in points.outer_iter_mut().enumerate() {
        let share = (i / classes) as f64 / (of_a_class.max(2) - 1) as f64;
        let point = place(i % classes, share);
        for (to, at) in row.iter_mut().zip(point) {
            *to = F::from_f64(at + noise * normal(&mut rng));
        }
    }
    Dataset::classes(points, &labels)
}

/// A number of mean 0 and deviation 1 (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_class_says() {
        let data = blobs::<f64>(3000, 3, 0.1, 1).unwrap();
        let (x, labels) = (data.inputs().unwrap(), data.labels().unwrap());
        for class in 0..3 {
            let own: Vec<&[f64]> =
                x.data().chunks(2).zip(&labels).filter(|(_, l)| **l == class).map(|(p, _)| p).collect();
            assert_eq!(own.len(), 1000);
            let angle = TAU * class as f64 / 3.0;
            for (axis, centre) in [angle.cos(), angle.sin()].into_iter().enumerate() {
                let mean = own.iter().map(|p| p[axis]).sum::<f64>() / 1000.0;
                let deviation = (own.iter().map(|p| (p[axis] - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
                assert!((mean - centre).abs() < 0.02 && (deviation - 0.1).abs() < 0.01, "{mean} {deviation}");
            }
        }
        let still = moons::<f64>(100, 0.0, 0).unwrap().inputs().unwrap();
        for (i, p) in still.data().chunks(2).enumerate() {
            let centre = if i % 2 == 0 { [0.0, 0.0] } else { [1.0, 0.5] };
            assert!(((p[0] - centre[0]).hypot(p[1] - centre[1]) - 1.0).abs() < 1e-12);
        }
        let one = spirals::<f32>(90, 3, 0.2, 7).unwrap().inputs().unwrap();
        assert_eq!(one, spirals::<f32>(90, 3, 0.2, 7).unwrap().inputs().unwrap());
        assert_ne!(one, spirals::<f32>(90, 3, 0.2, 8).unwrap().inputs().unwrap());
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        assert!(moons::<f32>(1, 0.1, 0).is_err() && moons::<f32>(usize::MAX, 0.1, 0).is_err());
        assert!(blobs::<f32>(10, 0, 0.1, 0).is_err() && spirals::<f32>(10, 11, 0.1, 0).is_err());
        assert!(blobs::<f32>(10, 2, f64::NAN, 0).is_err() && blobs::<f32>(10, 2, -0.1, 0).is_err());
    }
}
