//! The frame of a page, and text that cannot become markup.

use crate::palette;

/// Text as HTML and SVG show it, within elements and within quotes. Control characters, which SVG does not have, become spaces;
/// lines stay.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' => safe.push(c),
            '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A whole page. Its style and its script are in it, and it asks for no other file.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    let (style, dark) = (include_str!("../page/page.css"), palette::dark_rules());
    let script = include_str!("../page/page.js");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"backstitch\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{style}{dark}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n{body}<script>\n{script}</script>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escaped("<a b='c' d=\"e\">&amp;\0\u{ffff}\r\n"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;amp;   \n"
        );
        assert_eq!(escaped("löss ✓ \u{1f600}"), "löss ✓ \u{1f600}");
    }

    #[test]
    fn style_and_script_cannot_end_early() {
        assert!(!include_str!("../page/page.css").contains("</"));
        assert!(!include_str!("../page/page.js").contains("</"));
    }
}
