//! A report with everything in it: what a reader sees without scripts, in the dark, and without a network.

use std::collections::BTreeSet;

use backstitch_core::metrics::ConfusionMatrix;
use backstitch_plot::{
    Backdrop, ColourBar, ColourMap, ConfusionChart, LineChart, Picture, PictureGrid, Report, Series,
    SeriesStyle,
};
use ndarray::array;

fn chart() -> LineChart {
    let styles = [SeriesStyle::Line, SeriesStyle::Dashes, SeriesStyle::Points];
    let line = |i: usize| Series {
        label: format!("line {i}"),
        points: (1..6).map(|x| (f64::from(x), 0.5 + (i + 1) as f64 / f64::from(x))).collect(),
        style: styles[i % 3],
        colour: i,
    };
    LineChart::new("Seven lines", "epoch", "loss", (0..7).map(line).collect())
}

fn heat_map() -> LineChart {
    let picture = Picture::mapped(array![[0.0, 1.0], [0.5, 0.25]].view(), 0.0, 1.0, ColourMap::Grey).unwrap();
    let bar = Some(ColourBar { map: ColourMap::Grey, low: 0.0, high: 1.0 });
    let mut chart = LineChart::new("Heat", "column", "row", Vec::new());
    chart.backdrop = Some(Backdrop { picture, x: (0.0, 2.0), y: (0.0, 2.0), bar });
    chart
}

fn confusion(classes: usize) -> ConfusionChart {
    let labels: Vec<usize> = (0..classes).flat_map(|class| vec![class; 10]).collect();
    let predictions: Vec<usize> =
        (0..labels.len()).map(|i| if i % 10 < 1 + labels[i] % 9 { 0 } else { labels[i] }).collect();
    let names = (0..classes).map(|class| format!("class{class}")).collect();
    let matrix = ConfusionMatrix::new(&labels, &predictions, classes).unwrap();
    ConfusionChart { title: "Confusion".to_owned(), names, matrix }
}

fn report() -> String {
    let mut report = Report::new("Everything");
    report.heading("h").paragraph("p").warning("w");
    report.table("Figures", &["name", "accuracy"], vec![vec!["relu".into(), "0.91".into()]]);
    report.chart(&chart(), "caption").unwrap().chart(&heat_map(), "caption").unwrap();
    report.confusion(&confusion(10), "caption").unwrap().confusion(&confusion(30), "caption").unwrap();
    let picture = Picture::grey(array![[0.0, 1.0]].view()).unwrap();
    let grid = PictureGrid {
        title: "g".into(),
        columns: 2,
        enlarge: 4,
        bar: None,
        pictures: vec![("one".into(), picture)],
    };
    report.pictures(&grid, "caption").unwrap();
    report.html().unwrap()
}

/// The values behind a piece of text, up to a quotation mark.
fn behind<'a>(html: &'a str, start: &str) -> Vec<&'a str> {
    html.split(start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn nothing_is_loaded_from_outside() {
    let html = report();
    for attribute in [" src=\"", " href=\""] {
        let addresses = behind(&html, attribute);
        assert!(!addresses.is_empty() && addresses.iter().all(|at| at.starts_with("data:")), "{attribute}");
    }
    for forbidden in
        ["url(", "@import", "fetch(", "import(", "XMLHttpRequest", "<iframe", "<object", "srcset"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    // The only address is the name of SVG, which no browser loads.
    assert_eq!(html.matches("http").count(), html.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn everything_is_there_without_the_script() {
    let html = report();
    let script = html.find("<script>").unwrap();
    assert_eq!(html.matches("<script").count(), 1);
    let (before, behind) = html.split_at(script);
    assert_eq!(behind.split("</script>").nth(1).unwrap(), "\n</body>\n</html>\n", "the script is the last");
    // Two line charts in two sizes, two matrices.
    assert_eq!([before.matches("<svg").count(), before.matches("</svg>").count()], [6, 6]);
    assert_eq!(before.matches("class=\"drawn wide\"").count(), 2);
    assert_eq!(before.matches("class=\"drawn narrow\"").count(), 2);
    assert!(before.contains("<th scope=\"row\" class=\"text\">relu</th><td>0.91</td>"));
    assert!(!before.contains("hidden=") && !before.contains("<button"));
    // What the browser shows under the pointer.
    assert!(before.contains("<title>epoch: 2\nline 0: 1\nline 1: 1.5\n"));
    assert!(
        before
            .contains("<title>true class: class1\npredicted class: class0\n2 of 10 samples, 20.0 %</title>")
    );
}

#[test]
fn every_colour_of_a_chart_has_one_for_the_dark() {
    let html = report();
    let mut colours = BTreeSet::new();
    for svg in html.split("<svg").skip(1).map(|svg| svg.split("</svg>").next().unwrap()) {
        for part in ["fill", "stroke"] {
            let used =
                behind(svg, &format!(" {part}=\"")).into_iter().filter(|colour| colour.starts_with('#'));
            colours.extend(used.map(|colour| format!(".drawn [{part}=\"{colour}\"] {{ {part}: #")));
        }
    }
    // Seven lines, text, ground, grid, the legend's edge and the cells.
    assert!(colours.len() > 14, "{colours:?}");
    let dark = html.split("(prefers-color-scheme: dark)").nth(1).unwrap();
    for rule in &colours {
        assert!(dark.contains(rule.as_str()), "{rule}");
    }
}

#[test]
fn a_heat_map_has_axes_and_a_bar_and_no_notes() {
    let svg = heat_map().svg().unwrap();
    assert_eq!([svg.matches("<image").count(), svg.matches("<title>").count()], [2, 0]);
    for text in [">\ncolumn\n", ">\nrow\n", ">\n0.5\n", ">\n2.0\n"] {
        assert!(svg.contains(text), "{text} in {svg}");
    }
    // Rows are counted from the top: 0 is above 2.
    let y = |label: &str| -> Vec<i32> {
        let texts = svg
            .split("<text")
            .filter(|text| text.contains("text-anchor=\"end\"") && text.contains(&format!(">\n{label}\n")));
        texts.map(|text| behind(text, " y=\"")[0].parse().unwrap()).collect()
    };
    assert!(y("0.0")[0] < y("2.0")[0], "{svg}");
    let mut chart = heat_map();
    for (x, y) in [
        ((2.0, 2.0), (0.0, 1.0)),
        ((0.0, 1.0), (3.0, 3.0)),
        ((0.0, f64::NAN), (0.0, 1.0)),
        ((1.0, 0.0), (0.0, 1.0)),
    ] {
        let backdrop = chart.backdrop.as_mut().unwrap();
        (backdrop.x, backdrop.y) = (x, y);
        let error = chart.svg().unwrap_err().to_string();
        assert!(
            error.contains(&format!("got x from {} to {}, y from {} to {}", x.0, x.1, y.0, y.1)),
            "{error}"
        );
    }
}

#[test]
fn far_points_leave_a_picture_no_room_and_no_error() {
    let mut chart = heat_map();
    chart.series = vec![Series {
        label: "far".into(),
        points: vec![(1e9, -1e9)],
        style: SeriesStyle::Points,
        colour: 0,
    }];
    assert!(chart.svg().unwrap().contains("far") && chart.png().is_ok());
}
