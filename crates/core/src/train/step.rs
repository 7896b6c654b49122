//! One step of training.

use std::sync::Arc;

use crate::error::{Error, above_zero};
use crate::layer::Context;
use crate::layer::weights::Grads;
use crate::losses::{Loss, Mean, Targets};
use crate::net::logits;
use crate::net::model::Model;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::optim::{Optimizer, OptimizerMemory, clip_gradients};
use crate::penalty::Penalty;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// The settings of a training step.
#[derive(Debug, Clone)]
pub struct StepSettings<F: Scalar = f32> {
    /// The optimizer.
    pub optimizer: Arc<dyn Optimizer<F>>,
    /// The loss of the data.
    pub loss: Arc<dyn Loss<F>>,
    /// The penalty on the weights.
    pub penalty: Penalty,
    /// The largest norm of all gradients together: longer ones are clipped to it.
    pub clip_norm: Option<f64>,
}

impl<F: Scalar> StepSettings<F> {
    /// Without penalty and clipping.
    pub fn new(optimizer: impl Optimizer<F>, loss: impl Loss<F>) -> Self {
        Self {
            optimizer: Arc::new(optimizer),
            loss: Arc::new(loss),
            penalty: Penalty::default(),
            clip_norm: None,
        }
    }

    /// Whether the settings are possible.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.optimizer.check()?;
        self.clip_norm.map(|norm| above_zero("clip_norm", norm)).transpose().map(drop)
    }
}

/// The batch of a training step.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a, F: Scalar = f32> {
    /// `[n, ..]`.
    pub inputs: &'a Tensor<F>,
    /// The named inputs, `[n, ..]` each: [`Batch::named`](crate::data::Batch::named), or `&[]`.
    pub named: &'a [(String, Tensor<F>)],
    /// What the outputs should be.
    pub targets: Targets<'a, F>,
    /// A weight for each sample, or `None` if all have the weight 1.
    pub weights: Option<&'a [f64]>,
}

/// The loss of a training step, before the update.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepLoss {
    /// Loss of the batch.
    pub data: Mean,
    /// Penalty on the weights.
    pub penalty: f64,
}

impl StepLoss {
    /// Whether both are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.data.value().is_finite() && self.penalty.is_finite()
    }
}

/// The memory of training steps, which every step uses again.
#[derive(Debug)]
pub struct Workspace<F: Scalar = f32> {
    /// The data of the forward and the backward pass.
    pub trace: Trace<F>,
    /// The gradients of the parameters.
    pub grads: Grads<F>,
    /// The state of the optimizer, such as momentum.
    pub memory: OptimizerMemory<F>,
}

impl<F: Scalar> Workspace<F> {
    /// The memory for training steps of one model.
    pub fn new(model: &Model<F>) -> Self {
        Self { trace: Trace::new(Keep::ForBackward), grads: model.grads(), memory: OptimizerMemory::new() }
    }
}

/// One training step: forward, loss, backward, penalty, clipping, commit, optimizer. The learning rate is the optimizer's, times `factor`.
/// Returns the loss of the batch before the update; where it or the penalty is not finite, nothing has been changed. The outputs are in
/// [`Trace::output`] of the workspace. After the first step at a batch size no memory is allocated.
///
/// An update can make a weight infinite though the loss before it was finite: the loss of the next step shows it, and
/// [`Trainer::fit`](crate::Trainer::fit) looks at the weights after every epoch.
///
/// # Errors
/// If the inputs are not a batch of the model's, the targets do not fit the outputs, the model ends in an activation that the loss applies
/// itself, a setting is impossible, or gradients that are to be clipped are not finite (the weights are then as they were).
pub fn step<F: Scalar>(
    model: &mut Model<F>,
    rules: &StepSettings<F>,
    examples: BatchView<'_, F>,
    factor: f64,
    workspace: &mut Workspace<F>,
    ctx: &Context,
) -> Result<StepLoss, Error> {
    let BatchView { inputs: x, named, targets, weights } = examples;
    logits::check_end(model, rules.loss.applies())?;
    if x.batch() == 0 {
        return Err(Error::argument("input", "at least one sample", x.shape()));
    }
    rules.check()?;
    let Workspace { trace, grads, memory } = workspace;
    named.iter().for_each(|(name, value)| trace.set_input(name, value));
    model.forward(x, trace, ctx)?;
    let (y, dy) = trace.output_and_gradient();
    dy.resize(&y.shape());
    let data = match weights {
        None => rules.loss.loss(y, &targets, Some(dy))?,
        Some(weights) => rules.loss.weighted(y, &targets, weights, Some(dy))?,
    };
    let loss = StepLoss { data, penalty: rules.penalty.value(model) };
    if loss.is_finite() {
        grads.clear();
        model.backward(x, trace, None, Some(grads), ctx)?;
        rules.penalty.add_gradients(model, grads)?;
        if let Some(norm) = rules.clip_norm {
            clip_gradients(model, grads, norm)?;
        }
        model.commit(trace)?;
        memory.step(&*rules.optimizer, rules.optimizer.learning_rate() * factor, model, grads)?;
    }
    Ok(loss)
}
