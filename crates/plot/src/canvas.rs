//! What every figure shares: a size that is checked before memory is taken, SVG and PNG.

use base64::Engine as _;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Error;
use crate::html::escaped;
use crate::picture::Picture;
use crate::size::checked_size;

/// A place in a figure, in pixels from its upper left corner.
pub(crate) type Place = (i32, i32);

/// The result of drawing.
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
    /// Its upper left corner.
    pub(crate) at: Place,
    /// Width and height in the figure.
    pub(crate) size: (usize, usize),
    pub(crate) picture: &'a Picture,
}

/// What a part of a figure stands for, in words. A browser shows it beside the pointer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    /// The upper left corner of the part.
    pub(crate) at: Place,
    /// Its width and height.
    pub(crate) size: (i32, i32),
    pub(crate) text: String,
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
    /// What style sheets call it.
    fn class(&self) -> &'static str {
        "drawn"
    }
    /// What SVG says about its parts. A later note lies over an earlier one.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
    /// Draws all but the pictures, on a white ground.
    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

fn failed(figure: &impl Drawable, error: impl ToString) -> Error {
    Error::Draw { title: figure.title().to_owned(), got: error.to_string() }
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
    let (class, title) = (figure.class(), escaped(figure.title()));
    text = text.replacen("<svg ", &format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{title}\" "), 1);
    let (notes, end) = (figure.notes(), text.rfind("</svg>"));
    if let (Some(end), false) = (end, notes.is_empty()) {
        text.insert_str(end, &group(&notes));
    }
    Ok(text)
}

/// Notes as rectangles that cannot be seen, over all else.
fn group(notes: &[Note]) -> String {
    let mut text = String::from("<g class=\"notes\" fill=\"transparent\">\n");
    for Note { at: (x, y), size: (width, height), text: note } in notes {
        let note = escaped(note);
        text += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{note}</title></rect>\n"
        );
    }
    text + "</g>\n"
}

/// A picture as an element of SVG that needs no other file.
fn image(placed: &Placed<'_>) -> Result<String, png::EncodingError> {
    let (href, (x, y), (width, height)) = (data(placed.picture)?, placed.at, placed.size);
    Ok(format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"{href}\"/>\n"
    ))
}

/// A picture as an address that holds all of it.
pub(crate) fn data(picture: &Picture) -> Result<String, png::EncodingError> {
    let bytes: Vec<u8> = picture.rows().flatten().flatten().copied().collect();
    let png = encode(&bytes, picture.width() as u32, picture.height() as u32)?;
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png)))
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

/// Copies a picture into the pixels of a figure, which has room for it. Each pixel takes the nearest of the picture.
fn lay(placed: &Placed<'_>, pixels: &mut [u8], width: usize) {
    let (left, top) = (placed.at.0 as usize, placed.at.1 as usize);
    let ((across, down), picture) = (placed.size, placed.picture);
    let rows: Vec<&[[u8; 3]]> = picture.rows().collect();
    for i in 0..down {
        let row = rows[i * picture.height() / down];
        let bytes: Vec<u8> = (0..across).flat_map(|j| row[j * picture.width() / across]).collect();
        let start = 3 * ((top + i) * width + left);
        pixels[start..start + bytes.len()].copy_from_slice(&bytes);
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
