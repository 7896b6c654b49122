//! The colours of charts, and the colours that take their place on a dark page.

use std::fmt::Write as _;

use plotters::prelude::*;

/// Colours of lines that also readers with a colour-vision deficiency tell apart (Okabe and Ito 2008).
pub(crate) const LINES: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
/// Lines of a grid behind a chart.
pub(crate) const GRID: RGBColor = RGBColor(225, 225, 225);
/// The edge of a legend.
pub(crate) const EDGE: RGBColor = RGBColor(180, 180, 180);
/// The colour of a full cell of a confusion matrix; other cells mix it with the ground.
pub(crate) const CELL: RGBColor = RGBColor(8, 48, 107);

/// Each colour of a chart, and its colour on a dark page.
pub(crate) const ON_DARK: [(RGBColor, RGBColor); 11] = [
    (WHITE, RGBColor(21, 23, 26)),
    (BLACK, RGBColor(232, 232, 232)),
    (GRID, RGBColor(52, 55, 60)),
    (EDGE, RGBColor(96, 100, 106)),
    (CELL, RGBColor(111, 168, 220)),
    (LINES[0], RGBColor(61, 155, 224)),
    (LINES[1], RGBColor(240, 128, 60)),
    (LINES[2], RGBColor(34, 199, 149)),
    (LINES[3], RGBColor(221, 149, 189)),
    (LINES[4], RGBColor(240, 190, 60)),
    (LINES[5], RGBColor(155, 220, 255)),
];

/// Colours of the rest of a page in the dark, by the names of `page.css`.
const PAGE: [(&str, &str); 10] = [
    ("ground", "#15171a"),
    ("ink", "#e8e8e8"),
    ("soft", "#b8b8b8"),
    ("rule", "#3c4046"),
    ("strong", "#9a9a9a"),
    ("panel", "#202327"),
    ("link", "#7db8ff"),
    ("alarm", "#40310a"),
    ("alarm-edge", "#f0803c"),
    ("shade", "rgba(255, 255, 255, .14)"),
];

/// A colour as plotters writes it.
fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// The rules of a style sheet that make a page dark where its reader prefers that. Paper stays light.
pub(crate) fn dark_rules() -> String {
    let mut rules = String::from("@media screen and (prefers-color-scheme: dark) {\n:root {");
    for (name, colour) in PAGE {
        let _ = write!(rules, " --{name}: {colour};");
    }
    rules += " }\n";
    for (light, dark) in ON_DARK {
        let (light, dark) = (hex(light), hex(dark));
        for part in ["fill", "stroke"] {
            let _ = writeln!(rules, ".drawn [{part}=\"{light}\"] {{ {part}: {dark}; }}");
        }
    }
    // The pixels of a matrix of many classes: white becomes black, and blue stays blue.
    rules + ".matrix image { filter: invert(1) hue-rotate(180deg); }\n}\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Relative luminance and contrast as the Web Content Accessibility Guidelines 2.1 define them.
    fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    pub(crate) fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// What stands for a colour on a dark page.
    pub(crate) fn dark(colour: RGBColor) -> RGBColor {
        ON_DARK.iter().find(|(light, _)| *light == colour).expect("a dark colour for every colour").1
    }

    #[test]
    fn lines_and_texts_are_seen_on_both_grounds() {
        assert!(contrast(BLACK, WHITE) > 20.0 && contrast(dark(BLACK), dark(WHITE)) > 14.0);
        for line in LINES {
            assert!(contrast(line, WHITE) > 2.0, "{line:?}");
            assert!(contrast(dark(line), dark(WHITE)) > 5.0, "{line:?}");
        }
        let mut dark: Vec<_> = ON_DARK.iter().map(|(_, dark)| hex(*dark)).collect();
        dark.sort();
        dark.dedup();
        assert_eq!(dark.len(), ON_DARK.len(), "no two colours become one");
    }

    #[test]
    fn every_colour_of_the_page_has_its_dark_one() {
        let light = include_str!("../page/page.css").lines().next().unwrap();
        let names: Vec<&str> =
            light.split("--").skip(1).map(|rest| rest.split_once(':').unwrap().0).collect();
        assert_eq!(names, PAGE.map(|(name, _)| name));
        assert_eq!(PAGE[0].1.to_uppercase(), hex(dark(WHITE)), "charts have the ground of the page");
        assert_eq!(PAGE[1].1.to_uppercase(), hex(dark(BLACK)));
    }

    #[test]
    fn paper_is_never_dark() {
        let rules = dark_rules();
        assert!(
            rules.starts_with("@media screen and (prefers-color-scheme: dark) {")
                && rules.ends_with("}\n}\n")
        );
        assert!(!include_str!("../page/page.css").contains("prefers-color-scheme"));
    }
}
