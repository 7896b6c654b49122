//! Texts in figures: font, width, and cutting to the room.

use std::sync::Once;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

/// No text is longer than this in a figure, however wide that is.
const MOST_LETTERS: usize = 1000;

/// Plotters measures text with a font it must be given; DejaVu Sans comes with the program.
fn use_own_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the font is damaged; drawing then says so.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

/// Black text of a size in pixels, to the right of and below its place.
pub(crate) fn text(size: i32) -> TextStyle<'static> {
    use_own_font();
    ("sans-serif", size).into_font().color(&BLACK)
}

/// Text that is read from below to above.
pub(crate) fn turned(size: i32) -> TextStyle<'static> {
    use_own_font();
    ("sans-serif", size).into_font().transform(FontTransform::Rotate270).color(&BLACK)
}

/// The style with an anchor: which point of the text lies at its place.
pub(crate) fn anchored(style: &TextStyle<'static>, across: HPos, down: VPos) -> TextStyle<'static> {
    style.pos(Pos::new(across, down))
}

/// Width of a text in pixels. (With a damaged font 0; drawing then gives the error.)
pub(crate) fn width(label: &str, size: i32) -> i32 {
    text(size).font.layout_box(label).map_or(0, |(from, to)| to.0 - from.0)
}

/// A text on one line and no wider than the room, with an ellipsis where it was cut.
pub(crate) fn fitted(label: &str, size: i32, room: i32) -> String {
    // SVG has no control characters, and none of them can be seen.
    let seen = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c };
    let mut letters: Vec<char> = label.chars().map(seen).take(MOST_LETTERS + 1).collect();
    if letters.len() <= MOST_LETTERS {
        let whole: String = letters.iter().collect();
        if width(&whole, size) <= room {
            return whole;
        }
    }
    letters.truncate(MOST_LETTERS);
    let cut = |kept: usize| letters[..kept].iter().chain(&['…']).collect::<String>();
    let (mut fits, mut too_long) = (0, letters.len() + 1);
    while fits + 1 < too_long {
        let middle = usize::midpoint(fits, too_long);
        if width(&cut(middle), size) <= room {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    cut(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_the_room() {
        assert_eq!(fitted("loss", 16, 300), "loss");
        let long = "validation accuracy ".repeat(100_000);
        let cut = fitted(&long, 16, 200);
        assert!(cut.ends_with('…') && long.starts_with(cut.trim_end_matches('…')), "{cut}");
        assert!((170..=200).contains(&width(&cut, 16)), "{cut} is {} wide", width(&cut, 16));
        assert_eq!(fitted("abc", 16, 0), "…");
        // What takes no room at all has an end, too.
        assert_eq!(fitted(&"\u{301}".repeat(1_000_000), 16, 200).chars().count(), MOST_LETTERS + 1);
    }

    #[test]
    fn control_characters_are_not_drawn() {
        assert_eq!(fitted("a\nb\0c\u{ffff}", 16, 300), "a b c ");
    }
}
