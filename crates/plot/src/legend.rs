//! Which line is which.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::canvas::{Canvas, Drawn, Place};
use crate::text::{anchored, fitted, text, width};

/// An entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct LegendEntry {
    pub(crate) label: String,
    pub(crate) style: ShapeStyle,
    pub(crate) dashed: bool,
}

/// A box with the names of lines, in one column or in several.
#[derive(Debug)]
pub(crate) struct Legend {
    entries: Vec<LegendEntry>,
    /// How many lines are named nowhere.
    more: usize,
    columns: usize,
    /// Width of a column in pixels.
    column: i32,
}

const FONT: i32 = 16;
/// A row of the legend.
const ROW: i32 = 22;
const PADDING: i32 = 8;
/// A sample of a line and the room beside it.
const SAMPLE: i32 = 31;
/// The room between two columns.
const GAP: i32 = 18;
/// The longest name.
const LONGEST: i32 = 380;
/// More lines than this are not named one by one.
const MOST: usize = 99;

impl Legend {
    /// A legend with one column.
    pub(crate) fn new(mut entries: Vec<LegendEntry>) -> Self {
        let more = entries.len().saturating_sub(MOST);
        entries.truncate(MOST);
        for entry in &mut entries {
            entry.label = fitted(&entry.label, FONT, LONGEST);
        }
        let mut legend = Self { entries, more, columns: 1, column: 0 };
        let longest = (0..legend.count()).map(|i| width(&legend.label(i), FONT)).max().unwrap_or(0);
        legend.column = SAMPLE + longest;
        legend
    }

    /// In as many columns as the width has room for.
    pub(crate) fn spread(mut self, across: i32) -> Self {
        let columns = (across - 2 * PADDING + GAP) / (self.column + GAP);
        self.columns = columns.clamp(1, self.count().max(1) as i32) as usize;
        self
    }

    fn count(&self) -> usize {
        self.entries.len() + usize::from(self.more > 0)
    }

    fn label(&self, i: usize) -> String {
        self.entries.get(i).map_or_else(|| format!("and {} more", self.more), |entry| entry.label.clone())
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (i32, i32) {
        let (columns, rows) = (self.columns as i32, self.count().div_ceil(self.columns) as i32);
        (columns * (self.column + GAP) - GAP + 2 * PADDING, rows * ROW + 2 * PADDING)
    }

    /// Draws it with its upper left corner at a place.
    pub(crate) fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>, at: Place) -> Drawn<B> {
        let (across, down) = self.size();
        let corners = [at, (at.0 + across, at.1 + down)];
        area.draw(&Rectangle::new(corners, WHITE.mix(0.85).filled()))?;
        area.draw(&Rectangle::new(corners, RGBColor(180, 180, 180).stroke_width(1)))?;
        let beside = anchored(&text(FONT), HPos::Left, VPos::Center);
        for i in 0..self.count() {
            let (row, column) = ((i / self.columns) as i32, (i % self.columns) as i32);
            let x = at.0 + PADDING + column * (self.column + GAP);
            let y = at.1 + PADDING + row * ROW + ROW / 2;
            if let Some(entry) = self.entries.get(i) {
                // Two strokes: with a gap for dashes, without one for a line.
                let (end, start) = if entry.dashed { (8, 15) } else { (12, 12) };
                B::line(area, &[(x, y), (x + end, y)], entry.style)?;
                B::line(area, &[(x + start, y), (x + 23, y)], entry.style)?;
            }
            area.draw_text(&self.label(i), &beside, (x + SAMPLE, y))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend(labels: usize, letters: usize) -> Legend {
        let entry = LegendEntry { label: "a".repeat(letters), style: BLACK.stroke_width(2), dashed: false };
        Legend::new(vec![entry; labels])
    }

    #[test]
    fn many_and_long_names_have_a_limit() {
        assert_eq!(legend(3, 4).size().1, 3 * ROW + 2 * PADDING);
        assert_eq!(legend(99, 4).count(), 99);
        let many = legend(1000, 4);
        assert_eq!((many.count(), many.label(99)), (100, "and 901 more".to_owned()));
        let (across, _) = legend(1, 100_000).size();
        assert!(across <= LONGEST + SAMPLE + 2 * PADDING, "{across}");
    }

    #[test]
    fn columns_fill_the_width() {
        let spread = legend(40, 10).spread(860);
        let (across, down) = spread.size();
        assert!(
            spread.columns > 3 && across <= 860 && across + spread.column > 860,
            "{} columns, {across}",
            spread.columns
        );
        assert_eq!(down, 40_usize.div_ceil(spread.columns) as i32 * ROW + 2 * PADDING);
        assert_eq!(legend(2, 10).spread(860).columns, 2);
        assert_eq!(legend(3, 10).spread(1).columns, 1);
    }
}
