//! Arguments of all kinds, right and wrong, put into a training run.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{model, net, rows, state};
use super::*;
use crate::data::Dataset;
use crate::error::Error;
use crate::losses::CrossEntropy;
use crate::optim::{Adagrad, Adam, Optimizer, RmsProp, Schedule, Sgd};
use crate::penalty::Penalty;

/// Numbers that arguments are fuzzed with.
fn number() -> impl Strategy<Value = f64> {
    let special = [0.0, -0.0, 1.0, -1.0, 5e-324, 1e-30, 1e-3, 0.5, 0.999, 1e30, 1e300, f64::MAX];
    let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    prop_oneof![4 => prop::sample::select(special.to_vec()), 1 => prop::sample::select(wrong.to_vec()), 2 => -2.0..2.0]
}

fn count() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 1, 2, 3, 5, 7, 1 << 40, usize::MAX])
}

fn optimizer(kind: usize, [a, b, c, d]: [f64; 4]) -> Arc<dyn Optimizer<f32>> {
    match kind {
        0 => Arc::new(Sgd::new(a).momentum(b).weight_decay(c).nesterov()),
        1 => Arc::new(Adam::new(a).betas(b, c).epsilon(d)),
        2 => Arc::new(Adam::adamw(a, b)),
        3 => Arc::new(RmsProp::new(a).weight_decay(b)),
        _ => Arc::new(Adagrad::new(a)),
    }
}

fn schedule(kind: usize, number: f64, count: usize) -> Result<Schedule, Error> {
    match kind {
        0 => Schedule::step(count, number),
        1 => Schedule::cosine(count as u64),
        2 => Schedule::one_cycle(count as u64),
        3 => Schedule::on_plateau(count, number),
        _ => Ok(Schedule::constant().warm_up(count as u64)),
    }
}

fn trainer<'c>(
    optimizer: Arc<dyn Optimizer<f32>>,
    numbers: [f64; 6],
    counts: [usize; 4],
    kind: usize,
) -> Result<Trainer<'c>, Error> {
    let [smoothing, weight, l1, l2, clip, rate] = numbers;
    let [batch, patience, steps, ignored] = counts;
    let mut loss = CrossEntropy::new();
    if kind % 2 == 1 {
        loss = CrossEntropy::label_smoothing(smoothing)?.class_weights(vec![weight, 1.0])?;
    }
    if kind % 3 == 1 {
        loss = loss.ignore_index(ignored);
    }
    let trainer = Trainer::with(optimizer).epochs(1 + kind / 60 % 3).batch_size(batch).loss(loss);
    let trainer = trainer.schedule(schedule(kind % 5, rate, steps)?);
    let trainer = if kind % 7 < 3 { trainer.penalty(Penalty::new(l1, l2)?) } else { trainer };
    let trainer = if kind % 4 == 2 { trainer.clip_norm(clip) } else { trainer };
    let trainer = if kind.is_multiple_of(2) { trainer.drop_last() } else { trainer };
    Ok(if kind % 3 == 2 { trainer.early_stopping(patience) } else { trainer })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever is asked for is refused, or training ends with finite figures and weights, or with an error: never in a panic, and
    /// never with NaN and Ok.
    #[test]
    fn no_argument_makes_training_panic_or_lie(
        numbers in prop::array::uniform6(number()),
        settings in prop::array::uniform4(number()),
        counts in prop::array::uniform4(count()),
        kinds in (0_usize..420, 0_usize..5),
    ) {
        let (x, labels) = rows(7);
        let data = Dataset::classes(&x, &labels).unwrap();
        let Ok(trainer) = trainer(optimizer(kinds.1, settings), numbers, counts, kinds.0) else { return Ok(()) };
        let mut model = model(net());
        // A validation loss would show what the last update made; early stopping wants one.
        let trainer = if kinds.0 % 3 == 2 { trainer.validation(&data) } else { trainer };
        let result = trainer.fit(&mut model, &data);
        if let Ok(history) = result {
            for record in &history.epochs {
                prop_assert!(record.figures.iter().all(|(_, value)| value.is_finite()), "{record:?}");
            }
            prop_assert!(state(&model).iter().flatten().all(|v| v.is_finite()));
        }
    }
}
