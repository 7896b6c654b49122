//! The gradient check for functions that are written in Python.

use std::cell::RefCell;

use backstitch::gradcheck::{Comparison, GradientError, Passed, check_function};
use numpy::ndarray::{ArrayD, IxDyn};
use numpy::{IntoPyArray, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{exception, panicked};

/// Position, by hand, by differences, the least and the greatest at a kink, relative error.
type Compared = (usize, f64, f64, Option<(f64, f64)>, f64);

/// How many are wrong, how many were compared, how many there are, the worst, and those at kinks.
type Report = (usize, usize, usize, Compared, Vec<Compared>);

fn compared(one: &Comparison) -> Compared {
    let sides = one.sides.map(|[least, greatest]| (least, greatest));
    (one.index.first().copied().unwrap_or(0), one.analytic, one.numeric, sides, one.relative_error())
}

/// Compares a gradient with differences of a function of one array, whose value is one number.
#[pyfunction]
pub fn gradcheck(
    py: Python<'_>,
    function: &Bound<'_, PyAny>,
    x: PyReadonlyArrayDyn<'_, f64>,
    gradient: PyReadonlyArrayDyn<'_, f64>,
) -> PyResult<Report> {
    let shape = x.shape().to_vec();
    let raised = RefCell::new(None);
    let value = |x: &[f64]| -> f64 {
        // After an exception there is nothing to compare.
        if raised.borrow().is_some() {
            return f64::NAN;
        }
        let array = ArrayD::from_shape_vec(IxDyn(&shape), x.to_vec()).map(|array| array.into_pyarray(py));
        let array = array.map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()));
        let result = array.and_then(|array| function.call1((array,))?.extract::<f64>());
        result.unwrap_or_else(|error| {
            *raised.borrow_mut() = Some(error);
            f64::NAN
        })
    };
    let (x, gradient): (Vec<f64>, Vec<f64>) =
        (x.as_array().iter().copied().collect(), gradient.as_array().iter().copied().collect());
    let check = std::panic::AssertUnwindSafe(|| check_function(value, &x, &gradient));
    let result = std::panic::catch_unwind(check).map_err(|panic| panicked(&*panic))?;
    if let Some(error) = raised.take() {
        return Err(error);
    }
    report(result)
}

fn report(result: Result<Passed, GradientError>) -> PyResult<Report> {
    match result {
        Ok(passed) => {
            let kinks = passed.kinks.iter().map(compared).collect();
            Ok((0, passed.compared, passed.total, compared(&passed.worst), kinks))
        }
        Err(GradientError::Wrong { wrong, compared: count, total, worst, .. }) => {
            Ok((wrong, count, total, compared(&worst), Vec::new()))
        }
        Err(GradientError::Model(error)) => Err(exception(&error)),
        Err(error) => Err(pyo3::exceptions::PyValueError::new_err(error.to_string())),
    }
}
