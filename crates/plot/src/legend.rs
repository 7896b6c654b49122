//! The legend: the names of lines and dots.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::SeriesStyle;
use crate::canvas::{Canvas, Drawn, Place};
use crate::palette::EDGE;
use crate::text::{anchored, fitted, text, width};

/// An entry of a legend.
#[derive(Debug, Clone)]
pub(crate) struct LegendEntry {
    pub(crate) label: String,
    pub(crate) stroke: ShapeStyle,
    pub(crate) style: SeriesStyle,
}

/// A box with the names of lines, in one column or in several.
#[derive(Debug)]
pub(crate) struct Legend {
    entries: Vec<LegendEntry>,
    /// The number of lines without a name in the legend.
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
    pub(crate) fn spread(&mut self, across: i32) {
        let columns = (across - 2 * PADDING + GAP) / (self.column + GAP);
        self.columns = columns.clamp(1, self.count().max(1) as i32) as usize;
        // In a narrow chart names are shorter.
        let room = across - 2 * PADDING - SAMPLE;
        if self.column > SAMPLE + room {
            self.entries.iter_mut().for_each(|entry| entry.label = fitted(&entry.label, FONT, room));
            self.column = SAMPLE + room;
        }
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
        area.draw(&Rectangle::new(corners, EDGE.stroke_width(1)))?;
        let beside = anchored(&text(FONT), HPos::Left, VPos::Center);
        for i in 0..self.count() {
            let (row, column) = ((i / self.columns) as i32, (i % self.columns) as i32);
            let x = at.0 + PADDING + column * (self.column + GAP);
            let y = at.1 + PADDING + row * ROW + ROW / 2;
            if let Some(entry) = self.entries.get(i) {
                // Two strokes: with a gap for dashes, without one for a line.
                let (end, start) = match entry.style {
                    SeriesStyle::Line => (12, 12),
                    SeriesStyle::Dashes => (8, 15),
                    SeriesStyle::Points => {
                        area.draw(&Circle::new((x + 12, y), 4, entry.stroke.filled()))?;
                        (0, 23)
                    }
                };
                if end > 0 {
                    B::line(area, &[(x, y), (x + end, y)], entry.stroke)?;
                    B::line(area, &[(x + start, y), (x + 23, y)], entry.stroke)?;
                }
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
        let entry = LegendEntry {
            label: "a".repeat(letters),
            stroke: BLACK.stroke_width(2),
            style: SeriesStyle::Line,
        };
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
        let spread = |labels, letters, across| {
            let mut legend = legend(labels, letters);
            legend.spread(across);
            legend
        };
        let many = spread(40, 10, 860);
        let (across, down) = many.size();
        assert!(
            many.columns > 3 && across <= 860 && across + many.column > 860,
            "{} columns, {across}",
            many.columns
        );
        assert_eq!(down, 40_usize.div_ceil(many.columns) as i32 * ROW + 2 * PADDING);
        assert_eq!(spread(2, 10, 860).columns, 2);
        assert_eq!(spread(3, 10, 100).columns, 1);
    }

    #[test]
    fn names_are_cut_to_a_narrow_chart() {
        let mut legend = legend(2, 60);
        legend.spread(300);
        assert!(legend.size().0 <= 300, "{:?}", legend.size());
        assert!(legend.label(0).ends_with('…'));
    }
}
