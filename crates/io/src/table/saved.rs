//! Saves an encoding as a JSON file.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::encoding::{ColumnKind, Encoding, InputColumn, Learned, MAX_CATEGORIES, Target};
use super::rows::is_missing;
use crate::atomic;
use crate::error::Error;
use crate::kaggle::MAX_CLASSES;

const FORMAT: &str = "backstitch columns";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedEncoding<'a> {
    format: &'a str,
    version: u32,
    columns: Learned,
}

impl Encoding {
    /// Writes the encoding as JSON. The file is written as a whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let saved = SavedEncoding { format: FORMAT, version: VERSION, columns: self.learned.clone() };
        atomic::write(path.as_ref(), |to| Ok(serde_json::to_writer_pretty(to, &saved)?))
    }

    /// Reads a file by [`save`](Self::save). The encoding gives the same bits.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a file, or has another version. If its content is not a possible encoding: a name
    /// is missing or there twice, a fill value is not finite or not a category, or there are too many categories.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        let expected = "an encoding of columns, as Encoding::save writes it";
        let wrong = |got: String| Error::content(path, expected, got);
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let format = value.get("format").cloned().unwrap_or_default();
        if format != FORMAT {
            return Err(wrong(format!("a format of {format}")));
        }
        let version = value.get("version").cloned().unwrap_or_default();
        if version != VERSION {
            return Err(Error::content(path, format!("version {VERSION} of the encoding"), version));
        }
        let columns = value.get("columns").cloned().unwrap_or_default();
        let learned: Learned = serde_json::from_value(columns).map_err(|error| wrong(error.to_string()))?;
        check(&learned).map_err(wrong)?;
        Ok(Self { learned })
    }
}

/// Checks an encoding that was read.
fn check(Learned { inputs, ignored, target }: &Learned) -> Result<(), String> {
    let names = inputs.iter().map(|input| &input.name).chain(ignored).chain(target.columns());
    different("columns", names)?;
    if inputs.is_empty() || target.columns().is_empty() {
        return Err(format!("{} inputs and {} targets", inputs.len(), target.columns().len()));
    }
    for InputColumn { name, kind } in inputs {
        match kind {
            ColumnKind::Number { fill: Some(fill) } if !fill.is_finite() => {
                return Err(format!("{fill} to fill column {name}"));
            }
            ColumnKind::Number { .. } => {}
            ColumnKind::OneHot { categories, fill } => {
                texts(&format!("categories of column {name}"), categories, MAX_CATEGORIES)?;
                if let Some(fill) = fill.as_ref().filter(|fill| !categories.contains(fill)) {
                    return Err(format!("{fill:?}, which is no category, to fill column {name}"));
                }
            }
        }
    }
    match target {
        Target::Values(_) => Ok(()),
        Target::Label { name, classes } => texts(&format!("classes of column {name}"), classes, MAX_CLASSES),
    }
}

/// Categories or classes.
fn texts(what: &str, names: &[String], most: usize) -> Result<(), String> {
    if names.is_empty() || names.len() > most {
        return Err(format!("{} {what}", names.len()));
    }
    if let Some(missing) = names.iter().find(|name| is_missing(name)) {
        return Err(format!("{missing:?}, a missing value, among the {what}"));
    }
    different(what, names)
}

fn different<'a>(what: &str, names: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    let mut known = HashSet::new();
    match names.into_iter().find(|name| name.is_empty() || !known.insert(*name)) {
        Some(name) if name.is_empty() => Err(format!("one without a name among the {what}")),
        Some(name) => Err(format!("{name:?} twice among the {what}")),
        None => Ok(()),
    }
}
