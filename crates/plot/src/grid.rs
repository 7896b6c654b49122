//! Pictures side by side.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Error;
use crate::canvas::{self, Drawn, Figure};
use crate::picture::{ColourMap, Picture};

/// Pictures in rows, each with a title, enlarged without smoothing.
///
/// ```
/// use backstitch_plot::{Picture, PictureGrid};
/// let picture = Picture::grey(ndarray::array![[0.0, 1.0], [1.0, 0.0]].view())?;
/// let grid = PictureGrid {
///     title: "A chessboard".into(), columns: 2, enlarge: 8, bar: None,
///     pictures: vec![("one".into(), picture.clone()), ("two".into(), picture)],
/// };
/// assert!(grid.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), backstitch_plot::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PictureGrid {
    /// Above the grid.
    pub title: String,
    /// Pictures in a row.
    pub columns: usize,
    /// How many pixels wide and high a pixel of a picture is drawn.
    pub enlarge: usize,
    /// What the colours stand for, drawn at the right.
    pub bar: Option<ColourBar>,
    /// The pictures with their titles, row by row. A title may have several lines, all as many.
    pub pictures: Vec<(String, Picture)>,
}

/// A scale of colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourBar {
    /// The colours.
    pub map: ColourMap,
    /// The number of the first colour.
    pub low: f32,
    /// The number of the last colour.
    pub high: f32,
}

const MARGIN: i32 = 14;
const TITLE: i32 = 40;
/// A line of a picture's title.
const LINE: i32 = 20;
const GAP: i32 = 12;
const BAR: i32 = 90;
/// Pixels a letter of a picture's title takes, about.
const LETTER: i32 = 8;

impl PictureGrid {
    /// The grid as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there are no pictures, no columns, or pixels are enlarged to nothing.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        if self.pictures.is_empty() || self.columns == 0 || self.enlarge == 0 {
            let got = format!(
                "{} in {} columns, enlarged {} times",
                self.pictures.len(),
                self.columns,
                self.enlarge
            );
            return Err(Error::Picture {
                expected: "at least one picture, column and pixel".to_owned(),
                got,
            });
        }
        canvas::png(self)
    }

    fn title_lines(&self) -> i32 {
        self.pictures.iter().map(|(title, _)| title.lines().count()).max().unwrap_or(0) as i32
    }

    /// Width and height of a place in the grid: the largest picture's, and of the longest title.
    fn cell(&self) -> (i32, i32) {
        let most =
            |length: fn(&Picture) -> usize| self.pictures.iter().map(|(_, picture)| length(picture)).max();
        let side = |length| (most(length).unwrap_or(0) * self.enlarge) as i32;
        let letters =
            self.pictures.iter().flat_map(|(title, _)| title.lines()).map(|line| line.chars().count());
        let text = LETTER * letters.max().unwrap_or(0) as i32;
        (side(Picture::width).max(text), side(Picture::height) + self.title_lines() * LINE)
    }

    fn draw_bar<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        bar: ColourBar,
        left: i32,
    ) -> Drawn<B> {
        let (_, height) = self.size();
        let (top, bottom) = (TITLE + MARGIN, (height as i32 - MARGIN).min(TITLE + MARGIN + 300));
        for y in top..bottom {
            let share = f64::from(bottom - 1 - y) / f64::from(bottom - 1 - top);
            let [r, g, b] = bar.map.colour(share);
            area.draw(&Rectangle::new([(left, y), (left + 15, y + 1)], RGBColor(r, g, b).filled()))?;
        }
        let style = text(15).pos(Pos::new(HPos::Left, VPos::Center));
        for (share, y) in [(0.0, bottom - 8), (0.5, (top + bottom) / 2), (1.0, top + 8)] {
            let value = bar.low + share * (bar.high - bar.low);
            area.draw_text(&format!("{value:.2}"), &style, (left + 22, y))?;
        }
        Ok(())
    }
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

impl Figure for PictureGrid {
    fn title(&self) -> &str {
        &self.title
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = self.cell();
        let columns = self.columns.min(self.pictures.len()) as i32;
        let rows = self.pictures.len().div_ceil(self.columns) as i32;
        let bar = if self.bar.is_some() { BAR } else { 0 };
        let title = 12 * self.title.chars().count() as i32;
        let across = (columns * (width + GAP) - GAP + bar).max(title) + 2 * MARGIN;
        (across as u32, (TITLE + rows * (height + GAP) - GAP + 2 * MARGIN) as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (width, height) = self.cell();
        area.draw_text(&self.title, &text(22), (MARGIN, MARGIN))?;
        for (i, (title, picture)) in self.pictures.iter().enumerate() {
            let left = MARGIN + (i % self.columns) as i32 * (width + GAP);
            let top = TITLE + MARGIN + (i / self.columns) as i32 * (height + GAP);
            for (j, line) in title.lines().enumerate() {
                area.draw_text(line, &text(14), (left, top + j as i32 * LINE))?;
            }
            let top = top + self.title_lines() * LINE;
            let side = self.enlarge as i32;
            for (row, column) in
                (0..picture.height()).flat_map(|row| (0..picture.width()).map(move |column| (row, column)))
            {
                let [r, g, b] = picture.at(row, column);
                let (x, y) = (left + column as i32 * side, top + row as i32 * side);
                area.draw(&Rectangle::new([(x, y), (x + side, y + side)], RGBColor(r, g, b).filled()))?;
            }
        }
        let columns = self.columns.min(self.pictures.len()) as i32;
        match self.bar {
            Some(bar) => self.draw_bar(area, bar, MARGIN + columns * (width + GAP)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn pixels_are_enlarged_without_smoothing() {
        let picture = Picture::grey(array![[0.0, 1.0]].view()).unwrap();
        let bar = Some(ColourBar { map: ColourMap::Grey, low: 0.0, high: 1.0 });
        let grid = PictureGrid {
            title: "t".to_owned(),
            columns: 1,
            enlarge: 9,
            bar,
            pictures: vec![("a".to_owned(), picture)],
        };
        let bytes = grid.png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let width = reader.next_frame(&mut pixels).unwrap().width;
        let top = (TITLE + MARGIN + LINE) as u32;
        let row: Vec<u8> =
            (0..18).map(|x| pixels[3 * ((top + 4) * width + MARGIN as u32 + x) as usize]).collect();
        assert_eq!(row, [[0; 9], [255; 9]].concat());
    }

    #[test]
    fn an_empty_grid_is_refused() {
        let grid =
            PictureGrid { title: String::new(), columns: 0, enlarge: 1, bar: None, pictures: Vec::new() };
        let error = grid.png().unwrap_err().to_string();
        assert!(error.ends_with("got 0 in 0 columns, enlarged 1 times"), "{error}");
    }
}
