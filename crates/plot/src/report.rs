//! Reports: one HTML file with everything in it.

use askama::Template;
use base64::Engine as _;

use crate::{ConfusionChart, Error, LineChart};

/// A report that is built from top to bottom and turned into one self-contained HTML page.
///
/// ```
/// use backstitch::Report;
/// let mut report = Report::new("Fashion-MNIST with dense layers");
/// report.heading("Results").paragraph("ReLU was best.");
/// report.table("Accuracy", &["activation", "test"], vec![vec!["relu".into(), "0.897".into()]]);
/// assert!(report.html()?.contains("ReLU was best."));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "report.html")]
pub struct Report {
    title: String,
    blocks: Vec<Block>,
}

/// A part of a [`Report`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Block {
    /// A heading.
    Heading(String),
    /// Running text.
    Paragraph(String),
    /// Something a reader must not miss: that this was a quick run, or on generated data.
    Warning(String),
    /// Text that keeps its lines, such as a model's summary.
    Preformatted(String),
    /// A table with a caption.
    Table {
        /// Above the table.
        caption: String,
        /// Names of the columns.
        head: Vec<String>,
        /// Rows of cells.
        rows: Vec<Vec<String>>,
    },
    /// A picture of pixels with a caption.
    Image {
        /// The bytes of a PNG file, in base64.
        base64: String,
        /// Below the picture.
        caption: String,
    },
    /// A drawing with a caption.
    Figure {
        /// The picture, as SVG. It goes into the page as it is.
        svg: String,
        /// Below the picture.
        caption: String,
    },
}

impl Report {
    /// An empty report.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Adds any part.
    pub fn block(&mut self, block: Block) -> &mut Self {
        self.blocks.push(block);
        self
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        self.block(Block::Heading(text.into()))
    }

    /// Adds running text.
    pub fn paragraph(&mut self, text: impl Into<String>) -> &mut Self {
        self.block(Block::Paragraph(text.into()))
    }

    /// Adds something a reader must not miss.
    pub fn warning(&mut self, text: impl Into<String>) -> &mut Self {
        self.block(Block::Warning(text.into()))
    }

    /// Adds a table. Every row has as many cells as the head has names.
    pub fn table(&mut self, caption: impl Into<String>, head: &[&str], rows: Vec<Vec<String>>) -> &mut Self {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        self.block(Block::Table { caption: caption.into(), head, rows })
    }

    /// Adds a picture, the bytes of a PNG file. The caption is also what is read out to those who do not see it.
    pub fn png(&mut self, png: &[u8], caption: impl Into<String>) -> &mut Self {
        let base64 = base64::engine::general_purpose::STANDARD.encode(png);
        self.block(Block::Image { base64, caption: caption.into() })
    }

    /// Adds a confusion matrix.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn confusion(
        &mut self,
        chart: &ConfusionChart,
        caption: impl Into<String>,
    ) -> Result<&mut Self, Error> {
        let svg = chart.svg()?;
        Ok(self.block(Block::Figure { svg, caption: caption.into() }))
    }

    /// Adds a chart.
    ///
    /// # Errors
    /// If the chart has nothing to draw.
    pub fn chart(&mut self, chart: &LineChart, caption: impl Into<String>) -> Result<&mut Self, Error> {
        let svg = chart.svg()?;
        Ok(self.block(Block::Figure { svg, caption: caption.into() }))
    }

    /// The report as an HTML page that needs no other file.
    ///
    /// # Errors
    /// If a row of a table has not as many cells as its head, or a picture is not the bytes of a PNG file.
    pub fn html(&self) -> Result<String, Error> {
        for block in &self.blocks {
            block.check()?;
        }
        Ok(self.render()?)
    }
}

impl Block {
    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Table { caption, head, rows } => {
                match rows.iter().position(|row| row.len() != head.len()) {
                    Some(row) => Err(Error::Block {
                        what: format!("table {caption:?}, row {row}"),
                        expected: format!("{} cells", head.len()),
                        got: rows[row].len().to_string(),
                    }),
                    None => Ok(()),
                }
            }
            Self::Image { base64, caption } => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap_or_default();
                if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
                    return Ok(());
                }
                Err(Error::Block {
                    what: format!("picture {caption:?}"),
                    expected: "the bytes of a PNG file".to_owned(),
                    got: format!("{} others", bytes.len()),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_pictures_are_not() {
        let mut report = Report::new("a < b");
        report.paragraph("x & y").warning("quick");
        report.block(Block::Figure { svg: "<svg></svg>".to_owned(), caption: "c".to_owned() });
        let html = report.html().unwrap();
        for expected in ["<title>a &#60; b</title>", "x &#38; y", "<svg></svg>", "quick"] {
            assert!(html.contains(expected), "{expected} in {html}");
        }
        for forbidden in ["src=\"http", "href=\"http", "<script"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
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
}
