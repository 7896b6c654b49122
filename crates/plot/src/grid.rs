//! Pictures side by side.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::bar::Bar;
use crate::canvas::{self, Canvas, Drawable, Drawn, Place, Placed};
use crate::picture::Picture;
use crate::size::checked_size;
use crate::text::{fitted, text, width};
use crate::{ColourBar, Error};

/// Pictures in rows, each with a title, enlarged without smoothing. A very long title is cut and ends in an ellipsis.
///
/// ```
/// use backstitch::{Picture, PictureGrid};
/// let picture = Picture::grey(backstitch::ndarray::array![[0.0, 1.0], [1.0, 0.0]].view())?;
/// let grid = PictureGrid {
///     title: "A chessboard".into(), columns: 2, enlarge: 8, bar: None,
///     pictures: vec![("one".into(), picture.clone()), ("two".into(), picture)],
/// };
/// assert!(grid.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PictureGrid {
    /// Above the grid.
    pub title: String,
    /// Pictures in a row.
    pub columns: usize,
    /// Width and height of a picture's pixel in the drawing, in pixels.
    pub enlarge: usize,
    /// The meaning of the colours, drawn at the right.
    pub bar: Option<ColourBar>,
    /// Titles and pictures, row by row. A title may have several lines; give all titles the same number of lines.
    pub pictures: Vec<(String, Picture)>,
}

const MARGIN: i32 = 14;
const TITLE: i32 = 40;
/// A line of a picture's title.
const LINE: i32 = 20;
const GAP: i32 = 12;
/// The least and the largest height of a bar.
const BAR_HEIGHT: (i32, i32) = (60, 300);
/// A title shorter than this is not cut. A longer one is cut to the width of what it stands above.
const LONG_TITLE: i32 = 880;
const LONG_LINE: i32 = 440;

impl PictureGrid {
    /// An error where the grid cannot be drawn.
    pub(crate) fn check(&self) -> Result<(), Error> {
        GridLayout::new(self).map(drop)
    }

    /// The grid as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there are no pictures, `columns` or `enlarge` is 0, the figure has more than 67,108,864 pixels, or the ends of the bar are
    /// not two finite numbers, the smaller one first.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        canvas::png(&GridLayout::new(self)?)
    }
}

/// A grid as it is drawn.
struct GridLayout<'a> {
    grid: &'a PictureGrid,
    title: String,
    /// The lines of the pictures' titles.
    lines: Vec<Vec<String>>,
    /// Width and height of a picture with its title.
    cell: (i32, i32),
    size: (u64, u64),
    bar: Option<Bar>,
}

impl<'a> GridLayout<'a> {
    fn new(grid: &'a PictureGrid) -> Result<Self, Error> {
        let count = grid.pictures.len();
        if count == 0 || grid.columns == 0 || grid.enlarge == 0 {
            let got = format!("{count} in {} columns, enlarged {} times", grid.columns, grid.enlarge);
            return Err(Error::Picture {
                expected: "at least one picture, column and pixel".to_owned(),
                got,
            });
        }
        let bar = grid.bar.map(Bar::new).transpose()?;
        let most = |length: fn(&Picture) -> usize| {
            let longest = grid.pictures.iter().map(|(_, picture)| length(picture)).max().unwrap_or(0);
            (longest as u64).saturating_mul(grid.enlarge as u64)
        };
        let (across, down) = (most(Picture::width), most(Picture::height));
        // Each picture is part of the figure, so this fits in what follows.
        checked_size(across, down)?;
        let room = (across as i32).max(LONG_LINE);
        let lines: Vec<Vec<String>> = grid
            .pictures
            .iter()
            .map(|(title, _)| title.lines().map(|line| fitted(line, 14, room)).collect())
            .collect();
        let widest = lines.iter().flatten().map(|line| width(line, 14)).max().unwrap_or(0);
        let title_lines = lines.iter().map(Vec::len).max().unwrap_or(0) as u64;
        let cell = (across.max(widest as u64), down + title_lines * LINE as u64);
        let mut layout = Self { grid, title: String::new(), lines, cell: (0, 0), size: (0, 0), bar };
        layout.size = layout.whole(cell);
        let (width, height) = layout.size;
        checked_size(width, height)?;
        layout.cell = (cell.0 as i32, cell.1 as i32);
        layout.title = fitted(&grid.title, 22, width as i32 - 2 * MARGIN);
        Ok(layout)
    }

    /// Width and height of the figure with cells of a size.
    fn whole(&self, cell: (u64, u64)) -> (u64, u64) {
        let (margin, gap) = (2 * MARGIN as u64, GAP as u64);
        let rows = self.grid.pictures.len().div_ceil(self.grid.columns) as u64;
        let title = width(&fitted(&self.grid.title, 22, LONG_TITLE), 22) as u64;
        let across = (self.columns() as u64).saturating_mul(cell.0 + gap) - gap;
        let (bar, bar_height) = match &self.bar {
            Some(bar) => (gap + bar.width() as u64, BAR_HEIGHT.0 as u64),
            None => (0, 0),
        };
        let down = (rows.saturating_mul(cell.1 + gap) - gap).max(bar_height);
        (
            across.saturating_add(bar).max(title).saturating_add(margin),
            down.saturating_add(TITLE as u64 + margin),
        )
    }

    fn columns(&self) -> usize {
        self.grid.columns.min(self.grid.pictures.len())
    }

    /// The upper left corner of a picture with its title.
    fn corner(&self, i: usize) -> (i32, i32) {
        let (row, column) = ((i / self.grid.columns) as i32, (i % self.grid.columns) as i32);
        (MARGIN + column * (self.cell.0 + GAP), TITLE + MARGIN + row * (self.cell.1 + GAP))
    }

    fn title_height(&self) -> i32 {
        LINE * self.lines.iter().map(Vec::len).max().unwrap_or(0) as i32
    }

    fn bar_at(&self) -> Place {
        (MARGIN + self.columns() as i32 * (self.cell.0 + GAP), TITLE + MARGIN)
    }

    fn bar_height(&self) -> i32 {
        (self.size.1 as i32 - MARGIN - self.bar_at().1).min(BAR_HEIGHT.1)
    }
}

impl<'a> Drawable for GridLayout<'a> {
    fn title(&self) -> &str {
        &self.grid.title
    }

    fn size(&self) -> (u64, u64) {
        self.size
    }

    fn pictures(&self) -> Vec<Placed<'_>> {
        let placed = |(i, (_, picture)): (usize, &'a (String, Picture))| {
            let (left, top) = self.corner(i);
            let size = (picture.width() * self.grid.enlarge, picture.height() * self.grid.enlarge);
            Placed { at: (left, top + self.title_height()), size, picture }
        };
        let bar = self.bar.iter().map(|bar| bar.placed(self.bar_at(), self.bar_height()));
        self.grid.pictures.iter().enumerate().map(placed).chain(bar).collect()
    }

    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        area.draw_text(&self.title, &text(22), (MARGIN, MARGIN))?;
        for (i, lines) in self.lines.iter().enumerate() {
            let (left, top) = self.corner(i);
            for (j, line) in lines.iter().enumerate() {
                area.draw_text(line, &text(14), (left, top + j as i32 * LINE))?;
            }
        }
        match &self.bar {
            Some(bar) => bar.draw(area, self.bar_at(), self.bar_height()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::ColourMap;

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

    fn grid(columns: usize, enlarge: usize, pictures: usize) -> PictureGrid {
        let picture = ("a".to_owned(), Picture::grey(array![[0.0, 1.0]].view()).unwrap());
        PictureGrid { title: "t".to_owned(), columns, enlarge, bar: None, pictures: vec![picture; pictures] }
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        let nothing = "picture: expected at least one picture, column and pixel, got";
        let size = "picture: expected from one to 67108864 pixels, got";
        for (columns, enlarge, pictures, expected) in [
            (0, 1, 0, format!("{nothing} 0 in 0 columns, enlarged 1 times")),
            (0, 1, 1, format!("{nothing} 1 in 0 columns, enlarged 1 times")),
            (1, 0, 1, format!("{nothing} 1 in 1 columns, enlarged 0 times")),
            (1, 1 << 40, 1, format!("{size} {} rows of {}", 1_u64 << 40, 2_u64 << 40)),
            (1, usize::MAX, 1, format!("{size} {} rows of {}", u64::MAX, u64::MAX)),
            // One picture would do, but not all of them.
            (9, 2000, 9, format!("{size} 2088 rows of 36124")),
        ] {
            assert_eq!(grid(columns, enlarge, pictures).png().unwrap_err().to_string(), expected);
        }
        assert!(grid(usize::MAX, 1, 3).png().is_ok());
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
            let bar = Some(ColourBar { map: ColourMap::Grey, low, high });
            let error = PictureGrid { bar, ..grid(1, 1, 1) }.png().unwrap_err().to_string();
            let expected = format!(
                "picture: expected a bar from a finite number to a larger one, got a bar from {low} to {high}"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn long_titles_are_cut() {
        let mut grid = grid(2, 4, 2);
        grid.title = "b".repeat(1_000_000);
        grid.pictures[1].0 = "c".repeat(1_000_000);
        let layout = GridLayout::new(&grid).unwrap();
        assert!(layout.size.0 < 1000, "{:?}", layout.size);
        assert!(layout.title.ends_with('…') && layout.lines[1][0].ends_with('…'));
    }
}
