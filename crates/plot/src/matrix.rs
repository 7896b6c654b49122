//! Confusion matrices.

use backstitch_core::metrics::ConfusionMatrix;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Error;
use crate::canvas::{self, Drawn, Figure};

/// A confusion matrix with the names of its classes: a row for each true class, the darker the larger the share of its
/// samples; the numbers are samples. Numbers are left out where there are more than 25 classes.
///
/// ```
/// use backstitch_core::metrics::ConfusionMatrix;
/// use backstitch_plot::ConfusionChart;
/// let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2)?;
/// let names = vec!["Coat".to_owned(), "Dress".to_owned()];
/// let chart = ConfusionChart { title: "Test part".into(), names, matrix };
/// assert!(chart.svg()?.contains("Coat"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionChart {
    /// Above the matrix.
    pub title: String,
    /// The names of the classes.
    pub names: Vec<String>,
    /// What is drawn.
    pub matrix: ConfusionMatrix,
}

const MARGIN: i32 = 14;
const TITLE: i32 = 44;
/// With more classes than this there is no room for numbers.
const MOST_WITH_NUMBERS: usize = 25;
/// From this share of a row on, its colour is so dark that the number is white.
const DARK: f64 = 0.55;

impl ConfusionChart {
    /// The matrix as SVG text.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub fn svg(&self) -> Result<String, Error> {
        self.check()?;
        canvas::svg(self)
    }

    /// The matrix as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        canvas::png(self)
    }

    fn check(&self) -> Result<(), Error> {
        let classes = self.matrix.counts().nrows();
        if self.names.len() == classes {
            return Ok(());
        }
        Err(Error::Picture {
            expected: format!("names of {classes} classes"),
            got: self.names.len().to_string(),
        })
    }

    fn cell(&self) -> i32 {
        if self.names.len() > MOST_WITH_NUMBERS { 9 } else { 58 }
    }

    fn font(&self) -> i32 {
        if self.names.len() > MOST_WITH_NUMBERS { 8 } else { 15 }
    }

    /// Room for the longest name.
    fn room(&self) -> i32 {
        let letters = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as i32;
        letters * self.font() * 6 / 10 + 12
    }

    fn draw_row<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        row: usize,
        left: i32,
        top: i32,
    ) -> Drawn<B> {
        let (cell, counts) = (self.cell(), self.matrix.counts().row(row));
        let all = counts.sum().max(1) as f64;
        for (column, &count) in counts.iter().enumerate() {
            let share = count as f64 / all;
            let x = left + column as i32 * cell;
            let corners = [(x, top), (x + cell - 1, top + cell - 1)];
            // The square root, so that also a few per cent can be seen.
            let colour = colorous::BLUES.eval_continuous(share.sqrt() * 0.9);
            area.draw(&Rectangle::new(corners, RGBColor(colour.r, colour.g, colour.b).filled()))?;
            if self.names.len() <= MOST_WITH_NUMBERS && count > 0 {
                let colour = if share.sqrt() > DARK { &WHITE } else { &BLACK };
                let style =
                    ("sans-serif", 15).into_font().color(colour).pos(Pos::new(HPos::Center, VPos::Center));
                area.draw_text(&count.to_string(), &style, (x + cell / 2, top + cell / 2))?;
            }
        }
        Ok(())
    }
}

impl Figure for ConfusionChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn size(&self) -> (u32, u32) {
        let side = self.cell() * self.names.len() as i32;
        let across = (MARGIN * 2 + 24 + self.room() + side).max(12 * self.title.chars().count() as i32);
        (across as u32, (MARGIN * 2 + TITLE + side + self.room() + 24) as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (cell, font) = (self.cell(), self.font());
        let (left, top) = (MARGIN + 24 + self.room(), MARGIN + TITLE);
        let side = cell * self.names.len() as i32;
        let text = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
        area.draw_text(&self.title, &text(22), (MARGIN, MARGIN))?;
        let turned =
            |size: i32| ("sans-serif", size).into_font().transform(FontTransform::Rotate270).color(&BLACK);
        let middle = Pos::new(HPos::Center, VPos::Center);
        area.draw_text("true class", &turned(16).pos(middle), (MARGIN + 8, top + side / 2))?;
        let below = (left + side / 2, top + side + self.room() + 14);
        area.draw_text("predicted class", &text(16).pos(middle), below)?;
        for (i, name) in self.names.iter().enumerate() {
            let at = i as i32 * cell;
            let beside = text(font).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(name, &beside, (left - 6, top + at + cell / 2))?;
            let under = turned(font).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(name, &under, (left + at + cell / 2, top + side + 6))?;
            self.draw_row(area, i, left, top + at)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_in_the_picture() {
        let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        let mut chart =
            ConfusionChart { title: "T".to_owned(), names: vec!["A & B".to_owned(), "C".to_owned()], matrix };
        let svg = chart.svg().unwrap();
        assert!(svg.contains("A &amp; B") && svg.contains("predicted class"));
        assert!(chart.png().unwrap().starts_with(b"\x89PNG"));
        chart.names.pop();
        let error = chart.png().unwrap_err().to_string();
        assert_eq!(error, "picture: expected names of 2 classes, got 1");
    }
}
