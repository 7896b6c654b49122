//! One step of training.

use crate::error::{Error, above_zero, not_negative};
use crate::layer::Context;
use crate::logits;
use crate::loss::{CrossEntropy, Targets};
use crate::model::Model;
use crate::optim::{Optimizer, clip_gradients};
use crate::penalty::Penalty;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};
use crate::weights::Grads;

/// How a step learns, beside the optimizer.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The loss of the data.
    pub loss: CrossEntropy,
    /// The penalty on the weights.
    pub penalty: Penalty,
    /// The largest norm of all gradients together, longer ones are shortened to it.
    pub clip_norm: Option<f64>,
}

/// What a step was learned from, before the update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// Mean loss of the batch.
    pub data: f64,
    /// Penalty on the weights.
    pub penalty: f64,
}

/// The memory of a training step, used again from step to step.
#[derive(Debug)]
pub struct Workspace<F: Scalar = f32> {
    /// The pass forward and back.
    pub trace: Trace<F>,
    /// The gradients of the parameters.
    pub grads: Grads<F>,
}

impl<F: Scalar> Workspace<F> {
    /// For the steps of one model.
    pub fn new(model: &Model<F>) -> Self {
        Self { trace: Trace::new(Keep::ForBackward), grads: model.grads() }
    }
}

/// One training step: forward, loss, backward, penalty, clipping, commit, optimizer. Returns the loss of the
/// batch before the update; where it or the penalty is not finite, nothing has been changed. The outputs are in
/// [`Trace::output`] of the workspace. After the first step at a batch size no memory is allocated.
///
/// An update can make a weight infinite though the loss before it was finite: the loss of the next step shows it, and
/// [`Trainer::fit`](crate::Trainer::fit) looks at the weights after every epoch.
///
/// # Errors
/// If `x` is not a batch of the model's inputs, the targets are not one a sample or do not fit the model's classes, the loss has
/// weights for another number of classes, the model ends in a softmax (the loss takes logits), the norm to clip to or the
/// optimizer's learning rate is not finite, or gradients that are to be clipped are not finite (the weights are then as they were).
pub fn step<F: Scalar>(
    model: &mut Model<F>,
    optimizer: &mut dyn Optimizer<F>,
    x: &Tensor<F>,
    targets: Targets<'_, F>,
    rules: &Rules,
    workspace: &mut Workspace<F>,
    ctx: &Context,
) -> Result<StepLoss, Error> {
    let classes = logits::classes(model)?;
    if x.batch() == 0 {
        return Err(Error::argument("input", "at least one sample", x.shape()));
    }
    targets.check_count(x.batch())?;
    rules.loss.check(targets, classes)?;
    rules.clip_norm.map(|norm| above_zero("clip_norm", norm)).transpose()?;
    not_negative("learning rate", optimizer.learning_rate())?;
    let Workspace { trace, grads } = workspace;
    model.forward(x, trace, ctx)?;
    let (y, dy) = trace.output_and_gradient();
    let loss = StepLoss { data: rules.loss.loss(y, targets, Some(dy))?, penalty: rules.penalty.value(model) };
    if loss.data.is_finite() && loss.penalty.is_finite() {
        grads.clear();
        model.backward(x, trace, None, Some(grads), ctx)?;
        rules.penalty.add_gradients(model, grads)?;
        if let Some(norm) = rules.clip_norm {
            clip_gradients(model, grads, norm)?;
        }
        model.commit(trace)?;
        optimizer.step(model, grads)?;
    }
    Ok(loss)
}
