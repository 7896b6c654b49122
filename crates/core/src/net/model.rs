//! A network with shapes and parameters, ready to be trained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ShapeError, join_path};
use crate::layer::Sequence;
use crate::layer::weights::{Grads, Slot, SlotMut};
use crate::net::Net;
use crate::net::needs::Needs;
use crate::net::pattern::matches;
use crate::net::program::{OpKind, Program};
use crate::net::ties;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A network with known shapes and with its parameters, which have names.
///
/// ```
/// use backstitch::{Model, Net, layers::dense};
/// use backstitch::ndarray::Array;
/// let net = Net::new().named("hidden", dense(16).relu()).named("output", dense(3));
/// let model: Model = Model::new(net, &[4], 42)?;
/// let logits = model.predict(&Array::zeros((5, 4)))?;
/// assert_eq!(logits.shape(), [5, 3]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct Model<F: Scalar = f32> {
    net: Net,
    program: Arc<Program<F>>,
    slots: Vec<Slot<F>>,
    version: u64,
    needs: Needs,
}

/// The copy is a separate model: a trace of one cannot be used with the other.
impl<F: Scalar> Clone for Model<F> {
    fn clone(&self) -> Self {
        Self {
            net: self.net.clone(),
            program: Arc::clone(&self.program),
            slots: self.slots.clone(),
            version: next_version(),
            needs: self.needs,
        }
    }
}

/// A number that is different for each model: a trace's plans are valid for one model.
fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<F: Scalar> Model<F> {
    /// Infers every shape from that of one input sample, and draws the initial parameters from the seed.
    ///
    /// # Errors
    /// If there is no layer, or one cannot take its input: the message says which, what it expected and what it got. If
    /// parameters, their gradients and a training pass over one sample would take more memory than
    /// [`MEMORY_LIMIT`](crate::MEMORY_LIMIT) or than is available, or such a pass more work than [`WORK_LIMIT`](crate::WORK_LIMIT). No memory is
    /// allocated before this is checked.
    pub fn new(net: impl Into<Net>, input: &[usize], seed: u64) -> Result<Self, Error> {
        Self::with_inputs(net, input, &[], seed)
    }

    /// As [`new`](Self::new), for a net with named inputs ([`input`](crate::input)): `named` has their names and shapes, without the axis of
    /// samples.
    ///
    /// # Errors
    /// As [`new`](Self::new); and if a named input of the net is not listed, or one that is listed is not in the net.
    pub fn with_inputs(
        net: impl Into<Net>,
        input: &[usize],
        named: &[(&str, &[usize])],
        seed: u64,
    ) -> Result<Self, Error> {
        if input.is_empty() || input.len() >= crate::tensor::shape::MAX_AXES || input.contains(&0) {
            let expected = format!("1 to {} axes, none of length 0", crate::tensor::shape::MAX_AXES - 1);
            return Err(Error::argument("input shape", expected, format!("{input:?}")));
        }
        let net = net.into().chained();
        let mut program = Program::new(&net, input, named)?;
        if program.output == 0 {
            return Err(Error::argument("net", "at least one layer", "none"));
        }
        let declared = program.declare()?;
        let declared = ties::tie(&mut program, declared)?;
        let needs = Needs::of(&program, &declared)?;
        let slots = declared.iter().map(|(op, spec)| spec.slot(&program.ops[*op].path, seed));
        let slots = slots.collect::<Result<_, Error>>()?;
        Ok(Self { net, program: Arc::new(program), slots, version: next_version(), needs })
    }

    /// The same parameters under another list of operations.
    pub(crate) fn with_program(self, program: Program<F>) -> Self {
        Self { program: Arc::new(program), version: next_version(), ..self }
    }

    /// The net that the model was built from.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The memory that passes take.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    pub(crate) fn program(&self) -> &Arc<Program<F>> {
        &self.program
    }

    /// Changes whenever plans become invalid.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Shape of one input sample.
    pub fn input_shape(&self) -> Shape {
        self.program.shapes[0]
    }

    /// Shape of one output.
    pub fn output_shape(&self) -> Shape {
        self.program.shapes[self.program.output]
    }

    /// Shape of the output for one sample of another shape: a shorter sequence. `named` gives the shapes of the named inputs.
    pub(crate) fn output_shape_for(
        &self,
        input: Shape,
        named: impl Fn(&str) -> Shape,
    ) -> Result<Shape, Error> {
        Ok(self.program.shapes_for(input, named)?[self.program.output])
    }

    /// The names of the named inputs ([`input`](crate::input)), and the shape of each, of one sample.
    pub fn named_inputs(&self) -> Vec<(&str, Shape)> {
        self.program.named().map(|(value, name)| (name, self.program.shapes[value])).collect()
    }

    /// Whether the model takes shorter sequences than its input shape.
    pub(crate) fn takes_shorter(&self) -> bool {
        self.program.sequence != Sequence::No
    }

    /// Whether an input that is made for one shape can have another.
    pub(crate) fn takes(&self, made_for: &[usize], got: &[usize]) -> bool {
        made_for == got || self.is_shorter(made_for, got)
    }

    /// The layers that read the inputs as ids: the path of each, and how many ids it has.
    pub fn input_ids(&self) -> Vec<(&str, usize)> {
        let ops = &self.program.ops;
        let own = self.program.ids.iter().filter(|&&(op, _)| ops[op].inputs[0] == 0);
        own.map(|&(op, count)| (&*ops[op].path, count)).collect()
    }

    /// The path of every layer, chain, branch and block (`block2.main.conv1`), in the order of their outputs.
    pub fn paths(&self) -> Vec<&str> {
        self.program.paths()
    }

    /// The names of the model's own layers and blocks, in their order: paths without a dot.
    pub fn top_level(&self) -> Vec<&str> {
        self.program.paths().into_iter().filter(|path| !path.contains('.')).collect()
    }

    /// Every parameter and every statistic, in the order of the layers.
    pub fn slots(&self) -> &[Slot<F>] {
        &self.slots
    }

    /// Parameters that are tied ([`Net::tie`]): the full name of each, and the name of the slot whose numbers it uses.
    pub fn ties(&self) -> impl Iterator<Item = (String, &str)> {
        let names = self.program.ops.iter().flat_map(|op| {
            op.places.iter().map(|&(name, at)| (join_path(&op.path, name), self.slots[at].name()))
        });
        names.filter(|(name, slot)| name != slot)
    }

    /// As [`slots`](Self::slots), but mutable.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = SlotMut<'_, F>> {
        self.slots.iter_mut().map(SlotMut)
    }

    pub(crate) fn own_slots(&mut self) -> &mut [Slot<F>] {
        &mut self.slots
    }

    /// For each slot, whether training changes it.
    pub(crate) fn trainable(&self) -> Vec<bool> {
        self.slots.iter().map(Slot::is_trainable).collect()
    }

    /// Memory for the gradients of this model's parameters.
    pub fn grads(&self) -> Grads<F> {
        Grads::new(&self.slots)
    }

    /// Whether a training pass over a single sample makes sense, or which layer cannot do it.
    pub(crate) fn check_one_sample(&self) -> Result<(), Error> {
        for op in &self.program.ops {
            let OpKind::Layer(layer) = &op.kind else { continue };
            let input = self.program.shapes[op.inputs[0]];
            // Frozen statistics are used in training too.
            let frozen = |&(_, at): &(&str, usize)| self.slots[at].is_learned() || self.slots[at].is_frozen();
            if layer.cost(&input).least_samples > 1 && !op.places.iter().all(frozen) {
                let expected = "more than one value for each channel in training";
                let got = format!("one sample of {input}");
                return Err(ShapeError::new(layer.describe(), expected, got).within(&op.path).into());
            }
        }
        Ok(())
    }

    pub(crate) fn check_input(&self, shape: &[usize]) -> Result<(), Error> {
        match shape.split_first() {
            Some((_, sample))
                if sample == &*self.input_shape() || self.is_shorter(&self.input_shape(), sample) =>
            {
                Ok(())
            }
            _ => {
                let sample: Vec<_> = self.input_shape().iter().map(ToString::to_string).collect();
                let one =
                    if *shape == *self.input_shape() { ", one sample without the first axis" } else { "" };
                Err(Error::argument(
                    "input",
                    format!(
                        "[samples, {}]{}",
                        sample.join(", "),
                        if self.program.sequence == Sequence::No { "" } else { " or shorter sequences" }
                    ),
                    format!("{shape:?}{one}"),
                ))
            }
        }
    }

    /// Whether `sample` is a shorter sequence than `longest`, in a model of sequences.
    fn is_shorter(&self, longest: &[usize], sample: &[usize]) -> bool {
        match (self.program.sequence, longest, sample) {
            (Sequence::No, ..) => false,
            (_, [most, rest @ ..], [time, own @ ..]) => rest == own && (1..=*most).contains(time),
            _ => false,
        }
    }

    /// Checks a named input against the shape that the model was made for.
    pub(crate) fn check_named(
        &self,
        name: &str,
        made_for: &[usize],
        got: &[usize],
        samples: usize,
    ) -> Result<(), Error> {
        match got.split_first() {
            Some((&n, sample))
                if n == samples && (sample == made_for || self.is_shorter(made_for, sample)) =>
            {
                Ok(())
            }
            _ => {
                let expected: Vec<_> = [samples].iter().chain(made_for).map(ToString::to_string).collect();
                let expected = format!("[{}]", expected.join(", "));
                Err(Error::argument(format!("input {name:?}"), expected, format!("{got:?}")))
            }
        }
    }

    /// Every parameter and statistic by its full name.
    pub fn state(&self) -> BTreeMap<&str, &Tensor<F>> {
        self.slots.iter().map(|slot| (slot.name(), slot.value())).collect()
    }

    /// Full names of the parameters and buffers that match a pattern, in which `*` stands for any letters.
    pub fn names(&self, pattern: &str) -> Vec<String> {
        self.state().into_keys().filter(|name| matches(pattern, name)).map(str::to_owned).collect()
    }

    /// Loads saved parameters and buffers. If one of them does not fit, nothing is changed. NaN and infinite numbers are loaded too, so that
    /// a network that diverged can be inspected.
    ///
    /// # Errors
    /// Lists every name that is missing, unexpected or of another shape.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor<F>>) -> Result<(), Error> {
        self.load_part("*", state)
    }

    /// As [`load_state`](Self::load_state), for the parameters and buffers whose names match a pattern, such as those of a pretrained
    /// base: `features.*`. The others are not changed.
    ///
    /// # Errors
    /// As [`load_state`](Self::load_state), among the names that match; and if no name matches.
    pub fn load_part(&mut self, pattern: &str, state: &BTreeMap<String, Tensor<F>>) -> Result<(), Error> {
        let shapes = state.iter().map(|(name, value)| (name.clone(), value.shape())).collect();
        self.check_part(pattern, &shapes)?;
        for slot in &mut self.slots {
            if let Some(saved) = state.get(slot.name()) {
                slot.value_mut().copy_from(saved);
            }
        }
        Ok(())
    }

    /// Copies the parameters and buffers of another model whose names match a pattern, such as those of a pretrained base: `base.*`. The
    /// others are not changed. Returns the number of tensors.
    ///
    /// # Errors
    /// If no name matches, or the other model lacks one of these or has it with another shape. The message lists all of them, and nothing is changed.
    pub fn copy_part(&mut self, pattern: &str, from: &Self) -> Result<usize, Error> {
        let state = from.state().into_iter().filter(|(name, _)| matches(pattern, name));
        let state: BTreeMap<_, _> = state.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        self.load_part(pattern, &state).map(|()| state.len())
    }

    /// Compares names and shapes with those of the parameters and buffers that match a pattern, as [`load_part`](Self::load_part) does
    /// before it changes anything.
    ///
    /// # Errors
    /// As [`load_part`](Self::load_part).
    pub fn check_part(&self, pattern: &str, shapes: &BTreeMap<String, Shape>) -> Result<(), Error> {
        let mut own = self.state();
        // A model may have no parameters at all, and then an empty state fits.
        let has_parameters = !own.is_empty();
        own.retain(|name, _| matches(pattern, name));
        if own.is_empty() && has_parameters {
            return Err(self.unknown_parameter(pattern));
        }
        let missing: Vec<_> =
            own.keys().filter(|&&name| !shapes.contains_key(name)).map(|&n| n.to_owned()).collect();
        let known: BTreeSet<_> = own.keys().copied().collect();
        let unexpected: Vec<_> =
            shapes.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
        let differing: Vec<_> = own
            .iter()
            .filter_map(|(name, value)| shapes.get(*name).map(|saved| (name, value.shape(), saved)))
            .filter(|(_, own, saved)| own != *saved)
            .map(|(name, own, saved)| format!("{name}: expected {own}, got {saved}"))
            .collect();
        if !(missing.is_empty() && unexpected.is_empty() && differing.is_empty()) {
            return Err(Error::State { missing, unexpected, shapes: differing });
        }
        Ok(())
    }

    /// Freezes every parameter and buffer whose name matches: optimizers do not change them, and a batch
    /// normalization whose running statistics are frozen uses them in training too. `*` stands for any
    /// letters: `features.*`, `*.bias`. Returns their number.
    ///
    /// # Errors
    /// If no name matches.
    pub fn freeze(&mut self, pattern: &str) -> Result<usize, Error> {
        self.set_frozen(pattern, true)
    }

    /// The opposite of [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// If no name matches.
    pub fn unfreeze(&mut self, pattern: &str) -> Result<usize, Error> {
        self.set_frozen(pattern, false)
    }

    fn set_frozen(&mut self, pattern: &str, frozen: bool) -> Result<usize, Error> {
        let mut count = 0;
        for slot in self.slots.iter_mut().filter(|slot| matches(pattern, slot.name())) {
            slot.set_frozen(frozen);
            count += 1;
        }
        if count == 0 {
            return Err(self.unknown_parameter(pattern));
        }
        self.version = next_version();
        Ok(count)
    }

    fn unknown_parameter(&self, pattern: &str) -> Error {
        Error::unknown("parameter", pattern, self.state().into_keys())
    }

    /// The number of parameters (single numbers), frozen ones included.
    pub fn parameter_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_learned()).map(|slot| slot.value().data().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Context;
    use crate::layers::{batch_norm, dense};
    use crate::net::plan::Keep;
    use crate::net::trace::Trace;

    #[test]
    fn a_model_without_parameters_takes_on_an_empty_state() {
        let net = Net::new().push(crate::layers::flatten());
        let mut model: Model = Model::new(net, &[2, 2, 1], 0).unwrap();
        model.load_state(&BTreeMap::new()).unwrap();
        let unexpected = BTreeMap::from([("w".to_owned(), Tensor::zeros(&[1]).unwrap())]);
        assert!(model.load_state(&unexpected).is_err());
    }

    #[test]
    fn freezing_says_what_there_is_where_nothing_matches() {
        let net = Net::new().push(dense(3).relu()).push(batch_norm());
        let mut model: Model = Model::new(net, &[4], 0).unwrap();
        assert_eq!(model.freeze("batchnorm1.*").unwrap(), 4);
        assert_eq!(model.unfreeze("*running*").unwrap(), 2);
        assert_eq!(
            model.freeze("features.*").unwrap_err().to_string(),
            "parameter \"features.*\": expected one of batchnorm1.bias, batchnorm1.running_mean, \
             batchnorm1.running_var, batchnorm1.weight, dense1.bias, dense1.weight, got no match"
        );
    }

    #[test]
    fn batch_norm_over_features_needs_more_than_one_sample_in_training() {
        let net = Net::new().push(dense(3).relu()).named("norm", batch_norm());
        let model: Model = Model::new(net, &[4], 0).unwrap();
        let mut trace = Trace::new(Keep::ForBackward);
        let x = Tensor::zeros(&[1, 4]).unwrap();
        assert_eq!(
            model.forward(&x, &mut trace, &Context::train(0, 0)).unwrap_err().to_string(),
            "norm (BatchNorm): expected more than one value for each channel in training, got one sample of [3]"
        );
        model.forward(&x, &mut trace, &Context::evaluate()).unwrap();
    }
}
