//! What optimizers remember of each parameter.

use std::collections::BTreeMap;

use crate::error::{Error, few, not_negative};
use crate::model::Model;
use crate::optim::{OptimizerState, ParameterState};
use crate::scalar::Scalar;
use crate::weights::Grads;

/// So many numbers for each of a parameter's, by its name; there while a parameter is frozen, too.
#[derive(Debug)]
pub(super) struct Slots<F, const N: usize> {
    by_name: BTreeMap<String, Remembered<F, N>>,
}

#[derive(Debug)]
struct Remembered<F, const N: usize> {
    steps: u64,
    values: [Vec<F>; N],
}

/// What an optimizer was told beside its learning rate: a saved state has to agree with it.
pub(super) type Settings<'a> = &'a [(&'static str, f64)];

impl<F: Scalar, const N: usize> Slots<F, N> {
    pub(super) fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    /// Calls `update(value, gradient, remembered, steps)` for each parameter that has something to do, with
    /// `steps` counted from 1. What is remembered begins as zeros, and does so again for a parameter that has another
    /// size than before: then it is another model's.
    pub(super) fn step(
        &mut self,
        model: &mut Model<F>,
        grads: &Grads<F>,
        mut update: impl FnMut(&mut [F], &[F], &mut [Vec<F>; N], u64),
    ) -> Result<(), Error> {
        grads.check(model)?;
        for (at, mut slot) in model.slots_mut().enumerate().filter(|(_, slot)| slot.is_learned()) {
            let count = slot.value().data().len();
            if self.by_name.get(slot.name()).is_none_or(|known| known.values[0].len() != count) {
                let zeros = || vec![F::zero(); count];
                let new = Remembered { steps: 0, values: std::array::from_fn(|_| zeros()) };
                self.by_name.insert(slot.name().to_owned(), new);
            }
            let remembered = self.by_name.get_mut(slot.name()).expect("made above");
            let Some(grad) = grads.get(at).filter(|_| slot.is_trainable()) else { continue };
            remembered.steps = remembered.steps.saturating_add(1);
            update(slot.data_mut(), grad.data(), &mut remembered.values, remembered.steps);
        }
        Ok(())
    }

    pub(super) fn state(&self, kind: &str, learning_rate: f64, settings: Settings<'_>) -> OptimizerState {
        let in_f64 = |values: &Vec<F>| values.iter().map(|v| v.as_f64()).collect();
        let of_one = |(name, remembered): (&String, &Remembered<F, N>)| ParameterState {
            name: name.clone(),
            steps: remembered.steps,
            values: remembered.values.iter().map(in_f64).collect(),
        };
        OptimizerState {
            kind: kind.to_owned(),
            learning_rate,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            of_parameters: self.by_name.iter().map(of_one).collect(),
        }
    }

    /// Takes on a state that fits the optimizer and the model it is for, and returns its learning rate.
    pub(super) fn load(
        &mut self,
        kind: &str,
        settings: Settings<'_>,
        state: &OptimizerState,
        model: &Model<F>,
    ) -> Result<f64, Error> {
        check_settings(kind, settings, state)?;
        let rate = not_negative("learning_rate of the optimizer's state", state.learning_rate)?;
        let learned = model.slots().iter().filter(|slot| slot.is_learned());
        let sizes: BTreeMap<_, _> = learned.map(|slot| (slot.name(), slot.value().data().len())).collect();
        let mut loaded = BTreeMap::new();
        for saved in &state.of_parameters {
            let about = || format!("optimizer state of {}", saved.name);
            let Some(&size) = sizes.get(&*saved.name) else {
                return Err(Error::argument(about(), "a parameter of the model", "no such name"));
            };
            let remembered = Remembered { steps: saved.steps, values: rows(saved, size)? };
            if loaded.insert(saved.name.clone(), remembered).is_some() {
                return Err(Error::argument(about(), "every name once", "it twice"));
            }
        }
        let missing: Vec<_> = sizes.keys().filter(|&&name| !loaded.contains_key(name)).collect();
        // Before the first step nothing is remembered, and after it something of every parameter.
        if !(loaded.is_empty() || missing.is_empty()) {
            let expected = "all parameters of the model, or none";
            return Err(Error::argument(
                "optimizer state",
                expected,
                format!("one without {}", few(missing)),
            ));
        }
        self.by_name = loaded;
        Ok(rate)
    }
}

fn check_settings(kind: &str, settings: Settings<'_>, state: &OptimizerState) -> Result<(), Error> {
    if state.kind != kind {
        return Err(Error::argument("optimizer state", kind, &state.kind));
    }
    for &(name, value) in settings {
        let saved = state.settings.iter().find(|(saved, _)| saved == name);
        let saved = saved.map_or_else(|| "none".to_owned(), |(_, value)| value.to_string());
        if saved != value.to_string() {
            return Err(Error::argument(
                format!("optimizer state, {name} of {kind}"),
                value.to_string(),
                saved,
            ));
        }
    }
    if state.settings.len() != settings.len() {
        let names = |list: Vec<&str>| format!("settings {}", few(list));
        return Err(Error::argument(
            "optimizer state",
            names(settings.iter().map(|(name, _)| *name).collect()),
            names(state.settings.iter().map(|(name, _)| &**name).collect()),
        ));
    }
    Ok(())
}

/// What is remembered of one parameter of this size.
fn rows<F: Scalar, const N: usize>(saved: &ParameterState, size: usize) -> Result<[Vec<F>; N], Error> {
    let wrong = |expected: String, got: String| {
        Error::argument(format!("optimizer state of {}", saved.name), expected, got)
    };
    if let Some(row) = saved.values.iter().find(|row| row.len() != size) {
        return Err(wrong(format!("rows of {size} numbers, as the parameter has"), row.len().to_string()));
    }
    let in_f = |values: &Vec<f64>| values.iter().map(|&v| F::from_f64(v)).collect();
    let rows: Vec<Vec<F>> = saved.values.iter().map(in_f).collect();
    rows.try_into().map_err(|rows: Vec<_>| wrong(format!("{N} rows of numbers"), rows.len().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, dense};
    use crate::net::Net;
    use crate::optim::{Adagrad, Adam, Optimizer, RmsProp, Sgd};
    use crate::tensor::Tensor;
    use crate::train::{Rules, Workspace, step};
    use crate::{Context, Targets};

    fn model(hidden: usize) -> Model<f64> {
        let net = Net::new().push(dense(hidden).activation(Activation::Tanh)).push(dense(2));
        Model::new(net, &[3], 7).unwrap()
    }

    fn learn(model: &mut Model<f64>, optimizer: &mut dyn Optimizer<f64>) {
        let mut x = Tensor::zeros(&[2, 3]).unwrap();
        x.data_mut().iter_mut().zip([0.3, -0.2, 0.9, 0.5, 0.1, -0.7]).for_each(|(x, v)| *x = v);
        let mut workspace = Workspace::new(model);
        let (targets, ctx) = (Targets::Classes(&[0, 1]), Context::train(0, 0));
        step(model, optimizer, &x, targets, &Rules::default(), &mut workspace, &ctx).unwrap();
    }

    fn all() -> [Box<dyn Optimizer<f64>>; 5] {
        [
            Box::new(Sgd::new(0.1).unwrap().momentum(0.9).unwrap()),
            Box::new(Adam::new(0.1).unwrap()),
            Box::new(Adam::adamw(0.1, 0.01).unwrap()),
            Box::new(RmsProp::new(0.1).unwrap()),
            Box::new(Adagrad::new(0.1).unwrap()),
        ]
    }

    #[test]
    fn what_does_not_fit_is_named_and_changes_nothing() {
        for mut optimizer in all() {
            let mut trained = model(4);
            learn(&mut trained, optimizer.as_mut());
            let good = optimizer.state();
            let mut refused = |spoil: &dyn Fn(&mut OptimizerState), expected: &str| {
                let mut bad = good.clone();
                spoil(&mut bad);
                let error = optimizer.load_state(&bad, &trained).unwrap_err().to_string();
                assert!(error.contains(expected), "{}: {error}", good.kind);
                assert_eq!(optimizer.state(), good);
            };
            refused(&|s| s.kind = "other".to_owned(), "got other");
            refused(
                &|s| s.settings[0].1 += 0.25,
                &format!("{} of {}: expected", good.settings[0].0, good.kind),
            );
            refused(&|s| s.settings.push(("more".to_owned(), 1.0)), "\"more\"");
            refused(&|s| s.settings[0].0 = "x".to_owned(), "got none");
            refused(&|s| s.learning_rate = f64::NAN, "learning_rate of the optimizer's state");
            let row = |s: &mut OptimizerState| s.of_parameters[1].values[0].pop().map(drop).unwrap();
            refused(
                &row,
                "optimizer state of dense1.weight: expected rows of 12 numbers, as the parameter has, got 11",
            );
            refused(&|s| s.of_parameters[1].values.push(vec![0.0; 12]), "rows of numbers, got");
            refused(
                &|s| s.of_parameters[2].name = "dense9.bias".to_owned(),
                "of dense9.bias: expected a parameter",
            );
            refused(
                &|s| s.of_parameters[2] = s.of_parameters[0].clone(),
                "dense1.bias: expected every name once",
            );
            refused(&|s| drop(s.of_parameters.pop()), "got one without [\"dense2.weight\"]");
        }
    }

    #[test]
    fn the_learning_rate_comes_back_and_an_empty_state_fits_every_model() {
        for (mut optimizer, mut other) in all().into_iter().zip(all()) {
            optimizer.set_learning_rate(0.0375);
            other.load_state(&optimizer.state(), &model(4)).unwrap();
            assert_eq!(other.learning_rate(), 0.0375);
        }
    }

    #[test]
    fn a_model_of_another_size_trains_as_with_a_new_optimizer() {
        for (mut used, mut new) in all().into_iter().zip(all()) {
            learn(&mut model(4), used.as_mut());
            let [mut a, mut b] = [model(9), model(9)];
            learn(&mut a, used.as_mut());
            learn(&mut b, new.as_mut());
            // dense2.bias has the same size in both, and so a past.
            for name in ["dense1.weight", "dense1.bias", "dense2.weight"] {
                assert_eq!(a.state()[name], b.state()[name], "{name}, {}", used.state().kind);
            }
        }
    }
}
