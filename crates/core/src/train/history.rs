//! What training came to, by epoch: figures with names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Figures by name, in the order in which they are shown: `train_loss`, `penalty`, `train_accuracy`, `validation_loss`, ...
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    /// Adds one at the end.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Names separated by commas, for messages.
    pub(crate) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// `loss 0.4731, accuracy 0.8350`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{} {value:.4}", name.replace('_', " "))?;
        }
        Ok(())
    }
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// `train_loss`, the mean over the training samples, each taken just before the step that learned from it; `penalty`, where there is one,
    /// which is not part of the loss; the metrics, `train_accuracy`; and after the epoch those of the validation samples,
    /// `validation_loss`, `validation_accuracy`.
    pub figures: Figures,
}

impl Epoch {
    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.get(name)
    }
}

/// `epoch 3: train loss 0.4731, train accuracy 0.8350`.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}: {}", self.epoch, self.figures)
    }
}

/// All epochs so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights the model was given at the end, with early stopping.
    pub restored: Option<usize>,
}

impl History {
    /// A figure of the last epoch, or of the one whose weights the model was given at the end.
    pub fn last(&self, name: &str) -> Option<f64> {
        let epoch = self.restored.unwrap_or(self.epochs.len());
        self.epochs.get(epoch.checked_sub(1)?)?.get(name)
    }

    /// A figure of every epoch that has it.
    pub fn series(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.get(name)).collect()
    }
}

/// A line an epoch.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.epochs.iter().try_for_each(|epoch| writeln!(f, "{epoch}"))?;
        match self.restored {
            Some(epoch) => write!(f, "the model has the weights of epoch {epoch}"),
            None => Ok(()),
        }
    }
}
