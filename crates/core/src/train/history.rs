//! The results of training, by epoch: losses and metrics with names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Losses and metrics by name, in the order in which they are shown: `train_loss`, `penalty`, `train_accuracy`, `validation_loss`, ...
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    /// Adds one at the end.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// The loss or metric of this name.
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
            write!(f, "{comma}{} {}", name.replace('_', " "), shown(*value))?;
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
    /// The loss or metric of this name.
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
    /// With early stopping, the epoch whose weights were restored at the end.
    pub restored: Option<usize>,
}

impl History {
    /// A loss or metric of the last epoch, or of the one whose weights were restored at the end.
    pub fn last(&self, name: &str) -> Option<f64> {
        let epoch = self.restored.unwrap_or(self.epochs.len());
        self.epochs.get(epoch.checked_sub(1)?)?.get(name)
    }

    /// A loss or metric of every epoch that has it.
    pub fn series(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.get(name)).collect()
    }
}

/// A table with a row for each epoch. It takes less than 80 columns with two or three metrics.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.epochs.iter().flat_map(|epoch| epoch.figures.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        // The head has two lines: `train` above `loss`.
        let heads = names.iter().map(|name| name.split_once('_').unwrap_or(("", name)));
        let heads: Vec<(&str, String)> = heads.map(|(set, name)| (set, name.replace('_', " "))).collect();
        let row = |epoch: &Epoch| -> Vec<String> {
            names.iter().map(|name| epoch.get(name).map_or_else(|| "-".to_owned(), shown)).collect()
        };
        let rows: Vec<(usize, Vec<String>)> =
            self.epochs.iter().map(|epoch| (epoch.epoch, row(epoch))).collect();
        let width = |i: usize| {
            let cells = rows.iter().map(|(_, cells)| cells[i].len());
            cells.chain([heads[i].0.len(), heads[i].1.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..names.len()).map(width).collect();
        let mut line = |epoch: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.zip(&widths).map(|(cell, width)| format!("  {cell:>width$}"));
            let line = format!("{epoch:>5}{}", cells.collect::<String>());
            writeln!(f, "{}", line.trim_end())
        };
        line("", &mut heads.iter().map(|(set, _)| *set))?;
        line("epoch", &mut heads.iter().map(|(_, name)| name.as_str()))?;
        for (epoch, cells) in &rows {
            line(&epoch.to_string(), &mut cells.iter().map(String::as_str))?;
        }
        match self.restored {
            Some(epoch) => write!(f, "The model has the weights of epoch {epoch}."),
            None => Ok(()),
        }
    }
}

/// A number with four decimals; one that would lose its digits so, with an exponent.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 | 1e-3..1e6 => format!("{value:.4}"),
        _ if value.is_finite() => format!("{value:.3e}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize, figures: &[(&str, f64)]) -> Epoch {
        let figures = figures.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        Epoch { epoch, figures: Figures(figures) }
    }

    #[test]
    fn a_history_is_a_table() {
        let first = [("train_loss", 0.4731), ("train_accuracy", 0.835), ("validation_loss", 1234567.0)];
        let second =
            [("train_loss", 0.0), ("penalty", 0.5), ("train_accuracy", 0.9), ("validation_loss", 2e-7)];
        let epochs = vec![epoch(9, &first), epoch(10, &second)];
        let history = History { epochs, restored: Some(9) };
        let expected = concat!(
            "        train     train  validation\n",
            "epoch    loss  accuracy        loss  penalty\n",
            "    9  0.4731    0.8350     1.235e6        -\n",
            "   10  0.0000    0.9000    2.000e-7   0.5000\n",
            "The model has the weights of epoch 9."
        );
        assert_eq!(history.to_string(), expected);
        assert_eq!(
            history.epochs[0].to_string(),
            "epoch 9: train loss 0.4731, train accuracy 0.8350, validation loss 1.235e6"
        );
        assert_eq!(shown(f64::NAN), "NaN");
        assert!(History::default().to_string().ends_with("epoch\n"));
    }

    #[test]
    fn the_table_of_a_usual_run_fits_a_terminal() {
        let names = [
            "train_loss",
            "penalty",
            "train_accuracy",
            "train_f1",
            "validation_loss",
            "validation_accuracy",
            "validation_f1",
        ];
        let all: Vec<(&str, f64)> = names.iter().map(|&name| (name, 0.5)).collect();
        let history = History { epochs: vec![epoch(100, &all)], restored: None };
        assert!(history.to_string().lines().all(|line| line.len() <= 80), "{history}");
    }
}
