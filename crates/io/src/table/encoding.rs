//! Encodes rows of a table as numbers, with what was learned from the training rows.

use std::collections::HashMap;

use backstitch_core::Dataset;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::rows::{Table, is_missing};
use crate::error::Error;

/// The largest number of categories of a column. Each category is a feature of every row.
pub const MAX_CATEGORIES: usize = 1000;

/// How the columns of a table become numbers: learned by [`Columns::fit`](super::Columns::fit). Keep it together with the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    pub(super) learned: Learned,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learned {
    /// In the order of the features.
    pub(super) inputs: Vec<InputColumn>,
    pub(super) ignored: Vec<String>,
    pub(super) target: Target,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputColumn {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ColumnKind {
    Number { fill: Option<f32> },
    OneHot { categories: Vec<String>, fill: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Target {
    Values(Vec<String>),
    Label { name: String, classes: Vec<String> },
}

impl Target {
    pub(super) fn columns(&self) -> &[String] {
        match self {
            Self::Values(names) => names,
            Self::Label { name, .. } => std::slice::from_ref(name),
        }
    }

    pub(super) fn value(table: &Table, row: usize, column: usize) -> Result<f32, Error> {
        let help = "leave out rows that have none; for classes, label";
        finite(table.field(row, column)).ok_or_else(|| table.wrong(row, column, "a number", help))
    }
}

/// An input that is a number.
pub(super) fn number(table: &Table, row: usize, column: usize) -> Result<f32, Error> {
    let field = table.field(row, column);
    let help =
        if is_missing(field) { "fill it, or leave the row out" } else { "one_hot or ignore the column" };
    finite(field).ok_or_else(|| table.wrong(row, column, "a number", help))
}

fn finite(field: &str) -> Option<f32> {
    field.parse().ok().filter(|value: &f32| value.is_finite())
}

/// The position of each name.
fn places(names: &[String]) -> HashMap<&str, usize> {
    names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect()
}

impl Encoding {
    /// The names of the features, in the order of the inputs: the name of a column of numbers, or `column=category`.
    pub fn features(&self) -> Vec<String> {
        let of = |InputColumn { name, kind }: &InputColumn| match kind {
            ColumnKind::Number { .. } => vec![name.clone()],
            ColumnKind::OneHot { categories, .. } => {
                categories.iter().map(|category| format!("{name}={category}")).collect()
            }
        };
        self.learned.inputs.iter().flat_map(of).collect()
    }

    /// The names of the classes, in the order of their numbers; `None` if the targets are values.
    pub fn classes(&self) -> &[String] {
        match &self.learned.target {
            Target::Values(_) => &[],
            Target::Label { classes, .. } => classes,
        }
    }

    /// Encodes rows with their targets: inputs `[n, features]`, and one class per row or values `[n, targets]`.
    ///
    /// # Errors
    /// As [`inputs`](Self::inputs). Also if a column of targets does not exist, or if it has a missing value, a class that the
    /// training rows did not have, or a field that is not a number: the message gives line and column.
    pub fn encode(&self, table: &Table) -> Result<Dataset, Error> {
        let inputs = self.inputs(table)?;
        let columns = self.learned.target.columns();
        let places = columns.iter().map(|name| table.place(name)).collect::<Result<Vec<_>, _>>()?;
        let rows = 0..table.len();
        let data = match &self.learned.target {
            Target::Values(_) => {
                let mut values = room(table, places.len())?;
                for row in rows {
                    for &at in &places {
                        values.push(Target::value(table, row, at)?);
                    }
                }
                Dataset::values(inputs, matrix(values, table.len()))
            }
            Target::Label { classes, .. } => {
                let of = self::places(classes);
                let class = |row| {
                    known(table, row, places[0], &of, classes, "one of the classes of the training rows")
                };
                Dataset::classes(inputs, &rows.map(class).collect::<Result<Vec<_>, _>>()?)
            }
        };
        data.map_err(Error::dataset(table.path()))
    }

    /// Encodes rows for a prediction, `[n, features]`. The table need not have the target.
    ///
    /// # Errors
    /// If a column of the training rows is missing, or there is a column that they did not have. If a value is missing and has no
    /// fill, a field of numbers is not a number, or the training rows did not have a category: the message gives line and column.
    /// If there is no memory for the numbers.
    pub fn inputs(&self, table: &Table) -> Result<Array2<f32>, Error> {
        let Learned { inputs, ignored, target } = &self.learned;
        let used = |name: &String| inputs.iter().any(|input| input.name == *name);
        let is_known =
            |name: &&String| used(name) || ignored.contains(name) || target.columns().contains(name);
        if let Some(other) = table.columns().iter().find(|name| !is_known(name)) {
            let got = format!("{other:?}, which the training rows did not have");
            return Err(Error::content(table.path(), "the columns of the training rows and no others", got));
        }
        let columns = inputs.iter().map(|InputColumn { name, kind }| {
            let of = match kind {
                ColumnKind::Number { .. } => HashMap::new(),
                ColumnKind::OneHot { categories, .. } => places(categories),
            };
            Ok((table.place(name)?, kind, of))
        });
        let columns = columns.collect::<Result<Vec<_>, Error>>()?;
        let width = |kind: &ColumnKind| match kind {
            ColumnKind::Number { .. } => 1,
            ColumnKind::OneHot { categories, .. } => categories.len(),
        };
        let mut values = room(table, columns.iter().map(|(_, kind, _)| width(kind)).sum())?;
        for row in 0..table.len() {
            for (at, kind, of) in &columns {
                let missing = is_missing(table.field(row, *at));
                match kind {
                    ColumnKind::Number { fill: Some(fill) } if missing => values.push(*fill),
                    ColumnKind::Number { .. } => values.push(number(table, row, *at)?),
                    ColumnKind::OneHot { categories, fill } => {
                        let filled = fill.as_ref().filter(|_| missing).and_then(|fill| of.get(fill.as_str()));
                        let expected = "one of the categories of the training rows";
                        let category = match filled {
                            Some(&category) => category,
                            None => known(table, row, *at, of, categories, expected)?,
                        };
                        let from = values.len();
                        values.resize(from + categories.len(), 0.0);
                        values[from + category] = 1.0;
                    }
                }
            }
        }
        Ok(matrix(values, table.len()))
    }
}

/// The number of a category or class.
fn known(
    table: &Table,
    row: usize,
    column: usize,
    of: &HashMap<&str, usize>,
    names: &[String],
    expected: &str,
) -> Result<usize, Error> {
    let found = of.get(table.field(row, column)).copied();
    found.ok_or_else(|| table.wrong(row, column, expected, &names.join(", ")))
}

/// Memory for this number of values per row.
fn room(table: &Table, width: usize) -> Result<Vec<f32>, Error> {
    let (mut values, count) = (Vec::new(), table.len().saturating_mul(width));
    values.try_reserve_exact(count).map_err(|error| {
        Error::content(table.path(), format!("memory for {} rows of {width} numbers", table.len()), error)
    })?;
    Ok(values)
}

fn matrix(values: Vec<f32>, rows: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, values.len() / rows), values).expect("every row has the same numbers")
}
