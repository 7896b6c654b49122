//! Whether a network ends in logits, which cross-entropy takes, or already in the probabilities of a softmax.

use std::any::Any;

use crate::error::{Error, join_path};
use crate::layer::{Children, Layer};
use crate::layers::{
    Activation, ActivationLayer, BatchNorm, Conv2d, Dense, Dropout, Flatten, FusedConv2d, GlobalAvgPool,
    Residual,
};
use crate::model::Model;
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
    match end(model.net()) {
        End::Softmax { path, layer } => {
            Err(Error::argument("model output", instead, format!("the softmax of {path} ({layer})")))
        }
        End::Same | End::Other => Ok(classes),
    }
}

/// What the outputs of a layer are.
enum End {
    /// Those of a softmax: where it is, and what.
    Softmax { path: String, layer: String },
    /// Its inputs, or means of them.
    Same,
    /// Something else.
    Other,
}

/// Looked at in every step, so names are put together only where they are needed.
fn end<F: Scalar>(layer: &dyn Layer<F>) -> End {
    if let Children::Chain(children) = layer.children() {
        for child in children.iter().rev() {
            match end(child.layer.as_ref()) {
                End::Same => {}
                End::Other => return End::Other,
                End::Softmax { path, layer } => {
                    return End::Softmax { path: join_path(&child.name, &path), layer };
                }
            }
        }
        return End::Same;
    }
    let any: &dyn Any = layer;
    let same = any.is::<Flatten>() || any.is::<Dropout>() || any.is::<GlobalAvgPool>();
    match activation::<F>(any) {
        Some(Activation::Softmax) => End::Softmax { path: String::new(), layer: layer.describe() },
        Some(Activation::Linear) if any.is::<ActivationLayer>() => End::Same,
        _ if same => End::Same,
        _ => End::Other,
    }
}

/// The activation that a layer ends in.
fn activation<F: Scalar>(layer: &dyn Any) -> Option<Activation> {
    let alone = layer.downcast_ref::<ActivationLayer>().map(ActivationLayer::last_activation);
    alone
        .or_else(|| layer.downcast_ref::<Dense<F>>().map(Dense::last_activation))
        .or_else(|| layer.downcast_ref::<Conv2d<F>>().map(Conv2d::last_activation))
        .or_else(|| layer.downcast_ref::<FusedConv2d<F>>().map(FusedConv2d::last_activation))
        .or_else(|| layer.downcast_ref::<BatchNorm<F>>().map(BatchNorm::last_activation))
        .or_else(|| layer.downcast_ref::<Residual<F>>().map(Residual::last_activation))
}
