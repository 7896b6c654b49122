//! CSV text, line by line, with the number of each line.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::Error;

/// A longer line is an error. This length has room for 100,000 columns.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

/// The lines of a CSV file after the line that names the columns. Errors name the line.
pub(crate) struct Lines<'a, R> {
    reader: csv::Reader<LineByLine<BufReader<R>>>,
    pub(crate) path: &'a Path,
    pub(crate) columns: Vec<String>,
    pub(crate) record: csv::StringRecord,
}

impl<'a, R: Read> Lines<'a, R> {
    /// Reads the line that names the columns.
    pub(crate) fn new(bytes: R, path: &'a Path) -> Result<Self, Error> {
        let lines = LineByLine::new(BufReader::new(bytes));
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(lines);
        let head = reader.headers().map_err(|error| Error::content(path, "CSV text", error))?;
        let columns = head.iter().map(str::to_owned).collect();
        Ok(Self { reader, path, columns, record: csv::StringRecord::new() })
    }

    /// Goes to the next line, if there is one. It must have all columns. Blank lines are skipped.
    pub(crate) fn next(&mut self) -> Result<bool, Error> {
        loop {
            self.reader.get_mut().length = 0;
            let read = self.reader.read_record(&mut self.record);
            let more = read.map_err(|error| self.wrong("CSV text".to_owned(), error.to_string()))?;
            let blank = self.record.len() == 1 && self.record[0].is_empty() && self.columns.len() > 1;
            if more && blank {
                continue;
            }
            if more && self.record.len() != self.columns.len() {
                let expected = format!("{} columns", self.columns.len());
                return Err(self.wrong(expected, self.record.len().to_string()));
            }
            return Ok(more);
        }
    }

    /// The number of the line that was read last, the line on which a row ends.
    pub(crate) fn line(&self) -> u64 {
        self.reader.get_ref().line
    }

    /// An error about the line that was read last.
    pub(crate) fn wrong(&self, expected: String, got: String) -> Error {
        Error::Line { path: self.path.to_owned(), line: self.line(), expected, got }
    }
}

/// Hands out at most one line at a time, and so knows on which line a record ends. (The `csv` crate counts lines too, but for it
/// a record begins on the blank line before.) Lines that are too long are an error.
struct LineByLine<R> {
    inner: R,
    line: u64,
    /// Whether the next byte begins a line.
    at_start: bool,
    /// Bytes of the record so far.
    length: usize,
    quotes: Quotes,
}

impl<R> LineByLine<R> {
    fn new(inner: R) -> Self {
        Self { inner, line: 0, at_start: true, length: 0, quotes: Quotes::Field }
    }
}

/// The position of the reader in a field. It is needed because the `csv` crate accepts the end of the file in place of a missing
/// quote.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quotes {
    /// Before the first byte of a field.
    Field,
    /// In a field without quotes, where a quote is a letter.
    Plain,
    /// After an opening quote.
    Open(u64),
    /// After a closing quote, or after the first of two quotes that stand for one.
    Closed(u64),
}

impl Quotes {
    fn after(self, byte: u8, line: u64) -> Self {
        match (self, byte) {
            (Self::Open(line), b'"') => Self::Closed(line),
            (Self::Open(line), _) | (Self::Closed(line), b'"') => Self::Open(line),
            (Self::Field, b'"') => Self::Open(line),
            // The byte order mark that some programs write before UTF-8.
            (Self::Field, 0xef | 0xbb | 0xbf) if line == 1 => Self::Field,
            (_, b',' | b'\n' | b'\r') => Self::Field,
            _ => Self::Plain,
        }
    }
}

impl<R: BufRead> Read for LineByLine<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let there = self.inner.fill_buf()?;
        let line = there.iter().position(|&byte| byte == b'\n').map_or(there.len(), |end| end + 1);
        let count = line.min(to.len());
        if count == 0 {
            return match self.quotes {
                Quotes::Open(line) => {
                    Err(io::Error::other(format!("a quote that is opened in line {line} and not closed")))
                }
                _ => Ok(0),
            };
        }
        to[..count].copy_from_slice(&there[..count]);
        self.inner.consume(count);
        self.line += u64::from(self.at_start);
        self.at_start = to[count - 1] == b'\n';
        self.quotes = to[..count].iter().fold(self.quotes, |quotes, &byte| quotes.after(byte, self.line));
        self.length += count;
        if self.length > LONGEST_LINE {
            return Err(io::Error::other(format!(
                "a line of more than {LONGEST_LINE} bytes: a quote that is not closed?"
            )));
        }
        Ok(count)
    }
}
