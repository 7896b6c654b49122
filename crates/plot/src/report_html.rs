//! The parts of a report as HTML.

use base64::Engine as _;

use crate::html::{escaped, page};
use crate::{Block, Error, PictureGrid, Report, TableCell, canvas};

impl Report {
    /// The report as an HTML page that needs no other file.
    ///
    /// # Errors
    /// If a row of a table has more or fewer cells than its head, a link leads to something that is no page, a picture is not the
    /// bytes of a PNG file, or a grid of pictures cannot be drawn.
    pub fn html(&self) -> Result<String, Error> {
        let blocks: Result<String, Error> = self.blocks.iter().map(Block::html).collect();
        Ok(page(&self.title, &blocks?))
    }
}

impl Block {
    fn html(&self) -> Result<String, Error> {
        Ok(match self {
            Self::Heading(text) => format!("<h2>{}</h2>\n", escaped(text)),
            Self::Paragraph(text) => format!("<p>{}</p>\n", escaped(text)),
            Self::Warning(text) => format!("<p class=\"warning\">{}</p>\n", escaped(text)),
            Self::Preformatted(text) => format!("<pre tabindex=\"0\">{}</pre>\n", escaped(text)),
            Self::Table { caption, head, rows } => table(caption, head, rows)?,
            Self::Image { base64, caption } => image(base64, caption)?,
            Self::Pictures { grid, caption } => figure(&pictures(grid)?, caption),
            Self::Figure { svg, caption } => figure(&format!("<div class=\"scroll\">{svg}</div>"), caption),
        })
    }
}

fn figure(content: &str, caption: &str) -> String {
    let caption = escaped(caption);
    format!("<figure>{content}<figcaption>{caption}</figcaption></figure>\n")
}

/// In a table of more columns, texts stay on one line, if they are not long.
const MOST_COLUMNS: usize = 9;
/// The letters of a text that stays on one line.
const LONG: usize = 30;

fn table(caption: &str, head: &[String], rows: &[Vec<TableCell>]) -> Result<String, Error> {
    let wrong = |row: usize, expected: String, got: String| Error::Block {
        what: format!("table {caption:?}, row {row}"),
        expected,
        got,
    };
    if let Some(row) = rows.iter().position(|row| row.len() != head.len()) {
        return Err(wrong(row, format!("{} cells", head.len()), rows[row].len().to_string()));
    }
    let classes = classes(head.len(), rows);
    let wide = if head.len() > MOST_COLUMNS { " wide-table" } else { "" };
    let mut html = format!(
        "<div class=\"scroll table{wide}\" tabindex=\"0\"><table>\n<caption><span>{}</span></caption>\n",
        escaped(caption)
    );
    if head.iter().any(|name| !name.is_empty()) {
        let names = head.iter().zip(&classes);
        let names = names.map(|(name, class)| format!("<th scope=\"col\"{class}>{}</th>", escaped(name)));
        html += &format!("<thead><tr>{}</tr></thead>\n", names.collect::<String>());
    }
    html += "<tbody>\n";
    for (i, row) in rows.iter().enumerate() {
        html += "<tr>";
        for (column, TableCell { text, link }) in row.iter().enumerate() {
            let text = match link {
                None => escaped(text),
                Some(link) if leads_to_a_page(link) => {
                    format!("<a href=\"{}\">{}</a>", escaped(link), escaped(text))
                }
                Some(link) => {
                    let expected = "a link that is relative or begins with https:, http: or mailto:";
                    return Err(wrong(i, expected.to_owned(), format!("{link:?}")));
                }
            };
            html += &match column {
                0 => format!("<th scope=\"row\"{}>{text}</th>", classes[0]),
                _ => format!("<td{}>{text}</td>", classes[column]),
            };
        }
        html += "</tr>\n";
    }
    Ok(html + "</tbody>\n</table></div>\n")
}

/// What the style has to know of each column. Numbers stand at its right, texts at its left; long texts have several lines.
fn classes(columns: usize, rows: &[Vec<TableCell>]) -> Vec<&'static str> {
    let is_text = |column: usize| {
        column == 0 || rows.iter().any(|row| !row[column].text.is_empty() && !is_number(&row[column].text))
    };
    let is_long = |column: usize| rows.iter().any(|row| row[column].text.chars().count() > LONG);
    let class = |column: usize| match (is_text(column), is_long(column)) {
        (true, true) => " class=\"text long\"",
        (true, false) => " class=\"text\"",
        (false, _) => "",
    };
    (0..columns).map(class).collect()
}

/// Whether the first word is a number: `0.89`, `12 MB`, `+1.2 over LeNet5`.
fn is_number(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.contains(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok()
}

/// Whether a link cannot run a script: its scheme is a known one, or it has none.
fn leads_to_a_page(link: &str) -> bool {
    // Browsers leave out line breaks and tabs before they look for a scheme.
    if link.contains(char::is_control) || link.starts_with(char::is_whitespace) {
        return false;
    }
    let scheme = link.split(['/', '?', '#']).next().and_then(|start| start.split_once(':'));
    scheme.is_none_or(|(name, _)| ["https", "http", "mailto"].contains(&name.to_lowercase().as_str()))
}

fn image(base64: &str, caption: &str) -> Result<String, Error> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap_or_default();
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(Error::Block {
            what: format!("picture {caption:?}"),
            expected: "the bytes of a PNG file".to_owned(),
            got: format!("{} others", bytes.len()),
        });
    }
    let image = format!("<img src=\"data:image/png;base64,{base64}\" alt=\"{}\">", escaped(caption));
    Ok(figure(&image, caption))
}

/// The least width of a column of pictures in pixels: where a screen is too narrow for all columns, their box scrolls.
const LEAST: usize = 48;

fn pictures(grid: &PictureGrid) -> Result<String, Error> {
    grid.check()?;
    let columns = grid.columns.min(grid.pictures.len());
    let widest = grid.pictures.iter().map(|(_, picture)| picture.width()).max().unwrap_or(1) * grid.enlarge;
    let mut html = format!(
        "<p class=\"grid-title\">{}</p><div class=\"scroll\"><div class=\"grid\" \
         style=\"grid-template-columns:repeat({columns},minmax({}px,{widest}px))\">\n",
        escaped(&grid.title),
        LEAST.min(widest),
    );
    for (title, picture) in &grid.pictures {
        let data = canvas::data(picture)
            .map_err(|error| Error::Draw { title: grid.title.clone(), got: error.to_string() })?;
        let [width, height] = [picture.width(), picture.height()].map(|side| side * grid.enlarge);
        let (title, sharp) = (escaped(title), if grid.enlarge > 1 { " class=\"pixels\"" } else { "" });
        html += &format!(
            "<div><span>{title}</span><img{sharp} width=\"{width}\" height=\"{height}\" alt=\"{title}\" src=\"{data}\"></div>\n"
        );
    }
    html += "</div></div>";
    if let Some(bar) = &grid.bar {
        let (low, high, colours) = (number(bar.low), number(bar.high), bar.gradient());
        html += &format!("<p class=\"bar\">{low}<i style=\"background:{colours}\"></i>{high}</p>");
    }
    Ok(html)
}

/// An end of a bar in four digits.
fn number(value: f32) -> String {
    let rounded: f32 = format!("{value:.3e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-3..1e6).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{ColourBar, ColourMap, Picture};

    fn table_of(cells: &[&[&str]]) -> Report {
        let mut report = Report::new("r");
        let rows = cells[1..].iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
        report.table("t", cells[0], rows);
        report
    }

    #[test]
    fn text_is_escaped_and_drawings_are_not() {
        let evil = "<script>alert(1)</script>\"'&";
        let mut report = Report::new(evil);
        report.heading(evil).paragraph(evil).warning(evil).table(
            evil,
            &[evil, evil],
            vec![vec![evil.into(); 2]],
        );
        report.block(Block::Preformatted(evil.into()));
        let link = Some(evil.to_owned());
        let rows = vec![vec![TableCell { text: evil.to_owned(), link }]];
        report.block(Block::Table { caption: evil.to_owned(), head: vec![evil.to_owned()], rows });
        report.png(b"\x89PNG\r\n\x1a\n", evil);
        report.block(Block::Figure { svg: "<svg></svg>".to_owned(), caption: evil.to_owned() });
        let picture = Picture::grey(array![[1.0]].view()).unwrap();
        let pictures = vec![(evil.to_owned(), picture)];
        let grid = PictureGrid { title: evil.to_owned(), columns: 1, enlarge: 1, bar: None, pictures };
        report.pictures(&grid, evil).unwrap();
        let html = report.html().unwrap();
        assert_eq!(html.matches("<script").count(), 1, "the page's own");
        assert!(!html.contains("alert(1)</script>"));
        let safe = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;";
        // Title twice; heading, paragraph, warning, preformatted; captions, heads and cells of two tables, and a link; a picture
        // and its text, a drawing, a grid's title, a picture in it and its text, its caption.
        assert_eq!(html.matches(safe).count(), 2 + 4 + 5 + 4 + 2 + 1 + 4);
        assert!(html.contains("<svg></svg>"));
    }

    #[test]
    fn a_page_has_no_part_that_cannot_be_read() {
        let mut reports = [(); 3].map(|()| Report::new("r"));
        reports[0].table("t", &["a", "b"], vec![vec![String::new(); 2], vec![String::new(); 3]]);
        reports[1].png(b"GIF89a", "p");
        reports[2].block(Block::Image { base64: "\"><script>".to_owned(), caption: "p".to_owned() });
        let expected = [
            "report: table \"t\", row 1: expected 2 cells, got 3",
            "report: picture \"p\": expected the bytes of a PNG file, got 6 others",
            "report: picture \"p\": expected the bytes of a PNG file, got 0 others",
        ];
        assert_eq!(reports.map(|report| report.html().unwrap_err().to_string()), expected);
        let mut report = Report::new("r");
        report.png(b"\x89PNG\r\n\x1a\n...", "p").table("t", &["a"], Vec::new());
        assert!(report.html().unwrap().contains("data:image/png;base64,iVBORw0KGgo"));
    }

    #[test]
    fn links_lead_to_pages() {
        let linked = |link: &str| {
            let rows = vec![vec![TableCell { text: "x".to_owned(), link: Some(link.to_owned()) }]];
            let mut report = Report::new("r");
            report.block(Block::Table { caption: "t".to_owned(), head: vec!["a".to_owned()], rows });
            report.html()
        };
        for link in
            ["a/report.html", "./a:b", "https://x.org/", "HTTP://x", "mailto:a@b", "#part", "?a:b", ""]
        {
            assert!(linked(link).unwrap().contains(&format!("<a href=\"{link}\">x</a>")), "{link}");
        }
        for link in [
            "javascript:alert(1)",
            "JavaScript:x",
            " javascript:x",
            "java\nscript:x",
            "data:text/html,x",
            "a:b",
        ] {
            let error = linked(link).unwrap_err().to_string();
            let expected = "expected a link that is relative or begins with https:, http: or mailto:, got";
            assert_eq!(error, format!("report: table \"t\", row 0: {expected} {link:?}"));
        }
    }

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let html = table_of(&[
            &["name", "accuracy", "with a unit", "text", "mixed"],
            &["a", "0.9", "12 MB", "2x2", "1"],
            &["b", "", "-1.5e3 of it", "", "undefined"],
        ]);
        let html = html.html().unwrap();
        for cell in [
            "<th scope=\"col\" class=\"text\">name</th>",
            "<th scope=\"col\">accuracy</th>",
            "<th scope=\"row\" class=\"text\">a</th>",
            "<td>0.9</td>",
            "<td>12 MB</td>",
            "<td>-1.5e3 of it</td>",
            "<td class=\"text\">2x2</td>",
            "<td class=\"text\">1</td>",
        ] {
            assert!(html.contains(cell), "{cell}");
        }
        let long = "a text of more than thirty letters";
        let html = table_of(&[&["a", "b"], &[long, "1"], &["b", long]]).html().unwrap();
        let row = format!("<th scope=\"row\" class=\"text long\">{long}</th><td class=\"text long\">1</td>");
        assert!(html.contains(&row), "{html}");
        assert!(!is_number("inf") && !is_number("NaN 3") && !is_number(" ") && is_number("+3.1 over LeNet5"));
        assert!(!table_of(&[&["", ""], &["a", "b"]]).html().unwrap().contains("<thead>"));
    }

    #[test]
    fn pictures_are_side_by_side_and_not_enlarged_in_the_file() {
        let picture = Picture::grey(array![[0.0, 1.0]].view()).unwrap();
        let bar = Some(ColourBar { map: ColourMap::Grey, low: -1e-9, high: 0.123_456 });
        let pictures = vec![("a\nb".to_owned(), picture); 3];
        let grid = PictureGrid { title: "g".to_owned(), columns: 2, enlarge: 30, bar, pictures };
        let html = Block::Pictures { grid: grid.clone(), caption: "c".to_owned() }.html().unwrap();
        assert!(html.contains("repeat(2,minmax(48px,60px))"), "{html}");
        assert_eq!(html.matches("<img class=\"pixels\" width=\"60\" height=\"30\" alt=\"a\nb\"").count(), 3);
        assert!(html.contains("<p class=\"bar\">-1e-9<i style=\"background:linear-gradient("), "{html}");
        assert!(html.contains("</i>0.1235</p>") && html.len() < 1800, "{}: {html}", html.len());
        let broken = Block::Pictures { grid: PictureGrid { columns: 0, ..grid }, caption: String::new() };
        assert!(broken.html().unwrap_err().to_string().contains("got 3 in 0 columns"));
    }
}
