//! A model: a net with shapes and numbers.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use backstitch::train::{evaluate, evaluate_with};
use backstitch::{Load, Save, Tensor};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::data::Dataset;
use crate::errors::{compute, exception};
use crate::losses::loss;
use crate::nets::Net;
use crate::settings::Settings;

/// `backstitch::Model`, in `f32`. While one thread trains it, others get an exception.
#[pyclass(frozen, module = "backstitch._core")]
pub struct Model(RwLock<backstitch::Model>);

impl Model {
    pub fn of(model: backstitch::Model) -> Self {
        Self(RwLock::new(model))
    }

    fn read(&self) -> PyResult<RwLockReadGuard<'_, backstitch::Model>> {
        let busy = "the model is being changed by another call (in a callback, use the model of the epoch)";
        self.0.try_read().map_err(|_| PyRuntimeError::new_err(busy))
    }

    /// The model, to change it.
    pub fn write(&self) -> PyResult<RwLockWriteGuard<'_, backstitch::Model>> {
        let busy = "the model is in use by another call: one at a time can change it";
        self.0.try_write().map_err(|_| PyRuntimeError::new_err(busy))
    }
}

#[pymethods]
impl Model {
    #[new]
    fn new(
        py: Python<'_>,
        net: &Net,
        input_shape: Vec<usize>,
        inputs: Vec<(String, Vec<usize>)>,
        seed: u64,
    ) -> PyResult<Self> {
        let named: Vec<(&str, &[usize])> = inputs.iter().map(|(name, shape)| (&**name, &**shape)).collect();
        let net = net.0.clone();
        compute(py, || backstitch::Model::with_inputs(net, &input_shape, &named, seed).map(Self::of))
    }

    fn input_shape(&self) -> PyResult<Vec<usize>> {
        Ok(self.read()?.input_shape().to_vec())
    }

    fn output_shape(&self) -> PyResult<Vec<usize>> {
        Ok(self.read()?.output_shape().to_vec())
    }

    fn parameter_count(&self) -> PyResult<usize> {
        Ok(self.read()?.parameter_count())
    }

    fn summary(&self) -> PyResult<String> {
        Ok(self.read()?.summary().to_string())
    }

    /// The outputs for inputs and named inputs, `[n, ..]` each.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        inputs: Vec<(String, PyReadonlyArrayDyn<'py, f32>)>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let model = self.read()?;
        let model = &*model;
        let x = x.as_array();
        let named: Vec<_> = inputs.iter().map(|(name, values)| (name.as_str(), values.as_array())).collect();
        Ok(compute(py, || model.predict_with(x, &named))?.into_pyarray(py))
    }

    fn predict_proba<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let model = self.read()?;
        let (model, x) = (&*model, x.as_array());
        Ok(compute(py, || model.predict_proba(x))?.into_pyarray(py))
    }

    fn predict_classes<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let model = self.read()?;
        let (model, x) = (&*model, x.as_array());
        let classes = compute(py, || model.predict_classes(x))?;
        let classes: Vec<i64> = classes.into_iter().map(|class| class as i64).collect();
        Ok(classes.into_pyarray(py))
    }

    /// Loss and metrics by name. The loss is a kind and its settings, or `None`.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        data: &Dataset,
        own: Option<(String, Bound<'py, PyDict>)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let own = own.map(|(kind, settings)| loss(&Settings::new(&kind, &settings))).transpose()?;
        let model = self.read()?;
        let model = &*model;
        let figures = compute(py, || match own {
            None => evaluate(model, &data.0),
            Some(own) => evaluate_with(model, &data.0, own),
        })?;
        let by_name = PyDict::new(py);
        for (name, value) in figures.iter() {
            by_name.set_item(name, value)?;
        }
        Ok(by_name)
    }

    /// Copies of the parameters and statistics by name, in the order of the layers.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let by_name = PyDict::new(py);
        for slot in self.read()?.slots() {
            by_name.set_item(slot.name(), slot.value().to_array().into_pyarray(py))?;
        }
        Ok(by_name)
    }

    /// Takes parameters and statistics whose names match a pattern. If one of them does not fit, nothing is changed.
    fn set_weights(
        &self,
        pattern: &str,
        weights: Vec<(String, PyReadonlyArrayDyn<'_, f32>)>,
    ) -> PyResult<()> {
        let tensor = |(name, value): &(String, PyReadonlyArrayDyn<'_, f32>)| {
            let tensor = Tensor::from_array(value.as_array()).map_err(|error| exception(&error))?;
            Ok((name.clone(), tensor))
        };
        let state = weights.iter().map(tensor).collect::<PyResult<BTreeMap<_, _>>>()?;
        self.write()?.load_part(pattern, &state).map_err(|error| exception(&error))
    }

    fn freeze(&self, pattern: &str) -> PyResult<usize> {
        self.write()?.freeze(pattern).map_err(|error| exception(&error))
    }

    fn unfreeze(&self, pattern: &str) -> PyResult<usize> {
        self.write()?.unfreeze(pattern).map_err(|error| exception(&error))
    }

    /// The names of what is frozen.
    fn frozen(&self) -> PyResult<Vec<String>> {
        let model = self.read()?;
        Ok(model.slots().iter().filter(|slot| slot.is_frozen()).map(|slot| slot.name().to_owned()).collect())
    }

    fn save(&self, py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
        let model = self.read()?;
        let model = &*model;
        compute(py, || model.save(path))
    }

    fn load(&self, py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
        let mut model = self.write()?;
        let model = &mut *model;
        compute(py, || model.load(path))
    }
}
