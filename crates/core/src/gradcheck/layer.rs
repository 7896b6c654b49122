//! Checks one layer against its whole contract.

use std::ops::Range;

use ndarray::{Axis, Slice};

use crate::error::Error;
use crate::gradcheck::alone::Alone;
use crate::gradcheck::compare::{Subject, compare};
use crate::gradcheck::contract::Contract;
use crate::gradcheck::net::{built, draw_all, precision};
use crate::gradcheck::point::{Point, inputs, random};
use crate::gradcheck::report::{GradientError, Passed};
use crate::layer::{AnyLayer, Context, Mode, Sequence};
use crate::net::{Net, layer as a_layer};
use crate::tensor::Tensor;

/// Checks all rules for a layer (the [module](crate::gradcheck) lists them), and compares its derivatives with respect
/// to its input and to every parameter, on a random batch. The loss is a random weighted sum of the outputs, so that it
/// depends on every derivative of every output. Derivatives are compared in the mode of `ctx`, the other rules are checked in both.
///
/// `input` is the shape of one sample. Inputs and parameters are drawn from -1..1, statistics from 0.5..1.5.
///
/// ```
/// use backstitch::{Activation, Context, gradcheck::check_layer, layers::dense};
/// let passed = check_layer(dense(3).activation(Activation::Tanh), &[5], 4, &Context::train(0, 0), 7)?;
/// assert_eq!(passed.compared, 4 * 5 + 5 * 3 + 3);
/// # Ok::<(), backstitch::gradcheck::GradientError>(())
/// ```
///
/// # Errors
/// If a derivative is wrong: the message names the worst one, with its index and both values. If another rule is broken:
/// the message says which one, what the layer does, and how to correct it.
pub fn check_layer(
    layer: impl AnyLayer,
    input: &[usize],
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    let net = Net::new().named("layer", a_layer(layer));
    let mut model = built(&net, input, &[], seed)?;
    draw_all(&mut model, seed);
    let name = model.program().ops[0].kind.describe(1);
    let alone = Alone::of(&model, 0, name).expect("the net is one layer");
    let least = alone.guarded("cost", || alone.layer.cost(&alone.input))?.least_samples;
    let asked = if ctx.mode == Mode::Train { least.max(1) } else { 1 };
    if batch < asked {
        return Err(
            Error::argument("batch", format!("at least {asked}, as {} needs", alone.name), batch).into()
        );
    }
    let shape = model.input_shape();
    let ids = alone.layer.ids();
    let many = inputs(ids, &shape.batched(Contract::samples(batch, least)).map_err(Error::from)?, seed, 1)?;
    let mut contract = Contract::new(alone, many, ctx, seed)?;
    contract.check_before()?;
    let x = inputs(ids, &shape.batched(batch).map_err(Error::from)?, seed, 0)?;
    let weights = random(&model.output_shape().batched(batch).map_err(Error::from)?, seed, 5)?;
    let name = contract.alone.name.clone();
    let mut point = Point::new(&mut contract.alone, x.clone(), ctx);
    let gradients = point.gradients(weights.data(), "input")?;
    let mut passed = compare(&name, &mut point, &gradients, weights.data(), seed)?;
    let carried = check_carried(&mut contract.alone, &x, ctx, seed)?;
    passed.compared += carried.map_or(0, |carried| carried.compared);
    passed.kinks.extend(contract.check_after()?);
    precision(&net, &model, &x, &[], ctx, Some(&name))?;
    Ok(passed)
}

/// Compares the derivatives in the middle of a sequence, where the layer has a state from the positions before.
fn check_carried(
    alone: &mut Alone,
    x: &Tensor<f64>,
    ctx: &Context,
    seed: u64,
) -> Result<Option<Passed>, GradientError> {
    let shape = x.shape();
    if !matches!(alone.layer.sequence(), Sequence::Steps { .. }) || shape[1] < 2 {
        return Ok(None);
    }
    let middle = shape[1] / 2;
    let (before, rest) = (positions(x, 0..middle)?, positions(x, middle..shape[1])?);
    let name = format!("{}, in the middle of a sequence", alone.name);
    let mut point = Point::new(alone, rest, ctx).after(&before)?;
    let outputs = point.outputs()?.len();
    let weights = random(&[outputs.max(1)], seed, 9)?;
    let gradients = point.gradients(&weights.data()[..outputs], "input")?;
    compare(&name, &mut point, &gradients, &weights.data()[..outputs], seed).map(Some)
}

/// These positions of all sequences `[n, time, ..]`.
fn positions(x: &Tensor<f64>, range: Range<usize>) -> Result<Tensor<f64>, GradientError> {
    let part = x.to_array().slice_axis(Axis(1), Slice::from(range)).to_owned();
    Ok(Tensor::from_array(&part)?)
}
