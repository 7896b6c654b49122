//! Errors for numbers of a model that are NaN or infinite: its weights, and its outputs.

use crate::error::Error;
use crate::net::model::Model;
use crate::tensor::Tensor;
use crate::tensor::finite::{check, first_wrong, place};
use crate::tensor::scalar::Scalar;

/// The first parameter or buffer with a number that is not finite, and that number.
pub(crate) fn wrong_in_model<F: Scalar>(model: &Model<F>) -> Option<(&str, &Tensor<F>, F)> {
    model.slots().iter().find_map(|slot| {
        let at = first_wrong(slot.value().data())?;
        Some((slot.name(), slot.value(), slot.value().data()[at]))
    })
}

/// Checks that every parameter and buffer of a model is finite.
pub(crate) fn check_model<F: Scalar>(model: &Model<F>) -> Result<(), Error> {
    match wrong_in_model(model) {
        None => Ok(()),
        Some((name, value, _)) => check(|| name.to_owned(), value.data(), &value.shape()),
    }
}

/// Checks the outputs of a model for a batch that begins with sample `from` of the data. If one is not finite, the error says whether the
/// weights are the reason.
pub(crate) fn check_outputs<F: Scalar>(model: &Model<F>, y: &[F], from: usize) -> Result<(), Error> {
    let Some(at) = first_wrong(y) else { return Ok(()) };
    let shape = model.output_shape();
    let width = shape.elements().max(1);
    let because = match wrong_in_model(model) {
        None => "while inputs and weights are finite".to_owned(),
        Some((name, _, value)) => format!("because {name} holds {value}"),
    };
    Err(Error::NotFinite {
        what: format!("outputs for sample {}", from + at / width),
        got: format!("{}, {because}", place(y[at], at % width, &shape)),
    })
}
