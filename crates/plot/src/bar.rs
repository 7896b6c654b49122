//! The bar that says which colour stands for which number.

use ndarray::Array2;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::Error;
use crate::axis::{Axis, Tick};
use crate::canvas::{Canvas, Drawn, Place, Placed};
use crate::picture::{ColourMap, Picture};
use crate::text::{anchored, text, width};

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

/// Width of the colours.
const COLOURS: i32 = 15;
const FONT: i32 = 15;
/// How many colours are shown.
const STEPS: usize = 256;

/// A bar as it is drawn, with the last colour above.
pub(crate) struct Bar {
    picture: Picture,
    ticks: Vec<Tick>,
}

impl Bar {
    pub(crate) fn new(bar: ColourBar) -> Result<Self, Error> {
        if !(bar.low.is_finite() && bar.high.is_finite() && bar.low < bar.high) {
            return Err(Error::Picture {
                expected: "a bar from a finite number to a larger one".to_owned(),
                got: format!("a bar from {} to {}", bar.low, bar.high),
            });
        }
        let ticks = Axis::new(f64::from(bar.low), f64::from(bar.high)).ticks(5, false);
        let column = Array2::from_shape_fn((STEPS, 1), |(i, _)| 1.0 - i as f32 / (STEPS - 1) as f32);
        Ok(Self { picture: Picture::mapped(column.view(), 0.0, 1.0, bar.map)?, ticks })
    }

    /// Width of the colours and of the numbers beside them.
    pub(crate) fn width(&self) -> i32 {
        COLOURS + 8 + self.ticks.iter().map(|tick| width(&tick.label, FONT)).max().unwrap_or(0)
    }

    /// The colours, with their upper left corner at a place.
    pub(crate) fn placed(&self, at: Place, height: i32) -> Placed<'_> {
        Placed { at, size: (COLOURS as usize, height as usize), picture: &self.picture }
    }

    /// The numbers beside the colours.
    pub(crate) fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>, at: Place, height: i32) -> Drawn<B> {
        let style = anchored(&text(FONT), HPos::Left, VPos::Center);
        for tick in &self.ticks {
            let y = at.1 + ((1.0 - tick.share) * f64::from(height - 1)).round() as i32;
            B::line(area, &[(at.0 + COLOURS, y), (at.0 + COLOURS + 3, y)], BLACK.stroke_width(1))?;
            area.draw_text(&tick.label, &style, (at.0 + COLOURS + 7, y))?;
        }
        Ok(())
    }
}

impl ColourBar {
    /// The colours from the first to the last, as a style sheet writes them.
    pub(crate) fn gradient(&self) -> String {
        let stops = (0..=16).map(|i| {
            let [r, g, b] = self.map.colour(f64::from(i) / 16.0);
            format!("#{r:02x}{g:02x}{b:02x}")
        });
        format!("linear-gradient(to right,{})", stops.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_numbers_that_differ() {
        let labels = |low, high| {
            let bar = ColourBar { map: ColourMap::Grey, low, high };
            Bar::new(bar).unwrap().ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(0.0, 1.1e-5), ["0", "0.5e-5", "1.0e-5"]);
        assert_eq!(labels(-2.0, 2.0), ["-2", "-1", "0", "1", "2"]);
        assert_eq!(labels(f32::MIN, f32::MAX), ["-2e38", "0", "2e38"]);
    }

    #[test]
    fn the_last_colour_is_above_and_at_the_right() {
        let bar = ColourBar { map: ColourMap::Grey, low: 0.0, high: 1.0 };
        let drawn = Bar::new(bar).unwrap();
        assert_eq!([0, STEPS - 1].map(|row| drawn.picture.get(row, 0).unwrap()), [[255; 3], [0; 3]]);
        let gradient = bar.gradient();
        assert!(gradient.starts_with("linear-gradient(to right,#000000,") && gradient.ends_with(",#ffffff)"));
    }
}
