//! CSV files with one row of numbers per sample and a column of labels: the layout of Kaggle's Fashion-MNIST. For other tables
//! see [`table`](crate::table).
//!
//! Upper and lower case in column names do not matter. Some columns number the samples and are not features: `id`, `ImageId`, and
//! a first column without a name, as pandas writes its index.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::error::Error;
use crate::lines::Lines;

/// The samples of a CSV file.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Names of the feature columns.
    pub columns: Vec<String>,
    /// One row per sample, `[n, features]`.
    pub features: Array2<f32>,
    /// The class of each sample.
    pub labels: Vec<usize>,
}

/// Labels must be below this. A network has one output per class, so one wrong label could ask for any amount of memory.
pub const MAX_CLASSES: usize = 1 << 16;

/// Reads a CSV file whose first line names the columns. One column has the labels. Every other column is a feature, except a
/// column that numbers the samples.
///
/// Memory is taken as lines arrive: up to eight times the bytes of the file, because a label or number may be two letters there,
/// and about 50 MB for the names of columns. A line has at most 1 MiB.
///
/// # Errors
/// If the file cannot be read, the column of labels is missing or there twice, or there are no rows. If a row is too short or too
/// long, its label is not a class below [`MAX_CLASSES`], or a feature is not a finite number: the message names the line.
pub fn read(path: impl AsRef<Path>, label_column: &str) -> Result<Labelled, Error> {
    let path = path.as_ref();
    parse(File::open(path).map_err(Error::io(path, "open"))?, path, label_column)
}

/// Reads a CSV table from bytes. The path is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: impl Read, path: impl AsRef<Path>, label_column: &str) -> Result<Labelled, Error> {
    let path = path.as_ref();
    let mut lines = Lines::new(bytes, path)?;
    let Roles { label, features, .. } = lines.roles(label_column)?;
    let Some(label) = label else {
        let got = lines.columns.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::content(path, format!("a column named {label_column:?}"), format!("{got} ...")));
    };
    if features.is_empty() {
        return Err(Error::content(path, "a column of features", "none"));
    }
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    while lines.next()? {
        for &i in &features {
            values.push(lines.number(i, "a finite number", f32::is_finite)?);
        }
        labels.push(lines.class(label)?);
    }
    let columns = features.iter().map(|&i| lines.columns[i].clone()).collect();
    Ok(Labelled { columns, features: rows(values, features.len(), path)?, labels })
}

/// One row a sample.
fn rows(values: Vec<f32>, columns: usize, path: &Path) -> Result<Array2<f32>, Error> {
    if values.is_empty() {
        return Err(Error::content(path, "at least one row of data", "none"));
    }
    Ok(Array2::from_shape_vec((values.len() / columns, columns), values).expect("every row was checked"))
}

/// The role of each column.
struct Roles {
    label: Option<usize>,
    id: Option<usize>,
    features: Vec<usize>,
}

impl<R: Read> Lines<'_, R> {
    fn roles(&self, label_column: &str) -> Result<Roles, Error> {
        let named = |name: &str| -> Vec<usize> {
            let is = |&i: &usize| self.columns[i].eq_ignore_ascii_case(name);
            (0..self.columns.len()).filter(is).collect()
        };
        let once = |columns: &[usize], name: &str| match *columns {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => {
                let got: Vec<_> = columns.iter().take(5).map(|&i| &self.columns[i]).collect();
                Err(Error::content(self.path, format!("one column named {name:?}"), format!("{got:?}")))
            }
        };
        let label = once(&named(label_column), label_column)?;
        let mut ids = [named("id"), named("ImageId")].concat();
        ids.retain(|&id| Some(id) != label);
        let id = once(&ids, "id")?;
        // pandas writes its index without a name, and gives it a name when it reads the file again.
        let is_index = |i: usize| (i == 0 && self.columns[i].is_empty()) || self.columns[i] == "Unnamed: 0";
        let index = (0..self.columns.len()).find(|&i| is_index(i));
        let is_feature = |&i: &usize| Some(i) != label && Some(i) != id && !is_index(i);
        let features: Vec<usize> = (0..self.columns.len()).filter(is_feature).collect();
        if let Some(nameless) = features.iter().find(|&&i| self.columns[i].is_empty()) {
            let got = format!("none for column {}", nameless + 1);
            return Err(Error::content(self.path, "a name for every column", got));
        }
        Ok(Roles { label, id: id.or(index), features })
    }

    /// The number in a column, if it is a number that fits.
    fn number(&self, column: usize, expected: &str, fits: impl Fn(f32) -> bool) -> Result<f32, Error> {
        let field = &self.record[column];
        let number = field.parse().ok().filter(|&value| fits(value));
        let expected = || format!("{expected} in column {}", self.columns[column]);
        number.ok_or_else(|| self.wrong(expected(), format!("{field:?}")))
    }

    /// A class. It may be written as a float: 9.0.
    fn class(&self, column: usize) -> Result<usize, Error> {
        let field = &self.record[column];
        let whole = |value: f64| (value.fract() == 0.0 && value >= 0.0).then_some(value as usize);
        let class = field.parse().ok().or_else(|| field.parse().ok().and_then(whole));
        let class = class.filter(|&class| class < MAX_CLASSES);
        let expected = || format!("a class from 0 to {}", MAX_CLASSES - 1);
        class.ok_or_else(|| self.wrong(expected(), format!("{field:?}")))
    }
}

/// Pictures of 28x28 from a CSV file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// Rows of 784 numbers from 0 to 1.
    pub rows: Array2<f32>,
    /// The class of each picture. `None` if the pictures are for a submission.
    pub labels: Option<Vec<usize>>,
    /// The numbers of the pictures in the file, if it has them.
    pub ids: Option<Vec<String>>,
}

/// Reads pictures of 28x28 from a CSV file in Kaggle's layout: one column for each pixel, row by row. There may be a column
/// `label` with classes, and a column that numbers the pictures. Memory is taken as by [`read`].
///
/// # Errors
/// As [`read`], but labels may be missing. Also if there are not 784 columns of pixels, or a pixel is not from 0 to 255: the
/// message names the line.
pub fn read_pictures(path: impl AsRef<Path>) -> Result<Pictures, Error> {
    let path = path.as_ref();
    parse_pictures(File::open(path).map_err(Error::io(path, "open"))?, path)
}

/// The number of pixels of a picture.
const PIXELS: usize = 28 * 28;

/// Reads pictures from bytes. The path is for messages.
///
/// # Errors
/// As [`read_pictures`].
pub fn parse_pictures(bytes: impl Read, path: impl AsRef<Path>) -> Result<Pictures, Error> {
    let path = path.as_ref();
    let mut lines = Lines::new(bytes, path)?;
    let Roles { label, id, features: pixels } = lines.roles("label")?;
    if pixels.len() != PIXELS {
        return Err(Error::content(path, format!("{PIXELS} columns of pixels"), pixels.len()));
    }
    let (mut values, mut labels, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    while lines.next()? {
        for &i in &pixels {
            let in_range = |value: f32| (0.0..=255.0).contains(&value);
            values.push(lines.number(i, "a number from 0 to 255", in_range)? / 255.0);
        }
        if let Some(at) = label {
            labels.push(lines.class(at)?);
        }
        if let Some(at) = id {
            ids.push(lines.record[at].to_owned());
        }
    }
    let rows = rows(values, PIXELS, path)?;
    Ok(Pictures { rows, labels: label.map(|_| labels), ids: id.map(|_| ids) })
}

/// Writes a submission to Kaggle: `id,label`, one line per sample, with the ids of the file or counted from 0.
///
/// # Errors
/// If there are not as many ids as classes, or the file cannot be written.
pub fn write_submission(
    path: impl AsRef<Path>,
    ids: Option<&[String]>,
    classes: &[usize],
) -> Result<(), Error> {
    let path = path.as_ref();
    if let Some(ids) = ids.filter(|ids| ids.len() != classes.len()) {
        return Err(Error::content(path, format!("{} ids, one for each class", classes.len()), ids.len()));
    }
    crate::atomic::write(path, |to| {
        let mut writer = csv::Writer::from_writer(to);
        writer.write_record(["id", "label"])?;
        for (i, class) in classes.iter().enumerate() {
            let id = ids.map_or_else(|| i.to_string(), |ids| ids[i].clone());
            writer.write_record([id, class.to_string()])?;
        }
        writer.flush()
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;
    use crate::lines::LONGEST_LINE;

    fn read_text(text: &str) -> Result<Labelled, String> {
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
            "train.csv, line 2: expected a class from 0 to 65535, got \"-1\""
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
        let with_labels = read(text("7,", "label,", "51")).unwrap();
        assert_eq!((with_labels.rows[[0, 0]], with_labels.labels), (0.2, Some(vec![7])));
        let plain = read(text("", "", "51")).unwrap();
        assert_eq!((plain.labels, plain.ids), (None, None));
        for (head, first, id, label) in [
            ("id,", "4,", "4", None),
            ("ImageId,", "a-4,", "a-4", None),
            ("Id,Label,", "4,9.0,", "4", Some(vec![9])),
            (",label,", "0,3,", "0", Some(vec![3])),
            (",Unnamed: 0,ID,", "0,0,17,", "17", None),
        ] {
            let pictures = read(text(first, head, "51")).unwrap();
            assert_eq!((pictures.ids.unwrap(), pictures.labels), (vec![id.to_owned()], label), "{head}");
            assert_eq!(pictures.rows[[0, 0]], 0.2, "{head}");
        }
        assert_eq!(
            read(text("4,5,", "label,Label,", "51")).unwrap_err(),
            "test.csv: expected one column named \"label\", got [\"label\", \"Label\"]"
        );
        assert_eq!(
            read(text("4,5,", "id,ImageId,", "51")).unwrap_err(),
            "test.csv: expected one column named \"id\", got [\"id\", \"ImageId\"]"
        );
        for pixel in ["nan", "inf", "-1", "255.5", ""] {
            let expected =
                format!("test.csv, line 2: expected a number from 0 to 255 in column pixel1, got {pixel:?}");
            assert_eq!(read(text("", "", pixel)).unwrap_err(), expected);
        }
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

    #[test]
    fn labels_are_found_and_read_as_other_programs_write_them() {
        let table = read_text(",Label,a\n0,9.0,1\n1, 2 ,3\n2,1e1,4\n").unwrap();
        assert_eq!((table.labels, table.columns), (vec![9, 2, 10], vec!["a".to_owned()]));
        assert_eq!(table.features, array![[1.0], [3.0], [4.0]]);
        let error = |text: &str| read_text(text).unwrap_err();
        for label in ["9.5", "1099511627776", "65536", "1e300", "inf", "nan", "-0.5", ""] {
            let expected = format!("train.csv, line 2: expected a class from 0 to 65535, got {label:?}");
            assert_eq!(error(&format!("label,a\n{label},1\n")), expected);
        }
        assert_eq!(read_text("label,a\n65535,1\n").unwrap().labels, [65535]);
        let two = "train.csv: expected one column named \"label\", got [\"label\", \"LABEL\"]";
        assert_eq!(error("label,a,LABEL\n1,2,3\n"), two);
        assert_eq!(
            error("label,,a\n1,2,3\n"),
            "train.csv: expected a name for every column, got none for column 2"
        );
        assert_eq!(error("id,label\n1,2\n"), "train.csv: expected a column of features, got none");
    }

    #[test]
    fn text_of_other_systems_is_read_and_lines_are_counted_as_an_editor_does() {
        let plain = read_text("label,a\n3,7\n4,8\n").unwrap();
        for text in [
            "\u{feff}label,a\n3,7\n4,8\n",
            "label,a\r\n3,7\r\n4,8\r\n",
            "\"label\",\"a\"\n\"3\",\"7\"\n4,\" 8 \"",
            "\n\nlabel,a\n\n3,7\n  \n\n4,8\n\n\n",
        ] {
            assert_eq!(read_text(text).unwrap(), plain, "{text:?}");
        }
        let line = |text| read_text(text).unwrap_err().split(':').next().unwrap().to_owned();
        assert_eq!(line("label,a\n1,2\n\n\n1,x\n"), "train.csv, line 5");
        assert_eq!(line("label,a\r\n\r\n1,2\r\n1,x\r\n"), "train.csv, line 4");
        assert_eq!(line("\"la\nbel\",label,a\n1,2,3\n1,2\n"), "train.csv, line 4");
        assert_eq!(line("label,a\n1,2\n1,\u{fffd}"), "train.csv, line 3");
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let text = format!("label,a\n1,2\n1,\"{}", "2\n".repeat(LONGEST_LINE));
        let error = read_text(&text).unwrap_err();
        assert!(
            error.ends_with(
                "expected CSV text, got a line of more than 1048576 bytes: a quote that is not closed?"
            ),
            "{error}"
        );
        let error = read_text(&",".repeat(LONGEST_LINE + 1)).unwrap_err();
        assert!(error.contains("a line of more than"), "{error}");
        let long = read_text(&format!("label,a\n1,{}\n", "y".repeat(100_000))).unwrap_err();
        assert!(long.len() < 400, "{}", long.len());
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let error = |bytes: &[u8]| parse(bytes, Path::new("x.csv"), "label").unwrap_err().to_string();
        assert!(error(b"\xff\xfel\0a\0").starts_with("x.csv: expected CSV text, got "));
        assert!(error(b"label,a\n1,2\n1,\xff\n").starts_with("x.csv, line 3: expected CSV text, got "));
    }

    #[test]
    fn a_submission_has_the_ids_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("submission.csv");
        write_submission(&path, None, &[3, 0]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "id,label\n0,3\n1,0\n");
        let ids = ["60001", "a,b"].map(str::to_owned);
        write_submission(&path, Some(&ids), &[3, 0]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "id,label\n60001,3\n\"a,b\",0\n");
        let error = write_submission(&path, Some(&ids), &[3]).unwrap_err().to_string();
        assert!(error.ends_with("submission.csv: expected 1 ids, one for each class, got 2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&*[b"label,a\n", &*bytes].concat(), Path::new("x"), "label");
            let _ = parse(&*bytes, Path::new("x"), "label");
            let _ = parse_pictures(&*bytes, Path::new("x"));
        }

        #[test]
        fn no_change_to_a_good_table_makes_it_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = b"\xef\xbb\xbfId,\"Label\",a,b\r\n1,9.0,0.5,\"1e3\"\r\n\r\n2,0,-1,7\r\n".to_vec();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let end = end.index(bytes.len() + 1);
            if let Ok(table) = parse(&bytes[..end], Path::new("x"), "label") {
                prop_assert_eq!(table.features.dim(), (table.labels.len(), table.columns.len()));
                prop_assert!(table.labels.iter().all(|&label| label < MAX_CLASSES));
            }
        }
    }
}
