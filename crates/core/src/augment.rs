//! Data augmentation: random changes to the maps of a training batch.

use rand::Rng;
use rayon::prelude::*;

use crate::error::Error;
use crate::kernels::buffers::Buffer;
use crate::kernels::scratch::{self, Scratch};
use crate::tensor::Tensor;
use crate::tensor::bilinear::{between, blend};
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;

/// A transform of maps `[n, height, width, channels]`. In training only: a random part enlarged to the map's size, a random crop of the
/// padded map, and a random mirror image. Always, after these: each channel minus a mean, divided by a deviation.
///
/// The random numbers depend on the seed, the epoch and the sample alone. (Krizhevsky, Sutskever and Hinton 2012,
/// section 4.1; He et al. 2016, section 4.2.)
///
/// ```
/// use backstitch::augment::Augment;
/// let augment = Augment::new().horizontal_flip().random_crop(4).normalize(&[0.29], &[0.35])?;
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Augment {
    flip: bool,
    crop: usize,
    reflect: bool,
    least: Option<f64>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Augment {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mirrors each map left to right with probability 1/2.
    #[must_use]
    pub fn horizontal_flip(mut self) -> Self {
        self.flip = true;
        self
    }

    /// Shifts each map by up to `padding` pixels, up or down and left or right, and fills the gap with zeros. The padding must be smaller
    /// than the map, which training checks.
    #[must_use]
    pub fn random_crop(mut self, padding: usize) -> Self {
        (self.crop, self.reflect) = (padding, false);
        self
    }

    /// As [`Augment::random_crop`], but fills the gap with the map's reflection at its edge (the edge itself is not repeated), so that
    /// photographs get no black border. The padding must be smaller than the map.
    #[must_use]
    pub fn random_crop_reflected(mut self, padding: usize) -> Self {
        (self.crop, self.reflect) = (padding, true);
        self
    }

    /// Enlarges a random part of each map to the map's size, bilinearly. The sides of the part are a share of the map's sides, from `least` to
    /// 1, the same for height and width (C. Szegedy et al., "Going deeper with convolutions", 2015, section 6).
    ///
    /// # Errors
    /// If `least` is not above 0 and at most 1.
    pub fn random_resized_crop(mut self, least: f64) -> Result<Self, Error> {
        if !(least > 0.0 && least <= 1.0) {
            return Err(Error::argument("least share of the resized crop", "above 0, at most 1", least));
        }
        self.least = Some(least);
        Ok(self)
    }

    /// Subtracts a mean from every channel and divides by a deviation; in training after the rest.
    ///
    /// # Errors
    /// If there are not as many means as deviations, a mean is beyond 1e30, or a deviation is not between 1e-30 and 1e30, within which
    /// `f32` can divide by it.
    pub fn normalize(mut self, mean: &[f64], deviation: &[f64]) -> Result<Self, Error> {
        if mean.len() != deviation.len() || mean.is_empty() {
            let expected = format!("{}, one for each mean, at least 1", mean.len());
            return Err(Error::argument("deviations", expected, deviation.len()));
        }
        if let Some(mean) = mean.iter().find(|mean| !(-1e30..=1e30).contains(*mean)) {
            return Err(Error::argument("mean", "a number from -1e30 to 1e30", mean));
        }
        if let Some(deviation) = deviation.iter().find(|d| !(1e-30..=1e30).contains(*d)) {
            return Err(Error::argument("deviation", "a number from 1e-30 to 1e30", deviation));
        }
        (self.mean, self.deviation) = (mean.to_vec(), deviation.to_vec());
        Ok(self)
    }

    /// Whether it can be applied to samples of this shape.
    pub(crate) fn check(&self, sample: &[usize]) -> Result<(), Error> {
        if *self == Self::default() {
            return Ok(());
        }
        match sample {
            [height, width, _] if self.crop > 0 && self.crop >= *height.min(width) => Err(Error::argument(
                "padding of the random crop",
                format!("below {}, a side of the maps", height.min(width)),
                self.crop,
            )),
            [_, _, channels] => self.check_channels(*channels),
            _ => {
                Err(Error::argument("samples to augment", "[height, width, channels]", format!("{sample:?}")))
            }
        }
    }

    fn check_channels(&self, channels: usize) -> Result<(), Error> {
        if self.mean.is_empty() || self.mean.len() == channels {
            return Ok(());
        }
        let expected = format!("{channels}, one for each channel");
        Err(Error::argument("means of the normalization", expected, self.mean.len()))
    }

    /// Applies all of it to the maps of a training batch: of these samples, in this epoch.
    pub(crate) fn train<F: Scalar>(
        &self,
        maps: &mut Tensor<F>,
        samples: &[usize],
        seed: u64,
        epoch: usize,
    ) -> Result<(), Error> {
        self.check(maps.shape().get(1..).unwrap_or_default())?;
        if self.flip || self.crop > 0 || self.least.is_some() {
            let [_, height, width, channels] = *maps.shape() else { unreachable!("checked above") };
            let (shape, size) = ([height, width, channels], height * width * channels);
            scratch::ready::<F>(&[(Buffer::Columns, size)]);
            maps.data_mut().par_chunks_mut(size).zip(samples).for_each(|(map, &sample)| {
                let mut rng = stream(seed, Purpose::Augment, epoch as u64, sample as u64);
                let flip = self.flip && rng.random();
                let mut shift = || rng.random_range(0..=2 * self.crop) as isize - self.crop as isize;
                let (down, right) = (shift(), shift());
                let mut scratch = Scratch::take(Buffer::Columns);
                let from = scratch.first(size);
                if let Some(least) = self.least {
                    let [share, top, left] = [0; 3].map(|_| rng.random_range(0.0..=1.0));
                    from.copy_from_slice(map);
                    enlarge(from, map, shape, Region::new(shape, least + (1.0 - least) * share, top, left));
                }
                from.copy_from_slice(map);
                move_map(from, map, shape, Moved { flip, down, right, reflect: self.reflect });
            });
        }
        self.apply_normalization(maps)
    }

    /// Applies the one part that evaluation needs too: the normalization. Apply it to maps `[n, height, width, channels]` before a prediction.
    ///
    /// # Errors
    /// If there is a normalization, and the maps have other axes or another number of channels than it has means; they then stay as
    /// they are.
    pub fn apply_normalization<F: Scalar>(&self, maps: &mut Tensor<F>) -> Result<(), Error> {
        if self.mean.is_empty() {
            return Ok(());
        }
        match *maps.shape() {
            [_, _, _, channels] => self.check_channels(channels)?,
            _ => return Err(Error::argument("maps", "[n, height, width, channels]", maps.shape())),
        }
        for pixel in maps.data_mut().chunks_exact_mut(self.mean.len()) {
            for ((x, &mean), &deviation) in pixel.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = (*x - F::from_f64(mean)) / F::from_f64(deviation);
            }
        }
        Ok(())
    }
}

/// A part of a map: a share of its sides, and the row and column it begins at.
#[derive(Clone, Copy)]
struct Region {
    share: f64,
    top: f64,
    left: f64,
}

impl Region {
    /// A part with this share of the map's sides, at these shares of where it can begin.
    fn new([height, width, _]: [usize; 3], share: f64, top: f64, left: f64) -> Self {
        let room = |side: usize| (1.0 - share) * side as f64;
        Self { share, top: top * room(height), left: left * room(width) }
    }
}

/// Fills `to` with a part of `from`, bilinearly; beyond the edge lies the edge's own colour.
fn enlarge<F: Scalar>(from: &[F], to: &mut [F], [height, width, channels]: [usize; 3], part: Region) {
    let place = |begin: f64, i: usize, side: usize| {
        let (first, second, share) = between(begin + (i as f64 + 0.5) * part.share - 0.5, side);
        (first, second, F::from_f64(share))
    };
    for (i, row) in to.chunks_exact_mut(width * channels).enumerate() {
        let (above, below, down) = place(part.top, i, height);
        for (j, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let (left, right, across) = place(part.left, j, width);
            let at = |line: usize, column: usize| &from[(line * width + column) * channels..][..channels];
            let corners = [at(above, left), at(above, right), at(below, left), at(below, right)];
            for (c, value) in pixel.iter_mut().enumerate() {
                let [a, b, below_a, below_b] = corners.map(|corner| corner[c]);
                *value = blend([[a, b], [below_a, below_b]], down, across);
            }
        }
    }
}

/// How a map is moved.
#[derive(Clone, Copy)]
struct Moved {
    flip: bool,
    down: isize,
    right: isize,
    reflect: bool,
}

/// `to[i, j] = from[i + down, j + right]`, mirrored first if asked; where that is outside, zero or the reflection at the edge.
fn move_map<F: Scalar>(from: &[F], to: &mut [F], [height, width, channels]: [usize; 3], moved: Moved) {
    let place = |i: usize, by: isize, side: usize| match i.checked_add_signed(by) {
        Some(at) if at < side => Some(at),
        _ if !moved.reflect => None,
        Some(beyond) => Some(2 * (side - 1) - beyond),
        None => Some((i as isize + by).unsigned_abs()),
    };
    for i in 0..height {
        let line = place(i, moved.down, height);
        for j in 0..width {
            let pixel = &mut to[(i * width + j) * channels..][..channels];
            let (Some(line), Some(column)) = (line, place(j, moved.right, width)) else {
                pixel.fill(F::zero());
                continue;
            };
            let column = if moved.flip { width - 1 - column } else { column };
            pixel.copy_from_slice(&from[(line * width + column) * channels..][..channels]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(count: usize) -> Tensor<f64> {
        let mut maps = Tensor::zeros(&[count, 3, 4, 2]).unwrap();
        maps.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = (i % 24) as f64 + 1.0);
        maps
    }

    #[test]
    fn a_map_is_moved_and_mirrored_by_whole_pixels() {
        let (from, mut to) = ([1, 2, 3, 4, 5, 6].map(f64::from), [0.0; 6]);
        let moved = Moved { flip: false, down: 1, right: -1, reflect: false };
        move_map(&from, &mut to, [2, 3, 1], moved);
        assert_eq!(to, [0.0, 4.0, 5.0, 0.0, 0.0, 0.0]);
        move_map(&from, &mut to, [2, 3, 1], Moved { flip: true, down: 0, right: 0, reflect: false });
        assert_eq!(to, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        // As numpy.pad(..., mode="reflect"): the edge is not repeated.
        move_map(&from, &mut to, [2, 3, 1], Moved { reflect: true, ..moved });
        assert_eq!(to, [5.0, 4.0, 5.0, 2.0, 1.0, 2.0]);
        move_map(&from, &mut to, [2, 3, 1], Moved { reflect: true, down: 0, right: 2, flip: false });
        assert_eq!(to, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }

    #[test]
    fn a_reflection_reaches_no_further_than_the_map() {
        let augment = Augment::new().random_crop_reflected(3);
        assert!(augment.check(&[4, 4, 1]).is_ok());
        let error = augment.check(&[4, 3, 1]).unwrap_err().to_string();
        assert!(error.contains("below 3, a side of the maps") && error.contains("got 3"), "{error}");
        let mut batch = maps(2);
        Augment::new().random_crop_reflected(2).train(&mut batch, &[5, 6], 1, 1).unwrap();
        assert!(batch.data().iter().all(|v| *v > 0.0), "no zero moves in");
    }

    #[test]
    fn the_same_seed_epoch_and_sample_give_the_same_map() {
        let augment = Augment::new().horizontal_flip().random_crop(1);
        let after = |samples: &[usize], epoch| {
            let mut batch = maps(samples.len());
            augment.train(&mut batch, samples, 7, epoch).unwrap();
            batch
        };
        let all: Vec<usize> = (0..40).collect();
        let (batch, again, other) = (after(&all, 1), after(&all, 1), after(&all, 2));
        assert!(batch == again && batch != other);
        assert_eq!(after(&[13], 1).data(), &batch.data()[13 * 24..14 * 24]);
        let unchanged = batch.data().chunks(24).filter(|map| *map == maps(1).data()).count();
        assert!((1..12).contains(&unchanged), "{unchanged} of 40 unchanged");
    }

    #[test]
    fn a_part_is_enlarged_between_the_middles_of_its_pixels() {
        let from: Vec<f64> = (0..16).map(f64::from).collect();
        let mut to = vec![0.0; 16];
        enlarge(&from, &mut to, [4, 4, 1], Region::new([4, 4, 1], 1.0, 0.3, 0.9));
        assert_eq!(to, from);
        // The middle 2x2: a pixel becomes two by two, and half way to a neighbour lies a quarter of the next.
        enlarge(&from, &mut to, [4, 4, 1], Region::new([4, 4, 1], 0.5, 0.5, 0.5));
        assert_eq!(to[..4], [3.75, 4.25, 4.75, 5.25]);
        assert_eq!(to[12..], [9.75, 10.25, 10.75, 11.25]);
        for least in [0.0, 1.5, f64::NAN] {
            let error = Augment::new().random_resized_crop(least).unwrap_err().to_string();
            assert!(error.contains("above 0, at most 1"), "{error}");
        }
        let mut batch = maps(20);
        let augment = Augment::new().random_resized_crop(0.4).unwrap();
        augment.train(&mut batch, &(0..20).collect::<Vec<_>>(), 3, 1).unwrap();
        assert!(batch.data().iter().all(|v| (1.0..=24.0).contains(v)));
        assert!(batch.data().chunks(24).all(|map| map != maps(1).data()));
    }

    #[test]
    fn channels_are_normalized_each_by_its_own() {
        let augment = Augment::new().normalize(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        let mut batch = maps(1);
        augment.apply_normalization(&mut batch).unwrap();
        assert_eq!(batch.data()[..4], [0.0, 0.0, 2.0, 1.0]);
        assert!(augment.check(&[3, 4, 2]).is_ok() && augment.check(&[3, 4, 1]).is_err());
        assert!(augment.check(&[784]).is_err());
        // Five channels are not two and a half pixels of two.
        for shape in [&[1, 2, 2, 5][..], &[1, 2, 2, 1], &[4, 2]] {
            let mut others = Tensor::<f64>::zeros(shape).unwrap();
            assert!(augment.apply_normalization(&mut others).is_err());
            assert!(others.data().iter().all(|v| *v == 0.0), "nothing is changed");
        }
        assert!(Augment::new().normalize(&[0.0], &[0.0]).is_err());
        assert!(Augment::new().normalize(&[0.0], &[]).is_err());
    }
}
