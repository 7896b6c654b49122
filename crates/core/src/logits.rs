//! Whether a network ends in logits, which cross-entropy takes, or already in the probabilities of a softmax.

use crate::error::Error;
use crate::layers::{
    Activation, ActivationLayer, BatchNorm, Conv2d, Dense, Dropout, Flatten, FusedConv2d, GlobalAvgPool,
};
use crate::model::Model;
use crate::program::{Kind, Op, Program};
use crate::scalar::Scalar;

/// The number of classes that a loss of logits `[classes]` can be made of.
///
/// # Errors
/// If the outputs are not `[classes]`, or are those of a softmax: the loss would take the softmax of a softmax, whose gradients are
/// small and whose probabilities are never near 1.
pub(crate) fn classes<F: Scalar>(model: &Model<F>) -> Result<usize, Error> {
    const INSTEAD: &str =
        "logits (drop the softmax: the loss takes logits, and `predict_proba` gives probabilities)";
    without_softmax(model, INSTEAD)
}

/// As [`classes`], for `predict_proba`.
pub(crate) fn classes_to_predict<F: Scalar>(model: &Model<F>) -> Result<usize, Error> {
    const INSTEAD: &str = "logits, of which `predict_proba` takes the softmax (where the model has one of its own, `predict` gives the probabilities)";
    without_softmax(model, INSTEAD)
}

fn without_softmax<F: Scalar>(model: &Model<F>, instead: &str) -> Result<usize, Error> {
    let [classes] = *model.output_shape() else {
        return Err(Error::argument("model output", "[classes]", model.output_shape()));
    };
    let program = model.program();
    match end(program, program.output) {
        End::Softmax(op) => {
            let Op { path, kind, inputs, .. } = &program.ops[op];
            let got = format!("the softmax of {path} ({})", kind.describe(inputs.len()));
            Err(Error::argument("model output", instead, got))
        }
        End::Input | End::Other => Ok(classes),
    }
}

/// What a value is.
enum End {
    /// The softmax of this operation, or means of such.
    Softmax(usize),
    /// The input of the network, or means of it.
    Input,
    /// Something else.
    Other,
}

/// Follows a value back through operations that leave probabilities what they are.
fn end<F: Scalar>(program: &Program<F>, value: usize) -> End {
    let Some(i) = value.checked_sub(1) else { return End::Input };
    let op = &program.ops[i];
    let kind = &op.kind;
    let is_same = kind.as_layer::<Flatten>().is_some()
        || kind.as_layer::<Dropout>().is_some()
        || kind.as_layer::<GlobalAvgPool>().is_some();
    match activation(kind) {
        Some(Activation::Softmax) => End::Softmax(i),
        Some(Activation::Linear) if kind.as_layer::<ActivationLayer>().is_some() => {
            end(program, op.inputs[0])
        }
        _ if is_same => end(program, op.inputs[0]),
        _ => End::Other,
    }
}

/// The activation that an operation ends in.
fn activation<F: Scalar>(kind: &Kind<F>) -> Option<Activation> {
    if let Kind::Sum(activation) = kind {
        return Some(*activation);
    }
    let alone = kind.as_layer::<ActivationLayer>().map(ActivationLayer::last_activation);
    alone
        .or_else(|| kind.as_layer::<Dense>().map(Dense::last_activation))
        .or_else(|| kind.as_layer::<Conv2d>().map(Conv2d::last_activation))
        .or_else(|| kind.as_layer::<FusedConv2d<F>>().map(FusedConv2d::last_activation))
        .or_else(|| kind.as_layer::<BatchNorm>().map(BatchNorm::last_activation))
}
