//! Reports: one HTML file with everything in it.

use base64::Engine as _;

use crate::{ConfusionChart, Error, LineChart, PictureGrid};

/// A report that is built from top to bottom and turned into one self-contained HTML page.
///
/// The page is complete without scripts. It is dark where the reader's system is, and light on paper; charts and tables fit
/// narrow screens. Its own short script sorts a table by a click on a column's name, and shows the values of a chart beside
/// the pointer, or by the arrow keys; without it the browser shows the values.
///
/// ```
/// use backstitch::Report;
/// let mut report = Report::new("Fashion-MNIST with dense layers");
/// report.heading("Results").paragraph("ReLU was best.");
/// report.table("Accuracy", &["activation", "test"], vec![vec!["relu".into(), "0.897".into()]]);
/// assert!(report.html()?.contains("ReLU was best."));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a [`Report`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph of text.
    Paragraph(String),
    /// Something that a reader must see, such as that the data were generated.
    Warning(String),
    /// Text that keeps its lines, such as a model's summary.
    Preformatted(String),
    /// A table with a caption.
    Table {
        /// Above the table.
        caption: String,
        /// Names of the columns. Where all are empty, the table has no line of names.
        head: Vec<String>,
        /// Rows of cells.
        rows: Vec<Vec<TableCell>>,
    },
    /// A picture of pixels with a caption.
    Image {
        /// The bytes of a PNG file, in base64.
        base64: String,
        /// Below the picture.
        caption: String,
    },
    /// Pictures side by side, with a caption.
    Pictures {
        /// The pictures.
        grid: PictureGrid,
        /// Below the pictures.
        caption: String,
    },
    /// A drawing with a caption.
    Figure {
        /// The drawing as SVG, which is put into the page unchanged.
        svg: String,
        /// Below the drawing.
        caption: String,
    },
}

/// A cell of a table: a text, which may be a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableCell {
    /// What is shown.
    pub text: String,
    /// Where a click on it leads: a path relative to the page, or an address that begins with `https:`, `http:` or `mailto:`.
    pub link: Option<String>,
}

impl<T: Into<String>> From<T> for TableCell {
    fn from(text: T) -> Self {
        Self { text: text.into(), link: None }
    }
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

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Into<String>) -> &mut Self {
        self.block(Block::Paragraph(text.into()))
    }

    /// Adds something that a reader must see.
    pub fn warning(&mut self, text: impl Into<String>) -> &mut Self {
        self.block(Block::Warning(text.into()))
    }

    /// Adds a table. Each row must have one cell for each name of the head. A cell that begins with a number is sorted as one.
    pub fn table(&mut self, caption: impl Into<String>, head: &[&str], rows: Vec<Vec<String>>) -> &mut Self {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        let rows = rows.into_iter().map(|row| row.into_iter().map(TableCell::from).collect()).collect();
        self.block(Block::Table { caption: caption.into(), head, rows })
    }

    /// Adds a picture, the bytes of a PNG file. Programs that read pages aloud read the caption in its place.
    pub fn png(&mut self, png: &[u8], caption: impl Into<String>) -> &mut Self {
        let base64 = base64::engine::general_purpose::STANDARD.encode(png);
        self.block(Block::Image { base64, caption: caption.into() })
    }

    /// Adds pictures side by side.
    ///
    /// # Errors
    /// If there are no pictures or no columns, they are too large, or the bar has no finite range.
    pub fn pictures(&mut self, grid: &PictureGrid, caption: impl Into<String>) -> Result<&mut Self, Error> {
        grid.check()?;
        Ok(self.block(Block::Pictures { grid: grid.clone(), caption: caption.into() }))
    }

    /// Adds a confusion matrix.
    ///
    /// # Errors
    /// If the number of names is not the number of classes.
    pub fn confusion(
        &mut self,
        chart: &ConfusionChart,
        caption: impl Into<String>,
    ) -> Result<&mut Self, Error> {
        let svg = chart.svg()?;
        Ok(self.block(Block::Figure { svg, caption: caption.into() }))
    }

    /// Adds a chart, as wide as the page and in a form for narrow screens, of which the page shows one.
    ///
    /// # Errors
    /// If the chart has nothing to draw.
    pub fn chart(&mut self, chart: &LineChart, caption: impl Into<String>) -> Result<&mut Self, Error> {
        let svg = chart.both()?;
        Ok(self.block(Block::Figure { svg, caption: caption.into() }))
    }
}
