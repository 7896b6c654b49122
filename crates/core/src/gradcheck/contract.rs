//! The promises of a layer, in the order in which one that is broken explains those after it.

use crate::gradcheck::alone::Alone;
use crate::gradcheck::point::random;
use crate::gradcheck::report::{Comparison, GradientError};
use crate::gradcheck::{passes, promises, ties};
use crate::layer::{Context, Mode};
use crate::tensor::Tensor;

/// The smallest batch with which promises are checked: one sample would hide what depends on others.
const SAMPLES: usize = 3;

/// A layer, and a batch on which it is held to its contract.
pub(super) struct Contract {
    pub(super) alone: Alone,
    x: Tensor<f64>,
    dy: Tensor<f64>,
    ctx: Context,
    seed: u64,
}

impl Contract {
    /// Of a layer on the inputs that it meets.
    pub(super) fn new(alone: Alone, x: Tensor<f64>, ctx: &Context, seed: u64) -> Result<Self, GradientError> {
        let dy = random(&alone.output.batched(x.batch()).map_err(crate::Error::from)?, seed, 6)?;
        Ok(Self { alone, x, dy, ctx: *ctx, seed })
    }

    /// The number of samples that the checks of a layer take, which asks for `least` in training.
    pub(super) fn samples(batch: usize, least: usize) -> usize {
        batch.max(least).max(SAMPLES)
    }

    /// What must hold before derivatives can be compared.
    pub(super) fn check_before(&mut self) -> Result<(), GradientError> {
        let Self { alone, x, dy, ctx, .. } = self;
        promises::parameters_are_used(alone, x, ctx)?;
        for mode in [Mode::Train, Mode::Evaluate] {
            passes::check_writing(alone, x, dy, &Context { mode, ..*ctx })?;
        }
        promises::samples_are_independent(alone, x, ctx)
    }

    /// The other promises. Returns the kinks that were met.
    pub(super) fn check_after(&mut self) -> Result<Vec<Comparison>, GradientError> {
        let Self { alone, x, dy, ctx, seed } = self;
        for mode in [Mode::Train, Mode::Evaluate] {
            passes::check_repeating(alone, x, dy, &Context { mode, ..*ctx })?;
        }
        promises::commit_keeps_parameters(alone, x, ctx)?;
        promises::memory_is_declared(alone, x, dy, ctx)?;
        promises::least_batch_can_be_trained_on(alone, x, dy, ctx)?;
        promises::empty_batches_pass(alone, x, dy, ctx)?;
        // Ids have no derivatives.
        if alone.layer.ids().is_some() {
            return Ok(Vec::new());
        }
        ties::check(alone, x, ctx, *seed)
    }
}
