//! Errors for numbers of a model that are NaN or infinite: its weights, and its outputs.

use crate::error::Error;
use crate::layer::weights::Slot;
use crate::net::model::Model;
use crate::tensor::finite::{first_wrong, place};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The first parameter or buffer with a number that is not finite, and the position of that number.
pub(crate) fn wrong_in_model<F: Scalar>(model: &Model<F>) -> Option<(&Slot<F>, usize)> {
    model.slots().iter().find_map(|slot| {
        let at = first_wrong(slot.value().data())?;
        Some((slot, at))
    })
}

/// What helps where a constant, such as the mean of a `Standardize::unfitted`, has no value yet.
fn help<F: Scalar>(slot: &Slot<F>, at: usize) -> &'static str {
    let is_constant = !slot.is_learned() && slot.is_frozen();
    match is_constant && slot.value().data()[at].is_nan() {
        true => "; it comes with saved weights: load them into the model first",
        false => "",
    }
}

/// Checks that every parameter and buffer of a model is finite.
pub(crate) fn check_model<F: Scalar>(model: &Model<F>) -> Result<(), Error> {
    let Some((slot, at)) = wrong_in_model(model) else { return Ok(()) };
    let value = slot.value();
    let got = place(value.data()[at], at, &value.shape()) + help(slot, at);
    Err(Error::NotFinite { what: slot.name().to_owned(), got })
}

/// Checks the outputs of a model, of shape `[n, ..]`, for a batch that begins with sample `from` of the data. If one is not finite, the error says whether the
/// weights are the reason.
pub(crate) fn check_outputs<F: Scalar>(
    model: &Model<F>,
    y: &[F],
    shape: &[usize],
    from: usize,
) -> Result<(), Error> {
    let Some(at) = first_wrong(y) else { return Ok(()) };
    let shape = Shape::of(&shape[1..]);
    let width = shape.elements().max(1);
    let because = match wrong_in_model(model) {
        None => "while inputs and weights are finite".to_owned(),
        Some((slot, at)) => {
            format!("because {} holds {}{}", slot.name(), slot.value().data()[at], help(slot, at))
        }
    };
    Err(Error::NotFinite {
        what: format!("outputs for sample {}", from + at / width),
        got: format!("{}, {because}", place(y[at], at % width, &shape)),
    })
}
