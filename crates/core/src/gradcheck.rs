//! Proving a derivative: the one written by hand against central differences.
//!
//! A derivative is right when it agrees with (L(w + h) - L(w - h)) / 2h, computed from the forward
//! pass alone, for every number w there is. All of it is in `f64`, where a step of h = 1e-5 leaves
//! about ten correct digits.

use std::fmt;

use ndarray::ArrayD;
use rand::Rng;
use thiserror::Error as ThisError;

use crate::error::Error;
use crate::layer::{AnyLayer, Context};
use crate::loss::{CrossEntropy, Targets};
use crate::model::Model;
use crate::net::{Net, layer as a_layer};
use crate::rng::{Purpose, stream};
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};

/// h: small enough for the neglected h² terms, large enough for rounding.
const STEP: f64 = 1e-5;
/// The largest relative error that passes.
pub const TOLERANCE: f64 = 1e-6;
/// Derivatives smaller than this are compared as if they were this large: the difference quotient
/// itself is only good to some 1e-11.
const FLOOR: f64 = 1e-4;

/// One derivative, computed in both ways.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Of the loss with respect to what: `input`, or a parameter's name.
    pub of: String,
    /// Where in it.
    pub index: Vec<usize>,
    /// By hand.
    pub analytic: f64,
    /// By central differences.
    pub numeric: f64,
}

impl Comparison {
    /// |analytic - numeric| over the larger of the two (and of 1e-4).
    pub fn relative_error(&self) -> f64 {
        relative_error(self.analytic, self.numeric)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, index, analytic, numeric } = self;
        let error = self.relative_error();
        write!(
            f,
            "{of}{index:?}: by hand {analytic:e}, by differences {numeric:e}, relative error {error:.1e}"
        )
    }
}

/// A check that passed.
#[derive(Debug, Clone)]
pub struct Passed {
    /// How many derivatives were compared.
    pub compared: usize,
    /// The one that agreed least.
    pub worst: Comparison,
}

/// A check that did not pass, or could not be made.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum GradientError {
    /// A derivative is wrong.
    #[error(
        "expected derivatives to agree within {TOLERANCE:e}, got {wrong} of {compared} that do not; the worst is {worst}"
    )]
    Wrong {
        /// How many disagree.
        wrong: usize,
        /// Of how many.
        compared: usize,
        /// The one that disagrees most.
        worst: Comparison,
    },
    /// The model could not be built or run.
    #[error(transparent)]
    Model(#[from] Error),
}

/// Checks every derivative of one layer, with respect to its input and to every parameter, on a
/// random batch. The loss is a random weighted sum of the outputs, so that every derivative of
/// every output takes part.
///
/// ```
/// use backstitch_core::{Activation, Context, gradcheck::check_layer, layers::dense};
/// let passed = check_layer(dense(3).activation(Activation::Tanh), &[5], 4, &Context::train(0, 0), 7)?;
/// assert_eq!(passed.compared, 4 * 5 + 5 * 3 + 3);
/// # Ok::<(), backstitch_core::gradcheck::GradientError>(())
/// ```
///
/// # Errors
/// If a derivative is wrong: the message names the worst, with its index and both values.
pub fn check_layer(
    layer: impl AnyLayer,
    input: &[usize],
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    let mut model = Model::new(Net::new().named("layer", a_layer(layer)), input, seed)?;
    check_outputs(&mut model, batch, ctx, seed)
}

/// As [`check_layer`], for every derivative of a whole model. Its parameters are overwritten with random
/// numbers in -1..1, and its buffers in 0.5..1.5.
///
/// # Errors
/// If a derivative is wrong: the message names the worst, with its index and both values.
pub fn check_outputs(
    model: &mut Model<f64>,
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    if batch == 0 {
        return Err(Error::argument("batch", "at least 1", 0).into());
    }
    let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
    let mut random = |values: &mut [f64]| {
        values.iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
    };
    // Biases of zero, or running statistics of a new model, would hide a mistake in their use.
    for mut slot in model.slots_mut() {
        random(slot.data_mut());
        if !slot.is_learned() {
            slot.data_mut().iter_mut().for_each(|v| *v = 1.0 + *v / 2.0);
        }
    }
    let mut x = Tensor::zeros(&model.input_shape().batched(batch).map_err(Error::from)?)?;
    random(x.data_mut());
    let mut weights = Tensor::zeros(&model.output_shape().batched(batch).map_err(Error::from)?)?;
    random(weights.data_mut());
    check(model, &x, ctx, |y, dy| {
        if let Some(dy) = dy {
            dy.copy_from(&weights);
        }
        Ok(y.data().iter().zip(weights.data()).map(|(y, w)| y * w).sum())
    })
}

/// Checks every derivative of the mean cross-entropy of a model on a batch, with respect to the
/// inputs and to every parameter.
///
/// # Errors
/// If a derivative is wrong: the message names the worst, with its index and both values.
pub fn check_model(
    model: &mut Model<f64>,
    inputs: &ArrayD<f64>,
    targets: Targets<'_, f64>,
    ctx: &Context,
) -> Result<Passed, GradientError> {
    let x = Tensor::from_array(inputs)?;
    targets.check_count(x.batch())?;
    targets.check(model.output_shape().elements())?;
    check(model, &x, ctx, |y, dy| CrossEntropy::new().loss(y, targets, dy))
}

/// Checks a gradient against a function of a few numbers: for a derivative of your own.
///
/// ```
/// use backstitch_core::gradcheck::check_function;
/// let square = |x: &[f64]| x.iter().map(|x| x * x).sum();
/// assert!(check_function(square, &[1.0, -2.0], &[2.0, -4.0]).is_ok());
/// let error = check_function(square, &[1.0, -2.0], &[2.0, 4.0]).unwrap_err();
/// assert!(error.to_string().contains("the worst is input[1]: by hand 4e0"));
/// ```
///
/// # Errors
/// If a derivative is wrong, or there are not as many as numbers.
pub fn check_function(
    f: impl Fn(&[f64]) -> f64,
    x: &[f64],
    gradient: &[f64],
) -> Result<Passed, GradientError> {
    if gradient.len() != x.len() {
        return Err(Error::argument("gradient", format!("{} numbers", x.len()), gradient.len()).into());
    }
    let mut x = x.to_vec();
    let mut comparisons = Vec::new();
    for (i, &analytic) in gradient.iter().enumerate() {
        let numeric = central_difference(x[i], analytic, |value| {
            x[i] = value;
            f(&x)
        });
        comparisons.push(Comparison { of: "input".to_owned(), index: vec![i], analytic, numeric });
    }
    judge(comparisons)
}

/// The gradients by hand from one backward pass, then a pair of forward passes for each number.
fn check(
    model: &mut Model<f64>,
    x: &Tensor<f64>,
    ctx: &Context,
    loss: impl Fn(&Tensor<f64>, Option<&mut Tensor<f64>>) -> Result<f64, Error>,
) -> Result<Passed, GradientError> {
    let mut trace = Trace::new(Keep::ForBackward);
    let (mut dx, mut grads) = (Tensor::default(), model.grads());
    model.forward(x, &mut trace, ctx)?;
    let (y, dy) = trace.output_and_gradient();
    loss(y, Some(dy))?;
    model.backward(x, &mut trace, Some(&mut dx), Some(&mut grads), ctx)?;

    let mut forward = |model: &Model<f64>, x: &Tensor<f64>| {
        model.forward(x, &mut trace, ctx).and_then(|()| loss(trace.output(), None))
    };
    let mut comparisons = Vec::new();
    let mut moved = x.clone();
    for (i, &analytic) in dx.data().iter().enumerate() {
        let mut failed = None;
        let numeric = central_difference(x.data()[i], analytic, |value| {
            moved.data_mut()[i] = value;
            forward(model, &moved).unwrap_or_else(|error| {
                failed = Some(error);
                f64::NAN
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        comparisons.push(compare("input", &dx, i, analytic, numeric));
    }
    for at in 0..model.slots().len() {
        let Some(grad) = grads.get(at) else { continue };
        for (i, &analytic) in grad.data().iter().enumerate() {
            let mut failed = None;
            let numeric = central_difference(model.slots()[at].value().data()[i], analytic, |value| {
                model.own_slots()[at].data_mut()[i] = value;
                forward(model, x).unwrap_or_else(|error| {
                    failed = Some(error);
                    f64::NAN
                })
            });
            if let Some(error) = failed {
                return Err(error.into());
            }
            comparisons.push(compare(model.slots()[at].name(), grad, i, analytic, numeric));
        }
    }
    judge(comparisons)
}

/// (f(at + h) - f(at - h)) / 2h. Where that disagrees with the derivative by hand, the fault may be its own, the
/// neglected term in h²: then by five points ten times as far apart, which neglects h⁴ and rounds less. Leaves f
/// called last with `at` itself.
fn central_difference(at: f64, by_hand: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let mut difference = |h: f64| (f(at + h) - f(at - h)) / (2.0 * h);
    let mut numeric = difference(STEP);
    if relative_error(by_hand, numeric) >= TOLERANCE {
        let h = 10.0 * STEP;
        numeric = (4.0 * difference(h) - difference(2.0 * h)) / 3.0;
    }
    f(at);
    numeric
}

fn relative_error(analytic: f64, numeric: f64) -> f64 {
    let scale = analytic.abs().max(numeric.abs()).max(FLOOR);
    let error = (analytic - numeric).abs() / scale;
    if error.is_nan() { f64::INFINITY } else { error }
}

fn compare(of: &str, tensor: &Tensor<f64>, position: usize, analytic: f64, numeric: f64) -> Comparison {
    let index = crate::finite::index(position, &tensor.shape());
    Comparison { of: of.to_owned(), index, analytic, numeric }
}

fn judge(comparisons: Vec<Comparison>) -> Result<Passed, GradientError> {
    let compared = comparisons.len();
    let wrong = comparisons.iter().filter(|c| c.relative_error() >= TOLERANCE).count();
    let worst = comparisons.into_iter().max_by(|a, b| a.relative_error().total_cmp(&b.relative_error()));
    let Some(worst) = worst else {
        return Err(Error::argument("gradient check", "at least one derivative", 0).into());
    };
    if wrong > 0 {
        Err(GradientError::Wrong { wrong, compared, worst })
    } else {
        Ok(Passed { compared, worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::dense;

    #[test]
    fn what_does_not_fit_is_an_error() {
        let net = || Net::new().push(dense(2));
        let mut model = Model::new(net(), &[3], 0).unwrap();
        let x = ArrayD::from_elem(vec![4, 3], 0.5);
        let ctx = Context::train(0, 0);
        for labels in [&[][..], &[0, 1], &[0, 1, 0, 1, 0], &[0, 1, 0, 2], &[0, 1, 0, usize::MAX]] {
            assert!(check_model(&mut model, &x, Targets::Classes(labels), &ctx).is_err(), "{labels:?}");
        }
        check_model(&mut model, &x, Targets::Classes(&[0, 1, 0, 1]), &ctx).unwrap();
        let none = ArrayD::zeros(vec![0, 3]);
        assert!(check_model(&mut model, &none, Targets::Classes(&[]), &ctx).is_err());
        assert!(check_outputs(&mut model, 0, &ctx, 0).is_err());
    }
}
