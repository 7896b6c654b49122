//! The state of optimizers for each parameter.

use std::collections::BTreeMap;

use crate::error::{Error, few, not_negative};
use crate::layer::weights::Grads;
use crate::net::model::Model;
use crate::optim::{Optimizer, OptimizerState, ParameterState};
use crate::tensor::scalar::Scalar;

/// The state of an optimizer (momentum and the like) by parameter name. It is kept while a parameter is frozen, too.
///
/// ```
/// use backstitch::{Model, layers::dense, optim::{Adam, OptimizerMemory}};
/// let mut model: Model = Model::new(dense(2), &[3], 0)?;
/// let grads = model.grads();
/// let mut memory = OptimizerMemory::new();
/// memory.step(&Adam::new(1e-3), 1e-3, &mut model, &grads)?;
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct OptimizerMemory<F = f32> {
    by_name: BTreeMap<String, Remembered<F>>,
}

#[derive(Debug, Clone)]
struct Remembered<F> {
    steps: u64,
    size: usize,
    rows: Vec<Vec<F>>,
}

impl<F: Scalar> Default for OptimizerMemory<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Scalar> OptimizerMemory<F> {
    /// The state before the first step.
    pub fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    /// Updates every parameter that is trainable and has a gradient, with this learning rate. The state begins as zeros. It begins again for
    /// a parameter that has another size than before, because that belongs to another model.
    ///
    /// # Errors
    /// If the gradients belong to another model; nothing is changed then.
    pub fn step(
        &mut self,
        rule: &dyn Optimizer<F>,
        rate: f64,
        model: &mut Model<F>,
        grads: &Grads<F>,
    ) -> Result<(), Error> {
        grads.check(model.slots())?;
        let rows = rule.rows();
        for (at, mut slot) in model.slots_mut().enumerate().filter(|(_, slot)| slot.is_learned()) {
            let size = slot.value().data().len();
            if self
                .by_name
                .get(slot.name())
                .is_none_or(|known| (known.size, known.rows.len()) != (size, rows))
            {
                let new = Remembered { steps: 0, size, rows: vec![vec![F::zero(); size]; rows] };
                self.by_name.insert(slot.name().to_owned(), new);
            }
            let Some(remembered) = self.by_name.get_mut(slot.name()) else { continue };
            let Some(grad) = grads.get(at).filter(|_| slot.is_trainable()) else { continue };
            remembered.steps = remembered.steps.saturating_add(1);
            rule.update(rate, remembered.steps, slot.data_mut(), grad.data(), &mut remembered.rows);
        }
        Ok(())
    }

    /// The state, with the name and the settings of the optimizer.
    pub fn state(&self, rule: &dyn Optimizer<F>) -> OptimizerState {
        let in_f64 = |values: &Vec<F>| values.iter().map(|v| v.as_f64()).collect();
        let of_one = |(name, remembered): (&String, &Remembered<F>)| ParameterState {
            name: name.clone(),
            steps: remembered.steps,
            values: remembered.rows.iter().map(in_f64).collect(),
        };
        OptimizerState {
            kind: rule.kind().to_owned(),
            learning_rate: rule.learning_rate(),
            settings: rule.settings().iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            of_parameters: self.by_name.iter().map(of_one).collect(),
        }
    }

    /// Loads a saved state. It must come from this optimizer with the same settings and learning rate, and fit the model that will be
    /// trained. Otherwise nothing is changed.
    ///
    /// # Errors
    /// If the state comes from another optimizer or from one with other settings, or if its names or sizes are not those of the model's
    /// parameters: the message says which. A state from before the first step, without parameters, fits every model.
    pub fn load(
        &mut self,
        rule: &dyn Optimizer<F>,
        state: &OptimizerState,
        model: &Model<F>,
    ) -> Result<(), Error> {
        let kind = rule.kind();
        check_settings(kind, &rule.settings(), state)?;
        not_negative("learning_rate of the optimizer's state", state.learning_rate)?;
        if state.learning_rate != rule.learning_rate() {
            let expected = rule.learning_rate().to_string();
            return Err(Error::argument(
                "learning_rate of the optimizer's state",
                expected,
                state.learning_rate,
            ));
        }
        let learned = model.slots().iter().filter(|slot| slot.is_learned());
        let sizes: BTreeMap<_, _> = learned.map(|slot| (slot.name(), slot.value().data().len())).collect();
        let mut loaded = BTreeMap::new();
        for saved in &state.of_parameters {
            let about = || format!("optimizer state of {}", saved.name);
            let Some(&size) = sizes.get(&*saved.name) else {
                return Err(Error::argument(about(), "a parameter of the model", "no such name"));
            };
            let remembered = Remembered { steps: saved.steps, size, rows: rows(saved, size, rule.rows())? };
            if loaded.insert(saved.name.clone(), remembered).is_some() {
                return Err(Error::argument(about(), "every name once", "it twice"));
            }
        }
        let missing: Vec<_> = sizes.keys().filter(|&&name| !loaded.contains_key(name)).collect();
        // Before the first step the state is empty, and after it every parameter has a state.
        if !(loaded.is_empty() || missing.is_empty()) {
            let expected = "all parameters of the model, or none";
            return Err(Error::argument(
                "optimizer state",
                expected,
                format!("one without {}", few(missing)),
            ));
        }
        self.by_name = loaded;
        Ok(())
    }
}

fn check_settings(kind: &str, settings: &[(&str, f64)], state: &OptimizerState) -> Result<(), Error> {
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

/// The state of one parameter of this size.
fn rows<F: Scalar>(saved: &ParameterState, size: usize, count: usize) -> Result<Vec<Vec<F>>, Error> {
    let wrong = |expected: String, got: String| {
        Error::argument(format!("optimizer state of {}", saved.name), expected, got)
    };
    if let Some(row) = saved.values.iter().find(|row| row.len() != size) {
        return Err(wrong(format!("rows of {size} numbers, as the parameter has"), row.len().to_string()));
    }
    let in_f = |values: &Vec<f64>| values.iter().map(|&v| F::from_f64(v)).collect();
    if saved.values.len() != count {
        return Err(wrong(format!("{count} rows of numbers"), saved.values.len().to_string()));
    }
    Ok(saved.values.iter().map(in_f).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layers::{Activation, dense};
    use crate::net::Net;
    use crate::optim::{Adagrad, Adam, RmsProp, Sgd};
    use crate::tensor::Tensor;
    use crate::train::{BatchView, StepSettings, Workspace, step};
    use crate::{Context, CrossEntropy, Targets};

    fn model(hidden: usize) -> Model<f64> {
        let net = Net::new().push(dense(hidden).activation(Activation::Tanh)).push(dense(2));
        Model::new(net, &[3], 7).unwrap()
    }

    fn learn(model: &mut Model<f64>, rule: &Arc<dyn Optimizer<f64>>, memory: &mut OptimizerMemory<f64>) {
        let mut x = Tensor::zeros(&[2, 3]).unwrap();
        x.data_mut().iter_mut().zip([0.3, -0.2, 0.9, 0.5, 0.1, -0.7]).for_each(|(x, v)| *x = v);
        let mut workspace = Workspace::new(model);
        std::mem::swap(&mut workspace.memory, memory);
        let rules = StepSettings {
            optimizer: Arc::clone(rule),
            ..StepSettings::new(Sgd::new(1.0), CrossEntropy::new())
        };
        let examples =
            BatchView { inputs: &x, named: &[], targets: Targets::Classes(&[0, 1]), weights: None };
        step(model, &rules, examples, 1.0, &mut workspace, &Context::train(0, 0)).unwrap();
        std::mem::swap(&mut workspace.memory, memory);
    }

    fn all() -> [Arc<dyn Optimizer<f64>>; 5] {
        [
            Arc::new(Sgd::new(0.1).momentum(0.9)),
            Arc::new(Adam::new(0.1)),
            Arc::new(Adam::adamw(0.1, 0.01)),
            Arc::new(RmsProp::new(0.1)),
            Arc::new(Adagrad::new(0.1)),
        ]
    }

    #[test]
    fn what_does_not_fit_is_named_and_changes_nothing() {
        for rule in all() {
            let (mut trained, mut memory) = (model(4), OptimizerMemory::new());
            learn(&mut trained, &rule, &mut memory);
            let good = memory.state(&*rule);
            let mut refused = |spoil: &dyn Fn(&mut OptimizerState), expected: &str| {
                let mut bad = good.clone();
                spoil(&mut bad);
                let error = memory.load(&*rule, &bad, &trained).unwrap_err().to_string();
                assert!(error.contains(expected), "{}: {error}", good.kind);
                assert_eq!(memory.state(&*rule), good);
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
            refused(&|s| s.learning_rate = 0.7, "learning_rate");
        }
    }

    #[test]
    fn a_state_of_no_step_fits_every_model_and_one_of_some_steps_comes_back() {
        for rule in all() {
            let (mut trained, mut memory) = (model(4), OptimizerMemory::new());
            memory.load(&*rule, &OptimizerMemory::new().state(&*rule), &trained).unwrap();
            learn(&mut trained, &rule, &mut memory);
            let mut other = OptimizerMemory::new();
            other.load(&*rule, &memory.state(&*rule), &trained).unwrap();
            assert_eq!(other.state(&*rule), memory.state(&*rule));
        }
    }

    #[test]
    fn a_model_of_another_size_trains_as_with_a_new_memory() {
        for rule in all() {
            let (mut used, mut new) = (OptimizerMemory::new(), OptimizerMemory::new());
            learn(&mut model(4), &rule, &mut used);
            let [mut a, mut b] = [model(9), model(9)];
            learn(&mut a, &rule, &mut used);
            learn(&mut b, &rule, &mut new);
            // dense2.bias has the same size in both, and so it keeps its state.
            for name in ["dense1.weight", "dense1.bias", "dense2.weight"] {
                assert_eq!(a.state()[name], b.state()[name], "{name}, {}", rule.kind());
            }
        }
    }
}
