//! Line charts.

use backstitch_core::History;

use crate::chart_layout::{ChartLayout, NARROW, WIDE};
use crate::{ColourBar, Error, Picture, canvas};

/// Points of a [`LineChart`] that belong together: a line, or the dots of a scatter plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// x and y of its points, in the order in which a line joins them. A line has a gap at a point that is not finite; a
    /// scatter plot leaves that point out. A line of at most 20 points has a dot at each, and so has a point between two gaps.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: SeriesStyle,
    /// The number of its colour, 0 to 6; 7 is the first colour again. Series that belong together may share one.
    pub colour: usize,
}

/// How a [`Series`] is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeriesStyle {
    /// A solid line.
    #[default]
    Line,
    /// A dashed line.
    Dashes,
    /// A dot for each point and no line: a scatter plot.
    Points,
}

impl Series {
    /// A loss or metric by epoch, such as `train_accuracy`, as a solid line. Epochs without it are left out.
    pub fn by_epoch(label: impl Into<String>, history: &History, colour: usize, figure: &str) -> Self {
        let epochs = history.epochs.iter();
        let points = epochs.filter_map(|epoch| Some((epoch.epoch as f64, epoch.get(figure)?))).collect();
        Self { label: label.into(), points, style: SeriesStyle::Line, colour }
    }
}

/// A picture behind the lines and dots of a [`LineChart`]: a heat map with axes, or the regions of a classifier behind its
/// samples. It is stretched to the frame, without smoothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Backdrop {
    /// The picture.
    pub picture: Picture,
    /// x at its left edge and at its right edge, which is larger.
    pub x: (f64, f64),
    /// y at its upper edge and at its lower edge. Where the lower one is larger, as in a picture whose rows are counted from
    /// the top, the axis runs down.
    pub y: (f64, f64),
    /// The meaning of its colours, drawn at the right.
    pub bar: Option<ColourBar>,
}

impl Backdrop {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ((left, right), (top, bottom)) = (self.x, self.y);
        let finite = [left, right, top, bottom].iter().all(|edge| edge.is_finite());
        if finite && left < right && top != bottom {
            return Ok(());
        }
        Err(Error::Picture {
            expected: "a picture with finite edges, the right one above the left one, the upper one not the lower one".to_owned(),
            got: format!("x from {left} to {right}, y from {top} to {bottom}"),
        })
    }
}

/// Lines and dots over common axes, with a title, names of the axes and a legend.
///
/// Texts that are too long for their place are cut and end in an ellipsis. A legend too large for a corner, or on a picture, is
/// below the axes, with 99 names at most. The legend marks a series that has no finite point. In a browser, the SVG shows the
/// values under the pointer.
///
/// ```
/// use backstitch::{LineChart, Series, SeriesStyle};
/// let line = Series { label: "loss".into(), points: vec![(1.0, 0.5), (2.0, 0.25)], style: SeriesStyle::Line, colour: 0 };
/// let chart = LineChart::new("Training", "epoch", "loss", vec![line]);
/// assert!(chart.svg()?.contains("Training"));
/// assert!(chart.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// A scatter plot over the regions of a classifier:
/// ```
/// use backstitch::{Backdrop, ColourMap, LineChart, Picture, Series, SeriesStyle};
/// let probability = backstitch::ndarray::array![[0.9, 0.4], [0.2, 0.1]];
/// let picture = Picture::mapped(probability.view(), 0.0, 1.0, ColourMap::BlueRed)?;
/// let points = vec![(-0.5, 0.7), (0.3, -0.2)];
/// let samples = Series { label: "class 0".into(), points, style: SeriesStyle::Points, colour: 6 };
/// let mut chart = LineChart::new("Moons", "x", "y", vec![samples]);
/// chart.backdrop = Some(Backdrop { picture, x: (-1.0, 1.0), y: (1.0, -1.0), bar: None });
/// assert!(chart.svg()?.contains("<image"));
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
    /// The lines and dots, in the order of the legend. A later one lies over an earlier one.
    pub series: Vec<Series>,
    /// What lies behind them.
    pub backdrop: Option<Backdrop>,
}

impl LineChart {
    /// A chart of these series, with nothing behind them.
    pub fn new(
        title: impl Into<String>,
        x: impl Into<String>,
        y: impl Into<String>,
        series: Vec<Series>,
    ) -> Self {
        Self { title: title.into(), x: x.into(), y: y.into(), series, backdrop: None }
    }

    /// Training loss of a run by epoch, and validation loss if there is any.
    pub fn losses(title: impl Into<String>, history: &History) -> Self {
        let mut series = vec![Series::by_epoch("training", history, 0, "train_loss")];
        let validation = Series::by_epoch("validation", history, 1, "validation_loss");
        if !validation.points.is_empty() {
            series.push(validation);
        }
        Self::new(title, "epoch", "loss", series)
    }

    /// The chart as SVG text.
    ///
    /// # Errors
    /// If there is no finite point and no backdrop, the backdrop has no finite edges or no area, or its bar no finite range.
    pub fn svg(&self) -> Result<String, Error> {
        canvas::svg(&ChartLayout::new(self, WIDE)?)
    }

    /// The chart for a page: as wide as a page, and for a narrow screen. The page shows one of them.
    pub(crate) fn both(&self) -> Result<String, Error> {
        Ok(canvas::svg(&ChartLayout::new(self, WIDE)?)? + &canvas::svg(&ChartLayout::new(self, NARROW)?)?)
    }

    /// The chart as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there is no finite point and no backdrop, the backdrop has no finite edges or no area, or its bar no finite range.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        canvas::png(&ChartLayout::new(self, WIDE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        let series = vec![Series {
            label: "loss of <relu>".to_owned(),
            points,
            style: SeriesStyle::Dashes,
            colour: 9,
        }];
        LineChart::new("A & B", "epoch", "loss", series)
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
