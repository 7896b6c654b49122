//! From points in pixels to the strokes that are drawn.

use crate::canvas::Place;

/// Pixels of a dash, and of the gap behind it.
const DASH: [f64; 2] = [7.0, 5.0];

/// Keeps the first, the lowest, the highest and the last of neighbouring points in one column of pixels. The others would change
/// nothing in the drawing.
pub(crate) fn thinned(points: &[Place]) -> Vec<Place> {
    let mut kept: Vec<Place> = Vec::new();
    for run in points.chunk_by(|a, b| a.0 == b.0) {
        let (x, ys) = (run[0].0, run.iter().map(|point| point.1));
        let (lowest, highest) = (ys.clone().min().unwrap_or(run[0].1), ys.max().unwrap_or(run[0].1));
        let four = [run[0].1, lowest, highest, run[run.len() - 1].1].map(|y| (x, y));
        kept.extend(if run.len() > four.len() { &four } else { run });
    }
    kept.dedup();
    kept
}

/// Places on a line, some ten pixels from each other, with all of its points.
pub(crate) fn along(points: &[Place]) -> Vec<Place> {
    let mut places: Vec<Place> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (from, across, down) = (pair[0], pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
        let steps = across.abs().max(down.abs()) / 10 + 1;
        places.extend((1..=steps).map(|i| (from.0 + across * i / steps, from.1 + down * i / steps)));
    }
    places
}

/// The dashes of a line. They go on around its corners.
pub(crate) fn dashes(points: &[Place]) -> Vec<Vec<Place>> {
    let mut dashes = Vec::new();
    let Some(&first) = points.first() else { return dashes };
    let mut dash = vec![first];
    // Which of the two lengths this is, and what is left of it.
    let (mut part, mut left) = (0, DASH[0]);
    for pair in points.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut walked = 0.0;
        while walked + left < length {
            walked += left;
            let share = walked / length;
            let (x, y) = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            dash.push((x.round() as i32, y.round() as i32));
            if part == 0 {
                dashes.push(std::mem::take(&mut dash));
            }
            part = 1 - part;
            left = DASH[part];
            // The end of a gap is the start of a dash.
            dash = if part == 0 { dash.split_off(dash.len() - 1) } else { Vec::new() };
        }
        left -= length - walked;
        if part == 0 {
            dash.push(pair[1]);
        }
    }
    if part == 0 {
        dashes.push(dash);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_thinned_to_what_is_seen() {
        let zigzag: Vec<Place> = (0..100).map(|i| (5, [3, 9, 1, 7][i % 4])).chain([(6, 2), (6, 4)]).collect();
        assert_eq!(thinned(&zigzag), [(5, 3), (5, 1), (5, 9), (5, 7), (6, 2), (6, 4)]);
        assert_eq!(thinned(&[(1, 1), (2, 2), (1, 3)]), [(1, 1), (2, 2), (1, 3)]);
    }

    #[test]
    fn places_along_a_line_are_close() {
        assert_eq!(
            along(&[(0, 0), (20, 40), (21, 40)]),
            [(0, 0), (4, 8), (8, 16), (12, 24), (16, 32), (20, 40), (21, 40)]
        );
        assert_eq!(along(&[(3, 4)]), [(3, 4)]);
        assert!(along(&[]).is_empty());
    }

    #[test]
    fn dashes_go_on_around_corners() {
        let line = [(0, 0), (30, 0)];
        assert_eq!(dashes(&line), [[(0, 0), (7, 0)], [(12, 0), (19, 0)], [(24, 0), (30, 0)]]);
        // In steps shorter than a dash it is the same.
        let steps: Vec<Place> = (0..=30).map(|x| (x, 0)).collect();
        let ends: Vec<[Place; 2]> =
            dashes(&steps).iter().map(|dash| [dash[0], dash[dash.len() - 1]]).collect();
        assert_eq!(ends, [[(0, 0), (7, 0)], [(12, 0), (19, 0)], [(24, 0), (30, 0)]]);
        assert_eq!(dashes(&[(0, 0), (5, 0), (5, 5)])[0], [(0, 0), (5, 0), (5, 2)]);
        assert!(dashes(&[]).is_empty());
    }
}
