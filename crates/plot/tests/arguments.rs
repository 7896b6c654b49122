//! What a caller can give to charts and pictures: each is drawn or is an error, and none takes without end.

use backstitch_plot::{ColourBar, ColourMap, LineChart, Picture, PictureGrid, Report, Series, SeriesStyle};
use ndarray::{Array2, Array3};
use proptest::prelude::*;

const STYLES: [SeriesStyle; 3] = [SeriesStyle::Line, SeriesStyle::Dashes, SeriesStyle::Points];

fn series(label: &str, points: Vec<(f64, f64)>) -> Series {
    Series { label: label.to_owned(), points, style: SeriesStyle::Line, colour: 0 }
}

fn chart(series: Vec<Series>) -> LineChart {
    LineChart::new("Title", "across", "up", series)
}

/// Text that the SVG shows, in order.
fn texts(svg: &str) -> Vec<String> {
    let texts = svg.split("<text").skip(1);
    texts.map(|text| text.split_once(">\n").unwrap().1.split_once('\n').unwrap().0.to_owned()).collect()
}

/// The numbers behind an attribute, wherever it is.
fn numbers(svg: &str, attribute: &str) -> Vec<i32> {
    let start = format!(" {attribute}=\"");
    let pieces = svg.split(&start).skip(1);
    let numbers = pieces.flat_map(|piece| piece.split_once('"').unwrap().0.split([' ', ',']));
    numbers.filter(|number| !number.is_empty()).map(|number| number.parse().unwrap()).collect()
}

/// Every point of lines and marks is in the picture, and every text begins there.
fn assert_inside(svg: &str) {
    let [width, height] = ["width", "height"].map(|name| numbers(svg, name)[0]);
    let all = numbers(svg, "points");
    for at in all.chunks(2) {
        assert!((0..width).contains(&at[0]) && (0..height).contains(&at[1]), "{at:?} in {width}x{height}");
    }
    for (name, end) in [("x", width), ("y", height), ("cx", width), ("cy", height)] {
        assert!(numbers(svg, name).iter().all(|at| (0..=end).contains(at)), "{name}: {svg}");
    }
}

#[test]
fn the_numbers_on_the_axes_tell_the_points_apart() {
    // (y of the points, numbers on the vertical axis)
    for (ys, expected) in [
        (vec![1e-5, 3.1e-5], &["0", "0.5e-5", "1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"][..]),
        (vec![2e-9, 2.2e-9], &["2.00e-9", "2.05e-9", "2.10e-9", "2.15e-9", "2.20e-9"]),
        (vec![1.1e5, 1.3e5], &["110000", "115000", "120000", "125000", "130000"]),
        (vec![2e12, 3e12], &["2.0e12", "2.2e12", "2.4e12", "2.6e12", "2.8e12", "3.0e12"]),
        (vec![-3.0, -1.0], &["-3.0", "-2.5", "-2.0", "-1.5", "-1.0"]),
        (vec![0.9, 0.9], &["0.82", "0.84", "0.86", "0.88", "0.90", "0.92", "0.94", "0.96", "0.98"]),
        (
            vec![-1.7e308, 1.7e308],
            &["-1.5e308", "-1.0e308", "-0.5e308", "0", "0.5e308", "1.0e308", "1.5e308"],
        ),
        (vec![1e-8, 1e3], &["0", "200", "400", "600", "800", "1000"]),
    ] {
        let points = ys.iter().zip([1.0, 2.0]).map(|(&y, x)| (x, y)).collect();
        let svg = chart(vec![series("s", points)]).svg().unwrap();
        assert_inside(&svg);
        let texts = texts(&svg);
        assert_eq!(texts[..2], ["1", "2"], "{ys:?}");
        assert_eq!(texts[2..2 + expected.len()], *expected, "{ys:?}");
        assert_eq!(texts[2 + expected.len()..], ["Title", "across", "up", "s"], "{ys:?}");
    }
}

#[test]
fn the_numbers_do_not_lie_over_each_other_or_the_names() {
    let points = vec![(1.0e12, 5e15), (1.0e12 + 3.0, 5e15 + 20.0)];
    let svg = chart(vec![series("s", points)]).svg().unwrap();
    let texts = texts(&svg);
    let xs: Vec<&String> = texts.iter().filter(|text| text.ends_with("e12")).collect();
    assert!((2..5).contains(&xs.len()), "{texts:?}");
    let vertical = texts.iter().filter(|text| text.ends_with("e15")).map(String::len).max().unwrap();
    // Letters of the vertical axis' numbers are more than 8 pixels wide, and its name ends 40 pixels in.
    let left = numbers(&svg, "points").into_iter().step_by(2).min().unwrap();
    assert!(left > 40 + 8 * vertical as i32, "{left} for {vertical} letters");
}

#[test]
fn few_points_are_marked_and_points_between_gaps_are() {
    let marks =
        |points: Vec<(f64, f64)>| chart(vec![series("s", points)]).svg().unwrap().matches("<circle").count();
    let line = |n: usize| (0..n).map(|i| (i as f64, i as f64)).collect::<Vec<_>>();
    assert_eq!([1, 2, 20, 21].map(|n| marks(line(n))), [1, 2, 20, 0]);
    let mut gaps = line(30);
    gaps[1].1 = f64::NAN;
    gaps[5].0 = f64::INFINITY;
    gaps[7].1 = f64::NEG_INFINITY;
    // The first and the seventh stand alone.
    assert_eq!(marks(gaps), 2);
}

#[test]
fn a_line_has_a_gap_where_there_is_no_number() {
    let lines = |points: Vec<(f64, f64)>| {
        let svg = chart(vec![series("s", points)]).svg().unwrap();
        svg.matches("stroke-width=\"2\"").count() - svg.matches("<circle").count()
    };
    // Two strokes are the legend's.
    assert_eq!(lines(vec![(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 1.0)]), 3);
    assert_eq!(lines(vec![(1.0, 1.0), (2.0, 2.0), (2.5, f64::NAN), (3.0, 3.0), (4.0, 1.0)]), 4);
}

/// Where the pixels of the first colour are: the least and the largest x, the least and the largest y.
fn blue(png: &[u8]) -> [usize; 4] {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let width = reader.next_frame(&mut pixels).unwrap().width as usize;
    let places = pixels.chunks(3).enumerate().filter(|(_, pixel)| *pixel == [0, 114, 178]);
    let (xs, ys): (Vec<_>, Vec<_>) = places.map(|(i, _)| (i % width, i / width)).unzip();
    let ends = |all: &[usize]| [all.iter().min().copied().unwrap(), all.iter().max().copied().unwrap()];
    let ([left, right], [top, bottom]) = (ends(&xs), ends(&ys));
    [left, right, top, bottom]
}

#[test]
fn points_in_any_order_stay_in_the_frame() {
    let back = vec![(1.0, 0.0), (3.0, 1.0), (1.0, 0.01), (3.0, 0.98), (1.01, 0.02)];
    let columns = (0..800).flat_map(|i| [(f64::from(i), 0.0), (f64::from(i), 1.0)]).collect();
    let noise = (0..4000).map(|i| (f64::from(i), f64::from(i * 7919 % 1000))).collect();
    let mixed = (0..200).map(|i| (f64::from(i * 7919 % 200), f64::from(i * 104_729 % 211))).collect();
    for (name, points) in [("back", back), ("columns", columns), ("noise", noise), ("mixed", mixed)] {
        // The frame is where two points in its corners are.
        let ends = |value: fn(&(f64, f64)) -> f64| {
            let values = || points.iter().map(value);
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        };
        let ((x0, x1), (y0, y1)) = (ends(|point| point.0), ends(|point| point.1));
        for style in STYLES {
            let styled = |points| chart(vec![Series { style, ..series("", points) }]);
            let [left, right, top, bottom] = blue(&styled(vec![(x0, y0), (x1, y1)]).png().unwrap());
            let chart = styled(points.clone());
            assert_inside(&chart.svg().unwrap());
            let [l, r, t, b] = blue(&chart.png().unwrap());
            assert!(l >= left && r <= right && t >= top && b <= bottom, "{name}: {:?}", [l, r, t, b]);
        }
    }
}

#[test]
fn a_line_without_a_finite_point_says_so() {
    let svg =
        chart(vec![series("good", vec![(1.0, 1.0)]), series("bad", vec![(1.0, f64::NAN)])]).svg().unwrap();
    assert_eq!(texts(&svg)[texts(&svg).len() - 2..], ["good", "no finite point: bad"]);
}

#[test]
fn long_texts_and_many_lines_stay_in_the_picture() {
    let long = "<&> \u{1f600} ".repeat(300);
    for count in [1, 40, 2000] {
        let lines = (0..count).map(|i| series(&format!("{i} {long}"), vec![(1.0, 1.0), (2.0, 2.0)]));
        let chart = LineChart::new(&long, &long, &long, lines.collect());
        let svg = chart.svg().unwrap();
        assert_inside(&svg);
        let texts = texts(&svg);
        assert_eq!(texts.iter().filter(|text| text.ends_with('…')).count(), 3 + count.min(99));
        assert_eq!(texts.iter().any(|text| text == "and 1901 more"), count == 2000);
        assert!(texts.iter().all(|text| text.chars().count() < 700));
    }
}

#[test]
fn a_million_points_are_no_more_than_the_picture_has_columns() {
    let points = (0..1_000_000).map(|i| (f64::from(i), f64::from(i % 7919 * 104_729 % 1000))).collect();
    let svg = chart(vec![series("s", points)]).svg().unwrap();
    assert!(numbers(&svg, "points").len() < 2 * 4 * 900 + 200, "{}", numbers(&svg, "points").len());
}

fn any_f64() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-5..5).prop_map(f64::from),
        Just(f64::MAX),
        Just(f64::MIN)
    ]
}

fn any_f32() -> impl Strategy<Value = f32> {
    prop_oneof![any::<u32>().prop_map(f32::from_bits), (-2..3).prop_map(|x| x as f32)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_points_are_drawn_or_an_error(
        lines in prop::collection::vec((".{0,30}", prop::collection::vec((any_f64(), any_f64()), 0..25), 0_usize..3, any::<usize>()), 0..5),
        title in "\\PC{0,80}",
    ) {
        let lines: Vec<Series> =
            lines.into_iter().map(|(label, points, style, colour)| Series { label, points, style: STYLES[style], colour }).collect();
        let finite = lines.iter().flat_map(|line| &line.points).any(|(x, y)| x.is_finite() && y.is_finite());
        let chart = LineChart { title, ..chart(lines) };
        let svg = chart.svg();
        prop_assert_eq!(svg.is_ok(), finite);
        prop_assert_eq!(chart.png().is_ok(), finite);
        if let Ok(svg) = svg {
            assert_inside(&svg);
            // 11 and 9 numbers, three names and a legend at most.
            prop_assert!(texts(&svg).len() <= 11 + 9 + 3 + 5);
            let mut report = Report::new("r");
            prop_assert!(report.chart(&chart, "c").unwrap().html().is_ok());
        }
    }

    #[test]
    fn any_numbers_are_a_picture_or_an_error(
        (height, width, channels) in (0_usize..5, 0_usize..5, 0_usize..5),
        values in prop::collection::vec(any_f32(), 125),
        (low, high, share) in (any_f32(), any_f32(), any_f64()),
        (columns, enlarge) in (prop_oneof![0_usize..4, any::<usize>()], prop_oneof![0_usize..4, any::<usize>()]),
        title in ".{0,40}",
    ) {
        for map in [ColourMap::Grey, ColourMap::Viridis, ColourMap::BlueRed] {
            map.colour(share);
            let plane = Array2::from_shape_fn((height, width), |(i, j)| values[5 * i + j]);
            let good = height * width > 0 && plane.iter().all(|v| !v.is_nan()) && low.is_finite() && high.is_finite() && low < high;
            let picture = Picture::mapped(plane.view(), low, high, map);
            prop_assert_eq!(picture.is_ok(), good);
            let bar = Some(ColourBar { map, low, high });
            if let Ok(picture) = picture {
                prop_assert_eq!(picture.blend(&picture, share).is_ok(), (0.0..=1.0).contains(&share));
                prop_assert!(picture.get(height, 0).is_none() && picture.get(0, 0).is_some());
                let grid = PictureGrid { title: title.clone(), columns, enlarge, bar, pictures: vec![(title.clone(), picture)] };
                prop_assert_eq!(grid.png().is_ok(), columns > 0 && (1..4).contains(&enlarge));
            }
        }
        let cube = Array3::from_shape_fn((height, width, channels), |(i, j, c)| values[25 * i + 5 * j + c]);
        let good = height * width > 0 && matches!(channels, 1 | 3) && cube.iter().all(|v| !v.is_nan());
        prop_assert_eq!(Picture::colour(cube.view()).is_ok(), good);
    }
}
