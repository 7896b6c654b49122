//! Whether a network ends in logits, which cross-entropy takes, or already in the probabilities of a softmax.

use crate::error::Error;
use crate::layers::{
    Activation, ActivationLayer, BatchNorm, Conv1d, Conv2d, Dense, DepthwiseConv2d, Dropout, Flatten,
    FusedConv2d, GlobalAvgPool, TransposedConv2d,
};
use crate::net::model::Model;
use crate::net::program::{Op, OpKind, Program};
use crate::tensor::scalar::Scalar;

/// Checks that a model does not end in an activation that the loss applies itself: the loss would take the softmax of a softmax, whose
/// gradients are small and whose probabilities are never near 1. A sigmoid before the loss's softmax has the same effect.
///
/// # Errors
/// If it does: the message says where.
pub(crate) fn check_end<F: Scalar>(model: &Model<F>, applied: Option<Activation>) -> Result<(), Error> {
    let Some(applied) = applied else { return Ok(()) };
    let instead = || match applied {
        Activation::Softmax => {
            "logits (drop the softmax: the loss takes logits, and `predict_proba` gives probabilities)"
                .to_owned()
        }
        _ => format!("logits (drop the {applied}: the loss takes logits)"),
    };
    without(model, applied, instead)?;
    if applied != Activation::Softmax {
        return Ok(());
    }
    // A ReLU at the end is allowed: SqueezeNet's paper has one. So is a log-softmax: the softmax of log-probabilities is the probabilities.
    [Activation::Sigmoid, Activation::HardSigmoid].into_iter().try_for_each(|sigmoid| {
        let instead =
            || format!("logits (drop the {sigmoid}: of numbers from 0 to 1, no softmax is near 0 or 1)");
        without(model, sigmoid, instead)
    })
}

/// The number of classes of a model whose outputs are logits, for `predict_proba`.
pub(crate) fn classes_to_predict<F: Scalar>(model: &Model<F>) -> Result<usize, Error> {
    const INSTEAD: &str = "logits, of which `predict_proba` takes the softmax (where the model has one of its own, `predict` gives the probabilities)";
    let classes = classes(model)?;
    without(model, Activation::Softmax, || INSTEAD.to_owned()).map(|()| classes)
}

/// The number of classes of a model with an output a class.
pub(crate) fn classes<F: Scalar>(model: &Model<F>) -> Result<usize, Error> {
    const TWO: &str = "an output for each of two or more classes (of one output, the probability is the sigmoid: 1 / (1 + e^-y))";
    match *model.output_shape() {
        [1] => Err(Error::argument("model output", TWO, "[1]")),
        [classes] => Ok(classes),
        _ => Err(Error::argument("model output", "[classes]", model.output_shape())),
    }
}

fn without<F: Scalar>(
    model: &Model<F>,
    activation: Activation,
    instead: impl FnOnce() -> String,
) -> Result<(), Error> {
    let program = model.program();
    match end(program, program.output, activation) {
        Some(op) => {
            let Op { path, kind, inputs, .. } = &program.ops[op];
            let got = format!("the {activation} of {path} ({})", kind.describe(inputs.len()));
            Err(Error::argument("model output", instead(), got))
        }
        None => Ok(()),
    }
}

/// Follows a value back through operations that keep probabilities. Returns the operation that ends in this activation.
fn end<F: Scalar>(program: &Program<F>, value: usize, wanted: Activation) -> Option<usize> {
    let i = value.checked_sub(1)?;
    let op = &program.ops[i];
    let kind = &op.kind;
    let is_same = kind.as_layer::<Flatten>().is_some()
        || kind.as_layer::<Dropout>().is_some()
        || kind.as_layer::<GlobalAvgPool>().is_some();
    match activation(kind) {
        Some(activation) if activation == wanted => Some(i),
        Some(Activation::Linear) if kind.as_layer::<ActivationLayer>().is_some() => {
            end(program, op.inputs[0], wanted)
        }
        _ if is_same => end(program, op.inputs[0], wanted),
        _ => None,
    }
}

/// The activation that an operation ends in.
fn activation<F: Scalar>(kind: &OpKind<F>) -> Option<Activation> {
    if let OpKind::Sum(activation) = kind {
        return Some(*activation);
    }
    let alone = kind.as_layer::<ActivationLayer>().map(ActivationLayer::last_activation);
    alone
        .or_else(|| kind.as_layer::<Dense>().map(Dense::last_activation))
        .or_else(|| kind.as_layer::<Conv2d>().map(Conv2d::last_activation))
        .or_else(|| kind.as_layer::<Conv1d>().map(Conv1d::last_activation))
        .or_else(|| kind.as_layer::<TransposedConv2d>().map(TransposedConv2d::last_activation))
        .or_else(|| kind.as_layer::<DepthwiseConv2d>().map(DepthwiseConv2d::last_activation))
        .or_else(|| kind.as_layer::<FusedConv2d<F>>().map(FusedConv2d::last_activation))
        .or_else(|| kind.as_layer::<BatchNorm>().map(BatchNorm::last_activation))
}
