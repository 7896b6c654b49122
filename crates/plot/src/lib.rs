//! The pictures of backstitch: curves as SVG and PNG, and reports as one self-contained HTML file.
//!
//! Everything is made in memory; saving is the caller's.

mod axis;
mod canvas;
mod chart;
mod chart_layout;
mod grid;
mod legend;
mod line;
mod matrix;
mod picture;
mod report;
mod text;

pub use chart::{LineChart, Series};
pub use grid::{ColourBar, PictureGrid};
pub use matrix::ConfusionChart;
pub use picture::{ColourMap, Picture};
pub use report::{Block, Report};

use thiserror::Error;

/// The errors of `backstitch-plot`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to draw.
    #[error("chart {title:?}: expected at least one finite point, got none")]
    Empty {
        /// Title of the chart.
        title: String,
    },
    /// The drawing library gave up.
    #[error("chart {title:?}: expected a picture, got {got}")]
    Draw {
        /// Title of the chart.
        title: String,
        /// What it said.
        got: String,
    },
    /// Numbers that are no picture.
    #[error("picture: expected {expected}, got {got}")]
    Picture {
        /// What would do.
        expected: String,
        /// What came.
        got: String,
    },
    /// A part of a report that no page can show.
    #[error("report: {what}: expected {expected}, got {got}")]
    Block {
        /// Which part.
        what: String,
        /// What would do.
        expected: String,
        /// What came.
        got: String,
    },
    /// The report could not be put together.
    #[error("report: {0}")]
    Report(#[from] askama::Error),
}

/// So that `?` turns it into the error of a whole program.
impl From<Error> for backstitch_core::Error {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
}
