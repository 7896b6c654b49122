//! The role of each column of a table, and what is learned about it from training rows.

use std::collections::{BTreeMap, HashSet};

use super::encoding::{ColumnKind, Encoding, InputColumn, Learned, MAX_CATEGORIES, Target, number};
use super::rows::{Table, is_missing};
use crate::error::Error;
use crate::kaggle::MAX_CLASSES;

/// The replacement of a missing value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fill {
    /// The mean of a column of numbers.
    Mean,
    /// The median of a column of numbers. If two numbers are in the middle, it is their mean.
    Median,
    /// This number.
    Number(f64),
    /// The most frequent category of a column. If several are equally frequent, the first by name.
    MostFrequent,
    /// This category. The training rows need not have it: `Fill::Category("unknown".into())` makes missing values a feature.
    Category(String),
}

/// The roles of the columns of a table. A column that is not named here is an input with one number per row.
///
/// ```
/// use backstitch::table::{Columns, Table};
/// let text = "id,petal,colour,species\n1,1.4,red,setosa\n2,4.7,blue,versicolor\n";
/// let table = Table::parse(text.as_bytes(), "iris.csv")?;
/// let encoding = Columns::new().ignore("id").one_hot("colour").label("species").fit(&table)?;
/// assert_eq!(encoding.features(), ["petal", "colour=blue", "colour=red"]);
/// assert_eq!(encoding.classes(), ["setosa", "versicolor"]);
/// assert_eq!(encoding.encode(&table)?.labels(), Some(vec![0, 1]));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Columns {
    roles: Vec<(String, Role)>,
    fills: Vec<(String, Fill)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Number,
    OneHot,
    Ignored,
    Target,
    Label,
}

impl Columns {
    /// Starts with all columns as numbers. The other methods change that.
    pub fn new() -> Self {
        Self::default()
    }

    /// A column of categories. Each category becomes a feature: 1 if the row has it, else 0. Categories are compared as text: `7`
    /// and `7.0` are different.
    #[must_use]
    pub fn one_hot(self, column: &str) -> Self {
        self.with(column, Role::OneHot)
    }

    /// Sets the replacement of the missing values of a column. Missing values are: an empty field, `NA`, `N/A`, `n/a`, `<NA>`,
    /// `#N/A`, `NaN`, `nan`, `-nan`, `NULL`, `null`, `None` and `?`. In a column without a replacement they are errors.
    #[must_use]
    pub fn fill(mut self, column: &str, fill: Fill) -> Self {
        self.fills.push((column.to_owned(), fill));
        self
    }

    /// A column that is not an input, such as one that numbers the rows.
    #[must_use]
    pub fn ignore(self, column: &str) -> Self {
        self.with(column, Role::Ignored)
    }

    /// A column of numbers to predict. Several such columns are targets with several numbers, in the order of these calls.
    #[must_use]
    pub fn target(self, column: &str) -> Self {
        self.with(column, Role::Target)
    }

    /// A column of classes to predict, words or numbers. Classes are counted from 0, in the order of their names, or by size if
    /// all are numbers.
    #[must_use]
    pub fn label(self, column: &str) -> Self {
        self.with(column, Role::Label)
    }

    fn with(mut self, column: &str, role: Role) -> Self {
        self.roles.push((column.to_owned(), role));
        self
    }

    /// Learns categories, fill values and classes. Give it the training rows only, so that nothing is learned from the test set.
    ///
    /// # Errors
    /// If a column does not exist, or has two roles. If there is no target or label, or both, or no input. If a fill does not
    /// suit its column, or there is nothing to compute it from. If there are more than [`MAX_CATEGORIES`] categories or 65,536
    /// classes. If a value is missing and has no fill, or a field of numbers is not a number: the message gives line and column.
    pub fn fit(&self, table: &Table) -> Result<Encoding, Error> {
        self.check(table)?;
        let mut learned = Learned { inputs: vec![], ignored: vec![], target: self.target_of(table)? };
        for (at, name) in table.columns().iter().enumerate() {
            let kind = match self.role(name) {
                Role::Target | Role::Label => continue,
                Role::Ignored => {
                    learned.ignored.push(name.clone());
                    continue;
                }
                Role::Number => self.numbers(table, at)?,
                Role::OneHot => self.categories(table, at)?,
            };
            learned.inputs.push(InputColumn { name: name.clone(), kind });
        }
        if learned.inputs.is_empty() {
            return Err(Error::content(table.path(), "at least one column of inputs", "none"));
        }
        Ok(Encoding { learned })
    }

    fn role(&self, name: &str) -> Role {
        self.roles.iter().find(|(column, _)| column == name).map_or(Role::Number, |&(_, role)| role)
    }

    fn fill_of(&self, name: &str) -> Option<&Fill> {
        self.fills.iter().find(|(column, _)| column == name).map(|(_, fill)| fill)
    }

    /// Checks that every name is that of a column, and that none has two roles or fills.
    fn check(&self, table: &Table) -> Result<(), Error> {
        let mut roles = HashSet::new();
        for (name, role) in &self.roles {
            table.place(name)?;
            if !roles.insert(name) {
                let got = format!("{role:?} beside {:?}", self.role(name));
                return Err(Error::content(table.path(), format!("one role of column {name}"), got));
            }
        }
        let mut fills = HashSet::new();
        for (name, fill) in &self.fills {
            table.place(name)?;
            let role = self.role(name);
            let expected = match (role, fill) {
                (Role::Number, Fill::Mean | Fill::Median) => None,
                (Role::Number, Fill::Number(value)) if (*value as f32).is_finite() => None,
                (Role::Number, _) => Some("Mean, Median or a finite Number"),
                (Role::OneHot, Fill::MostFrequent) => None,
                (Role::OneHot, Fill::Category(category)) if !is_missing(category) => None,
                (Role::OneHot, _) => Some("MostFrequent or a Category with a name"),
                (Role::Ignored | Role::Target | Role::Label, _) => Some("no fill, as it is no input,"),
            };
            if let Some(expected) = expected {
                let expected = format!("{expected} for column {name} ({role:?})");
                return Err(Error::content(table.path(), expected, format!("{fill:?}")));
            }
            if !fills.insert(name) {
                return Err(Error::content(table.path(), format!("one fill of column {name}"), "two"));
            }
        }
        Ok(())
    }

    fn target_of(&self, table: &Table) -> Result<Target, Error> {
        let named = |role| self.roles.iter().filter(move |(_, its)| *its == role).map(|(name, _)| name);
        let (targets, labels): (Vec<_>, Vec<_>) =
            (named(Role::Target).collect(), named(Role::Label).collect());
        match (&targets[..], &labels[..]) {
            ([], [label]) => {
                let at = table.place(label)?;
                let counts = counts(table, at, Some(["a class", "leave out rows that have none"]))?;
                most(table, label, "classes", counts.len(), MAX_CLASSES)?;
                Ok(Target::Label { name: (*label).clone(), classes: in_order(counts.into_keys().collect()) })
            }
            ([_, ..], []) => {
                for name in &targets {
                    let at = table.place(name)?;
                    (0..table.len()).try_for_each(|row| Target::value(table, row, at).map(drop))?;
                }
                Ok(Target::Values(targets.into_iter().cloned().collect()))
            }
            _ => {
                let got = format!("{} targets and {} labels", targets.len(), labels.len());
                Err(Error::content(table.path(), "one label, or targets", got))
            }
        }
    }

    fn numbers(&self, table: &Table, at: usize) -> Result<ColumnKind, Error> {
        let name = &table.columns()[at];
        let fill = self.fill_of(name);
        let mut values = Vec::new();
        for row in 0..table.len() {
            if fill.is_none() || !is_missing(table.field(row, at)) {
                number(table, row, at)?;
                values.extend(table.field(row, at).parse::<f64>());
            }
        }
        let fill = match fill {
            None => None,
            Some(Fill::Number(value)) => Some(*value),
            Some(fill) if values.is_empty() => {
                let expected = format!("at least one number in column {name}, for {fill:?}");
                return Err(Error::content(table.path(), expected, "only missing values"));
            }
            Some(Fill::Median) => Some(median(values)),
            Some(_) => Some(values.iter().sum::<f64>() / values.len() as f64),
        };
        Ok(ColumnKind::Number { fill: fill.map(|fill| fill as f32) })
    }

    fn categories(&self, table: &Table, at: usize) -> Result<ColumnKind, Error> {
        let name = &table.columns()[at];
        let fill = self.fill_of(name);
        let refused = fill.is_none().then_some(["a category", "fill it, or leave the row out"]);
        let mut counts = counts(table, at, refused)?;
        let fill = match fill {
            Some(Fill::Category(category)) => {
                counts.entry(category.clone()).or_default();
                Some(category.clone())
            }
            Some(_) => {
                let first = counts.iter().rev().max_by_key(|(_, count)| **count);
                let expected = || format!("at least one category in column {name}, for MostFrequent");
                let none = || Error::content(table.path(), expected(), "only missing values");
                Some(first.ok_or_else(none)?.0.clone())
            }
            None => None,
        };
        most(table, name, "categories", counts.len(), MAX_CATEGORIES)?;
        Ok(ColumnKind::OneHot { categories: in_order(counts.into_keys().collect()), fill })
    }
}

/// Counts each text of a column. Missing values are skipped, or are an error that says what was expected and what would help.
fn counts(table: &Table, at: usize, refused: Option<[&str; 2]>) -> Result<BTreeMap<String, usize>, Error> {
    let mut counts = BTreeMap::new();
    for row in 0..table.len() {
        match (table.field(row, at), refused) {
            (field, Some([expected, help])) if is_missing(field) => {
                return Err(table.wrong(row, at, expected, help));
            }
            (field, None) if is_missing(field) => {}
            (field, _) => *counts.entry(field.to_owned()).or_default() += 1,
        }
    }
    Ok(counts)
}

/// Checks that there are not too many different texts.
fn most(table: &Table, column: &str, what: &str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    let expected =
        format!("at most {most} {what} in column {column} (ignore it if it numbers or names the rows)");
    Err(Error::content(table.path(), expected, count))
}

/// Sorts by size if all are numbers, else by name.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    let number = |name: &String| name.parse::<f64>().unwrap_or(f64::NAN);
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        names.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    names
}

/// The median of the numbers. There is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) }
}
