//! Where the parts of a line chart are, and how they are drawn.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::axis::{Axis, Tick};
use crate::bar::Bar;
use crate::canvas::{Canvas, Drawable, Drawn, Note, Place, Placed};
use crate::chart_notes::notes;
use crate::frame::{Frame, finite, is_finite};
use crate::legend::{Legend, LegendEntry};
use crate::line::{along, dashes, thinned};
use crate::palette::{GRID, LINES};
use crate::text::{anchored, fitted, text, turned, width};
use crate::{Backdrop, Error, LineChart, Series, SeriesStyle};

/// How large a chart is drawn, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    width: i32,
    /// Without a legend below.
    height: i32,
    /// The fonts of the title and of the axes' names.
    title: i32,
    name: i32,
    class: &'static str,
}

pub(crate) const WIDE: Size = Size { width: 900, height: 520, title: 24, name: 18, class: "drawn wide" };
/// For the screens of telephones.
pub(crate) const NARROW: Size = Size { width: 400, height: 340, title: 17, name: 16, class: "drawn narrow" };
const MARGIN: i32 = 14;
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
    size: Size,
    x: Axis,
    y: Axis,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    frame: Frame,
    bar: Option<Bar>,
    legend: Legend,
    /// The legend's upper left corner.
    legend_at: Place,
    height: i32,
}

/// The axes over all finite points and what is behind them, if there is anything.
fn axes(chart: &LineChart) -> Option<(Axis, Axis)> {
    let behind = chart.backdrop.iter().flat_map(|b| [(b.x.0, b.y.0), (b.x.1, b.y.1)]);
    let all = chart.series.iter().flat_map(|series| finite(&series.points)).chain(behind);
    let (x0, x1, y0, y1) = all.fold(None, |ranges, (x, y)| {
        let (x0, x1, y0, y1) = ranges.unwrap_or((x, x, y, y));
        Some((x.min(x0), x.max(x1), y.min(y0), y.max(y1)))
    })?;
    if chart.backdrop.is_some() {
        return Some((Axis::around(x0, x1, 0.0), Axis::around(y0, y1, 0.0)));
    }
    // Room beside the points of a scatter plot; a line may begin at the edge.
    if chart.series.iter().any(|series| series.style == SeriesStyle::Points) {
        return Some((Axis::around(x0, x1, 0.04), Axis::around(y0, y1, 0.04)));
    }
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
    pub(crate) fn new(chart: &'a LineChart, size: Size) -> Result<Self, Error> {
        chart.backdrop.as_ref().map(Backdrop::check).transpose()?;
        let Some((x, y)) = axes(chart) else {
            return Err(Error::Empty { title: chart.title.clone() });
        };
        let y_ticks = y.ticks(MOST_TICKS.1, false);
        // No mark between two epochs.
        let whole = chart.series.iter().all(|series| finite(&series.points).all(|(x, _)| x.fract() == 0.0));
        let bar = chart.backdrop.as_ref().and_then(|backdrop| backdrop.bar).map(Bar::new).transpose()?;
        let beside = bar.as_ref().map_or(0, |bar| bar.width() + MARGIN);
        let left = MARGIN + NAME + widest(&y_ticks) + 10;
        let x_ticks = ticks_across(&x, whole, size.width - left - 2 * MARGIN - beside);
        // Half of a number is to the right of the last mark, or to the left of the first.
        let half = widest(&x_ticks) / 2;
        let frame = Frame {
            left: left.max(MARGIN + half),
            right: size.width - MARGIN.max(half + 4) - beside,
            top: MARGIN + size.title + 14,
            bottom: size.height - MARGIN - NAME - NUMBERS,
            down: chart.backdrop.as_ref().is_some_and(|backdrop| backdrop.y.0 < backdrop.y.1),
        };
        let legend = Legend::new(chart.series.iter().map(entry).collect());
        let legend_at = (MARGIN, size.height);
        let height = size.height;
        let mut layout = Self { chart, size, x, y, x_ticks, y_ticks, frame, bar, legend, legend_at, height };
        layout.put_legend();
        Ok(layout)
    }

    /// Puts the legend into a corner, or below the axes where it is too large for one or would lie on a picture.
    fn put_legend(&mut self) {
        let (frame, (across, down)) = (self.frame, self.legend.size());
        let small = across <= (frame.right - frame.left) * 6 / 10 && down <= (frame.bottom - frame.top) / 2;
        if small && self.chart.backdrop.is_none() {
            self.legend_at = self.emptiest_corner(across, down);
        } else if !self.chart.series.is_empty() {
            self.legend.spread(self.size.width - 2 * MARGIN);
            self.height = self.size.height + self.legend.size().1 + MARGIN;
        }
    }

    fn bar_at(&self) -> Place {
        (self.size.width - MARGIN - self.bar.as_ref().map_or(0, Bar::width), self.frame.top)
    }

    fn bar_height(&self) -> i32 {
        self.frame.bottom - self.frame.top
    }

    fn place(&self, (x, y): (f64, f64)) -> Place {
        (self.frame.across(self.x.share(x)), self.frame.up(self.y.share(y)))
    }

    /// Where a legend of a width and height hides the least of the lines.
    fn emptiest_corner(&self, across: i32, down: i32) -> Place {
        const APART: i32 = 8;
        let Frame { left, right, top, bottom, .. } = self.frame;
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

    /// The places of a scatter plot's points, each once: what lies over another cannot be seen.
    fn scattered(&self, series: &Series) -> Vec<Place> {
        let mut places: Vec<Place> = finite(&series.points).map(|point| self.place(point)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    fn draw_axes<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let Frame { left, right, top, bottom, .. } = self.frame;
        let [grid, black] = [GRID, BLACK].map(|colour| colour.stroke_width(1));
        let below = anchored(&text(FONT), HPos::Center, VPos::Top);
        for tick in &self.x_ticks {
            let x = self.frame.across(tick.share);
            if self.chart.backdrop.is_none() {
                B::line(area, &[(x, top), (x, bottom)], grid)?;
            }
            B::line(area, &[(x, bottom), (x, bottom + 4)], black)?;
            area.draw_text(&tick.label, &below, (x, bottom + 8))?;
        }
        let beside = anchored(&text(FONT), HPos::Right, VPos::Center);
        for tick in &self.y_ticks {
            let y = self.frame.up(tick.share);
            if self.chart.backdrop.is_none() {
                B::line(area, &[(left, y), (right, y)], grid)?;
            }
            B::line(area, &[(left - 4, y), (left, y)], black)?;
            area.draw_text(&tick.label, &beside, (left - 8, y))?;
        }
        B::line(area, &[(left, top), (left, bottom), (right, bottom)], black)
    }

    fn draw_names<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let Frame { left, right, top, bottom, .. } = self.frame;
        let Size { width, title, name, .. } = self.size;
        let above = anchored(&text(title), HPos::Center, VPos::Top);
        area.draw_text(&fitted(&self.chart.title, title, width - 2 * MARGIN), &above, (width / 2, MARGIN))?;
        let below = anchored(&text(name), HPos::Center, VPos::Top);
        let x = fitted(&self.chart.x, name, right - left);
        area.draw_text(&x, &below, (i32::midpoint(left, right), bottom + NUMBERS + 4))?;
        let beside = anchored(&turned(name), HPos::Center, VPos::Top);
        let y = fitted(&self.chart.y, name, bottom - top);
        area.draw_text(&y, &beside, (MARGIN, i32::midpoint(top, bottom)))
    }

    fn draw_series<B: Canvas>(&self, area: &DrawingArea<B, Shift>, series: &Series) -> Drawn<B> {
        let style = stroke(series);
        if series.style == SeriesStyle::Points {
            for place in self.scattered(series) {
                area.draw(&Circle::new(place, MARK, style.filled()))?;
            }
            return Ok(());
        }
        let marked = finite(&series.points).take(MOST_MARKS + 1).count() <= MOST_MARKS;
        for line in self.lines(series) {
            if series.style == SeriesStyle::Dashes {
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
    LINES[series.colour % LINES.len()].stroke_width(2)
}

fn entry(series: &Series) -> LegendEntry {
    let label = match finite(&series.points).next() {
        Some(_) => series.label.clone(),
        None => format!("no finite point: {}", series.label),
    };
    LegendEntry { label, stroke: stroke(series), style: series.style }
}

impl Drawable for ChartLayout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (u64, u64) {
        (self.size.width as u64, self.height as u64)
    }

    fn class(&self) -> &'static str {
        self.size.class
    }

    fn pictures(&self) -> Vec<Placed<'_>> {
        let Some(Backdrop { picture, x, y, .. }) = &self.chart.backdrop else { return Vec::new() };
        let ((left, top), (right, bottom)) = (self.place((x.0, y.0)), self.place((x.1, y.1)));
        let size = ((right - left) as usize, (bottom - top) as usize);
        let behind = Placed { at: (left, top), size, picture };
        let bar = self.bar.iter().map(|bar| bar.placed(self.bar_at(), self.bar_height()));
        // Points far away may leave a picture no pixel.
        [behind].into_iter().chain(bar).filter(|placed| placed.size.0 > 0 && placed.size.1 > 0).collect()
    }

    fn notes(&self) -> Vec<Note> {
        notes(self.chart, self.frame, &|point| self.place(point))
    }

    fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        self.draw_axes(area)?;
        self.draw_names(area)?;
        for series in &self.chart.series {
            self.draw_series(area, series)?;
        }
        if let Some(bar) = &self.bar {
            bar.draw(area, self.bar_at(), self.bar_height())?;
        }
        if !self.chart.series.is_empty() {
            self.legend.draw(area, self.legend_at)?;
        }
        area.present()
    }
}
