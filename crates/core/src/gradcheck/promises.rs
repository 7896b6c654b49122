//! Promises of a layer besides its passes: all parameters are used, the memory is right, batches may have any size.

use rand::Rng;

use crate::gradcheck::alone::{Alone, PassOutput, repeated};
use crate::gradcheck::passes::{difference, same};
use crate::gradcheck::report::GradientError;
use crate::layer::weights::Slot;
use crate::layer::{Context, Mode};
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};

/// How often parameters are drawn to find a declared one's influence on the outputs.
const DRAWS: u64 = 8;
/// The bytes that small lists may hold beyond the requested ones.
const SLACK: usize = 128;
/// The number of samples of a batch that are checked alone.
const SAMPLES: usize = 4;

fn in_mode(ctx: &Context, mode: Mode) -> Context {
    Context { mode, ..*ctx }
}

/// Random numbers: parameters in -1..1, statistics in 0.5..1.5.
pub(super) fn draw(slot: &mut Slot<f64>, rng: &mut impl Rng) {
    let (low, high) = if slot.is_learned() { (-1.0, 1.0) } else { (0.5, 1.5) };
    slot.data_mut().iter_mut().for_each(|v| *v = rng.random_range(low..high));
}

/// Checks that the outputs depend on every parameter, and on every statistic unless commit changes it.
pub(super) fn parameters_are_used(
    alone: &mut Alone,
    x: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let original = alone.slots.clone();
    for at in 0..original.len() {
        let mut used = false;
        for round in 0..DRAWS {
            let mut rng = stream(ctx.seed, Purpose::GradientCheck, 4, round);
            alone.slots.clone_from(&original);
            if round > 0 {
                alone.slots.iter_mut().for_each(|slot| draw(slot, &mut rng));
            }
            used = moves_outputs(alone, at, x, ctx, &mut rng)?;
            if used {
                break;
            }
        }
        alone.slots.clone_from(&original);
        if !used && (original[at].is_learned() || !is_committed(alone, at, x, ctx)?) {
            return Err(unused(alone, at));
        }
        alone.slots.clone_from(&original);
    }
    Ok(())
}

fn unused(alone: &Alone, at: usize) -> GradientError {
    let name = alone.places[at].0;
    alone.broken(
        format!("outputs that depend on {name:?}, for params declares it"),
        "the same outputs whatever its numbers",
        format!("use w[{name:?}] in forward, or do not declare it"),
    )
}

/// Whether other numbers of this one change the outputs, in training or in evaluation.
fn moves_outputs(
    alone: &mut Alone,
    at: usize,
    x: &Tensor<f64>,
    ctx: &Context,
    rng: &mut impl Rng,
) -> Result<bool, GradientError> {
    let outputs = |alone: &Alone| {
        let pass = |mode| alone.forward(x, alone.layer.new_cache().as_mut(), &in_mode(ctx, mode), 1);
        Ok::<_, GradientError>([pass(Mode::Train)?, pass(Mode::Evaluate)?])
    };
    let before = outputs(alone)?;
    draw(&mut alone.slots[at], rng);
    Ok(outputs(alone)? != before)
}

/// Whether a training step changes this statistic.
fn is_committed(alone: &mut Alone, at: usize, x: &Tensor<f64>, ctx: &Context) -> Result<bool, GradientError> {
    let before = alone.slots[at].value().clone();
    let mut cache = alone.layer.new_cache();
    alone.forward(x, cache.as_mut(), &in_mode(ctx, Mode::Train), 1)?;
    alone.commit(cache.as_ref())?;
    Ok(*alone.slots[at].value() != before)
}

/// Checks that commit, after a training step, does not change parameters and leaves all numbers finite.
pub(super) fn commit_keeps_parameters(
    alone: &mut Alone,
    x: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let original = alone.slots.clone();
    let mut cache = alone.layer.new_cache();
    alone.forward(x, cache.as_mut(), &in_mode(ctx, Mode::Train), 1)?;
    alone.commit(cache.as_ref())?;
    let changed = std::mem::replace(&mut alone.slots, original);
    for (&(name, at), changed) in alone.places.iter().zip(&changed) {
        if changed.is_learned() && changed.value() != alone.slots[at].value() {
            return Err(alone.broken(
                format!("a commit that leaves parameter {name:?} as it is"),
                "other numbers after it",
                "parameters are the optimizer's to change: declare it with declare.remembered",
            ));
        }
    }
    Ok(())
}

/// One training pass with a new cache over a batch of this size.
fn trained(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    samples: usize,
    ctx: &Context,
) -> Result<PassOutput, GradientError> {
    let how = alone.how(&in_mode(ctx, Mode::Train));
    alone.pass(&repeated(x, samples)?, &repeated(dy, samples)?, None, &how)
}

/// Checks that the cache has the size that `cost` says, at two batch sizes.
pub(super) fn memory_is_declared(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let cost = alone.guarded("cost", || alone.layer.cost(&alone.input))?;
    let few = cost.least_samples.max(4);
    let sizes = [few, few + 3];
    let mut held = [0; 2];
    for (held, samples) in held.iter_mut().zip(sizes) {
        *held = trained(alone, x, dy, samples, ctx)?.cache.bytes();
    }
    let declared =
        sizes.map(|samples| samples.saturating_mul(cost.sample_bytes).saturating_add(cost.fixed_bytes));
    // A short list may have capacity for a few more numbers than requested.
    let slack = if cost.fixed_bytes > 0 { SLACK } else { 0 };
    let more = [0, 1].map(|i: usize| held[i].checked_sub(declared[i]));
    if more[0] == more[1] && more[0].is_some_and(|more| more <= slack) {
        return Ok(());
    }
    Err(alone.broken(
        format!(
            "a cache as cost says, {} bytes of {} samples and {} of {} (sample_bytes {}, fixed_bytes {})",
            declared[0], sizes[0], declared[1], sizes[1], cost.sample_bytes, cost.fixed_bytes
        ),
        format!("{} and {} bytes", held[0], held[1]),
        "count what the cache holds after a training pass in cost and in Cache::bytes, and take no more than is needed \
         (Vec::reserve_exact)",
    ))
}

/// Checks that training works with the smallest batch that `cost` allows.
pub(super) fn least_batch_can_be_trained_on(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let least = alone.guarded("cost", || alone.layer.cost(&alone.input))?.least_samples;
    if least == 0 {
        return Err(alone.broken("a least_samples of at least 1 from cost", "0", "1 is the default"));
    }
    let done = trained(alone, x, dy, least, ctx)?;
    let grads = done.grads.iter().flat_map(|grads| (0..grads.len()).filter_map(|at| grads.get(at)));
    let mut numbers = grads.chain(&done.dx).chain([&done.y]).flat_map(Tensor::data);
    match numbers.find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(wrong) => Err(alone.broken(
            format!("finite numbers from a training pass over {least}, the least_samples of cost"),
            wrong.to_string(),
            "say in cost how many samples the layer needs in training",
        )),
    }
}

/// Checks that evaluation accepts an empty batch.
pub(super) fn empty_batches_pass(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let how = alone.how(&in_mode(ctx, Mode::Evaluate));
    let done = alone.pass(&repeated(x, 0)?, &repeated(dy, 0)?, None, &how)?;
    let grads = done.grads.iter().flat_map(|grads| (0..grads.len()).filter_map(|at| grads.get(at)));
    match grads.flat_map(Tensor::data).find(|v| **v != 0.0) {
        None => Ok(()),
        Some(wrong) => Err(alone.broken(
            "gradients of 0 from a batch of no samples",
            wrong.to_string(),
            "a gradient is a sum over samples: divide by their number only where there are any",
        )),
    }
}

/// Checks that each sample has the same output in evaluation, alone and in the batch.
pub(super) fn samples_are_independent(
    alone: &Alone,
    x: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let ctx = in_mode(ctx, Mode::Evaluate);
    let forward = |x: &Tensor<f64>| alone.forward(x, alone.layer.new_cache().as_mut(), &ctx, 1);
    let all = forward(x)?;
    let (width, length) = (alone.input.elements(), alone.output.elements());
    // In reverse order, so that most of them move to another position.
    for sample in (0..x.batch()).rev().take(SAMPLES) {
        let mut one = repeated(x, 1)?;
        one.data_mut().copy_from_slice(&x.data()[sample * width..][..width]);
        let y = forward(&one)?;
        let mut expected = y.clone();
        expected.data_mut().copy_from_slice(&all.data()[sample * length..][..length]);
        if !same(y.data(), expected.data()) {
            return Err(alone.broken(
                "outputs of a sample that do not depend on the others of the batch, in evaluation",
                format!("{} of sample {sample}, in the batch and alone", difference(&expected, &y)),
                "use batch statistics in training only (ctx.mode), and look for a mistake in where a sample begins",
            ));
        }
    }
    Ok(())
}
