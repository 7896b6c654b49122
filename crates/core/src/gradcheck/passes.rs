//! Promises of a layer's passes: what they write, what they add to, and what they read.

use crate::gradcheck::alone::{Alone, PassOutput, PassSettings, repeated};
use crate::gradcheck::report::GradientError;
use crate::layer::weights::Grads;
use crate::layer::{Context, Mode, Reads, ReluRule};
use crate::tensor::Tensor;

/// The factor of dy in the check that gradients grow by the same factor.
const LARGE: f64 = 1000.0;

/// What must hold before derivatives can be compared: the passes run, write what they must, read what they say, and
/// give every gradient.
pub(super) fn check_writing(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let how = alone.how(ctx);
    output_is_written(alone, x, ctx)?;
    what_is_read_is_declared(alone, x, dy, &how)?;
    let done = alone.pass(x, dy, None, &how)?;
    input_gradient_is_overwritten(alone, x, dy, &done, &how)?;
    every_parameter_has_a_gradient(alone, &done)?;
    // Before derivatives are compared: if a gradient is overwritten within a batch, it is wrong, and this check says why.
    gradients_are_added(alone, x, dy, &how, Doubt::Overwritten)
}

/// What must hold if several passes follow each other, and if not all gradients are needed.
pub(super) fn check_repeating(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    ctx: &Context,
) -> Result<(), GradientError> {
    let how = alone.how(ctx);
    let done = alone.pass(x, dy, None, &how)?;
    gradients_are_added(alone, x, dy, &how, Doubt::Any)?;
    backward_is_linear(alone, x, dy, &done, &how)?;
    each_gradient_alone(alone, x, dy, &done, &how)?;
    frozen_parameters_have_none(alone, x, dy, &done, &how)?;
    used_caches_are_as_good_as_new(alone, x, dy, &done, &how)
}

/// Whether numbers are the same up to rounding.
pub(super) fn same(a: &[f64], b: &[f64]) -> bool {
    let scale = a.iter().chain(b).filter(|v| v.is_finite()).fold(1e-3_f64, |most, v| most.max(v.abs()));
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * scale || a == b || (a.is_nan() && b.is_nan());
    a.len() == b.len() && a.iter().zip(b).all(near)
}

/// The first difference: `3 at [0, 1]` for the first and the second.
pub(super) fn difference(a: &Tensor<f64>, b: &Tensor<f64>) -> String {
    let differ = |(a, b): (&f64, &f64)| !same(&[*a], &[*b]);
    let at = a.data().iter().zip(b.data()).position(differ).unwrap_or(0);
    match (a.data().get(at), b.data().get(at)) {
        (Some(first), Some(second)) => {
            format!("{first:.6} and {second:.6} at {:?}", crate::tensor::finite::index(at, &a.shape()))
        }
        _ => format!("{} and {}", a.shape(), b.shape()),
    }
}

fn mode(ctx: &Context) -> &'static str {
    if ctx.mode == Mode::Train { "training" } else { "evaluation" }
}

fn output_is_written(alone: &Alone, x: &Tensor<f64>, ctx: &Context) -> Result<(), GradientError> {
    let pass = |noise| alone.forward(x, alone.layer.new_cache().as_mut(), ctx, noise);
    let (first, again, other) = (pass(1)?, pass(1)?, pass(2)?);
    if !same(first.data(), again.data()) {
        return Err(alone.broken(
            format!("the same y of two equal forward passes in {}", mode(ctx)),
            difference(&first, &again),
            "a layer is its settings: draw random numbers from rng::stream with ctx.seed, ctx.step and Weights::key",
        ));
    }
    if !same(first.data(), other.data()) {
        return Err(alone.broken(
            format!("every number of y written by forward in {}", mode(ctx)),
            format!("outputs that depend on what lay in y before, {}", difference(&first, &other)),
            "y holds unspecified numbers: set each of them, or fill y with 0 before adding to it",
        ));
    }
    if let Some(at) = first.data().iter().position(|v| !v.is_finite()) {
        return Err(alone.broken(
            format!("finite outputs in {}", mode(ctx)),
            format!("{} at {:?}", first.data()[at], crate::tensor::finite::index(at, &first.shape())),
            "inputs and parameters are from -1 to 1; a layer for other inputs can be checked in a net, behind one \
             that gives it such",
        ));
    }
    Ok(())
}

/// Compares a pass with the tensors that `reads` names to one in which both are there.
fn what_is_read_is_declared(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    how: &PassSettings,
) -> Result<(), GradientError> {
    let all = Reads { x: true, y: true };
    let full = alone.pass(x, dy, None, &PassSettings { there: all, ..*how })?;
    let declared = alone.layer.reads();
    for (name, missing, there) in
        [("x", !declared.x, Reads { x: false, y: true }), ("y", !declared.y, Reads { x: true, y: false })]
    {
        if !missing {
            continue;
        }
        let got = match alone.pass(x, dy, None, &PassSettings { there, ..*how }) {
            Ok(part) if same_gradients(&full, &part) => continue,
            Ok(_) => "other gradients when it is empty".to_owned(),
            Err(GradientError::Contract { got, .. }) => format!("{got} (when it is empty)"),
            Err(other) => return Err(other),
        };
        return Err(alone.broken(
            format!("a backward that does without pass.{name}, for reads() says {name}: false"),
            got,
            format!("set {name}: true in reads(), or do not use pass.{name}, not even its shape"),
        ));
    }
    Ok(())
}

fn same_gradients(a: &PassOutput, b: &PassOutput) -> bool {
    let dx = match (&a.dx, &b.dx) {
        (Some(a), Some(b)) => same(a.data(), b.data()),
        _ => true,
    };
    let of = |grads: &Option<Grads<f64>>, at| grads.as_ref().and_then(|grads| grads.get(at)).cloned();
    let numbers = |at| [of(&a.grads, at), of(&b.grads, at)].map(|grad| grad.map(|grad| grad.data().to_vec()));
    let mut grads = (0..a.grads.as_ref().map_or(0, Grads::len)).map(numbers);
    dx && grads.all(|pair| match pair {
        [Some(a), Some(b)] => same(&a, &b),
        [None, None] => true,
        _ => false,
    })
}

fn input_gradient_is_overwritten(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    done: &PassOutput,
    how: &PassSettings,
) -> Result<(), GradientError> {
    let other = alone.pass(x, dy, None, &PassSettings { noise: 2, ..*how })?;
    for (first, second) in done.others.iter().zip(&other.others) {
        if !same(first.data(), second.data()) {
            return Err(alone.broken(
                format!("every gradient of a further input overwritten by backward in {}", mode(&how.ctx)),
                format!("one that depends on what lay in it before, {}", difference(first, second)),
                "what pass.others.write hands out holds unspecified numbers: set each of them",
            ));
        }
    }
    match (&done.dx, &other.dx) {
        (Some(first), Some(second)) if !same(first.data(), second.data()) => Err(alone.broken(
            format!("every number of dx overwritten by backward in {}", mode(&how.ctx)),
            format!("a dx that depends on what lay in it before, {}", difference(first, second)),
            "dx holds unspecified numbers: set each of them, or fill dx with 0 before adding to it",
        )),
        _ => Ok(()),
    }
}

/// The gradient of each parameter that has one, with its name.
fn gradients<'a>(
    alone: &'a Alone,
    done: &'a PassOutput,
) -> impl Iterator<Item = (&'static str, Option<&'a Tensor<f64>>)> {
    let trainable = alone.places.iter().filter(|&&(_, at)| alone.slots[at].is_trainable());
    trainable.map(|&(name, at)| (name, done.grads.as_ref().and_then(|grads| grads.get(at))))
}

fn every_parameter_has_a_gradient(alone: &Alone, done: &PassOutput) -> Result<(), GradientError> {
    match gradients(alone, done).find(|(_, gradient)| gradient.is_none()) {
        None => Ok(()),
        Some((name, _)) => Err(alone.broken(
            format!("a gradient of parameter {name:?} from backward, for params declares it"),
            "none",
            format!("add it to grads.add({name:?}), or declare a constant with declare.remembered"),
        )),
    }
}

/// What the gradients of two passes show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Gradients that the second pass overwrites.
    Overwritten,
    /// Gradients that are not twice those of one pass.
    Any,
}

fn gradients_are_added(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    how: &PassSettings,
    doubt: Doubt,
) -> Result<(), GradientError> {
    let mut twice = alone.pass(x, dy, None, how)?;
    let once: Vec<_> = gradients(alone, &twice).map(|(name, grad)| (name, grad.cloned())).collect();
    twice.cache = alone.layer.new_cache();
    twice.y = alone.forward(x, twice.cache.as_mut(), &how.ctx, how.noise)?;
    alone.backward(x, dy, &mut twice, how)?;
    for ((name, once), (_, twice)) in once.iter().zip(gradients(alone, &twice)) {
        let (Some(once), Some(twice)) = (once, twice) else { continue };
        let doubled: Vec<f64> = once.data().iter().map(|v| 2.0 * v).collect();
        let overwritten = same(once.data(), twice.data());
        if !same(&doubled, twice.data()) && (overwritten || doubt == Doubt::Any) {
            let got = match overwritten {
                true => "the same as after one: it is overwritten".to_owned(),
                false => format!("something else, {}", difference(once, twice)),
            };
            return Err(alone.broken(
                format!("twice the gradient of parameter {name:?} after two equal backward passes"),
                got,
                "add to what grads.add hands out (+=), for a layer may be used twice in a step",
            ));
        }
    }
    Ok(())
}

/// Checks that backward is linear in dy. The ReLU rules of interpretability methods are not derivatives, so they are not checked.
fn backward_is_linear(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    done: &PassOutput,
    how: &PassSettings,
) -> Result<(), GradientError> {
    let scaled = |tensor: &mut Tensor<f64>| tensor.data_mut().iter_mut().for_each(|v| *v *= LARGE);
    let mut large = dy.clone();
    scaled(&mut large);
    let other = alone.pass(x, &large, None, how)?;
    let grads = gradients(alone, done).zip(gradients(alone, &other)).map(|((_, a), (_, b))| (a, b));
    for (once, large) in grads.chain([(done.dx.as_ref(), other.dx.as_ref())]) {
        let (Some(once), Some(large)) = (once, large) else { continue };
        let mut expected = once.clone();
        scaled(&mut expected);
        if how.ctx.relu == ReluRule::Plain && !same(expected.data(), large.data()) {
            return Err(alone.broken(
                format!("a backward that is linear in dy, {LARGE} times the gradients for {LARGE} times dy"),
                "others",
                "a layer does not clip or scale gradients by their size: the training loop does",
            ));
        }
    }
    Ok(())
}

/// Checks dx if no parameter gradients are needed, and these if no dx is needed.
fn each_gradient_alone(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    done: &PassOutput,
    how: &PassSettings,
) -> Result<(), GradientError> {
    let only_dx = alone.pass(x, dy, None, &PassSettings { grads: false, ..*how })?;
    if let (Some(first), Some(second)) = (&done.dx, &only_dx.dx)
        && !same(first.data(), second.data())
    {
        return Err(alone.broken(
            "the same dx whether or not parameter gradients are wanted",
            difference(first, second),
            "write dx also where grads.add gives None",
        ));
    }
    let only_grads = alone.pass(x, dy, None, &PassSettings { dx: false, ..*how })?;
    compare_gradients(alone, done, &only_grads, |name| {
        (
            format!("the same gradient of parameter {name:?} whether or not dx is wanted"),
            "add the gradients of parameters before returning where pass.dx is None".to_owned(),
        )
    })
}

/// Whether the gradients that both have are the same, and the second has those of the first.
fn compare_gradients(
    alone: &Alone,
    first: &PassOutput,
    second: &PassOutput,
    say: impl Fn(&str) -> (String, String),
) -> Result<(), GradientError> {
    for ((name, a), (_, b)) in gradients(alone, first).zip(gradients(alone, second)) {
        let got = match (a, b) {
            (Some(a), Some(b)) if !same(a.data(), b.data()) => difference(a, b),
            (Some(_), None) => "none".to_owned(),
            _ => continue,
        };
        let (expected, help) = say(name);
        return Err(alone.broken(expected, got, help));
    }
    Ok(())
}

fn frozen_parameters_have_none(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    done: &PassOutput,
    how: &PassSettings,
) -> Result<(), GradientError> {
    for &(frozen, at) in alone.places.iter().filter(|&&(_, at)| alone.slots[at].is_trainable()) {
        let copy = alone.with_frozen(at);
        let pass = copy.pass(x, dy, None, how).map_err(|error| match error {
            GradientError::Contract { layer, expected, got, help } => {
                let expected = format!("{expected}, with {frozen:?} frozen");
                let help = format!("{help}; grads.add gives None for a frozen parameter");
                GradientError::Contract { layer, expected, got, help }
            }
            other => other,
        })?;
        let help = format!("what depends on grads.add({frozen:?}) is that gradient alone");
        if let (Some(first), Some(second)) = (&done.dx, &pass.dx)
            && !same(first.data(), second.data())
        {
            let expected = format!("the same dx with parameter {frozen:?} frozen");
            return Err(alone.broken(expected, difference(first, second), help));
        }
        compare_gradients(&copy, done, &pass, |name| {
            let expected = format!("the same gradient of parameter {name:?} with {frozen:?} frozen");
            (expected, help.clone())
        })?;
    }
    Ok(())
}

/// A cache that served other passes, of a larger batch and of one of this size, gives the same results as a new one.
fn used_caches_are_as_good_as_new(
    alone: &Alone,
    x: &Tensor<f64>,
    dy: &Tensor<f64>,
    done: &PassOutput,
    how: &PassSettings,
) -> Result<(), GradientError> {
    let mut cache = None;
    for samples in [x.batch() + 2, x.batch()] {
        let mut other = repeated(x, samples)?;
        other.data_mut().iter_mut().for_each(|v| *v *= 0.75);
        cache = Some(alone.pass(&other, &repeated(dy, samples)?, cache, how)?.cache);
    }
    let pass = alone.pass(x, dy, cache, how)?;
    if same(done.y.data(), pass.y.data()) && same_gradients(done, &pass) {
        return Ok(());
    }
    Err(alone.broken(
        "the same results with a new cache and with one that served another pass before",
        "others",
        "forward must set all of the cache: resize it, and fill it with 0 before adding to it",
    ))
}
