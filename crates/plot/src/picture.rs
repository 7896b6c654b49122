//! Numbers as pixels.

use ndarray::{ArrayView2, ArrayView3};

use crate::Error;
use crate::size::checked_size;

/// A picture in colour, row by row. It has from one to 67,108,864 pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

/// A colour for each number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    /// The colour of a number from 0 to 1. A smaller or larger number has the colour of the nearer end, NaN that of 0.
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
    /// The numbers `[height, width]` from `low` to `high`, in the colours of a map. A smaller or larger
    /// number has the colour of the nearer end.
    ///
    /// # Errors
    /// If there are no numbers or too many, a number is NaN, `low` or `high` is not finite, or `high` is not above `low`.
    pub fn mapped(values: ArrayView2<'_, f32>, low: f32, high: f32, map: ColourMap) -> Result<Self, Error> {
        if !(low.is_finite() && high.is_finite() && low < high) {
            let got = format!("{:?} from {low} to {high}", values.shape());
            let expected = "numbers from a finite one to a larger finite one".to_owned();
            return Err(Error::Picture { expected, got });
        }
        check(
            values.nrows(),
            values.ncols(),
            values.indexed_iter().map(|((row, column), &value)| (row, column, value)),
        )?;
        let [low, high] = [low, high].map(f64::from);
        let pixels =
            values.iter().map(|&value| map.colour((f64::from(value) - low) / (high - low))).collect();
        Ok(Self { width: values.ncols(), height: values.nrows(), pixels })
    }

    /// Numbers `[height, width]` from 0 (black) to 1 (white).
    ///
    /// # Errors
    /// If there are no numbers or too many, or a number is NaN.
    pub fn grey(values: ArrayView2<'_, f32>) -> Result<Self, Error> {
        Self::mapped(values, 0.0, 1.0, ColourMap::Grey)
    }

    /// Red, green and blue from 0 to 1, `[height, width, 3]`; or grey from 0 to 1, `[height, width, 1]`.
    ///
    /// # Errors
    /// If there are no numbers or too many, there are not 1 or 3 channels, or a number is NaN.
    pub fn colour(values: ArrayView3<'_, f32>) -> Result<Self, Error> {
        let (height, width, channels) = values.dim();
        if !matches!(channels, 1 | 3) {
            let got = format!("{:?}", values.shape());
            return Err(Error::Picture { expected: "[height, width, 1 or 3]".to_owned(), got });
        }
        check(height, width, values.indexed_iter().map(|((row, column, _), &value)| (row, column, value)))?;
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixels =
            values.rows().into_iter().map(|p| [0, 1, 2].map(|c: usize| byte(p[c.min(channels - 1)])));
        Ok(Self { width, height, pixels: pixels.collect() })
    }

    /// A mixture of this picture and another of the same size: `share` times this one plus `1 - share` times the other.
    ///
    /// # Errors
    /// If the sizes differ, or the share is not from 0 to 1.
    pub fn blend(&self, other: &Self, share: f64) -> Result<Self, Error> {
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

    /// Numbers in colours.
    pub(crate) fn of(values: ArrayView2<'_, f64>, colour: fn(f64) -> [u8; 3]) -> Result<Self, Error> {
        checked_size(values.ncols() as u64, values.nrows() as u64)?;
        let pixels = values.iter().map(|&value| colour(value)).collect();
        Ok(Self { width: values.ncols(), height: values.nrows(), pixels })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour at a place; `None` if it is outside of the picture.
    pub fn get(&self, row: usize, column: usize) -> Option<[u8; 3]> {
        if row >= self.height || column >= self.width {
            return None;
        }
        self.pixels.get(row * self.width + column).copied()
    }

    /// The rows of pixels.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[[u8; 3]]> {
        self.pixels.chunks(self.width)
    }
}

/// Checks that there are pixels, that they are not too many, and that no number is NaN, which would get a colour like any other.
fn check(
    height: usize,
    width: usize,
    values: impl Iterator<Item = (usize, usize, f32)>,
) -> Result<(), Error> {
    checked_size(width as u64, height as u64)?;
    for (row, column, value) in values {
        if value.is_nan() {
            let got = format!("NaN in row {row}, column {column}");
            return Err(Error::Picture { expected: "numbers".to_owned(), got });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView2, arr0, array};

    use super::*;

    #[test]
    fn numbers_become_colours() {
        let picture = Picture::grey(array![[0.0, 0.5, 2.0]].view()).unwrap();
        assert_eq!([0, 1, 2].map(|column| picture.get(0, column).unwrap()[0]), [0, 128, 255]);
        let signed = Picture::mapped(array![[-1.0, 0.0, 1.0]].view(), -1.0, 1.0, ColourMap::BlueRed).unwrap();
        let [blue, white, red] = [0, 1, 2].map(|column| signed.get(0, column).unwrap());
        assert!(
            blue[2] > blue[0] && red[0] > red[2] && white.iter().all(|&c| c > 230),
            "{blue:?} {white:?} {red:?}"
        );
        assert_eq!(ColourMap::Viridis.colour(f64::NAN), ColourMap::Viridis.colour(-3.0));
        assert_eq!([picture.get(1, 0), picture.get(0, 3), picture.get(usize::MAX, usize::MAX)], [None; 3]);
    }

    #[test]
    fn numbers_may_be_as_far_apart_as_they_like() {
        let row = array![[f32::MIN, 0.0, f32::INFINITY]];
        let picture = Picture::mapped(row.view(), f32::MIN, f32::MAX, ColourMap::Grey).unwrap();
        assert_eq!([0, 1, 2].map(|column| picture.get(0, column).unwrap()[0]), [0, 128, 255]);
    }

    #[test]
    fn one_picture_lies_over_another() {
        let [black, white] = [0.0, 1.0].map(|v| Picture::grey(array![[v, v]].view()).unwrap());
        assert_eq!(white.blend(&black, 0.25).unwrap().get(0, 1), Some([64; 3]));
        let error = white.blend(&Picture::grey(array![[0.0]].view()).unwrap(), 0.5).unwrap_err().to_string();
        assert_eq!(error, "picture: expected 1x2 and a share from 0 to 1, got 1x1 and 0.5");
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            white.blend(&black, share).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let one = arr0(1.0_f32);
        let endless: ArrayView2<'_, f32> = one.broadcast((1 << 20, 1 << 20)).unwrap();
        let mapped =
            |values: ArrayView2<'_, f32>, low, high| Picture::mapped(values, low, high, ColourMap::Grey);
        let range = "picture: expected numbers from a finite one to a larger finite one, got [1, 1] from";
        for (result, expected) in [
            (
                Picture::colour(Array3::zeros((2, 2, 4)).view()),
                "picture: expected [height, width, 1 or 3], got [2, 2, 4]",
            ),
            (
                Picture::colour(Array3::zeros((2, 0, 3)).view()),
                "picture: expected from one to 67108864 pixels, got 2 rows of 0",
            ),
            (mapped(array![[1.0]].view(), 1.0, 1.0), &format!("{range} 1 to 1")),
            (mapped(array![[1.0]].view(), f32::NAN, 1.0), &format!("{range} NaN to 1")),
            (mapped(array![[1.0]].view(), 0.0, f32::INFINITY), &format!("{range} 0 to inf")),
            (
                Picture::grey(array![[], []].view()),
                "picture: expected from one to 67108864 pixels, got 2 rows of 0",
            ),
            (
                Picture::grey(endless),
                "picture: expected from one to 67108864 pixels, got 1048576 rows of 1048576",
            ),
            (
                Picture::grey(array![[0.0, 1.0], [0.0, f32::NAN]].view()),
                "picture: expected numbers, got NaN in row 1, column 1",
            ),
            (
                Picture::colour(array![[[0.0, f32::NAN, 0.0]]].view()),
                "picture: expected numbers, got NaN in row 0, column 0",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
    }
}
