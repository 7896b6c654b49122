//! The text of a CSV file, by column name.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstitch_core::split;

use crate::error::Error;
use crate::input;
use crate::lines::Lines;

/// The forms of a missing value: an empty field, most of those that pandas knows, and UCI's `?`.
const MISSING: [&str; 13] =
    ["", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "?"];

pub(super) fn is_missing(field: &str) -> bool {
    MISSING.contains(&field)
}

/// All or some rows of a CSV file. Clones and parts share the memory.
#[derive(Debug, Clone)]
pub struct Table {
    content: Arc<Content>,
    rows: Arc<[usize]>,
}

#[derive(Debug)]
struct Content {
    path: PathBuf,
    columns: Vec<String>,
    /// All fields one after the other, and the end of each.
    text: String,
    ends: Vec<usize>,
    /// The line of each row.
    lines: Vec<u64>,
}

impl Table {
    /// Reads a CSV file (RFC 4180), gzipped or not, with commas between the fields. The first line names the columns. Blanks
    /// around fields are removed. Memory is taken as lines arrive: at most 22 times the bytes of the text, because a field may be
    /// one letter, and about 50 MB for the names of columns. A line has at most 1 MiB.
    ///
    /// # Errors
    /// If a column has no name or the name of another, a row has fewer or more fields than there are columns, a quote is not
    /// closed, or the text is not UTF-8: the message gives the line. Also if the file cannot be read, or has no rows.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = BufReader::new(File::open(path).map_err(Error::io(path, "open"))?);
        Self::parse(input::gunzipped(file).map_err(Error::io(path, "read"))?, path)
    }

    /// As [`read`](Self::read), from bytes. The path is for messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(bytes: impl Read, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut lines = Lines::new(bytes, path)?;
        let mut names = HashSet::new();
        for (i, name) in lines.columns.iter().enumerate() {
            if name.is_empty() {
                let expected =
                    "a name for every column (pandas writes one without for its index: to_csv(index=False))";
                return Err(lines.wrong(expected.to_owned(), format!("none for column {}", i + 1)));
            }
            if !names.insert(name) {
                return Err(lines.wrong("columns of different names".to_owned(), format!("{name:?} twice")));
            }
        }
        let (mut text, mut ends, mut numbers) = (String::new(), Vec::new(), Vec::new());
        while lines.next()? {
            for field in &lines.record {
                text.push_str(field);
                ends.push(text.len());
            }
            numbers.push(lines.line());
        }
        if numbers.is_empty() {
            return Err(Error::content(path, "at least one row below the names of columns", "none"));
        }
        let rows = (0..numbers.len()).collect();
        let content = Content { path: path.to_owned(), columns: lines.columns, text, ends, lines: numbers };
        Ok(Self { content: Arc::new(content), rows })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows. A table has at least one, so this is always false.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the columns, in the order of the file.
    pub fn columns(&self) -> &[String] {
        &self.content.columns
    }

    /// Some of the rows, by their numbers here, in this order.
    ///
    /// # Errors
    /// If there are none, or a number is too large.
    pub fn subset(&self, rows: &[usize]) -> Result<Self, Error> {
        let wrong = rows.iter().find(|&&row| row >= self.len());
        if rows.is_empty() || wrong.is_some() {
            let got = wrong.map_or_else(|| "none".to_owned(), usize::to_string);
            return Err(Error::content(self.path(), format!("numbers of rows below {}", self.len()), got));
        }
        Ok(self.part(rows))
    }

    fn part(&self, rows: &[usize]) -> Self {
        Self { content: Arc::clone(&self.content), rows: rows.iter().map(|&row| self.rows[row]).collect() }
    }

    /// Splits the rows at random into parts of these shares, which sum to 1. Rows left over by rounding go to the first part.
    ///
    /// # Errors
    /// If the shares do not sum to 1, or a part would have no rows.
    pub fn split<const N: usize>(&self, shares: [f64; N], seed: u64) -> Result<[Self; N], Error> {
        let parts = split::hold_out(self.len(), &shares, seed).map_err(Error::dataset(self.path()))?;
        let parts: Vec<_> = parts.iter().map(|part| self.part(part)).collect();
        parts.try_into().map_err(|_| Error::content(self.path(), format!("{N} parts"), "another number"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.content.path
    }

    /// The position of a column.
    pub(super) fn place(&self, name: &str) -> Result<usize, Error> {
        self.columns().iter().position(|column| column == name).ok_or_else(|| {
            let got = format!("the columns {}", self.columns().join(", "));
            Error::content(self.path(), format!("a column named {name:?}"), got)
        })
    }

    pub(super) fn field(&self, row: usize, column: usize) -> &str {
        let Content { columns, text, ends, .. } = &*self.content;
        let at = self.rows[row] * columns.len() + column;
        &text[at.checked_sub(1).map_or(0, |before| ends[before])..ends[at]]
    }

    /// An error about a field.
    pub(super) fn wrong(&self, row: usize, column: usize, expected: &str, help: &str) -> Error {
        let (name, field) = (&self.columns()[column], self.field(row, column));
        let got =
            if is_missing(field) { format!("a missing value ({field:?})") } else { format!("{field:?}") };
        let line = self.content.lines[self.rows[row]];
        let expected = format!("{expected} in column {name} ({help})");
        Error::Line { path: self.path().to_owned(), line, expected, got }
    }
}
