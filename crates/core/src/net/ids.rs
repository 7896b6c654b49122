//! Inputs that are ids: whole numbers from 0, checked before a pass reads them.

use crate::error::Error;
use crate::tensor::Tensor;
use crate::tensor::finite::index;
use crate::tensor::scalar::Scalar;

/// Checks that all numbers are ids below `count`.
///
/// # Errors
/// Names the layer that reads them, and the first number that is none.
pub(crate) fn check<F: Scalar>(path: &str, ids: &Tensor<F>, count: usize) -> Result<(), Error> {
    let most = F::from_f64(count as f64);
    let is_id = |v: F| v >= F::zero() && v < most && v.floor() == v;
    match ids.data().iter().position(|&v| !is_id(v)) {
        None => Ok(()),
        Some(at) => {
            let (value, at) = (ids.data()[at], index(at, &ids.shape()));
            let expected = format!("whole numbers from 0 to {}, the ids of {path}", count - 1);
            Err(Error::argument("input", expected, format!("{value} at {at:?}")))
        }
    }
}
