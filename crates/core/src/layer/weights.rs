//! A model's parameters, statistics and gradients, by name and apart from the layers.

use std::ops::{Deref, Index};
use std::sync::Arc;

use crate::error::{Error, ShapeError, is_name, join_path};
use crate::kernels::Accumulate;
use crate::layer::init::{Fan, Init};
use crate::layer::undeclared::Undeclared;
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A named tensor of a model: a parameter, which an optimizer changes, or a statistic such as a running mean, which a
/// layer changes.
#[derive(Debug, Clone)]
pub struct Slot<F = f32> {
    name: String,
    value: Tensor<F>,
    learned: bool,
    frozen: bool,
}

impl<F: Scalar> Slot<F> {
    /// The full path, `block1.main.conv2.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers.
    pub fn value(&self) -> &Tensor<F> {
        &self.value
    }

    pub(crate) fn data_mut(&mut self) -> &mut [F] {
        self.value.data_mut()
    }

    pub(crate) fn value_mut(&mut self) -> &mut Tensor<F> {
        &mut self.value
    }

    /// Whether it is a parameter, which optimizers change; otherwise a statistic, which layers change.
    pub fn is_learned(&self) -> bool {
        self.learned
    }

    /// Whether it is frozen: training does not change it ([`Model::freeze`](crate::Model::freeze)).
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether it is a parameter that training changes.
    pub fn is_trainable(&self) -> bool {
        self.learned && !self.frozen
    }

    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }
}

/// A [`Slot`] whose numbers can be changed. Its name and its shape cannot.
#[derive(Debug)]
pub struct SlotMut<'a, F>(pub(crate) &'a mut Slot<F>);

impl<F: Scalar> SlotMut<'_, F> {
    /// The numbers, row by row, to write.
    pub fn data_mut(&mut self) -> &mut [F] {
        self.0.data_mut()
    }
}

impl<F> Deref for SlotMut<'_, F> {
    type Target = Slot<F>;
    fn deref(&self) -> &Slot<F> {
        self.0
    }
}

/// Names, shapes and initial values, as a layer declares them.
#[derive(Debug, Default)]
pub struct Declare {
    pub(crate) specs: Vec<Spec>,
    /// The first declaration that is impossible, and why.
    pub(crate) refused: Option<(&'static str, ShapeError)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    init: Init,
    fan: Fan,
    pub(crate) learned: bool,
    /// Values that are not random: those of a constant, or one for all initial values.
    values: Option<Arc<[f64]>>,
}

impl Declare {
    /// A parameter: an optimizer changes it. Its initial values depend on the seed of the model and on its full
    /// name, so a layer added elsewhere does not change them.
    pub fn learned(&mut self, name: &'static str, shape: &[usize], init: Init, fan: Fan) {
        self.add(name, shape, init, fan, true);
    }

    /// A parameter whose initial values are all this number.
    pub fn learned_from(&mut self, name: &'static str, shape: &[usize], value: f64) {
        let declared = self.specs.len();
        self.add(name, shape, Init::Zero, Fan { inputs: 1, outputs: 1 }, true);
        self.specs[declared..].iter_mut().for_each(|spec| spec.values = Some([value].into()));
    }

    /// A tensor that is saved with the model and never optimized: [`Layer::commit`](crate::Layer::commit) changes it.
    pub fn remembered(&mut self, name: &'static str, shape: &[usize], init: Init) {
        self.add(name, shape, init, Fan { inputs: 1, outputs: 1 }, false);
    }

    /// A list of numbers that is saved with the model and frozen from the start: neither an optimizer nor [`Layer::commit`](crate::Layer::commit)
    /// changes them.
    pub fn constant(&mut self, name: &'static str, values: Arc<[f64]>) {
        let declared = self.specs.len();
        self.remembered(name, &[values.len()], Init::Zero);
        self.specs[declared..].iter_mut().for_each(|spec| spec.values = Some(Arc::clone(&values)));
    }

    fn add(&mut self, name: &'static str, shape: &[usize], init: Init, fan: Fan, learned: bool) {
        let twice = self.specs.iter().any(|other| other.name == name);
        match Shape::new(shape) {
            Ok(_) if twice || !is_name(name) => {
                let expected = "a name of 1 to 100 characters, without a dot, that is declared once";
                let error = ShapeError::new("parameter".to_owned(), expected, format!("{name:?}"));
                self.refused.get_or_insert((name, error));
            }
            Ok(shape) => self.specs.push(Spec { name, shape, init, fan, learned, values: None }),
            Err(error) => {
                self.refused.get_or_insert((name, error));
            }
        }
    }
}

impl Spec {
    /// The slot of the layer at this path, with its initial values.
    pub(crate) fn slot<F: Scalar>(&self, path: &str, seed: u64) -> Result<Slot<F>, Error> {
        let name = join_path(path, self.name);
        let mut rng = stream(seed, Purpose::Initialize, name_hash(&name), 0);
        let mut value = self.init.tensor(&self.shape, self.fan, &mut rng).map_err(|error| match error {
            Error::Argument { name: what, expected, got } => {
                Error::Argument { name: format!("{what} of parameter {name}"), expected, got }
            }
            other => other,
        })?;
        if let Some(values) = &self.values {
            value
                .data_mut()
                .iter_mut()
                .zip(values.iter().cycle())
                .for_each(|(to, &from)| *to = F::from_f64(from));
        }
        Ok(Slot { name, value, learned: self.learned, frozen: !self.learned && self.values.is_some() })
    }
}

/// FNV-1a, 64 bits: a hash that is the same in every version and on every machine.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The index in the model's list of slots for each of a layer's own names.
pub(crate) type Places = [(&'static str, usize)];

fn place(places: &Places, name: &str) -> usize {
    match places.iter().find(|(own, _)| *own == name) {
        Some((_, at)) => *at,
        None => Undeclared::unwind(name, places.iter().map(|(name, _)| *name).collect()),
    }
}

/// A layer's own parameters and statistics, by the names it declared: `w["weight"]`.
#[derive(Debug)]
pub struct Weights<'a, F> {
    pub(crate) slots: &'a [Slot<F>],
    pub(crate) places: &'a Places,
    pub(crate) key: u64,
    /// The layer's further inputs, by name.
    pub(crate) inputs: &'a [(&'a str, &'a Tensor<F>)],
}

impl<F: Scalar> Weights<'_, F> {
    /// A further input of the layer ([`Net::with`](crate::Net::with)), `[n, ..]`, if the net gives it one of this name.
    pub fn input(&self, name: &str) -> Option<&Tensor<F>> {
        self.inputs.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// A number that is different for each layer of a model, for layers that draw random numbers.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Whether this one is frozen.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.slots[place(self.places, name)].frozen
    }
}

impl<F: Scalar> Index<&str> for Weights<'_, F> {
    type Output = Tensor<F>;
    fn index(&self, name: &str) -> &Tensor<F> {
        &self.slots[place(self.places, name)].value
    }
}

/// As [`Weights`], but mutable: only in [`Layer::commit`](crate::Layer::commit).
#[derive(Debug)]
pub struct WeightsMut<'a, F> {
    pub(crate) slots: &'a mut [Slot<F>],
    pub(crate) places: &'a Places,
}

impl<F: Scalar> Index<&str> for WeightsMut<'_, F> {
    type Output = Tensor<F>;
    fn index(&self, name: &str) -> &Tensor<F> {
        &self.slots[place(self.places, name)].value
    }
}

impl<F: Scalar> WeightsMut<'_, F> {
    /// The numbers of one, to change. Its shape is fixed.
    pub fn data_mut(&mut self, name: &str) -> &mut [F] {
        self.slots[place(self.places, name)].value.data_mut()
    }
}

/// The gradients of a layer's own parameters, as far as they are needed: a frozen parameter has none, and no parameter
/// has one in a pass that needs only the input gradient.
#[derive(Debug)]
pub struct LayerGrads<'a, F> {
    pub(crate) grads: Option<&'a mut Grads<F>>,
    pub(crate) slots: &'a [Slot<F>],
    pub(crate) places: &'a Places,
}

impl<F: Scalar> LayerGrads<'_, F> {
    /// Whether the gradient of this parameter is needed.
    pub fn wants(&self, name: &str) -> bool {
        self.grads.is_some() && self.slots[place(self.places, name)].is_trainable()
    }

    /// The gradient to add to, or `None` if it is not needed.
    pub fn add(&mut self, name: &str) -> Option<&mut [F]> {
        let (grad, how) = self.write(name)?;
        if how == Accumulate::Overwrite {
            grad.fill(F::zero());
        }
        Some(grad)
    }

    /// As [`add`](Self::add), for products that can also overwrite: the first one of a step needs no zeros to add to.
    pub fn write(&mut self, name: &str) -> Option<(&mut [F], Accumulate)> {
        if !self.wants(name) {
            return None;
        }
        self.grads.as_deref_mut().map(|grads| grads.write(place(self.places, name)))
    }

    /// As [`write`](Self::write), for two parameters at once.
    pub fn write_two(&mut self, names: [&str; 2]) -> [Option<(&mut [F], Accumulate)>; 2] {
        let wanted = names.map(|name| self.wants(name).then(|| place(self.places, name)));
        let Some(grads) = self.grads.as_deref_mut() else { return [None, None] };
        match wanted {
            [None, None] => [None, None],
            [Some(at), None] => [Some(grads.write(at)), None],
            [None, Some(at)] => [None, Some(grads.write(at))],
            [Some(a), Some(b)] => {
                let pair = grads.of.get_disjoint_mut([a, b]).expect("two names of one layer are two slots");
                pair.map(|grad| Some(grad.write()))
            }
        }
    }
}

/// The gradients of a model's parameters, kept apart from the model.
#[derive(Debug, Clone)]
pub struct Grads<F = f32> {
    of: Vec<Grad<F>>,
}

/// The gradient of one slot; empty for statistics.
#[derive(Debug, Clone)]
struct Grad<F> {
    value: Tensor<F>,
    present: bool,
}

impl<F: Scalar> Grad<F> {
    fn write(&mut self) -> (&mut [F], Accumulate) {
        let how = if self.present { Accumulate::Add } else { Accumulate::Overwrite };
        self.present = true;
        (self.value.data_mut(), how)
    }
}

impl<F: Scalar> Grads<F> {
    pub(crate) fn new(slots: &[Slot<F>]) -> Self {
        let one = |slot: &Slot<F>| {
            let value = if slot.learned { slot.value.alike(F::zero()) } else { Tensor::default() };
            Grad { value, present: false }
        };
        Self { of: slots.iter().map(one).collect() }
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// Forgets all gradients. It writes nothing to memory: the next gradients overwrite the old ones.
    pub fn clear(&mut self) {
        self.of.iter_mut().for_each(|grad| grad.present = false);
    }

    /// The gradient of a model's slot, counted as in [`Model::slots`](crate::Model::slots), or `None` where no
    /// backward pass has added to it since the last [`clear`](Self::clear).
    pub fn get(&self, slot: usize) -> Option<&Tensor<F>> {
        self.of.get(slot).filter(|grad| grad.present).map(|grad| &grad.value)
    }

    /// As [`get`](Self::get), but mutable.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut [F]> {
        self.of.get_mut(slot).filter(|grad| grad.present).map(|grad| grad.value.data_mut())
    }

    /// Checks that these are the gradients of this model.
    pub(crate) fn check(&self, slots: &[Slot<F>]) -> Result<(), Error> {
        match self.fits(slots) {
            true => Ok(()),
            false => Err(Error::argument("grads", "Model::grads of this model", "those of another")),
        }
    }

    fn fits(&self, slots: &[Slot<F>]) -> bool {
        let fits =
            |(grad, slot): (&Grad<F>, &Slot<F>)| !slot.learned || grad.value.shape() == slot.value.shape();
        self.of.len() == slots.len() && self.of.iter().zip(slots).all(fits)
    }

    pub(crate) fn write(&mut self, slot: usize) -> (&mut [F], Accumulate) {
        self.of[slot].write()
    }
}
