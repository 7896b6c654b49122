//! Early stopping.

use crate::error::Error;
use crate::model::Model;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::train::History;

/// Ends training when the validation loss has not fallen for a while, and gives the model the weights (and the
/// running statistics) it had after its best epoch (Prechelt 1998). They are given back at the end of training in
/// any case.
///
/// ```
/// use backstitch_core::{Trainer, early_stopping::EarlyStopping};
/// let trainer = Trainer::new(100, 32, 0)?.early_stopping(EarlyStopping::new(5)?);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyStopping {
    patience: usize,
}

impl EarlyStopping {
    /// Ends training after so many epochs in a row without a new lowest validation loss.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(patience: usize) -> Result<Self, Error> {
        if patience == 0 { Err(Error::argument("patience", "at least 1", 0)) } else { Ok(Self { patience }) }
    }

    /// The epoch with the lowest validation loss, the first of equals, counted from 1. NaN is never the lowest.
    fn best_epoch(history: &History) -> Option<usize> {
        let losses = history.epochs.iter().filter_map(|r| Some((r.epoch, r.validation_loss?)));
        let losses = losses.filter(|(_, loss)| !loss.is_nan());
        losses.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(epoch, _)| epoch)
    }

    /// Whether the best epoch is so long ago.
    pub(crate) fn is_over(&self, history: &History) -> bool {
        let last = history.epochs.last().map_or(0, |record| record.epoch);
        Self::best_epoch(history).is_some_and(|best| last.saturating_sub(best) >= self.patience)
    }
}

/// The parameters and buffers of a model after its best epoch.
#[derive(Debug, Default)]
pub(crate) struct Best<F: Scalar> {
    values: Vec<Tensor<F>>,
    epoch: Option<usize>,
}

impl<F: Scalar> Best<F> {
    /// Remembers the model if its last epoch was the best so far.
    pub(crate) fn look(&mut self, model: &Model<F>, history: &History) {
        let last = history.epochs.last().map(|record| record.epoch);
        if last.is_none() || last != EarlyStopping::best_epoch(history) {
            return;
        }
        self.epoch = last;
        self.values.resize_with(model.slots().len(), Tensor::default);
        for (value, slot) in self.values.iter_mut().zip(model.slots()) {
            value.copy_from(slot.value());
        }
    }

    /// Gives the model what was remembered, and returns of which epoch it is.
    pub(crate) fn restore(&self, model: &mut Model<F>) -> Option<usize> {
        for (mut slot, value) in model.slots_mut().zip(&self.values) {
            slot.data_mut().copy_from_slice(value.data());
        }
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::EpochRecord;

    fn history(losses: &[f64]) -> History {
        let record = |(i, &loss)| EpochRecord {
            epoch: i + 1,
            train_loss: 1.0,
            penalty: 0.0,
            train_accuracy: 0.5,
            validation_loss: Some(loss),
            validation_accuracy: None,
        };
        History { epochs: losses.iter().enumerate().map(record).collect(), restored: None }
    }

    #[test]
    fn nan_is_never_the_best() {
        // The sign of a NaN that was computed differs between processors, and total_cmp sorts by it.
        for nan in [f64::NAN, -f64::NAN] {
            assert_eq!(EarlyStopping::best_epoch(&history(&[nan, 2.0, 1.0, nan])), Some(3));
            assert_eq!(EarlyStopping::best_epoch(&history(&[nan])), None);
        }
    }

    #[test]
    fn any_patience_can_be_asked() {
        let losses = history(&[1.0, 2.0, 2.0]);
        assert!(EarlyStopping::new(0).is_err());
        assert!(EarlyStopping::new(2).unwrap().is_over(&losses));
        for patience in [3, usize::MAX] {
            assert!(!EarlyStopping::new(patience).unwrap().is_over(&losses));
        }
    }
}
