//! Where the parts of a line chart are, and how they are drawn.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::axis::{Axis, Tick};
use crate::canvas::{Canvas, Drawable, Drawn, Place};
use crate::legend::{Legend, LegendEntry};
use crate::line::{along, dashes, thinned};
use crate::text::{anchored, fitted, text, turned, width};
use crate::{Error, LineChart, Series};

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

/// Width of a chart in pixels, and its height without a legend below.
const SIZE: (i32, i32) = (900, 520);
const MARGIN: i32 = 14;
/// Title and the room below it.
const TITLE: i32 = 38;
/// Name of an axis and the room beside it.
const NAME: i32 = 26;
/// Numbers below the horizontal axis, with the room above them.
const NUMBERS: i32 = 24;
const FONT: i32 = 16;
/// Marks on the axes at most.
const MOST_TICKS: (usize, usize) = (11, 9);
/// A line of no more points has a mark at each.
const MOST_MARKS: usize = 20;
const MARK: i32 = 3;

/// A chart that has something to draw.
pub(crate) struct ChartLayout<'a> {
    chart: &'a LineChart,
    x: Axis,
    y: Axis,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    frame: Frame,
    legend: Legend,
    /// The legend's upper left corner.
    legend_at: Place,
    height: i32,
}

/// The part of a chart in which the lines are.
#[derive(Clone, Copy)]
struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Frame {
    fn across(&self, share: f64) -> i32 {
        self.left + (share * f64::from(self.right - self.left)).round() as i32
    }

    fn up(&self, share: f64) -> i32 {
        self.bottom - (share * f64::from(self.bottom - self.top)).round() as i32
    }
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    points.iter().copied().filter(is_finite)
}

fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

/// The axes over all finite points, if there is one.
fn axes(chart: &LineChart) -> Option<(Axis, Axis)> {
    let all = chart.series.iter().flat_map(|series| finite(&series.points));
    let (x0, x1, y0, y1) = all.fold(None, |ranges, (x, y)| {
        let (x0, x1, y0, y1) = ranges.unwrap_or((x, x, y, y));
        Some((x.min(x0), x.max(x1), y.min(y0), y.max(y1)))
    })?;
    // Losses and accuracies read best from zero, where that is not far below.
    let from_zero = y0 >= 0.0 && y0 < 0.5 * y1;
    let y = if from_zero { Axis::new(0.0, (1.04 * y1).min(f64::MAX)) } else { Axis::around(y0, y1, 0.04) };
    Some((Axis::around(x0, x1, 0.0), y))
}

/// As many marks as have room for their numbers beside each other.
fn ticks_across(axis: &Axis, whole: bool, room: i32) -> Vec<Tick> {
    let mut most = MOST_TICKS.0;
    loop {
        let ticks = axis.ticks(most, whole);
        let fit = |a: &Tick, b: &Tick| {
            let apart = (b.share - a.share) * f64::from(room);
            apart >= f64::from((width(&a.label, FONT) + width(&b.label, FONT)) / 2 + 12)
        };
        if most == 3 || ticks.windows(2).all(|pair| fit(&pair[0], &pair[1])) {
            return ticks;
        }
        most -= 1;
    }
}

fn widest(ticks: &[Tick]) -> i32 {
    ticks.iter().map(|tick| width(&tick.label, FONT)).max().unwrap_or(0)
}

impl<'a> ChartLayout<'a> {
    pub(crate) fn new(chart: &'a LineChart) -> Result<Self, Error> {
        let Some((x, y)) = axes(chart) else {
            return Err(Error::Empty { title: chart.title.clone() });
        };
        let y_ticks = y.ticks(MOST_TICKS.1, false);
        // No mark between two epochs.
        let whole = chart.series.iter().all(|series| finite(&series.points).all(|(x, _)| x.fract() == 0.0));
        let left = MARGIN + NAME + widest(&y_ticks) + 10;
        let x_ticks = ticks_across(&x, whole, SIZE.0 - left - 2 * MARGIN);
        // Half of a number is to the right of the last mark, or to the left of the first.
        let half = widest(&x_ticks) / 2;
        let frame = Frame {
            left: left.max(MARGIN + half),
            right: SIZE.0 - MARGIN.max(half + 4),
            top: MARGIN + TITLE,
            bottom: SIZE.1 - MARGIN - NAME - NUMBERS,
        };
        let legend = Legend::new(chart.series.iter().map(entry).collect());
        let mut layout =
            Self { chart, x, y, x_ticks, y_ticks, frame, legend, legend_at: (0, 0), height: SIZE.1 };
        let (across, down) = layout.legend.size();
        if across <= (frame.right - frame.left) * 6 / 10 && down <= (frame.bottom - frame.top) / 2 {
            layout.legend_at = layout.emptiest_corner(across, down);
        } else {
            layout.legend = layout.legend.spread(SIZE.0 - 2 * MARGIN);
            layout.legend_at = (MARGIN, SIZE.1);
            layout.height = SIZE.1 + layout.legend.size().1 + MARGIN;
        }
        Ok(layout)
    }

    fn place(&self, (x, y): (f64, f64)) -> Place {
        (self.frame.across(self.x.share(x)), self.frame.up(self.y.share(y)))
    }

    /// Where a legend of a width and height hides the least of the lines.
    fn emptiest_corner(&self, across: i32, down: i32) -> Place {
        const APART: i32 = 8;
        let Frame { left, right, top, bottom } = self.frame;
        let lines = self.chart.series.iter().flat_map(|series| self.lines(series));
        let places: Vec<Place> = lines.flat_map(|line| along(&line)).collect();
        let hidden = |at: &Place| {
            let hides = |&&(x, y): &&Place| {
                (at.0 - APART..=at.0 + across + APART).contains(&x)
                    && (at.1 - APART..=at.1 + down + APART).contains(&y)
            };
            places.iter().filter(hides).count()
        };
        let [left, right] = [left + APART, right - APART - across];
        let [top, bottom] = [top + APART, bottom - APART - down];
        let corners = [(right, top), (right, bottom), (left, top), (left, bottom)];
        corners.into_iter().min_by_key(hidden).unwrap_or(corners[0])
    }

    /// The points between the gaps of a series, in pixels.
    fn lines(&self, series: &Series) -> impl Iterator<Item = Vec<Place>> {
        let runs = series.points.split(|point| !is_finite(point));
        runs.map(|run| thinned(&run.iter().map(|&point| self.place(point)).collect::<Vec<_>>()))
    }

    fn draw_axes<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let Frame { left, right, top, bottom } = self.frame;
        let [grid, black] = [RGBColor(225, 225, 225), BLACK].map(|colour| colour.stroke_width(1));
        let below = anchored(&text(FONT), HPos::Center, VPos::Top);
        for tick in &self.x_ticks {
            let x = self.frame.across(tick.share);
            B::line(area, &[(x, top), (x, bottom)], grid)?;
            B::line(area, &[(x, bottom), (x, bottom + 4)], black)?;
            area.draw_text(&tick.label, &below, (x, bottom + 8))?;
        }
        let beside = anchored(&text(FONT), HPos::Right, VPos::Center);
        for tick in &self.y_ticks {
            let y = self.frame.up(tick.share);
            B::line(area, &[(left, y), (right, y)], grid)?;
            B::line(area, &[(left - 4, y), (left, y)], black)?;
            area.draw_text(&tick.label, &beside, (left - 8, y))?;
        }
        B::line(area, &[(left, top), (left, bottom), (right, bottom)], black)
    }

    fn draw_names<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let Frame { left, right, top, bottom } = self.frame;
        let above = anchored(&text(24), HPos::Center, VPos::Top);
        area.draw_text(&fitted(&self.chart.title, 24, SIZE.0 - 2 * MARGIN), &above, (SIZE.0 / 2, MARGIN))?;
        let below = anchored(&text(18), HPos::Center, VPos::Top);
        let x = fitted(&self.chart.x, 18, right - left);
        area.draw_text(&x, &below, (i32::midpoint(left, right), bottom + NUMBERS + 4))?;
        let beside = anchored(&turned(18), HPos::Center, VPos::Top);
        let y = fitted(&self.chart.y, 18, bottom - top);
        area.draw_text(&y, &beside, (MARGIN, i32::midpoint(top, bottom)))
    }

    fn draw_series<B: Canvas>(&self, area: &DrawingArea<B, Shift>, series: &Series) -> Drawn<B> {
        let style = stroke(series);
        let marked = finite(&series.points).take(MOST_MARKS + 1).count() <= MOST_MARKS;
        for line in self.lines(series) {
            if series.dashed {
                for dash in dashes(&line) {
                    B::line(area, &dash, style)?;
                }
            } else {
                B::line(area, &line, style)?;
            }
            // Of a line that is not wider than it is high nothing would be seen.
            if marked || line.len() == 1 {
                for &place in &line {
                    area.draw(&Circle::new(place, MARK, style.filled()))?;
                }
            }
        }
        Ok(())
    }
}

fn stroke(series: &Series) -> ShapeStyle {
    COLOURS[series.colour % COLOURS.len()].stroke_width(2)
}

fn entry(series: &Series) -> LegendEntry {
    let label = match finite(&series.points).next() {
        Some(_) => series.label.clone(),
        None => format!("no finite point: {}", series.label),
    };
    LegendEntry { label, style: stroke(series), dashed: series.dashed }
}

impl Drawable for ChartLayout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (u64, u64) {
        (SIZE.0 as u64, self.height as u64)
    }

    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        self.draw_axes(area)?;
        self.draw_names(area)?;
        for series in &self.chart.series {
            self.draw_series(area, series)?;
        }
        self.legend.draw(area, self.legend_at)?;
        area.present()
    }
}
