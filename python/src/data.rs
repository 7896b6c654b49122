//! Data sets from arrays.

use backstitch::Error;
use numpy::ndarray::Dimension;
use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{compute, exception};

/// Samples with their targets: `backstitch::Dataset`.
#[pyclass(frozen, module = "backstitch._core")]
pub struct Dataset(pub backstitch::Dataset);

#[pymethods]
impl Dataset {
    /// Inputs `[n, ..]` with a class for each sample, `[n]`, or for each position of every sample, `[n, ..]`. Negative labels are refused,
    /// except the one that is ignored.
    #[staticmethod]
    fn classes(
        py: Python<'_>,
        inputs: PyReadonlyArrayDyn<'_, f32>,
        labels: PyReadonlyArrayDyn<'_, i64>,
        ignored: Option<i64>,
    ) -> PyResult<Self> {
        let positions = labels.shape().get(1..).unwrap_or_default().to_vec();
        let (inputs, labels) = (inputs.as_array(), labels.as_array());
        compute(py, || {
            let labels = labels.indexed_iter().map(|(at, &label)| match label {
                label if label >= 0 || Some(label) == ignored => Ok(label as usize),
                label => {
                    let got = format!("{label} at {:?}", at.slice());
                    Err(Error::argument("labels", "classes counted from 0", got))
                }
            });
            let labels = labels.collect::<Result<Vec<usize>, Error>>()?;
            backstitch::Dataset::classes_at(inputs, &positions, &labels).map(Self)
        })
    }

    /// Inputs `[n, ..]` with numbers `[n, ..]`.
    #[staticmethod]
    fn values(
        py: Python<'_>,
        inputs: PyReadonlyArrayDyn<'_, f32>,
        values: PyReadonlyArrayDyn<'_, f32>,
    ) -> PyResult<Self> {
        let (inputs, values) = (inputs.as_array(), values.as_array());
        compute(py, || backstitch::Dataset::values(inputs, values).map(Self))
    }

    /// Inputs `[n, ..]` that are the targets too.
    #[staticmethod]
    fn autoencoding(py: Python<'_>, inputs: PyReadonlyArrayDyn<'_, f32>) -> PyResult<Self> {
        let inputs = inputs.as_array();
        compute(py, || backstitch::Dataset::autoencoding(inputs).map(Self))
    }

    /// The same samples, each with a weight.
    fn with_weights(&self, weights: Vec<f64>) -> PyResult<Self> {
        self.0.clone().weights(&weights).map(Self).map_err(|error| exception(&error))
    }

    /// The same samples with a named input `[n, ..]`.
    fn with_input(&self, py: Python<'_>, name: &str, values: PyReadonlyArrayDyn<'_, f32>) -> PyResult<Self> {
        let values = values.as_array();
        compute(py, || self.0.clone().with_input(name, values).map(Self))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}
