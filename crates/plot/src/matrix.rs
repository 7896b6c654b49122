//! Confusion matrices.

use backstitch_core::metrics::ConfusionMatrix;
use ndarray::Array2;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::Error;
use crate::canvas::{self, Canvas, Drawable, Drawn, Note, Placed};
use crate::palette::CELL;
use crate::picture::Picture;
use crate::text::{anchored, fitted, text, turned, width};

/// A confusion matrix with the names of its classes, a row for each true class and a column for each predicted class. The
/// number in a cell is a number of samples. The larger its share of the row, the darker the cell.
///
/// With more than 25 classes there are no numbers, and only as many names as there is room for. With more than 1,000 classes
/// a pixel stands for several classes and shows the largest of their shares. The names of the axes say so. A name that is too
/// long is cut and ends in an ellipsis. In a browser, the SVG shows the share of the cell under the pointer.
///
/// ```
/// use backstitch::metrics::ConfusionMatrix;
/// use backstitch::ConfusionChart;
/// let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2)?;
/// let names = vec!["Coat".to_owned(), "Dress".to_owned()];
/// let chart = ConfusionChart { title: "Test set".into(), names, matrix };
/// assert!(chart.svg()?.contains("Coat"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionChart {
    /// Above the matrix.
    pub title: String,
    /// The names of the classes.
    pub names: Vec<String>,
    /// The numbers of samples.
    pub matrix: ConfusionMatrix,
}

const MARGIN: i32 = 14;
const TITLE: i32 = 44;
/// With more classes than this there is no room for numbers.
const MOST_WITH_NUMBERS: usize = 25;
/// A class with a number in it, in pixels.
const NUMBERED: usize = 58;
/// The font of numbers and of the names beside them.
const FONT: i32 = 15;
/// The approximate side of a matrix without numbers, in pixels.
const SIDE: usize = 1000;
/// The longest name of a class, in pixels.
const LONGEST: i32 = 260;
/// A cell of more than this part of [`CELL`]'s colour has a white number, else a black one.
const DARK: f64 = 0.65;

impl ConfusionChart {
    /// The matrix as SVG text.
    ///
    /// # Errors
    /// If the number of names is not the number of classes.
    pub fn svg(&self) -> Result<String, Error> {
        canvas::svg(&MatrixLayout::new(self)?)
    }

    /// The matrix as the bytes of a PNG file.
    ///
    /// # Errors
    /// If the number of names is not the number of classes.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        canvas::png(&MatrixLayout::new(self)?)
    }
}

/// A confusion matrix as it is drawn.
struct MatrixLayout<'a> {
    chart: &'a ConfusionChart,
    title: String,
    /// Classes in a row of pixels.
    block: usize,
    /// Pixels of a class, or of a block of classes.
    cell: usize,
    font: i32,
    /// Classes that are named, with their names.
    names: Vec<(usize, String)>,
    /// Room for the names.
    room: i32,
    /// The shares as pixels, where there are no numbers in them.
    picture: Option<Picture>,
}

impl<'a> MatrixLayout<'a> {
    fn new(chart: &'a ConfusionChart) -> Result<Self, Error> {
        let classes = chart.matrix.counts().nrows();
        if chart.names.len() != classes {
            let got = chart.names.len().to_string();
            return Err(Error::Picture { expected: format!("names of {classes} classes"), got });
        }
        let numbered = classes <= MOST_WITH_NUMBERS;
        let block = classes.div_ceil(SIDE);
        let cell = if numbered { NUMBERED } else { (SIDE * block / classes).clamp(1, 24) };
        let font = if numbered { FONT } else { (cell as i32 - 1).clamp(8, 15) };
        // Names begin far enough from each other that they do not touch.
        let apart = (font as usize + 1).div_ceil(cell) * block;
        let name = |i: usize| (i, fitted(&chart.names[i], font, LONGEST));
        let names: Vec<_> = (0..classes).step_by(apart).map(name).collect();
        let room = names.iter().map(|(_, name)| width(name, font)).max().unwrap_or(0) + 12;
        let picture = if numbered { None } else { Some(shares(&chart.matrix, block)?) };
        let mut layout = Self { chart, title: String::new(), block, cell, font, names, room, picture };
        // A title is not cut to a matrix that is smaller than it, but one without end is.
        layout.title = fitted(&chart.title, 22, layout.across().max(880));
        Ok(layout)
    }

    /// Width and height of the matrix.
    fn side(&self) -> i32 {
        (self.cell * self.chart.names.len().div_ceil(self.block)) as i32
    }

    fn left(&self) -> i32 {
        MARGIN + 24 + self.room
    }

    /// Width of the matrix and what is beside it. The name of an axis may be longer than the matrix is wide.
    fn across(&self) -> i32 {
        let name = width(&self.axis("predicted class"), 16);
        24 + self.room + (i32::midpoint(self.side(), name)).max(self.side())
    }

    /// The middle of a class.
    fn middle(&self, class: usize) -> i32 {
        (class / self.block * self.cell + self.cell / 2) as i32
    }

    /// The name of an axis, and what it leaves out.
    fn axis(&self, name: &str) -> String {
        let mut notes = Vec::new();
        if self.names.len() < self.chart.names.len() {
            notes.push(format!("one of {} named", self.names[1..].first().map_or(1, |(class, _)| *class)));
        }
        if self.block > 1 {
            notes.push(format!("{} in a pixel: the largest share", self.block));
        }
        if notes.is_empty() { name.to_owned() } else { format!("{name} ({})", notes.join(", ")) }
    }

    fn draw_numbers<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (left, top, cell) = (self.left(), MARGIN + TITLE, self.cell as i32);
        let counts = self.chart.matrix.counts();
        for ((row, column), &count) in counts.indexed_iter() {
            let share = share_of_row(count, counts.row(row).sum());
            let (x, y) = (left + column as i32 * cell, top + row as i32 * cell);
            let corners = [(x, y), (x + cell - 1, y + cell - 1)];
            area.draw(&Rectangle::new(corners, CELL.mix(part(share)).filled()))?;
            if count > 0 {
                let number = count.to_string();
                // Seven digits fit; more are smaller.
                let size = (15 * (cell - 6) / width(&number, 15).max(1)).clamp(4, 15);
                let style = anchored(&text(size), HPos::Center, VPos::Center);
                let style = if part(share) > DARK { style.color(&WHITE) } else { style };
                area.draw_text(&number, &style, (x + cell / 2, y + cell / 2))?;
            }
        }
        Ok(())
    }
}

/// A count divided by the sum of its row.
fn share_of_row(count: u64, row: u64) -> f64 {
    count as f64 / row.max(1) as f64
}

/// What part of [`CELL`]'s colour a share has. The square root, so that also a few per cent can be seen.
fn part(share: f64) -> f64 {
    share.sqrt() * 0.95
}

/// The colour of a share on white.
fn colour(share: f64) -> [u8; 3] {
    let RGBColor(r, g, b) = CELL;
    [r, g, b].map(|c| (255.0 - part(share) * (255.0 - f64::from(c))).round() as u8)
}

/// The largest share of every block of classes, as a picture.
fn shares(matrix: &ConfusionMatrix, block: usize) -> Result<Picture, Error> {
    let counts = matrix.counts();
    let blocks = counts.nrows().div_ceil(block);
    let mut largest = Array2::<f64>::zeros((blocks, blocks));
    for (i, row) in counts.rows().into_iter().enumerate() {
        let all = row.sum();
        for (j, &count) in row.iter().enumerate() {
            let share = &mut largest[[i / block, j / block]];
            *share = share.max(share_of_row(count, all));
        }
    }
    Picture::of(largest.view(), colour)
}

impl Drawable for MatrixLayout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (u64, u64) {
        let across = self.across().max(width(&self.title, 22)) + 2 * MARGIN;
        (across as u64, (MARGIN * 2 + TITLE + self.side() + self.room + 24) as u64)
    }

    fn pictures(&self) -> Vec<Placed<'_>> {
        let at = (self.left(), MARGIN + TITLE);
        let size = (self.side() as usize, self.side() as usize);
        self.picture.iter().map(|picture| Placed { at, size, picture }).collect()
    }

    fn class(&self) -> &'static str {
        "drawn matrix"
    }

    fn notes(&self) -> Vec<Note> {
        if self.picture.is_some() {
            return Vec::new();
        }
        let (counts, cell) = (self.chart.matrix.counts(), self.cell as i32);
        let note = |((row, column), &count): ((usize, usize), &u64)| {
            // Where there are numbers, every class is named.
            let [label, taken] = [row, column].map(|class| &self.names[class].1);
            let all = counts.row(row).sum();
            let percent = 100.0 * share_of_row(count, all);
            Note {
                at: (self.left() + column as i32 * cell, MARGIN + TITLE + row as i32 * cell),
                size: (cell - 1, cell - 1),
                text: format!(
                    "true class: {label}\npredicted class: {taken}\n{count} of {all} samples, {percent:.1} %"
                ),
            }
        };
        counts.indexed_iter().filter(|(_, count)| **count > 0).map(note).collect()
    }

    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (side, left, top) = (self.side(), self.left(), MARGIN + TITLE);
        area.draw_text(&self.title, &text(22), (MARGIN, MARGIN))?;
        let middle = |style: TextStyle<'static>| anchored(&style, HPos::Center, VPos::Center);
        area.draw_text(&self.axis("true class"), &middle(turned(16)), (MARGIN + 8, top + side / 2))?;
        let below = (left + side / 2, top + side + self.room + 14);
        area.draw_text(&self.axis("predicted class"), &middle(text(16)), below)?;
        let to_the_left = |style: TextStyle<'static>| anchored(&style, HPos::Right, VPos::Center);
        let (beside, under) = (to_the_left(text(self.font)), to_the_left(turned(self.font)));
        for (class, name) in &self.names {
            let at = self.middle(*class);
            area.draw_text(name, &beside, (left - 6, top + at))?;
            area.draw_text(name, &under, (left + at, top + side + 6))?;
        }
        if self.picture.is_none() {
            self.draw_numbers(area)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::tests::{contrast, dark};

    /// Every class right but the last two, which are taken for class 0.
    fn chart(classes: usize, names: usize) -> ConfusionChart {
        let labels: Vec<usize> = (0..classes).collect();
        let predictions: Vec<usize> = labels.iter().map(|&i| if i + 2 < classes { i } else { 0 }).collect();
        let matrix = ConfusionMatrix::new(&labels, &predictions, classes).unwrap();
        let names = (0..names).map(|i| format!("class{i}.")).collect();
        ConfusionChart { title: "T".to_owned(), names, matrix }
    }

    #[test]
    fn names_and_numbers_are_in_the_picture() {
        let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        let chart =
            ConfusionChart { title: "T".to_owned(), names: vec!["A & B".to_owned(), "C".to_owned()], matrix };
        let svg = chart.svg().unwrap();
        assert!(svg.contains("A &amp; B") && svg.contains("predicted class\n"));
        assert!(chart.png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn there_are_as_many_names_as_classes() {
        for names in [0, 1, 3] {
            let error = chart(2, names).png().unwrap_err().to_string();
            assert_eq!(error, format!("picture: expected names of 2 classes, got {names}"));
        }
    }

    #[test]
    fn the_picture_of_many_classes_has_a_limit() {
        // (classes, classes in a pixel, names, what the axis says)
        for (classes, block, names, axis) in [
            (25, 1, 25, "true class"),
            (26, 1, 26, "true class"),
            (101, 1, 101, "true class"),
            (600, 1, 67, "true class (one of 9 named)"),
            (2000, 2, 112, "true class (one of 18 named, 2 in a pixel: the largest share)"),
        ] {
            let chart = chart(classes, classes);
            let layout = MatrixLayout::new(&chart).unwrap();
            assert_eq!((layout.block, layout.names.len()), (block, names), "{classes}");
            assert_eq!(layout.axis("true class"), axis);
            let (width, height) = layout.size();
            assert!(width < 1700 && height < 1700, "{classes}: {width}x{height}");
            let svg = chart.svg().unwrap();
            assert!(svg.matches('<').count() < 4000 && svg.len() < 400_000, "{classes}: {}", svg.len());
            assert!(svg.contains("class0.") && svg.contains(&format!(">\n{axis}\n")), "{classes}");
        }
    }

    #[test]
    fn a_pixel_shows_the_largest_share_of_its_classes() {
        let picture = shares(&chart(2001, 2001).matrix, 3).unwrap();
        assert_eq!((picture.width(), picture.height()), (667, 667));
        assert_eq!(picture.get(0, 0), Some(colour(1.0)));
        assert_eq!(picture.get(0, 1), Some(colour(0.0)));
        // The last block: one of its classes is right, two are taken for class 0.
        assert_eq!([picture.get(666, 666), picture.get(666, 0)], [Some(colour(1.0)); 2]);
    }

    #[test]
    fn the_name_of_an_axis_is_whole_below_a_single_class() {
        let chart = chart(1, 1);
        let layout = MatrixLayout::new(&chart).unwrap();
        let end = layout.left() + i32::midpoint(layout.side(), width("predicted class", 16));
        assert!(layout.size().0 as i32 >= end + MARGIN, "{:?}, {end}", layout.size());
    }

    #[test]
    fn numbers_are_read_on_every_cell_in_the_light_and_in_the_dark() {
        let mix = |ground: RGBColor, cell: RGBColor, part: f64| {
            let mixed = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
            RGBColor(mixed(ground.0, cell.0), mixed(ground.1, cell.1), mixed(ground.2, cell.2))
        };
        for i in 0..=1000 {
            let part = part(f64::from(i) / 1000.0);
            let number = if part > DARK { WHITE } else { BLACK };
            assert!(contrast(mix(WHITE, CELL, part), number) > 4.0, "{part}");
            assert!(contrast(mix(dark(WHITE), dark(CELL), part), dark(number)) > 3.5, "{part}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        let mut chart = chart(30, 30);
        chart.names[3] = "a".repeat(1_000_000);
        chart.title = "b".repeat(1_000_000);
        let layout = MatrixLayout::new(&chart).unwrap();
        assert!(layout.size().0 < 1500 && layout.size().1 < 1500, "{:?}", layout.size());
        assert!(layout.names[3].1.ends_with('…'));
    }
}
