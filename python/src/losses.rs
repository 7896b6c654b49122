//! Losses from the settings of Python's classes.

use std::sync::Arc;

use backstitch::losses::{
    BceWithLogits, CrossEntropy, GaussianNll, HINGE, Huber, KlDivergence, Loss, MAE, MSE, Mean,
    MultiClassHinge,
};
use backstitch::metrics::Metric;
use backstitch::{Activation, Error, Targets, Tensor};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::exception;
use crate::settings::Settings;

/// A loss that was chosen when the program runs.
#[derive(Debug)]
pub struct AnyLoss(Box<dyn Loss<f32>>);

impl Loss<f32> for AnyLoss {
    fn check(&self, output: &[usize], targets: &Targets<'_, f32>) -> Result<(), Error> {
        self.0.check(output, targets)
    }

    fn loss(
        &self,
        y: &Tensor<f32>,
        targets: &Targets<'_, f32>,
        dy: Option<&mut Tensor<f32>>,
    ) -> Result<Mean, Error> {
        self.0.loss(y, targets, dy)
    }

    fn weighted(
        &self,
        y: &Tensor<f32>,
        targets: &Targets<'_, f32>,
        weights: &[f64],
        dy: Option<&mut Tensor<f32>>,
    ) -> Result<Mean, Error> {
        self.0.weighted(y, targets, weights, dy)
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<f32>>> {
        self.0.metrics()
    }

    fn judge(&self) -> Option<Arc<dyn Loss<f32>>> {
        self.0.judge()
    }

    fn applies(&self) -> Option<Activation> {
        self.0.applies()
    }
}

/// The loss of these settings.
pub fn loss(s: &Settings<'_>) -> PyResult<AnyLoss> {
    let refused = |error: Error| exception(&error);
    Ok(AnyLoss(match s.kind.as_str() {
        "cross_entropy" => Box::new(cross_entropy(s)?),
        "mse" => Box::new(MSE),
        "mae" => Box::new(MAE),
        "hinge" => Box::new(HINGE),
        "huber" => Box::new(Huber::new(s.number("delta")?).map_err(refused)?),
        "bce_with_logits" => Box::new(match s.numbers("positive_weights")? {
            None => BceWithLogits::new(),
            Some(weights) => BceWithLogits::positive_weights(&weights).map_err(refused)?,
        }),
        "kl_divergence" => Box::new(KlDivergence),
        "multi_class_hinge" => Box::new(MultiClassHinge),
        "gaussian_nll" => Box::new(GaussianNll),
        other => return Err(PyValueError::new_err(format!("loss: expected the name of one, got {other:?}"))),
    }))
}

fn cross_entropy(s: &Settings<'_>) -> PyResult<CrossEntropy> {
    let refused = |error: Error| exception(&error);
    let mut loss = CrossEntropy::label_smoothing(s.number("label_smoothing")?).map_err(refused)?;
    if let Some(weights) = s.numbers("class_weights")? {
        loss = loss.class_weights(weights).map_err(refused)?;
    }
    Ok(match s.optional_integer("ignore_index")? {
        // As `labels` are: a negative label becomes a class that no model has.
        Some(class) => loss.ignore_index(class as usize),
        None => loss,
    })
}

/// Refuses settings that no loss has.
#[pyfunction]
pub fn check_loss(kind: &str, settings: &Bound<'_, PyDict>) -> PyResult<()> {
    loss(&Settings::new(kind, settings)).map(drop)
}
