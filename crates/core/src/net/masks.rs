//! Masks: inputs of 0 and 1 that say which positions of a sequence there are, checked before a pass reads them.

use crate::error::Error;
use crate::tensor::Tensor;
use crate::tensor::finite::index;
use crate::tensor::scalar::Scalar;

/// Checks that a mask has only 0 and 1, and leaves something of every sample.
///
/// # Errors
/// Names the input, and the first number or sample that is wrong.
pub(crate) fn check<F: Scalar>(name: &str, mask: &Tensor<F>) -> Result<(), Error> {
    let is_binary = |v: &F| *v == F::zero() || *v == F::one();
    if let Some(at) = mask.data().iter().position(|v| !is_binary(v)) {
        let (value, at) = (mask.data()[at], index(at, &mask.shape()));
        let what = format!("input {name:?}");
        return Err(Error::argument(what, "a mask of 0 and 1", format!("{value} at {at:?}")));
    }
    let time = mask.data().len() / mask.batch().max(1);
    let hidden = |sample: &[F]| sample.iter().all(|&v| v == F::zero());
    match mask.data().chunks_exact(time.max(1)).position(hidden) {
        None => Ok(()),
        Some(sample) => {
            let what = format!("input {name:?}");
            Err(Error::argument(
                what,
                "a mask that shows at least one position",
                format!("none of sample {sample}"),
            ))
        }
    }
}
