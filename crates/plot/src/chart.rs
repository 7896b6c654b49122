//! Line charts.

use backstitch_core::History;

use crate::Error;
use crate::canvas;
use crate::chart_layout::ChartLayout;

/// A line of a [`LineChart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub label: String,
    /// x and y of its points, which are joined in this order. Where one is not finite the line has a gap. Up to 20 points
    /// are marked, and so is a point between gaps.
    pub points: Vec<(f64, f64)>,
    /// Drawn in dashes.
    pub dashed: bool,
    /// Which of the seven colours, from 0 on; 7 is the first again. Lines that belong together may share one.
    pub colour: usize,
}

impl Series {
    /// One figure of every epoch that has it, `train_accuracy`, as a solid line.
    pub fn by_epoch(label: impl Into<String>, history: &History, colour: usize, figure: &str) -> Self {
        let epochs = history.epochs.iter();
        let points = epochs.filter_map(|epoch| Some((epoch.epoch as f64, epoch.get(figure)?))).collect();
        Self { label: label.into(), points, dashed: false, colour }
    }
}

/// Lines over a common axis, with a title, named axes and a legend.
///
/// Texts that are too long for their place are cut and end in an ellipsis. A legend too large for a corner is below the
/// axes, with 99 names at most. A line without a finite point says so in the legend.
///
/// ```
/// use backstitch::{LineChart, Series};
/// let line = Series { label: "loss".into(), points: vec![(1.0, 0.5), (2.0, 0.25)], dashed: false, colour: 0 };
/// let chart = LineChart { title: "Training".into(), x: "epoch".into(), y: "loss".into(), series: vec![line] };
/// assert!(chart.svg()?.contains("Training"));
/// assert!(chart.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// Above the chart.
    pub title: String,
    /// Name of the horizontal axis, with its unit.
    pub x: String,
    /// Name of the vertical axis, with its unit.
    pub y: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
}

impl LineChart {
    /// Training loss of a run by epoch, and validation loss if there is any.
    pub fn losses(title: impl Into<String>, history: &History) -> Self {
        let mut series = vec![Series::by_epoch("training", history, 0, "train_loss")];
        let validation = Series::by_epoch("validation", history, 1, "validation_loss");
        if !validation.points.is_empty() {
            series.push(validation);
        }
        Self { title: title.into(), x: "epoch".to_owned(), y: "loss".to_owned(), series }
    }

    /// The chart as SVG text.
    ///
    /// # Errors
    /// If there is no finite point to draw.
    pub fn svg(&self) -> Result<String, Error> {
        canvas::svg(&ChartLayout::new(self)?)
    }

    /// The chart as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there is no finite point to draw.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        canvas::png(&ChartLayout::new(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        let series = vec![Series { label: "loss of <relu>".to_owned(), points, dashed: true, colour: 9 }];
        LineChart { title: "A & B".to_owned(), x: "epoch".to_owned(), y: "loss".to_owned(), series }
    }

    #[test]
    fn names_are_in_the_picture_and_escaped() {
        let svg = chart(vec![(1.0, 2.0), (2.0, 1.0)]).svg().unwrap();
        for expected in ["A &amp; B", "epoch", "loss of &lt;relu&gt;"] {
            assert!(svg.contains(expected), "{expected}");
        }
    }

    #[test]
    fn without_a_finite_point_there_is_no_chart() {
        for points in [vec![], vec![(1.0, f64::NAN)], vec![(f64::INFINITY, 1.0), (1.0, f64::NEG_INFINITY)]] {
            let error = chart(points).svg().unwrap_err().to_string();
            assert_eq!(error, "chart \"A & B\": expected at least one finite point, got none");
        }
        let error = LineChart { series: vec![], ..chart(vec![]) }.png().unwrap_err().to_string();
        assert_eq!(error, "chart \"A & B\": expected at least one finite point, got none");
    }

    #[test]
    fn losses_have_a_line_for_validation_only_if_there_was_any() {
        let history = History::default();
        let labels =
            |chart: LineChart| chart.series.into_iter().map(|series| series.label).collect::<Vec<_>>();
        assert_eq!(labels(LineChart::losses("t", &history)), ["training"]);
    }
}
