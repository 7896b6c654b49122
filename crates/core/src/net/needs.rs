//! The memory and work that a model and its passes need, computed from shapes alone and checked before memory is allocated.

use crate::error::Error;
use crate::layer::weights::Spec;
use crate::net::plan::{Keep, prediction_bytes, training_bytes};
use crate::net::program::{OpKind, Program};
use crate::tensor::memory::{self, MEMORY_LIMIT, WORK_LIMIT};
use crate::tensor::scalar::Scalar;

/// A pass that needs no more than this is not checked: the check is for allocations that may end the program.
const ASKED_ABOVE: u64 = 1 << 30;

/// Bytes that passes take for each sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    training: u64,
    prediction: u64,
}

impl Needs {
    /// Of a list of operations and what its layers declare, if such a model can be held and a pass over one sample ends.
    pub(crate) fn of<F: Scalar>(program: &Program<F>, declared: &[(usize, Spec)]) -> Result<Self, Error> {
        let mut parameters = vec![0_usize; program.ops.len()];
        for (op, spec) in declared {
            parameters[*op] = parameters[*op].saturating_add(spec.shape.elements());
        }
        // Parameters have gradients too; the message names the layer that needs most.
        let (mut all, mut scratch, mut work, mut largest) = (0_u64, 0_u64, 0_u64, (0, String::new()));
        for (i, op) in program.ops.iter().enumerate() {
            let OpKind::Layer(layer) = &op.kind else { continue };
            let input = &program.shapes[op.inputs[0]];
            let cost = layer.cost(input);
            let weights = memory::bytes::<F>(parameters[i].saturating_mul(2));
            let maps = input.elements().saturating_add(program.shapes[i + 1].elements());
            all = all.saturating_add(weights);
            scratch = scratch.max(cost.scratch_bytes as u64);
            work = work.saturating_add(cost.multiply_adds);
            let own =
                weights.saturating_add(cost.scratch_bytes as u64).saturating_add(memory::bytes::<F>(maps));
            if own > largest.0 {
                largest = (own, format!("{} ({})", op.path, layer.describe()));
            }
        }
        let learned: Vec<bool> = declared.iter().map(|(_, spec)| spec.learned).collect();
        let pass = training_bytes(program, &learned);
        let of_input = memory::bytes::<F>(program.shapes[0].elements().saturating_mul(2));
        let others = [scratch, pass.per_sample as u64, pass.fixed as u64, of_input];
        let all = others.into_iter().fold(all, u64::saturating_add);
        if !memory::is_there(all) {
            let got = format!("{}, most of it for {}", memory::in_words(all), largest.1);
            return Err(Error::argument("model", memory::expected(), got));
        }
        if work > WORK_LIMIT {
            let expected = format!("at most {WORK_LIMIT} multiplications for a sample");
            return Err(Error::argument("model", expected, work));
        }
        Ok(Self { training: pass.per_sample as u64, prediction: prediction_bytes(program) as u64 })
    }

    /// Checks that there is memory for a pass over this number of samples, beyond what a trace has.
    pub(crate) fn check_pass(
        self,
        samples: usize,
        keep: Keep,
        held: impl FnOnce() -> usize,
    ) -> Result<(), Error> {
        let one = if keep == Keep::Last { self.prediction } else { self.training };
        let all = one.saturating_mul(samples as u64);
        if all <= ASKED_ABOVE {
            return Ok(());
        }
        let more = all.saturating_sub(held() as u64);
        if memory::is_there(more) && all <= MEMORY_LIMIT {
            return Ok(());
        }
        let got = format!("{samples} samples of {} each", memory::in_words(one));
        Err(Error::argument("batch", memory::expected(), got))
    }
}
