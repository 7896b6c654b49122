//! Resizes pictures.

use ndarray::{Array3, ArrayView3};

use super::MAX_SIDE;
use crate::error::Error;

/// Resizes a picture `[height, width, 3]` or `[height, width, 1]` with a triangle filter. The filter is as wide as the step from
/// pixel to pixel, but at least one. Pillow calls it bilinear, and the numbers here are Pillow's, because published networks are
/// evaluated on pictures resized by Pillow. Rows are resized first, then columns, each rounded to bytes. The sides may change by
/// different factors.
///
/// # Errors
/// If a side, old or new, is 0 or above [`MAX_SIDE`], or the number of channels is not one or three.
pub fn resize(picture: ArrayView3<'_, u8>, height: usize, width: usize) -> Result<Array3<u8>, Error> {
    let (from_height, from_width, channels) = picture.dim();
    let sides = 1..=MAX_SIDE;
    if ![from_height, from_width, height, width].iter().all(|side| sides.contains(side))
        || ![1, 3].contains(&channels)
    {
        let from = format!("{:?}", picture.shape());
        return Err(Error::Resize { from, to: format!("{height}x{width}") });
    }
    let mut picture = picture.to_owned();
    if from_width != width {
        let taps = taps(from_width, width);
        picture = Array3::from_shape_fn((from_height, width, channels), |(i, j, c)| {
            taps[j].sum(|from| picture[[i, from, c]])
        });
    }
    if from_height != height {
        let taps = taps(from_height, height);
        picture = Array3::from_shape_fn((height, width, channels), |(i, j, c)| {
            taps[i].sum(|from| picture[[from, j, c]])
        });
    }
    Ok(picture)
}

/// The sources of one new pixel: old pixels from `first` on, with weights in units of 2^-BITS.
struct PixelWeights {
    first: usize,
    weights: Vec<i64>,
}

/// The number of fraction bits of a weight.
const BITS: u32 = 22;

impl PixelWeights {
    fn sum(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        let half = 1 << (BITS - 1);
        let terms =
            self.weights.iter().enumerate().map(|(i, weight)| weight * i64::from(pixel(self.first + i)));
        ((half + terms.sum::<i64>()) >> BITS).clamp(0, 255) as u8
    }
}

/// The taps of every new pixel along a side.
fn taps(from: usize, to: usize) -> Vec<PixelWeights> {
    let step = from as f64 / to as f64;
    let reach = step.max(1.0);
    let one = |i: usize| {
        let centre = (i as f64 + 0.5) * step;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let last = ((centre + reach + 0.5) as usize).min(from);
        let triangle = |j: usize| (1.0 - ((j as f64 - centre + 0.5) / reach).abs()).max(0.0);
        let weights: Vec<f64> = (first..last).map(triangle).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / total * f64::from(1 << BITS) + 0.5) as i64;
        PixelWeights { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}
