//! Whole nets and models, and which of their layers is wrong.

use ndarray::ArrayD;

use crate::error::Error;
use crate::gradcheck::alone::{Alone, guarded, repeated};
use crate::gradcheck::compare::{Gradient, Subject, compare};
use crate::gradcheck::contract::Contract;
use crate::gradcheck::function::check_loss;
use crate::gradcheck::point::{Point, inputs, random};
use crate::gradcheck::promises::draw;
use crate::gradcheck::report::{GradientError, Passed};
use crate::layer::Context;
use crate::losses::{CrossEntropy, Loss as _, Targets};
use crate::net::Net;
use crate::net::model::Model;
use crate::net::plan::Keep;
use crate::net::program::OpKind;
use crate::net::trace::Trace;
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The name of a whole net in messages.
const WHOLE: &str = "the net";
/// In f32, outputs may differ by this share of the largest.
const F32_ERROR: f64 = 1e-3;

/// Checks all rules for each layer of a net, on the layer's values in the net, and compares every derivative of the whole
/// net, as [`check_layer`](super::check_layer) does for one layer. The net is the one that a `Model<f32>` trains, but in `f64`.
///
/// ```
/// use backstitch::{Context, Net, gradcheck::check_net, layers::{batch_norm, dense}};
/// let net = Net::new().push(dense(4)).push(batch_norm().relu()).push(dense(2));
/// let passed = check_net(net, &[3], 5, &Context::train(0, 0), 7)?;
/// assert_eq!(passed.compared, 5 * 3 + (3 * 4 + 4) + 2 * 4 + (4 * 2 + 2));
/// # Ok::<(), backstitch::gradcheck::GradientError>(())
/// ```
///
/// # Errors
/// If a rule is broken or a derivative is wrong. The message names the layer nearest to the output whose own check fails, not the
/// parameter with the largest error.
pub fn check_net(
    net: impl Into<Net>,
    input: &[usize],
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    check_net_with(net, input, &[], batch, ctx, seed)
}

/// As [`check_net`], for a net with named inputs ([`input`](crate::input)): `named` has a tensor `[batch, ..]` for each. Derivatives with
/// respect to them are not compared.
///
/// # Errors
/// As [`check_net`].
pub fn check_net_with(
    net: impl Into<Net>,
    input: &[usize],
    named: &[(&str, Tensor<f64>)],
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    let net = net.into();
    let mut model = built(&net, input, named, seed)?;
    draw_all(&mut model, seed);
    let samples = Contract::samples(batch, least_samples(&model));
    let x = inputs(ids_of(&model), &model.input_shape().batched(samples).map_err(Error::from)?, seed, 1)?;
    let mut contracts = contracts(&model, &x, named, ctx, seed)?;
    for contract in &mut contracts {
        contract.check_before()?;
    }
    let mut passed = outputs(&mut model, named, batch, ctx, seed)?;
    for contract in &mut contracts {
        passed.kinks.extend(contract.check_after()?);
    }
    precision(&net, &model, &x, named, ctx, None)?;
    Ok(passed)
}

/// Compares every derivative of a whole model, without the other rules for its layers. Its parameters are overwritten with random
/// numbers in -1..1, and its statistics in 0.5..1.5.
///
/// # Errors
/// If a derivative is wrong: the message names the layer, and the worst with its index and both values.
pub fn check_outputs(
    model: &mut Model<f64>,
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    outputs(model, &[], batch, ctx, seed)
}

fn outputs(
    model: &mut Model<f64>,
    named: Named<'_>,
    batch: usize,
    ctx: &Context,
    seed: u64,
) -> Result<Passed, GradientError> {
    if batch == 0 {
        return Err(Error::argument("batch", "at least 1", 0).into());
    }
    draw_all(model, seed);
    let x = inputs(ids_of(model), &model.input_shape().batched(batch).map_err(Error::from)?, seed, 0)?;
    let weights = random(&model.output_shape().batched(batch).map_err(Error::from)?, seed, 5)?;
    let loss = OutputLoss {
        outputs: &|y| Ok(y.data().to_vec()),
        gradient: &|_, dy| {
            dy.copy_from(&weights);
            Ok(())
        },
        weights: weights.data(),
    };
    let whole = check(model, &x, named, ctx, &loss, seed);
    whole.map_err(|wrong| located(model, &x, named, ctx, seed, wrong))
}

/// Compares every derivative of the mean cross-entropy of a model on a batch, with respect to the
/// inputs and to every parameter.
///
/// # Errors
/// As [`check_outputs`].
pub fn check_model(
    model: &mut Model<f64>,
    inputs: &ArrayD<f64>,
    targets: &Targets<'_, f64>,
    ctx: &Context,
) -> Result<Passed, GradientError> {
    let x = Tensor::from_array(inputs)?;
    let entropy = CrossEntropy::new();
    let loss = OutputLoss {
        outputs: &|y| Ok(vec![entropy.loss(y, targets, None)?.value()]),
        gradient: &|y, dy| {
            dy.resize(&y.shape());
            entropy.loss(y, targets, Some(dy)).map(|_| ())
        },
        weights: &[1.0],
    };
    let whole = check(model, &x, &[], ctx, &loss, 0);
    whole.or_else(|wrong| {
        let mut trace = Trace::new(Keep::Last);
        model.forward(&x, &mut trace, ctx)?;
        check_loss(&entropy, trace.output(), targets)?;
        Err(located(model, &x, &[], ctx, 0, wrong))
    })
}

/// A model of a net, in f64.
pub(super) fn built(
    net: &Net,
    input: &[usize],
    named: Named<'_>,
    seed: u64,
) -> Result<Model<f64>, GradientError> {
    Ok(guarded(WHOLE, "output_shape, params and cost", || model_of(net, input, named, seed))??)
}

/// A model of a net whose named inputs have the shapes of these.
fn model_of<F: Scalar>(net: &Net, input: &[usize], named: Named<'_>, seed: u64) -> Result<Model<F>, Error> {
    let shape = |value: &Tensor<f64>| Shape::of(value.shape().get(1..).unwrap_or(&[]));
    let shapes: Vec<Shape> = named.iter().map(|(_, value)| shape(value)).collect();
    let named: Vec<_> = named.iter().zip(&shapes).map(|((name, _), shape)| (*name, &shape[..])).collect();
    Model::with_inputs(net.clone(), input, &named, seed)
}

/// Named inputs, `[n, ..]`.
type Named<'a> = &'a [(&'a str, Tensor<f64>)];

/// A trace with these named inputs, repeated to a batch of this size.
fn trace_with(keep: Keep, named: Named<'_>, samples: usize) -> Result<Trace<f64>, GradientError> {
    let mut trace = Trace::new(keep);
    for (name, value) in named {
        trace.set_input(name, &repeated(value, samples)?);
    }
    Ok(trace)
}

/// Random numbers for all parameters: biases of zero, or running statistics of a new model, would hide a mistake in their use.
pub(super) fn draw_all(model: &mut Model<f64>, seed: u64) {
    let mut rng = stream(seed, Purpose::GradientCheck, 0, 1);
    model.own_slots().iter_mut().for_each(|slot| draw(slot, &mut rng));
}

/// How many ids there are, if the input is ids.
fn ids_of(model: &Model<f64>) -> Option<usize> {
    let program = model.program();
    program.ids.iter().find(|(op, _)| program.ops[*op].inputs[0] == 0).map(|(_, count)| *count)
}

/// The most samples that a layer of the model asks for in training.
fn least_samples(model: &Model<f64>) -> usize {
    let program = model.program();
    let least = program.ops.iter().filter_map(|op| match &op.kind {
        OpKind::Layer(layer) => Some(layer.cost(&program.shapes[op.inputs[0]]).least_samples),
        _ => None,
    });
    least.max().unwrap_or(1)
}

/// `dense1 (Dense 3, relu)`.
fn name(model: &Model<f64>, op: usize) -> String {
    let op = &model.program().ops[op];
    format!("{} ({})", op.path, op.kind.describe(op.inputs.len()))
}

/// A pass with everything kept, or the panic of one of the layers.
fn values_met(
    model: &Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
) -> Result<Trace<f64>, GradientError> {
    let mut trace = trace_with(Keep::All, named, x.batch())?;
    guarded(WHOLE, "forward", || model.forward(x, &mut trace, ctx))??;
    Ok(trace)
}

/// The layer of an operation with the further inputs that it meets, those of the first sample.
fn alone_of(
    model: &Model<f64>,
    at: usize,
    trace: Option<&Trace<f64>>,
) -> Result<Option<Alone>, GradientError> {
    let op = &model.program().ops[at];
    let mut others = Vec::new();
    for (name, &value) in op.others.iter().zip(op.inputs.iter().skip(1)) {
        let one = model.program().shapes[value].batched(1).map_err(Error::from)?;
        let mut values = random(&one, 0, 10)?;
        if let Some(trace) = trace.filter(|_| value > 0) {
            let met = &trace.buffers.y[trace.plan.buffer[value]];
            values.data_mut().iter_mut().zip(met.data()).for_each(|(to, &from)| *to = from);
        }
        others.push((name.clone(), values));
    }
    Ok(Alone::with(model, at, name(model, at), others))
}

/// The input of an operation in a pass.
fn input_of<'a>(model: &Model<f64>, op: usize, x: &'a Tensor<f64>, trace: &'a Trace<f64>) -> &'a Tensor<f64> {
    match model.program().ops[op].inputs[0] {
        0 => x,
        value => &trace.buffers.y[trace.plan.buffer[value]],
    }
}

/// Every layer with the values that it meets, the one nearest to the output first. Where there are none, for a layer panics, and where
/// they are not finite, for a layer before it gives such, with random ones.
fn contracts(
    model: &Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
    seed: u64,
) -> Result<Vec<Contract>, GradientError> {
    let met = match values_met(model, x, named, ctx) {
        Ok(trace) => Some(trace),
        Err(GradientError::Contract { .. }) => None,
        Err(other) => return Err(other),
    };
    let mut contracts = Vec::new();
    for op in (0..model.program().ops.len()).rev() {
        let Some(alone) = alone_of(model, op, met.as_ref())? else { continue };
        let met = met.as_ref().map(|trace| input_of(model, op, x, trace));
        let input = match met.filter(|met| met.data().iter().all(|v| v.is_finite())) {
            Some(met) => met.clone(),
            None => {
                inputs(alone.layer.ids(), &alone.input.batched(x.batch()).map_err(Error::from)?, seed, 8)?
            }
        };
        contracts.push(Contract::new(alone, input, ctx, seed)?);
    }
    Ok(contracts)
}

type Outputs<'a> = dyn Fn(&Tensor<f64>) -> Result<Vec<f64>, Error> + 'a;
type OutputGradient<'a> = dyn Fn(&Tensor<f64>, &mut Tensor<f64>) -> Result<(), Error> + 'a;

/// The outputs of a whole that are compared, the gradient with respect to those of the model, and the weights of the
/// outputs' sum.
struct OutputLoss<'a> {
    outputs: &'a Outputs<'a>,
    gradient: &'a OutputGradient<'a>,
    weights: &'a [f64],
}

/// A model at an input: tensor 0 is the input, the others are the parameters that have a gradient.
struct Whole<'a> {
    model: &'a mut Model<f64>,
    x: Tensor<f64>,
    ctx: &'a Context,
    trace: Trace<f64>,
    learned: Vec<usize>,
    loss: &'a OutputLoss<'a>,
}

impl Subject for Whole<'_> {
    fn number(&mut self, tensor: usize, position: usize) -> &mut f64 {
        // Ids have no derivatives.
        let inputs = usize::from(ids_of(self.model).is_none());
        match tensor.checked_sub(inputs) {
            None => &mut self.x.data_mut()[position],
            Some(parameter) => &mut self.model.own_slots()[self.learned[parameter]].data_mut()[position],
        }
    }

    fn outputs(&mut self) -> Result<Vec<f64>, GradientError> {
        self.model.forward(&self.x, &mut self.trace, self.ctx)?;
        Ok((self.loss.outputs)(self.trace.output())?)
    }
}

/// The gradients by hand from one backward pass, then passes forward for each number.
fn check(
    model: &mut Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
    loss: &OutputLoss<'_>,
    seed: u64,
) -> Result<Passed, GradientError> {
    let mut trace = trace_with(Keep::ForBackward, named, x.batch())?;
    let (mut dx, mut grads) = (Tensor::default(), model.grads());
    model.forward(x, &mut trace, ctx)?;
    let (y, dy) = trace.output_and_gradient();
    (loss.gradient)(y, dy)?;
    model.backward(x, &mut trace, Some(&mut dx), Some(&mut grads), ctx)?;
    let dx = Some(dx).filter(|_| ids_of(model).is_none());
    let dx = dx.map(|by_hand| Gradient { of: "input".to_owned(), by_hand });
    let mut gradients: Vec<_> = dx.into_iter().collect();
    let mut learned = Vec::new();
    for (at, slot) in model.slots().iter().enumerate() {
        if let Some(grad) = grads.get(at) {
            gradients.push(Gradient { of: slot.name().to_owned(), by_hand: grad.clone() });
            learned.push(at);
        }
    }
    let mut whole = Whole { model, x: x.clone(), ctx, trace, learned, loss };
    compare("", &mut whole, &gradients, loss.weights, seed)
}

/// The error of the layer nearest to the output whose own derivatives are wrong on the values that it meets.
fn located(
    model: &Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
    seed: u64,
    wrong: GradientError,
) -> GradientError {
    if !matches!(wrong, GradientError::Wrong { .. }) {
        return wrong;
    }
    match layers_alone(model, x, named, ctx, seed) {
        Ok(()) => GradientError::Together { wrong: Box::new(wrong) },
        Err(error) => error,
    }
}

fn layers_alone(
    model: &Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
    seed: u64,
) -> Result<(), GradientError> {
    let trace = values_met(model, x, named, ctx)?;
    for op in (0..model.program().ops.len()).rev() {
        let Some(mut alone) = alone_of(model, op, Some(&trace))? else { continue };
        let weights = random(&alone.output.batched(x.batch()).map_err(Error::from)?, seed, 5)?;
        let mut point = Point::new(&mut alone, input_of(model, op, x, &trace).clone(), ctx);
        let gradients = point.gradients(weights.data(), "its input")?;
        compare(&name(model, op), &mut point, &gradients, weights.data(), seed)?;
    }
    Ok(())
}

/// The numbers in f32.
fn rounded(x: &Tensor<f64>) -> Result<Tensor<f32>, GradientError> {
    let mut single = Tensor::zeros(&x.shape())?;
    single.data_mut().iter_mut().zip(x.data()).for_each(|(to, &from)| *to = from as f32);
    Ok(single)
}

/// Whether outputs in f32 are those in f64, to the precision of f32. If not, the message names the first layer whose output differs:
/// `layer`, if the net is that layer alone.
pub(super) fn precision(
    net: &Net,
    model: &Model<f64>,
    x: &Tensor<f64>,
    named: Named<'_>,
    ctx: &Context,
    layer: Option<&str>,
) -> Result<(), GradientError> {
    let mut single: Model<f32> = model_of(net, &model.input_shape(), named, 0)?;
    for (single, slot) in single.own_slots().iter_mut().zip(model.slots()) {
        single.data_mut().iter_mut().zip(slot.value().data()).for_each(|(to, &from)| *to = from as f32);
    }
    let x32 = rounded(x)?;
    let (mut trace, mut trace32) = (trace_with(Keep::All, named, x.batch())?, Trace::new(Keep::All));
    for (name, value) in named {
        trace32.set_input(name, &rounded(&repeated(value, x.batch())?)?);
    }
    model.forward(x, &mut trace, ctx)?;
    guarded(layer.unwrap_or(WHOLE), "forward in f32", || single.forward(&x32, &mut trace32, ctx))??;
    if difference(trace.output(), trace32.output()).is_none() {
        return Ok(());
    }
    for op in 0..model.program().ops.len() {
        let [y, y32] = [trace.plan.buffer[op + 1], trace32.plan.buffer[op + 1]];
        let differs = difference(&trace.buffers.y[y], &trace32.buffers.y[y32]);
        let Some((double, single, index)) = differs else { continue };
        return Err(GradientError::Contract {
            layer: layer.map_or_else(|| name(model, op), str::to_owned),
            expected: format!("the outputs in f32 to be those in f64, {double:e} to three digits"),
            got: format!("{single:e} at {index:?}"),
            help: "a constant may be too small or too large for f32, or a difference of two large numbers may lose its digits"
                .to_owned(),
        });
    }
    Ok(())
}

/// The first number that is another one in f32, in both precisions, and its index.
fn difference(y: &Tensor<f64>, y32: &Tensor<f32>) -> Option<(f64, f32, Vec<usize>)> {
    let largest = y.data().iter().fold(1e-3_f64, |most, v| most.max(v.abs()));
    let differs = |(double, single): (f64, f32)| {
        let error = (double - f64::from(single)).abs();
        error.is_nan() || error > F32_ERROR * largest
    };
    let pairs = y.data().iter().copied().zip(y32.data().iter().copied());
    let (at, (double, single)) = pairs.enumerate().find(|(_, pair)| differs(*pair))?;
    Some((double, single, crate::tensor::finite::index(at, &y.shape())))
}
