//! Numbers as pixels.

use ndarray::{ArrayView2, ArrayView3};

use crate::Error;

/// A picture in colour, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

/// Which colour stands for which number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourMap {
    /// Black to white.
    Grey,
    /// Viridis: dark blue over green to yellow, in steps that look equally large, also in print without colour and to
    /// readers with a colour-vision deficiency (S. van der Walt and N. Smith 2015).
    Viridis,
    /// Blue over white to red: for numbers on both sides of 0, which is at 0.5.
    BlueRed,
}

impl ColourMap {
    /// The colour of a number from 0 to 1; what is beyond takes the colour of the end, NaN that of 0.
    pub fn colour(self, value: f64) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        match self {
            Self::Grey => [(value * 255.0).round() as u8; 3],
            Self::Viridis => colorous::VIRIDIS.eval_continuous(value).as_array(),
            Self::BlueRed => colorous::RED_BLUE.eval_continuous(1.0 - value).as_array(),
        }
    }
}

impl Picture {
    /// The numbers `[height, width]` from `low` to `high`, in the colours of a map.
    ///
    /// # Errors
    /// If there are none, or `high` is not above `low`.
    pub fn mapped(values: ArrayView2<'_, f32>, low: f32, high: f32, map: ColourMap) -> Result<Self, Error> {
        if values.is_empty() || high.is_nan() || low.is_nan() || high <= low {
            let got = format!("{:?} from {low} to {high}", values.shape());
            return Err(Error::Picture { expected: "numbers from one to a larger one".to_owned(), got });
        }
        let share = |value: f32| f64::from(value - low) / f64::from(high - low);
        let pixels = values.iter().map(|&value| map.colour(share(value))).collect();
        Ok(Self { width: values.ncols(), height: values.nrows(), pixels })
    }

    /// Numbers `[height, width]` from 0 (black) to 1 (white).
    ///
    /// # Errors
    /// If there are none.
    pub fn grey(values: ArrayView2<'_, f32>) -> Result<Self, Error> {
        Self::mapped(values, 0.0, 1.0, ColourMap::Grey)
    }

    /// Red, green and blue from 0 to 1, `[height, width, 3]`; or one channel, which is grey.
    ///
    /// # Errors
    /// If there are none, or another number of channels.
    pub fn colour(values: ArrayView3<'_, f32>) -> Result<Self, Error> {
        let (height, width, channels) = values.dim();
        if values.is_empty() || !matches!(channels, 1 | 3) {
            let got = format!("{:?}", values.shape());
            return Err(Error::Picture { expected: "[height, width, 1 or 3]".to_owned(), got });
        }
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixels =
            values.rows().into_iter().map(|p| [0, 1, 2].map(|c: usize| byte(p[c.min(channels - 1)])));
        Ok(Self { width, height, pixels: pixels.collect() })
    }

    /// This picture over another of the same size: so much of this one, the rest of the other.
    ///
    /// # Errors
    /// If the sizes differ, or the share is not from 0 to 1.
    pub fn over(&self, other: &Self, share: f64) -> Result<Self, Error> {
        if (self.width, self.height) != (other.width, other.height) || !(0.0..=1.0).contains(&share) {
            let expected = format!("{}x{} and a share from 0 to 1", self.height, self.width);
            let got = format!("{}x{} and {share}", other.height, other.width);
            return Err(Error::Picture { expected, got });
        }
        let mix = |a: u8, b: u8| (share * f64::from(a) + (1.0 - share) * f64::from(b)).round() as u8;
        let pairs = self.pixels.iter().zip(&other.pixels);
        let pixels = pairs.map(|(a, b)| [0, 1, 2].map(|c: usize| mix(a[c], b[c]))).collect();
        Ok(Self { pixels, ..*self })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour at a place.
    ///
    /// # Panics
    /// If the place is outside of the picture.
    pub fn at(&self, row: usize, column: usize) -> [u8; 3] {
        assert!(column < self.width, "column {column} of {}", self.width);
        self.pixels[row * self.width + column]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn numbers_become_colours() {
        let picture = Picture::grey(array![[0.0, 0.5, 2.0]].view()).unwrap();
        assert_eq!([0, 1, 2].map(|column| picture.at(0, column)[0]), [0, 128, 255]);
        let signed = Picture::mapped(array![[-1.0, 0.0, 1.0]].view(), -1.0, 1.0, ColourMap::BlueRed).unwrap();
        let [blue, white, red] = [0, 1, 2].map(|column| signed.at(0, column));
        assert!(
            blue[2] > blue[0] && red[0] > red[2] && white.iter().all(|&c| c > 230),
            "{blue:?} {white:?} {red:?}"
        );
        assert_eq!(ColourMap::Viridis.colour(f64::NAN), ColourMap::Viridis.colour(-3.0));
    }

    #[test]
    fn one_picture_lies_over_another() {
        let [black, white] = [0.0, 1.0].map(|v| Picture::grey(array![[v, v]].view()).unwrap());
        assert_eq!(white.over(&black, 0.25).unwrap().at(0, 1), [64; 3]);
        let error = white.over(&Picture::grey(array![[0.0]].view()).unwrap(), 0.5).unwrap_err().to_string();
        assert_eq!(error, "picture: expected 1x2 and a share from 0 to 1, got 1x1 and 0.5");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let error = Picture::colour(Array3::zeros((2, 2, 4)).view()).unwrap_err().to_string();
        assert_eq!(error, "picture: expected [height, width, 1 or 3], got [2, 2, 4]");
        let error = Picture::mapped(array![[1.0]].view(), 1.0, 1.0, ColourMap::Grey).unwrap_err().to_string();
        assert_eq!(error, "picture: expected numbers from one to a larger one, got [1, 1] from 1 to 1");
    }
}
