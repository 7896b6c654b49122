//! The derivatives of one layer alone, at one input.

use rand::Rng;

use crate::gradcheck::alone::Alone;
use crate::gradcheck::compare::{Gradient, Subject};
use crate::gradcheck::report::GradientError;
use crate::layer::{Context, DynCache, Memory};
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};

/// Random numbers in -1..1.
pub(super) fn random(shape: &[usize], seed: u64, what_for: u64) -> Result<Tensor<f64>, GradientError> {
    let mut tensor = Tensor::zeros(shape)?;
    let mut rng = stream(seed, Purpose::GradientCheck, what_for, 0);
    tensor.data_mut().iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
    Ok(tensor)
}

/// Inputs of this shape: ids where the layer that reads them takes ids, of which there are `ids`; random numbers otherwise.
pub(super) fn inputs(
    ids: Option<usize>,
    shape: &[usize],
    seed: u64,
    what_for: u64,
) -> Result<Tensor<f64>, GradientError> {
    let mut tensor = random(shape, seed, what_for)?;
    if let Some(ids) = ids {
        tensor.data_mut().iter_mut().for_each(|v| *v = ((*v + 1.0) / 2.0 * ids as f64).floor());
    }
    Ok(tensor)
}

/// A layer at an input. Its tensors are the input, but not where it is ids; the further inputs, of one sample; the parameters that have a
/// gradient.
pub(super) struct Point<'a> {
    pub(super) alone: &'a mut Alone,
    pub(super) x: Tensor<f64>,
    ctx: Context,
    learned: Vec<usize>,
    /// What a pass before left, if the passes go on from it.
    carried: Option<Box<dyn DynCache>>,
}

/// A number of a point.
enum Number {
    Input,
    Other(usize),
    Parameter(usize),
}

impl<'a> Point<'a> {
    pub(super) fn new(alone: &'a mut Alone, x: Tensor<f64>, ctx: &Context) -> Self {
        let learned = (0..alone.slots.len()).filter(|&at| alone.slots[at].is_trainable()).collect();
        Self { alone, x, ctx: *ctx, learned, carried: None }
    }

    /// The same point in the middle of a sequence, of which `before` has been passed.
    pub(super) fn after(mut self, before: &Tensor<f64>) -> Result<Self, GradientError> {
        let mut cache = self.alone.layer.new_cache();
        self.alone.forward(before, cache.as_mut(), &self.ctx, 1)?;
        self.alone.forward(&self.x, cache.as_mut(), &Context { memory: Memory::Continue, ..self.ctx }, 1)?;
        self.ctx.memory = Memory::Repeat;
        self.carried = Some(cache);
        Ok(self)
    }

    fn tensor(&self, tensor: usize) -> Number {
        let inputs = usize::from(self.alone.layer.ids().is_none());
        match tensor.checked_sub(inputs) {
            None => Number::Input,
            Some(other) if other < self.alone.others.len() => Number::Other(other),
            Some(rest) => Number::Parameter(self.learned[rest - self.alone.others.len()]),
        }
    }

    /// The gradients by hand from those of the outputs.
    pub(super) fn gradients(&mut self, dy: &[f64], input: &str) -> Result<Vec<Gradient>, GradientError> {
        let shape = self.alone.layer.output_shape(&self.x.shape()[1..]);
        let shape = shape.and_then(|shape| shape.batched(self.x.batch())).map_err(crate::Error::from)?;
        let mut gradient = Tensor::zeros(&shape)?;
        gradient.data_mut().copy_from_slice(dy);
        let goes_on = self.carried.is_some();
        let how = self.alone.how(&self.ctx);
        let done = self.alone.pass(&self.x, &gradient, self.carried.take(), &how)?;
        self.carried = goes_on.then_some(done.cache);
        let dx = done.dx.filter(|_| self.alone.layer.ids().is_none());
        let dx = dx.map(|by_hand| Gradient { of: input.to_owned(), by_hand });
        let others = self.alone.others.iter().zip(&done.others).map(|((name, one), all)| {
            // Every sample has the same values.
            let mut by_hand = one.alike(0.0);
            let length = one.data().len();
            for sample in all.data().chunks_exact(length) {
                by_hand.data_mut().iter_mut().zip(sample).for_each(|(sum, v)| *sum += v);
            }
            Gradient { of: format!("input {name:?}"), by_hand }
        });
        let of_parameters = self.learned.iter().filter_map(|&at| {
            let by_hand = done.grads.as_ref()?.get(at)?.clone();
            Some(Gradient { of: self.alone.slots[at].name().to_owned(), by_hand })
        });
        Ok(dx.into_iter().chain(others).chain(of_parameters).collect())
    }
}

impl Subject for Point<'_> {
    fn number(&mut self, tensor: usize, position: usize) -> &mut f64 {
        match self.tensor(tensor) {
            Number::Input => &mut self.x.data_mut()[position],
            Number::Other(other) => &mut self.alone.others[other].1.data_mut()[position],
            Number::Parameter(slot) => &mut self.alone.slots[slot].data_mut()[position],
        }
    }

    fn outputs(&mut self) -> Result<Vec<f64>, GradientError> {
        let mut cache = self.carried.take().unwrap_or_else(|| self.alone.layer.new_cache());
        let y = self.alone.forward(&self.x, cache.as_mut(), &self.ctx, 1)?;
        self.carried = (self.ctx.memory == Memory::Repeat).then_some(cache);
        Ok(y.data().to_vec())
    }
}
