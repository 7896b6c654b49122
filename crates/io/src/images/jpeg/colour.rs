//! From the planes of a JPEG to pixels. The numbers are exactly those of libjpeg-turbo with its default settings, and so of
//! Pillow.

use ndarray::Array3;
use zune_jpeg::zune_core::colorspace::ColorSpace;

use super::Plane;

/// The pixels `[height, width, 1]` of a grey picture or `[height, width, 3]` of a coloured one. The error says what is wrong.
pub(super) fn pixels(
    planes: &[Plane],
    colours: ColorSpace,
    (height, width): (usize, usize),
) -> Result<Array3<u8>, String> {
    let convert: fn(&[Vec<u8>], &mut [u8]) = match (colours, planes.len()) {
        (ColorSpace::Luma, 1) => |rows, pixels| pixels.copy_from_slice(&rows[0][..pixels.len()]),
        (ColorSpace::RGB, 3) => |rows, pixels| each(rows, pixels, |[r, g, b]| [r, g, b]),
        (ColorSpace::YCbCr, 3) => |rows, pixels| each(rows, pixels, rgb),
        (ColorSpace::CMYK, 4) => |rows, pixels| printed(rows, pixels, |inks| inks.map(|ink| 255 - ink)),
        (ColorSpace::YCCK, 4) => |rows, pixels| printed(rows, pixels, rgb),
        (other, count) => return Err(format!("a JPEG of {count} components in {other:?}")),
    };
    let channels = if planes.len() == 1 { 1 } else { 3 };
    let mut pixels = Array3::zeros((height, width, channels));
    let mut rows = vec![Vec::new(); planes.len()];
    let mut sums = Vec::new();
    let places = pixels.as_slice_mut().expect("new, row by row").chunks_exact_mut(width * channels);
    for (y, place) in places.enumerate() {
        for (plane, row) in planes.iter().zip(&mut rows) {
            plane.enlarge_row(y, &mut sums, row);
        }
        convert(&rows, place);
    }
    Ok(pixels)
}

impl Plane {
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }

    /// A row of the picture, or a little more. Planes with half the samples are enlarged with a triangle: three parts of the
    /// nearer sample and one part of the next. The first and last row and column are their own neighbours. Other fractions, and
    /// planes of one or two columns, are enlarged by repetition (libjpeg-turbo, `jdsample.c`).
    fn enlarge_row(&self, y: usize, sums: &mut Vec<u16>, row: &mut Vec<u8>) {
        let (down, right) = self.factors;
        let near = self.row((y / down).min(self.height - 1));
        // The second of the two rows that an enlarged row is made from.
        let far = || {
            self.row(if y.is_multiple_of(2) {
                (y / 2).saturating_sub(1)
            } else {
                (y / 2 + 1).min(self.height - 1)
            })
        };
        row.clear();
        match (down, right) {
            (_, 1) if down != 2 => row.extend(near),
            (2, 1) => {
                let half = 1 + (y % 2) as u16;
                let mix =
                    |(&near, &far): (&u8, &u8)| ((3 * u16::from(near) + u16::from(far) + half) >> 2) as u8;
                row.extend(near.iter().zip(far()).map(mix));
            }
            (1, 2) if self.width > 2 => {
                sums.clear();
                sums.extend(near.iter().map(|&near| u16::from(near)));
                double::<2>(sums, [1, 2], row);
            }
            (2, 2) if self.width > 2 => {
                sums.clear();
                sums.extend(near.iter().zip(far()).map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)));
                double::<4>(sums, [8, 7], row);
            }
            _ => row.extend(near.iter().flat_map(|&sample| std::iter::repeat_n(sample, right))),
        }
    }
}

/// Makes two numbers from each sum: three parts of it and one part of the sum to the left or right, divided by 2^BITS, with these
/// halves for rounding.
fn double<const BITS: u32>(sums: &mut Vec<u16>, halves: [u16; 2], row: &mut Vec<u8>) {
    let width = sums.len();
    let (first, last) = (sums[0], sums[width - 1]);
    sums.insert(0, first);
    sums.push(last);
    row.resize(2 * width, 0);
    for (two, sums) in row.chunks_exact_mut(2).zip(sums.windows(3)) {
        two[0] = ((3 * sums[1] + sums[0] + halves[0]) >> BITS) as u8;
        two[1] = ((3 * sums[1] + sums[2] + halves[1]) >> BITS) as u8;
    }
}

/// Every pixel from its three components.
fn each(rows: &[Vec<u8>], pixels: &mut [u8], convert: impl Fn([u8; 3]) -> [u8; 3]) {
    let components = rows[0].iter().zip(&rows[1]).zip(&rows[2]);
    for (pixel, ((&a, &b), &c)) in pixels.chunks_exact_mut(3).zip(components) {
        pixel.copy_from_slice(&convert([a, b, c]));
    }
}

/// Every pixel from the colour of its first three components and from the fourth, its white. Files of four components are read as
/// Adobe writes them: 255 minus the ink.
fn printed(rows: &[Vec<u8>], pixels: &mut [u8], convert: impl Fn([u8; 3]) -> [u8; 3]) {
    each(rows, pixels, convert);
    for (pixel, &white) in pixels.chunks_exact_mut(3).zip(&rows[3]) {
        for ink in pixel {
            // ink * white / 255, rounded.
            let product = u32::from(*ink) * u32::from(white) + 128;
            *ink = white - ((product + (product >> 8)) >> 8) as u8;
        }
    }
}

/// Red, green and blue from brightness and two differences (JFIF 1.02), in units of 2^-16.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((91_881 * cr + HALF) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let blue = y + ((116_130 * cb + HALF) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}
