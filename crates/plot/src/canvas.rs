//! What every figure shares: a size that is looked at before memory is taken, and a picture as SVG or PNG.

use base64::Engine as _;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Error;
use crate::picture::Picture;

/// Figures and pictures have no more pixels than this: 200 MB as they are drawn.
pub(crate) const MOST_PIXELS: u64 = 1 << 26;

/// A place in a figure, in pixels from its upper left corner.
pub(crate) type Place = (i32, i32);

/// What drawing comes to.
pub(crate) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// What a figure is drawn on.
pub(crate) trait Canvas: DrawingBackend {
    /// Draws a line through points.
    fn line(area: &DrawingArea<Self, Shift>, points: &[Place], style: ShapeStyle) -> Drawn<Self>
    where
        Self: Sized;
}

impl Canvas for SVGBackend<'_> {
    fn line(area: &DrawingArea<Self, Shift>, points: &[Place], style: ShapeStyle) -> Drawn<Self> {
        area.draw(&PathElement::new(points, style))
    }
}

impl Canvas for BitMapBackend<'_> {
    /// Plotters fills the outline of a line, and its inner corners are the farther away the sharper the line turns back: out
    /// of the picture. So a line ends where it turns by more than a right angle, and another begins.
    fn line(area: &DrawingArea<Self, Shift>, points: &[Place], style: ShapeStyle) -> Drawn<Self> {
        let turns_back = |i: usize| {
            let [a, b, c] =
                [points[i - 1], points[i], points[i + 1]].map(|(x, y)| (i64::from(x), i64::from(y)));
            (b.0 - a.0) * (c.0 - b.0) + (b.1 - a.1) * (c.1 - b.1) < 0
        };
        let mut start = 0;
        for end in 1..points.len() {
            if end + 1 == points.len() || turns_back(end) {
                area.draw(&PathElement::new(&points[start..=end], style))?;
                start = end;
            }
        }
        Ok(())
    }
}

/// A picture of pixels in a figure.
pub(crate) struct Placed<'a> {
    /// Where its upper left corner is.
    pub(crate) at: Place,
    /// How many pixels wide and high a pixel of it is drawn.
    pub(crate) enlarge: usize,
    pub(crate) picture: &'a Picture,
}

/// Something that can draw itself.
pub(crate) trait Drawable {
    /// For messages.
    fn title(&self) -> &str;
    /// Width and height in pixels, however many they are.
    fn size(&self) -> (u64, u64);
    /// The pictures below what is drawn.
    fn pictures(&self) -> Vec<Placed<'_>> {
        Vec::new()
    }
    /// Draws all but the pictures, on a white ground.
    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

fn failed(figure: &impl Drawable, error: impl ToString) -> Error {
    Error::Draw { title: figure.title().to_owned(), got: error.to_string() }
}

/// Width and height, if there are not too many pixels.
pub(crate) fn checked_size(width: u64, height: u64) -> Result<(u32, u32), Error> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if w > 0 && h > 0 && width.saturating_mul(height) <= MOST_PIXELS => Ok((w, h)),
        _ => Err(Error::Picture {
            expected: format!("from one to {MOST_PIXELS} pixels"),
            got: format!("{height} rows of {width}"),
        }),
    }
}

/// The figure as SVG text.
pub(crate) fn svg(figure: &impl Drawable) -> Result<String, Error> {
    let (width, height) = figure.size();
    let size = checked_size(width, height)?;
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(figure, error))?;
    figure.draw(&area).map_err(|error| failed(figure, error))?;
    drop(area);
    let mut images = String::new();
    for placed in figure.pictures() {
        images += &image(&placed).map_err(|error| failed(figure, error))?;
    }
    // Behind the white ground, which is the first that is drawn and ends the second line.
    if let Some((second, _)) = text.match_indices('\n').nth(1) {
        text.insert_str(second + 1, &images);
    }
    Ok(text)
}

/// A picture as an element of SVG that needs no other file.
fn image(placed: &Placed<'_>) -> Result<String, png::EncodingError> {
    let picture = placed.picture;
    let bytes: Vec<u8> = picture.rows().flatten().flatten().copied().collect();
    let png = encode(&bytes, picture.width() as u32, picture.height() as u32)?;
    let base64 = base64::engine::general_purpose::STANDARD.encode(png);
    let [width, height] = [picture.width(), picture.height()].map(|length| length * placed.enlarge);
    let (x, y) = placed.at;
    Ok(format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{base64}\"/>\n"
    ))
}

/// The figure as the bytes of a PNG file.
pub(crate) fn png(figure: &impl Drawable) -> Result<Vec<u8>, Error> {
    let (width, height) = figure.size();
    let (width, height) = checked_size(width, height)?;
    let mut pixels = vec![255; 3 * width as usize * height as usize];
    for placed in figure.pictures() {
        lay(&placed, &mut pixels, width as usize);
    }
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        figure.draw(&area).map_err(|error| failed(figure, error))?;
    }
    encode(&pixels, width, height).map_err(|error| failed(figure, error))
}

/// Copies a picture into the pixels of a figure, which has room for it.
fn lay(placed: &Placed<'_>, pixels: &mut [u8], width: usize) {
    let (left, top) = (placed.at.0 as usize, placed.at.1 as usize);
    for (i, row) in placed.picture.rows().enumerate() {
        let bytes: Vec<u8> = row.iter().flat_map(|pixel| pixel.repeat(placed.enlarge)).collect();
        for j in 0..placed.enlarge {
            let start = 3 * ((top + i * placed.enlarge + j) * width + left);
            pixels[start..start + bytes.len()].copy_from_slice(&bytes);
        }
    }
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_take_too_much_memory_are_refused_before_it_is_taken() {
        assert_eq!(checked_size(8192, 8192).unwrap(), (8192, 8192));
        for (width, height) in [(8193, 8192), (0, 5), (5, 0), (1 << 40, 1), (1 << 32, 1 << 32), (u64::MAX, 2)]
        {
            let error = checked_size(width, height).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("picture: expected from one to 67108864 pixels, got {height} rows of {width}")
            );
        }
    }
}
