//! The whole state of a run between two epochs.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::net::model::Model;
use crate::optim::OptimizerState;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::train::History;

/// The names of the settings that hold fingerprints of the data.
pub(super) const TRAINING_DATA: &str = "training data";
pub(super) const VALIDATION_DATA: &str = "validation data";

/// Parameters and statistics by name.
pub type ModelState<F> = BTreeMap<String, Tensor<F>>;

/// The whole state of a run between two epochs. A run that resumes from it ends with the same bits as one that never stopped.
///
/// Random streams have no state to save: they are made from the seed, the epoch and the step (see [`rng`](crate::rng)).
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint<F: Scalar = f32> {
    /// The settings of the run by name. A run that resumes must have the same.
    pub settings: Vec<(String, String)>,
    /// Parameters and statistics.
    pub state: ModelState<F>,
    /// The state of the optimizer.
    pub optimizer: OptimizerState,
    /// All epochs so far.
    pub history: History,
    /// With early stopping, the best epoch so far and the state after it.
    pub best: Option<(usize, ModelState<F>)>,
}

impl<F: Scalar> Checkpoint<F> {
    /// Checks that a run with these settings can resume from this checkpoint.
    pub(super) fn check(&self, settings: &[(String, String)]) -> Result<(), Error> {
        for (name, value) in settings {
            let saved = self.settings.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
            if saved != Some(value) {
                let got = saved.unwrap_or("none");
                let help = match name.as_str() {
                    TRAINING_DATA | VALIDATION_DATA => "; it takes the same samples in the same order",
                    _ => "",
                };
                return Err(Error::argument(
                    format!("{name} of the checkpoint"),
                    value,
                    format!("{got}{help}"),
                ));
            }
        }
        match self.settings.iter().find(|(name, _)| settings.iter().all(|(own, _)| own != name)) {
            Some((name, value)) => {
                Err(Error::argument("settings of the checkpoint", "no others", format!("{name} {value}")))
            }
            None => Ok(()),
        }
    }
}

/// A copy of a model's parameters and statistics.
pub(super) fn state_of<F: Scalar>(model: &Model<F>) -> ModelState<F> {
    model.state().into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}
