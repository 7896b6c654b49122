//! Saves vocabularies and byte pairs as JSON files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use backstitch_core::{Model, Scalar};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MAX_IDS;
use super::pairs::BytePairs;
use super::pieces::words;
use super::vocabulary::{UNKNOWN, Unit, Vocabulary};
use crate::atomic;
use crate::error::Error;

const VERSION: u32 = 1;

/// A kind of file, and who writes it.
struct Format {
    name: &'static str,
    writer: &'static str,
}

const VOCABULARY: Format = Format { name: "backstitch vocabulary", writer: "Vocabulary::save" };
const BYTE_PAIRS: Format = Format { name: "backstitch byte pairs", writer: "BytePairs::save" };

#[derive(Serialize)]
struct Saved<C> {
    format: &'static str,
    version: u32,
    content: C,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    unit: Unit,
    entries: Vec<String>,
}

impl Vocabulary {
    /// Writes the vocabulary as JSON. The file is written as a whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let content = Entries { unit: self.unit, entries: self.entries.clone() };
        save(path.as_ref(), &VOCABULARY, content)
    }

    /// Reads a file by [`save`](Self::save). Texts have the same ids.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a file, has another version, or its entries are not those of a vocabulary: none, one twice,
    /// or one that is no single character or word.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let Entries { unit, entries } = load(path, &VOCABULARY)?;
        check(unit, &entries).map_err(|got| wrong(path, &VOCABULARY, got))?;
        Ok(Self::of(unit, entries))
    }

    /// As [`load`](Self::load), for a model that reads its ids.
    ///
    /// # Errors
    /// As [`load`](Self::load); and if the model's inputs are not ids, or of another number.
    pub fn load_for<F: Scalar>(path: impl AsRef<Path>, model: &Model<F>) -> Result<Self, Error> {
        let path = path.as_ref();
        let loaded = Self::load(path)?;
        check_size(path, loaded.size(), model).map(|()| loaded)
    }
}

impl BytePairs {
    /// Writes the pairs as JSON. The file is written as a whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(path.as_ref(), &BYTE_PAIRS, &self.merges)
    }

    /// Reads a file by [`save`](Self::save). Texts have the same ids.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a file, has another version, or a pair joins ids that come later, is there twice, or is longer than any piece
    /// of a text.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::of(load(path, &BYTE_PAIRS)?).map_err(|got| wrong(path, &BYTE_PAIRS, got))
    }

    /// As [`load`](Self::load), for a model that reads its ids.
    ///
    /// # Errors
    /// As [`load`](Self::load); and if the model's inputs are not ids, or of another number.
    pub fn load_for<F: Scalar>(path: impl AsRef<Path>, model: &Model<F>) -> Result<Self, Error> {
        let path = path.as_ref();
        let loaded = Self::load(path)?;
        check_size(path, loaded.size(), model).map(|()| loaded)
    }
}

fn save(path: &Path, format: &Format, content: impl Serialize) -> Result<(), Error> {
    let saved = Saved { format: format.name, version: VERSION, content };
    atomic::write(path, |to| Ok(serde_json::to_writer(to, &saved)?))
}

fn load<C: for<'a> Deserialize<'a>>(path: &Path, format: &Format) -> Result<C, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let mut value: Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(path, format, error.to_string()))?;
    let name = value.get("format").cloned().unwrap_or_default();
    if name != format.name {
        return Err(wrong(path, format, format!("a format of {name}")));
    }
    let version = value.get("version").cloned().unwrap_or_default();
    if version != VERSION {
        return Err(Error::content(path, format!("version {VERSION} of a {}", format.name), version));
    }
    let content = value.get_mut("content").map(Value::take).unwrap_or_default();
    serde_json::from_value(content).map_err(|error| wrong(path, format, error.to_string()))
}

fn wrong(path: &Path, format: &Format, got: String) -> Error {
    Error::content(path, format!("a {}, as {} writes it", format.name, format.writer), got)
}

/// Checks entries that were read.
fn check(unit: Unit, entries: &[String]) -> Result<(), String> {
    if entries.is_empty() || entries.len() > MAX_IDS {
        return Err(format!("{} entries", entries.len()));
    }
    let mut known = HashSet::new();
    for (id, entry) in entries.iter().enumerate() {
        let is_one = match unit {
            Unit::Characters => entry.chars().count() == 1,
            Unit::Words => words(entry).eq([(0, entry.as_str())]) || (id == 0 && entry == UNKNOWN),
        };
        if !is_one {
            return Err(format!("{entry:?} with the id {id}, which is not one of its {}", unit.name()));
        }
        if !known.insert(entry) {
            return Err(format!("{entry:?} twice"));
        }
    }
    Ok(())
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Words => "words",
        }
    }
}

/// Checks that a model has as many ids as a vocabulary.
fn check_size<F: Scalar>(path: &Path, size: usize, model: &Model<F>) -> Result<(), Error> {
    let layers = model.input_ids();
    if layers.is_empty() {
        return Err(Error::content(path, "the ids of a model", "a model whose inputs are not ids"));
    }
    match layers.into_iter().find(|&(_, count)| count != size) {
        None => Ok(()),
        Some((layer, count)) => {
            Err(Error::content(path, format!("{count} ids, as {layer} of the model has"), format!("{size}")))
        }
    }
}
