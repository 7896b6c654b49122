//! Charts of backstitch as SVG and PNG, and reports as one self-contained HTML file.
//!
//! Everything is made in memory. The caller saves it.

mod axis;
mod bar;
mod canvas;
mod chart;
mod chart_layout;
mod chart_notes;
mod frame;
mod grid;
mod html;
mod legend;
mod line;
mod matrix;
mod palette;
mod picture;
mod report;
mod report_html;
mod size;
mod text;

pub use bar::ColourBar;
pub use chart::{Backdrop, LineChart, Series, SeriesStyle};
pub use grid::PictureGrid;
pub use matrix::ConfusionChart;
pub use picture::{ColourMap, Picture};
pub use report::{Block, Report, TableCell};

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
    /// The drawing library returned an error.
    #[error("chart {title:?}: expected a picture, got {got}")]
    Draw {
        /// Title of the chart.
        title: String,
        /// Its message.
        got: String,
    },
    /// Arguments of which no picture can be made.
    #[error("picture: expected {expected}, got {got}")]
    Picture {
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A part of a report that cannot be shown.
    #[error("report: {what}: expected {expected}, got {got}")]
    Block {
        /// Which part.
        what: String,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
}

/// With this, `?` turns it into the error of a whole program.
impl From<Error> for backstitch_core::Error {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
}
