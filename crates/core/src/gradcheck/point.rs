//! The derivatives of one layer alone, at one input.

use rand::Rng;

use crate::gradcheck::alone::Alone;
use crate::gradcheck::compare::{Gradient, Subject};
use crate::gradcheck::report::GradientError;
use crate::layer::Context;
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};

/// Random numbers in -1..1.
pub(super) fn random(shape: &[usize], seed: u64, what_for: u64) -> Result<Tensor<f64>, GradientError> {
    let mut tensor = Tensor::zeros(shape)?;
    let mut rng = stream(seed, Purpose::GradientCheck, what_for, 0);
    tensor.data_mut().iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
    Ok(tensor)
}

/// A layer at an input: tensor 0 is the input, the others are the parameters that have a gradient.
pub(super) struct Point<'a> {
    pub(super) alone: &'a mut Alone,
    pub(super) x: Tensor<f64>,
    ctx: Context,
    learned: Vec<usize>,
}

impl<'a> Point<'a> {
    pub(super) fn new(alone: &'a mut Alone, x: Tensor<f64>, ctx: &Context) -> Self {
        let learned = (0..alone.slots.len()).filter(|&at| alone.slots[at].is_trainable()).collect();
        Self { alone, x, ctx: *ctx, learned }
    }

    /// The gradients by hand from those of the outputs.
    pub(super) fn gradients(&self, dy: &[f64], input: &str) -> Result<Vec<Gradient>, GradientError> {
        let mut gradient =
            Tensor::zeros(&self.alone.output.batched(self.x.batch()).map_err(crate::Error::from)?)?;
        gradient.data_mut().copy_from_slice(dy);
        let done = self.alone.pass(&self.x, &gradient, None, &self.alone.how(&self.ctx))?;
        let dx = done.dx.map(|by_hand| Gradient { of: input.to_owned(), by_hand });
        let of_parameters = self.learned.iter().filter_map(|&at| {
            let by_hand = done.grads.as_ref()?.get(at)?.clone();
            Some(Gradient { of: self.alone.slots[at].name().to_owned(), by_hand })
        });
        Ok(dx.into_iter().chain(of_parameters).collect())
    }
}

impl Subject for Point<'_> {
    fn number(&mut self, tensor: usize, position: usize) -> &mut f64 {
        match tensor.checked_sub(1) {
            None => &mut self.x.data_mut()[position],
            Some(parameter) => &mut self.alone.slots[self.learned[parameter]].data_mut()[position],
        }
    }

    fn outputs(&mut self) -> Result<Vec<f64>, GradientError> {
        let y = self.alone.forward(&self.x, self.alone.layer.new_cache().as_mut(), &self.ctx, 1)?;
        Ok(y.data().to_vec())
    }
}
