//! Early stopping.

use crate::error::{Error, not_negative};
use crate::train::{Epoch, History};

/// Ends training when a loss or metric has not improved for a number of epochs, and restores the weights and running statistics of the best
/// epoch (Prechelt 1998). They are restored at the end of training in any case, also if it ends with an error.
///
/// ```
/// use backstitch::{Trainer, early_stopping::EarlyStopping, optim::Adam};
/// let trainer: Trainer = Trainer::new(Adam::new(1e-3)).early_stopping(EarlyStopping::new(5));
/// let trainer: Trainer =
///     Trainer::new(Adam::new(1e-3)).early_stopping(EarlyStopping::new(5).maximize("validation_accuracy").min_delta(0.001));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    figure: String,
    maximize: bool,
    min_delta: f64,
}

/// A plain number is the patience.
impl From<usize> for EarlyStopping {
    fn from(patience: usize) -> Self {
        Self::new(patience)
    }
}

impl EarlyStopping {
    /// Ends training after this number of epochs in a row without a new lowest validation loss.
    #[must_use]
    pub fn new(patience: usize) -> Self {
        Self { patience, figure: "validation_loss".to_owned(), maximize: false, min_delta: 0.0 }
    }

    /// Monitors another loss or metric, where lower is better: `train_loss`.
    #[must_use]
    pub fn minimize(mut self, figure: &str) -> Self {
        (self.figure, self.maximize) = (figure.to_owned(), false);
        self
    }

    /// Monitors another metric, where higher is better: `validation_accuracy`.
    #[must_use]
    pub fn maximize(mut self, figure: &str) -> Self {
        (self.figure, self.maximize) = (figure.to_owned(), true);
        self
    }

    /// Counts an epoch as an improvement only if the metric is better by more than this.
    #[must_use]
    pub fn min_delta(mut self, improvement: f64) -> Self {
        self.min_delta = improvement;
        self
    }

    /// Whether the settings are possible.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.patience == 0 {
            return Err(Error::argument("patience", "at least 1", 0));
        }
        not_negative("least improvement", self.min_delta).map(drop)
    }

    /// The name of the loss or metric that it monitors.
    pub(crate) fn figure(&self) -> &str {
        &self.figure
    }

    /// The best epoch, counted from 1, the first of equals. NaN is never the best.
    pub(crate) fn best_epoch(&self, history: &History) -> Option<usize> {
        let figure = |epoch: &Epoch| Some((epoch.epoch, epoch.get(&self.figure)?));
        let mut best: Option<(usize, f64)> = None;
        for (epoch, value) in history.epochs.iter().filter_map(figure).filter(|(_, value)| !value.is_nan()) {
            let gain = |best: f64| if self.maximize { value - best } else { best - value };
            if best.is_none_or(|(_, best)| gain(best) > self.min_delta) {
                best = Some((epoch, value));
            }
        }
        best.map(|(epoch, _)| epoch)
    }

    /// Whether the best epoch is `patience` epochs ago.
    pub(crate) fn is_over(&self, history: &History) -> bool {
        let last = history.epochs.last().map_or(0, |record| record.epoch);
        self.best_epoch(history).is_some_and(|best| last.saturating_sub(best) >= self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Figures;

    fn history(losses: &[f64]) -> History {
        let epoch = |(i, &loss)| {
            let mut figures = Figures::default();
            figures.push("train_loss", 1.0);
            figures.push("validation_loss", loss);
            Epoch { epoch: i + 1, figures }
        };
        History { epochs: losses.iter().enumerate().map(epoch).collect(), restored: None }
    }

    #[test]
    fn nan_is_never_the_best() {
        let rule = EarlyStopping::new(3);
        for nan in [f64::NAN, -f64::NAN] {
            assert_eq!(rule.best_epoch(&history(&[nan, 2.0, 1.0, nan])), Some(3));
            assert_eq!(rule.best_epoch(&history(&[nan])), None);
        }
        assert_eq!(rule.minimize("other").best_epoch(&history(&[1.0])), None);
    }

    #[test]
    fn better_is_what_it_is_told() {
        let losses = history(&[1.0, 0.95, 1.5, 0.8, 0.79]);
        assert_eq!(EarlyStopping::new(1).best_epoch(&losses), Some(5));
        assert_eq!(EarlyStopping::new(1).min_delta(0.1).best_epoch(&losses), Some(4));
        assert_eq!(EarlyStopping::new(1).maximize("validation_loss").best_epoch(&losses), Some(3));
        // The first of equals.
        assert_eq!(EarlyStopping::new(1).best_epoch(&history(&[2.0, 1.0, 1.0])), Some(2));
    }

    #[test]
    fn any_patience_can_be_asked() {
        let losses = history(&[1.0, 2.0, 2.0]);
        assert!(
            EarlyStopping::new(0).check().is_err() && EarlyStopping::new(1).min_delta(-1.0).check().is_err()
        );
        assert!(EarlyStopping::new(2).is_over(&losses));
        for patience in [3, usize::MAX] {
            assert!(!EarlyStopping::new(patience).is_over(&losses));
        }
    }
}
