//! Judging a model.

use crate::augment::Augment;
use crate::data::{Batch, Dataset};
use crate::error::Error;
use crate::finite;
use crate::layer::Context;
use crate::loss::CrossEntropy;
use crate::metrics::correct;
use crate::model::Model;
use crate::scalar::Scalar;
use crate::trace::{Keep, Trace};

/// Samples evaluated at once.
const EVALUATION_BATCH: usize = 256;

/// Mean cross-entropy and accuracy of a model, as it is at evaluation.
///
/// # Errors
/// If data and model do not fit, the model ends in a softmax (the loss takes logits), or an output is not finite: the message says
/// of which sample, and whether weights are the reason.
pub fn evaluate<F: Scalar>(model: &Model<F>, data: &Dataset<'_, F>) -> Result<(f64, f64), Error> {
    evaluate_with(model, data, &Augment::new(), &CrossEntropy::new())
}

/// As [`evaluate`], with the inputs transformed, and judged by a loss without class weights.
pub(super) fn evaluate_with<F: Scalar>(
    model: &Model<F>,
    data: &Dataset<'_, F>,
    augment: &Augment,
    loss: &CrossEntropy,
) -> Result<(f64, f64), Error> {
    data.check(model, loss)?;
    let all = loss.counted(data.targets());
    if all == 0 {
        return Err(Error::argument("targets", "at least one sample that is not ignored", "none"));
    }
    let mut trace = Trace::new(Keep::Last);
    let mut batch = Batch::default();
    let (mut sum, mut right) = (0.0, 0);
    for from in (0..data.len()).step_by(EVALUATION_BATCH) {
        batch.gather(data, from..data.len().min(from + EVALUATION_BATCH));
        augment.evaluate(&mut batch.inputs)?;
        model.forward(&batch.inputs, &mut trace, &Context::evaluate())?;
        let targets = batch.targets(data);
        let counted = loss.counted(targets);
        if counted == 0 {
            continue;
        }
        let mean = loss.loss(trace.output(), targets, None)?;
        if !mean.is_finite() {
            finite::check_outputs(model, trace.output().data(), from)?;
            let what = format!("loss of samples {from} to {}", from + targets.len() - 1);
            return Err(Error::NotFinite { what, got: mean.to_string() });
        }
        sum += mean * counted as f64;
        right += correct(trace.output(), targets, loss.ignored());
    }
    Ok((sum / all as f64, right as f64 / all as f64))
}
