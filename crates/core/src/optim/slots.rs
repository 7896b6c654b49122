//! What optimizers remember of each parameter.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::model::Model;
use crate::optim::{OptimizerState, ParameterState};
use crate::param::SlotMut;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

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

impl<F: Scalar, const N: usize> Slots<F, N> {
    pub(super) fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    /// Calls `update(value, gradient, remembered, steps)` for each parameter that has something to do, with
    /// `steps` counted from 1. What is remembered begins as zeros.
    pub(super) fn step(
        &mut self,
        model: &mut Model<F>,
        mut update: impl FnMut(&mut Tensor<F>, &[F], &mut [Vec<F>; N], u64),
    ) {
        model.visit_mut(&mut |slot| {
            let SlotMut::Param(param) = slot else { return };
            if !self.by_name.contains_key(param.name()) {
                let zeros = || vec![F::zero(); param.value().data().len()];
                let new = Remembered { steps: 0, values: std::array::from_fn(|_| zeros()) };
                self.by_name.insert(param.name().to_owned(), new);
            }
            let remembered = self.by_name.get_mut(param.name()).expect("made above");
            let Some((value, grad)) = param.to_update() else { return };
            remembered.steps += 1;
            update(value, grad.data(), &mut remembered.values, remembered.steps);
        });
    }

    pub(super) fn state(&self, kind: &str) -> OptimizerState {
        let in_f64 = |values: &Vec<F>| values.iter().map(|v| v.as_f64()).collect();
        let of_one = |(name, remembered): (&String, &Remembered<F, N>)| ParameterState {
            name: name.clone(),
            steps: remembered.steps,
            values: remembered.values.iter().map(in_f64).collect(),
        };
        OptimizerState { kind: kind.to_owned(), of_parameters: self.by_name.iter().map(of_one).collect() }
    }

    pub(super) fn load(&mut self, kind: &str, state: &OptimizerState) -> Result<(), Error> {
        if state.kind != kind {
            return Err(Error::argument("optimizer state", kind, &state.kind));
        }
        let mut loaded = BTreeMap::new();
        for ParameterState { name, steps, values } in &state.of_parameters {
            let in_f = |values: &Vec<f64>| values.iter().map(|&v| F::from_f64(v)).collect();
            let rows: Vec<Vec<F>> = values.iter().map(in_f).collect();
            let count = rows.len();
            let values = rows.try_into().map_err(|_| {
                Error::argument(format!("optimizer state of {name}"), format!("{N} rows of numbers"), count)
            })?;
            loaded.insert(name.clone(), Remembered { steps: *steps, values });
        }
        self.by_name = loaded;
        Ok(())
    }
}
