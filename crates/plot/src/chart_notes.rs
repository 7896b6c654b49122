//! The values of a chart at a place, in words.

use crate::canvas::{Note, Place};
use crate::frame::{Frame, finite};
use crate::{LineChart, SeriesStyle};

/// Pixels from a strip to the next, at least.
const APART: i32 = 3;
/// More lines are not named in one note.
const MOST_LINES: usize = 12;
/// More points of a scatter plot have no notes.
const MOST_POINTS: usize = 1000;
/// Letters of a name, at most.
const LETTERS: usize = 60;
/// Half the side of a point's note.
const REACH: i32 = 6;

/// The place of a point in the figure.
type PlaceOf<'a> = &'a dyn Fn((f64, f64)) -> Place;

/// All series that have a point at one x.
struct Column {
    /// In pixels.
    at: i32,
    x: f64,
    /// Which series, and its y.
    values: Vec<(usize, f64)>,
}

/// A note for each strip of the frame in which lines have points, then one for each point of a scatter plot.
/// `place` gives the place of a point.
pub(crate) fn notes(chart: &LineChart, frame: Frame, place: PlaceOf<'_>) -> Vec<Note> {
    let columns = columns(chart, place);
    let mut notes = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        // From the middle between this and the one before to the middle between this and the next.
        let left = if i == 0 { frame.left } else { i32::midpoint(columns[i - 1].at, column.at) };
        let right = columns.get(i + 1).map_or(frame.right, |next| i32::midpoint(column.at, next.at));
        notes.push(Note {
            at: (left, frame.top),
            size: ((right - left).max(1), frame.bottom - frame.top),
            text: words(chart, column),
        });
    }
    let scattered = chart.series.iter().filter(|series| series.style == SeriesStyle::Points);
    let points = scattered.flat_map(|series| finite(&series.points).map(move |point| (series, point)));
    notes.extend(points.take(MOST_POINTS).map(|(series, (x, y))| {
        let at = place((x, y));
        let [x, y] = [(&chart.x, x), (&chart.y, y)].map(|(name, value)| line(name, value));
        Note {
            at: (at.0 - REACH, at.1 - REACH),
            size: (2 * REACH, 2 * REACH),
            text: format!("{}\n{x}\n{y}", shortened(&series.label)),
        }
    }));
    notes
}

/// The columns from left to right. Of those that are closer than can be pointed at, the one with most series stays.
fn columns(chart: &LineChart, place: PlaceOf<'_>) -> Vec<Column> {
    let lines = chart.series.iter().enumerate().filter(|(_, s)| s.style != SeriesStyle::Points);
    let mut points: Vec<(f64, usize, f64)> =
        lines.flat_map(|(i, series)| finite(&series.points).map(move |(x, y)| (x, i, y))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut columns: Vec<Column> = Vec::new();
    // Where the strip began that the last column stands for.
    let mut began = i32::MIN;
    for same in points.chunk_by(|a, b| a.0 == b.0) {
        let (x, at) = (same[0].0, place((same[0].0, same[0].2)).0);
        let mut values: Vec<(usize, f64)> = same.iter().map(|&(_, series, y)| (series, y)).collect();
        // A series that has two points there, such as a step, shows its first.
        values.dedup_by_key(|(series, _)| *series);
        let column = Column { at, x, values };
        match columns.last_mut() {
            Some(last) if at - began < APART => {
                if column.values.len() > last.values.len() {
                    *last = column;
                }
            }
            _ => {
                began = at;
                columns.push(column);
            }
        }
    }
    columns
}

fn words(chart: &LineChart, column: &Column) -> String {
    let mut text = line(&chart.x, column.x);
    for &(series, y) in column.values.iter().take(MOST_LINES) {
        text += &format!("\n{}", line(&chart.series[series].label, y));
    }
    if column.values.len() > MOST_LINES {
        text += &format!("\nand {} more", column.values.len() - MOST_LINES);
    }
    text
}

fn line(name: &str, value: f64) -> String {
    match shortened(name) {
        name if name.is_empty() => short(value),
        name => format!("{name}: {}", short(value)),
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS).chain(['…']).collect()
}

/// A number in six digits, without zeros at its end; whole numbers in all of theirs.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.fract() == 0.0 && size < 1e12 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e9).contains(&size) {
        let text = format!("{value:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let decimals = (5 - size.log10().floor() as i32).max(0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// Without zeros behind the last digit that counts.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Series;
    use crate::canvas::Drawable;
    use crate::chart_layout::{ChartLayout, WIDE};

    fn series(label: &str, style: SeriesStyle, points: Vec<(f64, f64)>) -> Series {
        Series { label: label.to_owned(), points, style, colour: 0 }
    }

    fn noted(series: Vec<Series>) -> Vec<Note> {
        let chart = LineChart::new("T", "epoch", "loss", series);
        ChartLayout::new(&chart, WIDE).unwrap().notes()
    }

    #[test]
    fn numbers_are_short_and_right() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-10.0, "-10"),
            (12.0, "12"),
            (0.123_456_789, "0.123457"),
            (-0.5, "-0.5"),
            (1_234.567_89, "1234.57"),
            (123_456_789.5, "123456790"),
            (0.000_012_345_678, "1.23457e-5"),
            (1e300, "1e300"),
            (1e12, "1e12"),
            (999_999_999_999.0, "999999999999"),
            (f64::MIN, "-1.79769e308"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn strips_fill_the_frame_and_say_the_values_of_all_lines() {
        let notes = noted(vec![
            series("training", SeriesStyle::Line, vec![(1.0, 0.5), (2.0, 0.25), (4.0, f64::NAN)]),
            series("validation", SeriesStyle::Dashes, vec![(2.0, 0.75), (3.0, 0.5)]),
        ]);
        let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
        let expected = [
            "epoch: 1\ntraining: 0.5",
            "epoch: 2\ntraining: 0.25\nvalidation: 0.75",
            "epoch: 3\nvalidation: 0.5",
        ];
        assert_eq!(texts, expected);
        for pair in notes.windows(2) {
            assert_eq!(pair[0].at.0 + pair[0].size.0, pair[1].at.0, "no gap and no overlap");
        }
    }

    #[test]
    fn points_of_a_scatter_plot_have_a_note_each() {
        let notes = noted(vec![
            series("a", SeriesStyle::Points, vec![(1.0, 2.5), (1.0, 3.0)]),
            series("line", SeriesStyle::Line, vec![(1.0, 3.0)]),
        ]);
        let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(texts, ["epoch: 1\nline: 3", "a\nepoch: 1\nloss: 2.5", "a\nepoch: 1\nloss: 3"]);
        assert_eq!(notes[1].size, (12, 12));
    }

    #[test]
    fn of_close_columns_the_one_with_most_lines_stays_and_there_are_not_too_many() {
        let steps = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        let epochs = (0..10).map(|i| (f64::from(10_000 * i), 2.0)).collect();
        let notes = noted(vec![
            series("steps", SeriesStyle::Line, steps),
            series("epochs", SeriesStyle::Line, epochs),
            series("many", SeriesStyle::Points, vec![(5.0, 1.0); 5000]),
        ]);
        assert!(notes.len() < MOST_POINTS + 300, "{}", notes.len());
        assert_eq!(notes.iter().filter(|note| note.text.contains("epochs: 2")).count(), 10);
    }

    #[test]
    fn many_lines_and_long_names_have_a_limit() {
        let lines = (0..40).map(|_| series(&"ü".repeat(1000), SeriesStyle::Line, vec![(1.0, 1.0)])).collect();
        let text = noted(lines)[0].text.clone();
        assert_eq!(text.lines().count(), 1 + MOST_LINES + 1);
        assert!(
            text.ends_with("\nand 28 more") && text.lines().nth(1).unwrap().chars().count() < LETTERS + 6
        );
    }
}
