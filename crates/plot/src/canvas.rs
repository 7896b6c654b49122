//! What every figure shares: a font, and a picture as SVG or PNG.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::Error;

/// What drawing comes to.
pub(crate) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Something that can draw itself.
pub(crate) trait Figure {
    /// For messages.
    fn title(&self) -> &str;
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);
    /// Draws all of it, on a white ground.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

fn failed(figure: &impl Figure, error: impl ToString) -> Error {
    Error::Draw { title: figure.title().to_owned(), got: error.to_string() }
}

/// The figure as SVG text.
pub(crate) fn svg(figure: &impl Figure) -> Result<String, Error> {
    use_own_font();
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, figure.size()).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(figure, error))?;
    figure.draw(&area).map_err(|error| failed(figure, error))?;
    drop(area);
    Ok(text)
}

/// The figure as the bytes of a PNG file.
pub(crate) fn png(figure: &impl Figure) -> Result<Vec<u8>, Error> {
    use_own_font();
    let (width, height) = figure.size();
    let mut pixels = vec![255; 3 * (width * height) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        figure.draw(&area).map_err(|error| failed(figure, error))?;
    }
    encode(&pixels, width, height).map_err(|error| failed(figure, error))
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

/// Plotters measures text with a font it must be given; DejaVu Sans comes with the program.
fn use_own_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the font is damaged; drawing then says so.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}
