//! CSV files with a row a sample and a column of labels: the layout of Kaggle's Fashion-MNIST.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::error::Error;

/// The samples of a CSV file.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the feature columns.
    pub columns: Vec<String>,
    /// One row a sample, `[n, features]`.
    pub features: Array2<f32>,
    /// The class of each sample.
    pub labels: Vec<usize>,
}

/// Reads a CSV file whose first line names the columns, one of them the labels; every other column
/// is a feature.
///
/// # Errors
/// If the file cannot be read, the column is not there, there are no rows, or a row is too short or
/// too long, or has a label that is no class or a feature that is no finite number: with its line.
pub fn read(path: &Path, label_column: &str) -> Result<Table, Error> {
    parse(File::open(path).map_err(Error::io(path, "open"))?, path, label_column)
}

/// Reads a CSV table from bytes. The path is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: impl Read, path: &Path, label_column: &str) -> Result<Table, Error> {
    let mut lines = Lines::new(bytes, path)?;
    let mut columns = lines.columns.clone();
    let Some(label_at) = columns.iter().position(|column| column == label_column) else {
        let got = columns.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::content(path, format!("a column named {label_column:?}"), format!("{got} ...")));
    };
    columns.remove(label_at);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    while lines.next()? {
        for i in (0..lines.columns.len()).filter(|&i| i != label_at) {
            values.push(lines.number(i, "a finite number", f32::is_finite)?);
        }
        labels.push(lines.class(label_at)?);
    }
    if labels.is_empty() {
        return Err(Error::content(path, "at least one row of data", "none"));
    }
    let features =
        Array2::from_shape_vec((labels.len(), columns.len()), values).expect("every row was checked");
    Ok(Table { columns, features, labels })
}

/// The lines of a CSV file below the one that names the columns; errors name the line.
struct Lines<'a, R> {
    reader: csv::Reader<R>,
    path: &'a Path,
    columns: Vec<String>,
    record: csv::StringRecord,
}

impl<'a, R: Read> Lines<'a, R> {
    fn new(bytes: R, path: &'a Path) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
        let head = reader.headers().map_err(|error| Error::content(path, "CSV text", error))?;
        let columns = head.iter().map(str::to_owned).collect();
        Ok(Self { reader, path, columns, record: csv::StringRecord::new() })
    }

    /// Goes on to the next line, if there is one, which must have all columns.
    fn next(&mut self) -> Result<bool, Error> {
        let read = self.reader.read_record(&mut self.record);
        let more = read.map_err(|error| Error::content(self.path, "CSV text", error))?;
        if more && self.record.len() != self.columns.len() {
            let expected = format!("{} columns", self.columns.len());
            return Err(self.wrong(expected, self.record.len().to_string()));
        }
        Ok(more)
    }

    fn wrong(&self, expected: String, got: String) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        Error::Line { path: self.path.to_owned(), line, expected, got }
    }

    /// The number in a column, if it is one that fits.
    fn number(&self, column: usize, expected: &str, fits: impl Fn(f32) -> bool) -> Result<f32, Error> {
        let field = &self.record[column];
        let number = field.parse().ok().filter(|&value| fits(value));
        let expected = || format!("{expected} in column {}", self.columns[column]);
        number.ok_or_else(|| self.wrong(expected(), format!("{field:?}")))
    }

    fn class(&self, column: usize) -> Result<usize, Error> {
        let field = &self.record[column];
        field.parse().map_err(|_| self.wrong("a class, counted from 0".to_owned(), format!("{field:?}")))
    }
}

/// Reads pictures of 28x28 from a CSV file in Kaggle's layout: a column of pixels for each place, row by row, and
/// maybe a column `label` of classes or a column `id`; without labels the pictures are to be submitted. Gives rows of 784 numbers from 0
/// to 1, and the labels.
///
/// # Errors
/// As [`read`]; and if there are not 784 columns of pixels, or a pixel is not from 0 to 255: with its line.
pub fn read_pictures(path: &Path) -> Result<(Array2<f32>, Option<Vec<usize>>), Error> {
    parse_pictures(File::open(path).map_err(Error::io(path, "open"))?, path)
}

/// Pixels of a picture.
const PIXELS: usize = 28 * 28;

/// Reads pictures from bytes. The path is for messages.
///
/// # Errors
/// As [`read_pictures`].
pub fn parse_pictures(bytes: impl Read, path: &Path) -> Result<(Array2<f32>, Option<Vec<usize>>), Error> {
    let mut lines = Lines::new(bytes, path)?;
    let columns = &lines.columns;
    let label_at = columns.iter().position(|column| column == "label");
    let id_at = columns.iter().position(|column| column == "id");
    let pixels: Vec<usize> =
        (0..columns.len()).filter(|&i| Some(i) != label_at && Some(i) != id_at).collect();
    if pixels.len() != PIXELS {
        return Err(Error::content(path, format!("{PIXELS} columns of pixels"), pixels.len()));
    }
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    while lines.next()? {
        for &i in &pixels {
            let in_range = |value: f32| (0.0..=255.0).contains(&value);
            values.push(lines.number(i, "a number from 0 to 255", in_range)? / 255.0);
        }
        if let Some(at) = label_at {
            labels.push(lines.class(at)?);
        }
    }
    let rows = values.len() / PIXELS;
    if rows == 0 {
        return Err(Error::content(path, "at least one row of data", "none"));
    }
    let values = Array2::from_shape_vec((rows, PIXELS), values).expect("every row was checked");
    Ok((values, label_at.map(|_| labels)))
}

/// Writes a submission to Kaggle: `id,label`, a line a sample, counted from 0.
///
/// # Errors
/// If the file cannot be written.
pub fn write_submission(path: &Path, classes: &[usize]) -> Result<(), Error> {
    crate::atomic::write(path, |to| {
        writeln!(to, "id,label")?;
        classes.iter().enumerate().try_for_each(|(id, class)| writeln!(to, "{id},{class}"))
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<Table, String> {
        parse(text.as_bytes(), Path::new("train.csv"), "label").map_err(|error| error.to_string())
    }

    #[test]
    fn the_label_may_be_in_any_column() {
        let first = read_text("label,pixel1,pixel2\n3,0,255\n0,12,7\n").unwrap();
        let last = read_text("pixel1, pixel2, label\n0, 255, 3\n12, 7, 0\n").unwrap();
        assert_eq!(first, last);
        assert_eq!(first.features, array![[0.0, 255.0], [12.0, 7.0]]);
        assert_eq!(first.labels, [3, 0]);
        assert_eq!(first.columns, ["pixel1", "pixel2"]);
    }

    #[test]
    fn a_bad_row_is_named_with_its_line() {
        let error = |text| read_text(text).unwrap_err();
        assert_eq!(error("label,a\n1,2\n1\n"), "train.csv, line 3: expected 2 columns, got 1");
        assert_eq!(error("label,a\n1,2,3\n"), "train.csv, line 2: expected 2 columns, got 3");
        assert_eq!(
            error("label,a\n1,x\n"),
            "train.csv, line 2: expected a finite number in column a, got \"x\""
        );
        assert_eq!(
            error("label,a\n1,nan\n"),
            "train.csv, line 2: expected a finite number in column a, got \"nan\""
        );
        assert_eq!(
            error("label,a\n-1,2\n"),
            "train.csv, line 2: expected a class, counted from 0, got \"-1\""
        );
        assert_eq!(error("id,a\n1,2\n"), "train.csv: expected a column named \"label\", got id, a ...");
        assert_eq!(error("label,a\n"), "train.csv: expected at least one row of data, got none");
    }

    #[test]
    fn pictures_come_with_labels_or_without() {
        let head: Vec<String> = (1..=784).map(|i| format!("pixel{i}")).collect();
        let text = |first: &str, head_first: &str, pixel: &str| {
            format!("{head_first}{}\n{first}{pixel}{}\n", head.join(","), ",0".repeat(783))
        };
        let read = |text: String| {
            parse_pictures(text.as_bytes(), Path::new("test.csv")).map_err(|error| error.to_string())
        };
        let (rows, labels) = read(text("7,", "label,", "51")).unwrap();
        assert_eq!((rows[[0, 0]], labels), (0.2, Some(vec![7])));
        assert_eq!(read(text("", "", "51")).unwrap().1, None);
        assert_eq!(read(text("4,", "id,", "51")).unwrap().1, None);
        assert_eq!(
            read(text("", "", "256")).unwrap_err(),
            "test.csv, line 2: expected a number from 0 to 255 in column pixel1, got \"256\""
        );
        assert_eq!(read(text("", "", "1,1")).unwrap_err(), "test.csv, line 2: expected 784 columns, got 785");
        assert_eq!(
            read("a,b\n1,2\n".to_owned()).unwrap_err(),
            "test.csv: expected 784 columns of pixels, got 2"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&*[b"label,a\n", &*bytes].concat(), Path::new("x"), "label");
            let _ = parse(&*bytes, Path::new("x"), "label");
        }
    }
}
