//! Line charts.

use std::ops::Range;

use backstitch_core::{EpochRecord, History};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Error;
use crate::canvas::{self, Drawn, Figure};

/// Colours that also readers with a colour-vision deficiency tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Width and height of a chart in pixels.
const SIZE: (u32, u32) = (900, 520);

/// A line of a [`LineChart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub label: String,
    /// x and y of its points. A point that is not finite is left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn in dashes.
    pub dashed: bool,
    /// Which of the seven colours; lines that belong together may share one.
    pub colour: usize,
}

impl Series {
    /// One figure of every epoch that has it, as a solid line.
    pub fn by_epoch(
        label: impl Into<String>,
        history: &History,
        colour: usize,
        value: impl Fn(&EpochRecord) -> Option<f64>,
    ) -> Self {
        let epochs = history.epochs.iter();
        let points = epochs.filter_map(|record| Some((record.epoch as f64, value(record)?))).collect();
        Self { label: label.into(), points, dashed: false, colour }
    }
}

/// Lines over a common axis, with a title, named axes and a legend.
///
/// ```
/// use backstitch_plot::{LineChart, Series};
/// let line = Series { label: "loss".into(), points: vec![(1.0, 0.5), (2.0, 0.25)], dashed: false, colour: 0 };
/// let chart = LineChart { title: "Training".into(), x: "epoch".into(), y: "loss".into(), series: vec![line] };
/// assert!(chart.svg()?.contains("Training"));
/// assert!(chart.png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), backstitch_plot::Error>(())
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
    /// Training and validation loss of a run by epoch.
    pub fn losses(title: impl Into<String>, history: &History) -> Self {
        Self {
            title: title.into(),
            x: "epoch".to_owned(),
            y: "cross-entropy loss".to_owned(),
            series: vec![
                Series::by_epoch("training", history, 0, |record| Some(record.train_loss)),
                Series::by_epoch("validation", history, 1, |record| record.validation_loss),
            ],
        }
    }

    /// The chart as SVG text.
    ///
    /// # Errors
    /// If there is no finite point to draw.
    pub fn svg(&self) -> Result<String, Error> {
        canvas::svg(&self.with_axes()?)
    }

    /// The chart as the bytes of a PNG file.
    ///
    /// # Errors
    /// If there is no finite point to draw.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        canvas::png(&self.with_axes()?)
    }

    /// The chart with what its axes reach over.
    fn with_axes(&self) -> Result<WithAxes<'_>, Error> {
        let all = self.series.iter().flat_map(|series| finite(&series.points));
        let ranges = all.fold(None, |ranges, (x, y)| {
            let (x0, x1, y0, y1) = ranges.unwrap_or((x, x, y, y));
            Some((x.min(x0), x.max(x1), y.min(y0), y.max(y1)))
        });
        let Some((x0, x1, y0, y1)) = ranges else {
            return Err(Error::Empty { title: self.title.clone() });
        };
        let room = |from: f64, to: f64| if to > from { 0.04 * (to - from) } else { 0.5 };
        let (x_room, y_room) = (if x1 > x0 { 0.0 } else { 0.5 }, room(y0, y1));
        // Losses and accuracies read best from zero, where that is not far below.
        let floor = if y0 >= 0.0 && y0 < 0.5 * y1 { 0.0 } else { y0 - y_room };
        Ok(WithAxes { chart: self, x: (x0 - x_room)..(x1 + x_room), y: floor..(y1 + y_room) })
    }

    fn draw_in<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        x_range: Range<f64>,
        y_range: Range<f64>,
    ) -> Drawn<B> {
        let legend = self.emptiest_corner(&x_range, &y_range);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 24))
            .margin(14)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(x_range, y_range)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_label_formatter(&|x| if x.fract() == 0.0 { x.to_string() } else { String::new() })
            .x_labels(11)
            .y_labels(9)
            .draw()?;
        for series in &self.series {
            let style = COLOURS[series.colour % COLOURS.len()].stroke_width(2);
            let drawn = if series.dashed {
                chart.draw_series(DashedLineSeries::new(finite(&series.points), 7, 5, style))?
            } else {
                chart.draw_series(LineSeries::new(finite(&series.points), style))?
            };
            // Two strokes: with a gap for dashes, without one for a line.
            let (end, start) = if series.dashed { (8, 15) } else { (12, 12) };
            drawn.label(&series.label).legend(move |at| {
                EmptyElement::at(at)
                    + PathElement::new([(0, 0), (end, 0)], style)
                    + PathElement::new([(start, 0), (23, 0)], style)
            });
        }
        chart
            .configure_series_labels()
            .label_font(("sans-serif", 16))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(180, 180, 180))
            .position(legend)
            .draw()?;
        area.present()
    }

    /// The corner in which the legend hides the fewest points.
    fn emptiest_corner(&self, x_range: &Range<f64>, y_range: &Range<f64>) -> SeriesLabelPosition {
        use SeriesLabelPosition::{LowerLeft, LowerRight, UpperLeft, UpperRight};
        // About 8 pixels a letter, 22 a line; the plot is some 90 by 110 pixels smaller than the picture.
        let longest = self.series.iter().map(|series| series.label.chars().count()).max().unwrap_or(0);
        let width = (60.0 + 8.0 * longest as f64) / f64::from(SIZE.0 - 90);
        let height = (20.0 + 22.0 * self.series.len() as f64) / f64::from(SIZE.1 - 110);
        let share = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
        let hidden = |right: bool, upper: bool| {
            let points = self.series.iter().flat_map(|series| finite(&series.points));
            let inside = points.filter(|&(x, y)| {
                let (x, y) = (share(x, x_range), share(y, y_range));
                (if right { 1.0 - x } else { x }) < width && (if upper { 1.0 - y } else { y }) < height
            });
            inside.count()
        };
        let corners = [
            (UpperRight, true, true),
            (LowerRight, true, false),
            (UpperLeft, false, true),
            (LowerLeft, false, false),
        ];
        let emptiest = corners.into_iter().min_by_key(|&(_, right, upper)| hidden(right, upper));
        emptiest.map_or(UpperRight, |(corner, ..)| corner)
    }
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + Clone + '_ {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// A chart that has something to draw.
struct WithAxes<'a> {
    chart: &'a LineChart,
    x: Range<f64>,
    y: Range<f64>,
}

impl Figure for WithAxes<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        self.chart.draw_in(area, self.x.clone(), self.y.clone())
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
    fn single_and_missing_points_are_no_trouble() {
        chart(vec![(1.0, 2.0)]).svg().unwrap();
        chart(vec![(1.0, f64::NAN), (2.0, 0.0)]).png().unwrap();
        let error = chart(vec![(1.0, f64::NAN)]).svg().unwrap_err().to_string();
        assert_eq!(error, "chart \"A & B\": expected at least one finite point, got none");
    }
}
