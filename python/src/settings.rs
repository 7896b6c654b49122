//! Settings as Python's classes hold them: a kind and a dictionary. What has the wrong type is an error that names the setting.

use std::fmt::Display;

use backstitch::layers::{Padding, Pair};
use backstitch::{Activation, Error, Init};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::errors::exception;

/// The settings of a layer, a loss, an optimizer or a training run, by name.
pub struct Settings<'py> {
    /// What they are settings of, for messages: `dense`.
    pub kind: String,
    values: Bound<'py, PyDict>,
}

/// The most letters of a value in a message.
const SHOWN: usize = 60;

impl<'py> Settings<'py> {
    pub fn new(kind: &str, values: &Bound<'py, PyDict>) -> Self {
        Self { kind: kind.to_owned(), values: values.clone() }
    }

    /// The value of a setting; `None` where Python has `None`.
    pub fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.values.get_item(name)? {
            Some(value) => Ok((!value.is_none()).then_some(value)),
            None => Err(PyTypeError::new_err(format!("{}: no setting {name}", self.kind))),
        }
    }

    /// A setting that is not `None`.
    fn some(&self, name: &str, expected: &str) -> PyResult<Bound<'py, PyAny>> {
        self.get(name)?.ok_or_else(|| self.wrong_type(name, expected, "None"))
    }

    fn message(&self, name: &str, expected: &str, got: &dyn Display) -> String {
        let got = got.to_string();
        let short =
            got.char_indices().nth(SHOWN).map_or(got.clone(), |(end, _)| format!("{}...", &got[..end]));
        format!("{name} of {}: expected {expected}, got {short}", self.kind)
    }

    fn wrong_type(&self, name: &str, expected: &str, got: &str) -> PyErr {
        PyTypeError::new_err(self.message(name, expected, &got))
    }

    fn wrong_value(&self, name: &str, expected: &str, got: &str) -> PyErr {
        PyValueError::new_err(self.message(name, expected, &got))
    }

    /// A value as a message shows it.
    fn shown(value: &Bound<'_, PyAny>) -> String {
        value.repr().map_or_else(|_| "what has no repr".to_owned(), |repr| repr.to_string())
    }

    /// A value of some type, where Python's is of no other: `True` is a number in Python, but no count of units.
    fn whole(&self, name: &str, expected: &str, value: &Bound<'py, PyAny>) -> PyResult<usize> {
        if value.is_instance_of::<PyBool>() {
            return Err(self.wrong_type(name, expected, &Self::shown(value)));
        }
        value.extract::<usize>().map_err(|error| {
            if error.is_instance_of::<PyOverflowError>(value.py()) {
                self.wrong_value(name, &format!("{expected}, 0 or more"), &Self::shown(value))
            } else {
                self.wrong_type(name, expected, &Self::shown(value))
            }
        })
    }

    /// A whole number of 0 or more.
    pub fn count(&self, name: &str) -> PyResult<usize> {
        let expected = "a whole number";
        self.whole(name, expected, &self.some(name, expected)?)
    }

    /// A whole number, or `None`.
    pub fn optional_count(&self, name: &str) -> PyResult<Option<usize>> {
        self.get(name)?.map(|value| self.whole(name, "a whole number or None", &value)).transpose()
    }

    fn float(&self, name: &str, expected: &str, value: &Bound<'py, PyAny>) -> PyResult<f64> {
        let wrong = || self.wrong_type(name, expected, &Self::shown(value));
        if value.is_instance_of::<PyBool>() {
            return Err(wrong());
        }
        value.extract::<f64>().map_err(|_| wrong())
    }

    /// A number.
    pub fn number(&self, name: &str) -> PyResult<f64> {
        self.float(name, "a number", &self.some(name, "a number")?)
    }

    /// A number, or `None`.
    pub fn optional_number(&self, name: &str) -> PyResult<Option<f64>> {
        self.get(name)?.map(|value| self.float(name, "a number or None", &value)).transpose()
    }

    /// Several numbers, or `None`.
    pub fn numbers(&self, name: &str) -> PyResult<Option<Vec<f64>>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let wrong = || self.wrong_type(name, "a sequence of numbers", &Self::shown(&value));
        if value.is_instance_of::<PyString>() {
            return Err(wrong());
        }
        value.extract().map(Some).map_err(|_| wrong())
    }

    /// `True` or `False`.
    pub fn flag(&self, name: &str) -> PyResult<bool> {
        let value = self.some(name, "True or False")?;
        value.extract().map_err(|_| self.wrong_type(name, "True or False", &Self::shown(&value)))
    }

    /// A text.
    pub fn text(&self, name: &str) -> PyResult<String> {
        let expected = "a text";
        self.optional_text(name)?.ok_or_else(|| self.wrong_type(name, expected, "None"))
    }

    /// A text, or `None`.
    pub fn optional_text(&self, name: &str) -> PyResult<Option<String>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        value.extract().map(Some).map_err(|_| self.wrong_type(name, "a text", &Self::shown(&value)))
    }

    /// A whole number, which may be negative, or `None`.
    pub fn optional_integer(&self, name: &str) -> PyResult<Option<i64>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let wrong = |_| self.wrong_type(name, "a whole number or None", &Self::shown(&value));
        value.extract().map(Some).map_err(wrong)
    }

    fn two(&self, name: &str, expected: &str, value: &Bound<'py, PyAny>) -> PyResult<[usize; 2]> {
        if let Ok((height, width)) = value.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>() {
            return Ok([self.whole(name, expected, &height)?, self.whole(name, expected, &width)?]);
        }
        self.whole(name, expected, value).map(|both| [both; 2])
    }

    /// A number for height and width, or a tuple of both.
    pub fn pair(&self, name: &str) -> PyResult<Pair> {
        let expected = "a whole number or (height, width)";
        self.two(name, expected, &self.some(name, expected)?).map(Pair::from)
    }

    /// As [`pair`](Self::pair), or `None`.
    pub fn optional_pair(&self, name: &str) -> PyResult<Option<Pair>> {
        let expected = "a whole number, (height, width) or None";
        self.get(name)?.map(|value| self.two(name, expected, &value).map(Pair::from)).transpose()
    }

    /// `"valid"`, `"same"`, or a number of zeros on each side, or a tuple (above and below, left and right).
    pub fn padding(&self, name: &str) -> PyResult<Padding> {
        let expected = "\"valid\", \"same\", a whole number or (height, width)";
        let value = self.some(name, expected)?;
        match value.extract::<String>().as_deref() {
            Ok("valid") => Ok(Padding::Valid),
            Ok("same") => Ok(Padding::Same),
            Ok(_) => Err(self.wrong_value(name, expected, &Self::shown(&value))),
            Err(_) => self.two(name, expected, &value).map(Padding::from),
        }
    }

    /// An activation by its name, or a tuple of its name and its number.
    pub fn activation(&self, name: &str) -> PyResult<Activation> {
        let expected = "the name of an activation, LeakyReLU or ELU";
        let Some(value) = self.get(name)? else { return Ok(Activation::Linear) };
        if let Ok(text) = value.extract::<String>() {
            return text.parse().map_err(|error: Error| exception(&error));
        }
        match value.extract::<(String, f64)>() {
            Ok((kind, slope)) if kind == "leaky_relu" => Ok(Activation::LeakyRelu(slope)),
            Ok((kind, alpha)) if kind == "elu" => Ok(Activation::Elu(alpha)),
            _ => Err(self.wrong_type(name, expected, &Self::shown(&value))),
        }
    }

    /// An initializer by its name, or a tuple of its name and its number, or `None`.
    pub fn init(&self, name: &str) -> PyResult<Option<Init>> {
        let expected = "the name of an initializer, UniformWithin or NormalOf";
        let Some(value) = self.get(name)? else { return Ok(None) };
        if let Ok(text) = value.extract::<String>() {
            return text.parse().map(Some).map_err(|error: Error| exception(&error));
        }
        match value.extract::<(String, f64)>() {
            Ok((kind, bound)) if kind == "uniform_within" => Ok(Some(Init::UniformWithin(bound))),
            Ok((kind, deviation)) if kind == "normal_of" => Ok(Some(Init::NormalOf(deviation))),
            _ => Err(self.wrong_type(name, expected, &Self::shown(&value))),
        }
    }

    /// Settings inside of these, such as those of an optimizer in those of a training run: a tuple of a kind and a dictionary, or `None`.
    pub fn within(&self, name: &str) -> PyResult<Option<Self>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let (kind, values) = value.extract::<(String, Bound<'py, PyDict>)>()?;
        Ok(Some(Self { kind, values }))
    }
}
