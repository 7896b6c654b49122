//! Schedules: the learning rate over the course of training.

use crate::error::{Error, above_zero};
use crate::train::History;

/// How the learning rate changes: a factor of the optimizer's own rate, from the epoch or the step alone, or
/// (on a plateau) from the history. It has no state, so a resumed run continues as if it had never stopped.
///
/// ```
/// use backstitch::{History, optim::Schedule};
/// let schedule = Schedule::cosine(100)?.warm_up(10);
/// let at = |step| schedule.factor(step, 1, &History::default());
/// assert_eq!(at(0), 0.1);
/// assert!(at(9) > 0.97 && at(99) < 0.01);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    shape: Curve,
    warm_up: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Curve {
    Constant,
    Step { epochs: usize, factor: f64 },
    Cosine { steps: u64, end: f64 },
    OneCycle { steps: u64, rise: f64, start: f64, end: f64 },
    Plateau { patience: usize, factor: f64 },
}

impl Schedule {
    fn of(shape: Curve) -> Self {
        Self { shape, warm_up: 0 }
    }

    /// A constant learning rate: the optimizer's own.
    pub fn constant() -> Self {
        Self::of(Curve::Constant)
    }

    /// Multiplies the rate by `factor` after every `epochs` epochs.
    ///
    /// # Errors
    /// If `epochs` is 0, or the factor is not above 0 and finite.
    pub fn step(epochs: usize, factor: f64) -> Result<Self, Error> {
        if epochs == 0 {
            return Err(Error::argument("epochs", "at least 1", 0));
        }
        Ok(Self::of(Curve::Step { epochs, factor: above_zero("factor", factor)? }))
    }

    /// Cosine annealing: half a cosine from 1 to 0 over `steps` steps (Loshchilov and Hutter 2017, equation 5, without restarts).
    ///
    /// # Errors
    /// If there are no steps.
    pub fn cosine(steps: u64) -> Result<Self, Error> {
        Self::cosine_to(steps, 0.0)
    }

    /// As [`cosine`](Self::cosine), from 1 to `end`.
    ///
    /// # Errors
    /// If there are no steps, or `end` is not in [0, 1).
    pub fn cosine_to(steps: u64, end: f64) -> Result<Self, Error> {
        at_least_one(steps)?;
        match (0.0..1.0).contains(&end) {
            true => Ok(Self::of(Curve::Cosine { steps, end })),
            false => Err(Error::argument("end", "a number from 0 to below 1", end)),
        }
    }

    /// Rises from 1/25 to 1 over the first 30 per cent of `steps` steps, then falls to almost 0, both along a cosine
    /// (Smith and Topin 2018, with PyTorch's numbers: the optimizer's rate is the highest).
    ///
    /// # Errors
    /// If there are no steps.
    pub fn one_cycle(steps: u64) -> Result<Self, Error> {
        at_least_one(steps)?;
        Ok(Self::of(Curve::OneCycle { steps, rise: 0.3, start: 1.0 / 25.0, end: 1.0 / 25e4 }))
    }

    /// Multiplies the rate by `factor` whenever the validation loss (without a validation set, the training loss) has not
    /// fallen below its minimum for more than `patience` epochs, as PyTorch's `ReduceLROnPlateau` with threshold 0.
    ///
    /// # Errors
    /// If the factor is not in (0, 1).
    pub fn on_plateau(patience: usize, factor: f64) -> Result<Self, Error> {
        if factor > 0.0 && factor < 1.0 {
            Ok(Self::of(Curve::Plateau { patience, factor }))
        } else {
            Err(Error::argument("factor", "a number above 0 and below 1", factor))
        }
    }

    /// Adds a warm-up: a linear rise to the schedule's rate over the first `steps` steps.
    #[must_use]
    pub fn warm_up(mut self, steps: u64) -> Self {
        self.warm_up = steps;
        self
    }

    /// The factor of the optimizer's own rate at a step (counted from 0) of an epoch (counted from 1), with the
    /// history of the epochs before. It is finite, unless a step's factor above 1 was applied too often:
    /// training refuses such a rate.
    pub fn factor(&self, step: u64, epoch: usize, history: &History) -> f64 {
        let warm = if step < self.warm_up { (step + 1) as f64 / self.warm_up as f64 } else { 1.0 };
        warm * match self.shape {
            Curve::Constant => 1.0,
            Curve::Step { epochs, factor } => {
                factor.powi(i32::try_from(epoch.saturating_sub(1) / epochs).unwrap_or(i32::MAX))
            }
            Curve::Cosine { steps, end } => between(1.0, end, step as f64 / steps as f64),
            Curve::OneCycle { steps, rise, start, end } => {
                let last = (steps - 1) as f64;
                let top = (rise * steps as f64 - 1.0).max(0.0);
                let step = step as f64;
                if step < top {
                    between(start, 1.0, step / top)
                } else {
                    between(1.0, end, (step - top) / (last - top).max(1.0))
                }
            }
            Curve::Plateau { patience, factor } => factor.powi(reductions(history, patience)),
        }
    }
}

fn at_least_one(steps: u64) -> Result<(), Error> {
    if steps == 0 { Err(Error::argument("steps", "at least 1", 0)) } else { Ok(()) }
}

/// Along half a cosine, `from` at 0 and `to` at 1 and beyond.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos()) / 2.0
}

/// The number of times that the loss has stayed above its minimum for more than `patience` epochs.
fn reductions(history: &History, patience: usize) -> i32 {
    let (mut lowest, mut waited, mut count) = (f64::INFINITY, 0, 0);
    for record in &history.epochs {
        let loss = record.get("validation_loss").or(record.get("train_loss")).unwrap_or(f64::NAN);
        if loss < lowest {
            (lowest, waited) = (loss, 0);
        } else {
            waited += 1;
        }
        if waited > patience {
            (waited, count) = (0, count + 1);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Epoch, Figures};

    fn history(losses: &[f64]) -> History {
        let epoch = |(i, &loss)| {
            let mut figures = Figures::default();
            figures.push("train_loss", loss);
            figures.push("validation_loss", loss);
            Epoch { epoch: i + 1, figures }
        };
        History { epochs: losses.iter().enumerate().map(epoch).collect(), restored: None }
    }

    #[test]
    fn each_schedule_has_its_shape() {
        let none = History::default();
        let step = Schedule::step(3, 0.5).unwrap();
        assert_eq!([1, 3, 4, 7].map(|epoch| step.factor(0, epoch, &none)), [1.0, 1.0, 0.5, 0.25]);
        let cosine = Schedule::cosine(10).unwrap();
        assert_eq!(cosine.factor(0, 1, &none), 1.0);
        assert!((cosine.factor(5, 1, &none) - 0.5).abs() < 1e-12);
        assert!(cosine.factor(10, 1, &none).abs() < 1e-12 && cosine.factor(20, 1, &none).abs() < 1e-12);
        let to = Schedule::cosine_to(10, 0.1).unwrap();
        assert!(
            (to.factor(5, 1, &none) - 0.55).abs() < 1e-12 && (to.factor(99, 1, &none) - 0.1).abs() < 1e-12
        );
        assert!(Schedule::cosine_to(10, 1.0).is_err() && Schedule::cosine_to(10, -0.1).is_err());
        let warm = Schedule::constant().warm_up(4);
        assert_eq!([0, 1, 3, 4].map(|at| warm.factor(at, 1, &none)), [0.25, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(SGD([p], lr=1), max_lr=1, total_steps=10), PyTorch 2.15.
        let expected = [
            0.04,
            0.52,
            1.0,
            0.950484632,
            0.811745654,
            0.611262022,
            0.388741978,
            0.188258346,
            0.049519368,
            4e-6,
        ];
        let schedule = Schedule::one_cycle(10).unwrap();
        for (step, expected) in expected.into_iter().enumerate() {
            let factor = schedule.factor(step as u64, 1, &History::default());
            assert!((factor - expected).abs() < 1e-8, "step {step}: {factor} {expected}");
        }
    }

    #[test]
    fn the_rate_falls_where_the_loss_does_not() {
        let plateau = Schedule::on_plateau(2, 0.1).unwrap();
        let at = |losses: &[f64]| plateau.factor(0, 1, &history(losses));
        assert_eq!(at(&[3.0, 2.0, 2.5, 2.5]), 1.0);
        assert_eq!(at(&[3.0, 2.0, 2.5, 2.5, 2.1]), 0.1);
        assert_eq!(at(&[3.0, 2.0, 2.5, 2.5, 2.1, 1.9, 1.8]), 0.1);
        assert!((at(&[1.0; 7]) - 0.01).abs() < 1e-15);
    }

    #[test]
    fn no_step_and_no_epoch_is_too_early_or_too_late() {
        let schedules = [
            Schedule::constant(),
            Schedule::step(1, 0.5).unwrap(),
            Schedule::step(usize::MAX, 1e300).unwrap(),
            Schedule::cosine(1).unwrap(),
            Schedule::cosine(u64::MAX).unwrap(),
            Schedule::one_cycle(1).unwrap(),
            Schedule::one_cycle(u64::MAX).unwrap(),
            Schedule::on_plateau(usize::MAX, 0.1).unwrap(),
        ];
        for schedule in schedules {
            for warm_up in [0, 1, u64::MAX] {
                let schedule = schedule.clone().warm_up(warm_up);
                for step in [0, 1, u64::MAX] {
                    for epoch in [0, 1, 1 << 32, usize::MAX] {
                        let factor = schedule.factor(step, epoch, &history(&[f64::NAN, 1.0]));
                        assert!((0.0..=1.0).contains(&factor), "{schedule:?} {step} {epoch}: {factor}");
                    }
                }
            }
        }
        // Epoch 2^32 + 1 has a power that an i32 cannot hold.
        assert_eq!(Schedule::step(1, 0.5).unwrap().factor(0, (1 << 32) + 1, &History::default()), 0.0);
    }

    #[test]
    fn a_loss_that_is_nan_has_not_fallen() {
        let plateau = Schedule::on_plateau(1, 0.1).unwrap();
        for nan in [f64::NAN, -f64::NAN] {
            assert_eq!(plateau.factor(0, 1, &history(&[1.0, nan, nan, 0.5])), 0.1);
            assert_eq!(plateau.factor(0, 1, &history(&[nan, nan, 1.0, 0.5])), 0.1);
        }
    }

    #[test]
    fn impossible_schedules_are_refused() {
        assert!(Schedule::step(0, 0.5).is_err());
        assert!(Schedule::step(3, 0.0).is_err());
        assert!(Schedule::cosine(0).is_err());
        assert!(Schedule::on_plateau(2, 1.0).is_err());
    }
}
