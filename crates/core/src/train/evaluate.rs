//! Evaluation of a model.

use std::sync::Arc;

use crate::augment::Augment;
use crate::data::{Batch, Dataset, TargetKind};
use crate::error::Error;
use crate::layer::Context;
use crate::losses::{CrossEntropy, Loss, MSE, Mean};
use crate::metrics::Metric;
use crate::net::logits;
use crate::net::model::Model;
use crate::net::not_finite;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::tensor::scalar::Scalar;
use crate::train::Figures;
use crate::train::ahead::while_reading;

/// Samples in a batch of an evaluation.
const EVALUATION_BATCH: usize = 256;

/// The loss and the metrics of a model in evaluation mode. If samples have classes: `loss` (cross-entropy) and `accuracy`. If they have
/// values: `loss` (mean squared error) and `r2`. For a model that was trained with another loss, use [`evaluate_with`].
///
/// # Errors
/// If data and model do not fit, the model ends in an activation that the loss applies itself, or an output is not finite: the message says
/// of which sample, and whether weights are the reason.
pub fn evaluate<F: Scalar>(model: &Model<F>, data: &Dataset<F>) -> Result<Figures, Error> {
    judged(model, data, usual(data))
}

/// As [`evaluate`], with another loss and its metrics.
///
/// ```
/// use backstitch::{Dataset, Model, layers::dense, losses::BceWithLogits, train::evaluate_with};
/// use backstitch::ndarray::array;
/// let data: Dataset = Dataset::values(array![[0.0], [2.0]], array![[0.0], [1.0]])?;
/// let model = Model::new(dense(1), &[1], 0)?;
/// println!("{}", evaluate_with(&model, &data, BceWithLogits::new())?);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_with<F: Scalar>(
    model: &Model<F>,
    data: &Dataset<F>,
    loss: impl Loss<F>,
) -> Result<Figures, Error> {
    judged(model, data, Arc::new(loss))
}

fn judged<F: Scalar>(model: &Model<F>, data: &Dataset<F>, loss: Arc<dyn Loss<F>>) -> Result<Figures, Error> {
    let metrics = loss.metrics();
    let judge = Evaluator { loss, metrics };
    judge.check(model, data)?;
    evaluate_augmented(model, data, &Augment::new(), &judge)
}

/// The default loss.
pub(super) fn usual<F: Scalar>(data: &Dataset<F>) -> Arc<dyn Loss<F>> {
    match data.target_kind() {
        TargetKind::Classes(_) => Arc::new(match data.ignored() {
            None => CrossEntropy::new(),
            Some(class) => CrossEntropy::new().ignore_index(class),
        }),
        TargetKind::Values(_) | TargetKind::Inputs => Arc::new(MSE),
    }
}

/// The loss and the metrics of an evaluation.
#[derive(Debug)]
pub(super) struct Evaluator<F: Scalar> {
    pub(super) loss: Arc<dyn Loss<F>>,
    pub(super) metrics: Vec<Arc<dyn Metric<F>>>,
}

impl<F: Scalar> Evaluator<F> {
    /// Checks that a model's outputs for these samples can be evaluated.
    pub(super) fn check(&self, model: &Model<F>, data: &Dataset<F>) -> Result<(), Error> {
        logits::check_end(model, self.loss.applies())?;
        data.check(model, &*self.loss)?;
        let output = data.output_shape(model)?;
        data.with_targets(|targets| self.metrics.iter().try_for_each(|metric| metric.check(&output, targets)))
    }
}

/// As [`evaluate_with`], with the inputs normalized. Model and data are already checked, once for all epochs.
pub(super) fn evaluate_augmented<F: Scalar>(
    model: &Model<F>,
    data: &Dataset<F>,
    augment: &Augment,
    judge: &Evaluator<F>,
) -> Result<Figures, Error> {
    let (mut trace, mut batches) = (Trace::new(Keep::Last), <[Batch<F>; 2]>::default());
    let (mut total, mut sums) = (Mean::default(), vec![Vec::new(); judge.metrics.len()]);
    let all: Vec<usize> = (0..data.len()).collect();
    let batch_size = data.stream_count().unwrap_or(EVALUATION_BATCH);
    let pieces: Vec<&[usize]> = all.chunks(batch_size).collect();
    data.gather(pieces[0], &mut batches[0])?;
    for (i, samples) in pieces.iter().enumerate() {
        total += while_reading(data, pieces.get(i + 1).copied(), &mut batches, |batch| {
            augment.apply_normalization(&mut batch.inputs)?;
            batch.named.iter().for_each(|(name, value)| trace.set_input(name, value));
            let ctx = Context { memory: data.memory(i), ..Context::evaluate() };
            model.forward(&batch.inputs, &mut trace, &ctx)?;
            let (y, targets) = (trace.output(), batch.targets());
            let loss = match batch.weights() {
                None => judge.loss.loss(y, &targets, None)?,
                Some(weights) => judge.loss.weighted(y, &targets, weights, None)?,
            };
            if !loss.sum.is_finite() {
                let from = i * batch_size;
                not_finite::check_outputs(model, y.data(), &y.shape(), from)?;
                let what = format!("loss of samples {from} to {}", from + samples.len() - 1);
                return Err(Error::NotFinite { what, got: loss.sum.to_string() });
            }
            judge.metrics.iter().zip(&mut sums).for_each(|(metric, sums)| metric.add(y, &targets, sums));
            Ok(loss)
        })?;
    }
    if total.count == 0.0 {
        return Err(Error::argument("targets", "at least one sample that is not ignored", "none"));
    }
    let loss = total.value();
    if !loss.is_finite() {
        return Err(Error::NotFinite {
            what: "loss of all samples together".to_owned(),
            got: loss.to_string(),
        });
    }
    let mut figures = Figures::default();
    figures.push("loss", loss);
    for (metric, sums) in judge.metrics.iter().zip(&sums) {
        figures.push(metric.name(), metric.value(sums));
    }
    Ok(figures)
}
