//! A network that knows its shapes: built, named, ready to be trained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, ArrayD, ArrayViewD, Axis, IxDyn, Slice};

use crate::error::{Error, ShapeError};
use crate::finite;
use crate::kernels::elementwise::softmax_rows;
use crate::layer::{Children, Context, Layer, Mode, Place, walk};
use crate::layers::Sequential;
use crate::logits;
use crate::memory::{self, WORK_LIMIT};
use crate::param::{Slot, SlotMut};
use crate::pattern::matches;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::{Keep, Pass, Trace};

/// Samples predicted at once: enough for full speed, few enough for the cache.
const PREDICTION_BATCH: usize = 256;

/// A pass that takes no more than this is not asked about: the limit is for what may end the program.
const ASKED_ABOVE: u64 = 1 << 30;

/// A network with known shapes, its parameters made and named.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::dense};
/// use ndarray::Array;
/// let net = Sequential::new()
///     .named("hidden", dense(16, Activation::Tanh))
///     .named("output", dense(3, Activation::Linear));
/// let model: Model = Model::new(net, &[4], 42)?;
/// let logits = model.predict(&Array::zeros((5, 4)).into_dyn().view())?;
/// assert_eq!(logits.shape(), [5, 3]);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Model<F: Scalar = f32> {
    net: Sequential<F>,
    input: Shape,
    output: Shape,
    /// Tells models apart.
    id: u64,
    /// The shapes of parameters and buffers, in the order of [`visit`](Self::visit).
    shapes: Vec<Shape>,
    needs: Needs,
}

/// Bytes that passes take.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// In training, for each sample.
    training: u64,
    /// In prediction, for each sample.
    prediction: u64,
}

impl<F: Scalar> Model<F> {
    /// Infers every shape from that of one input sample, and makes the parameters from the seed.
    ///
    /// # Errors
    /// If a layer cannot take what comes to it: the message says which, what it expected and what
    /// it got. If parameters, their gradients and a training pass over one sample would take more memory than
    /// [`MEMORY_LIMIT`](crate::MEMORY_LIMIT) or than there is, or such a pass more work than [`WORK_LIMIT`]. Nothing is taken before that is
    /// known.
    pub fn new(mut net: Sequential<F>, input: &[usize], seed: u64) -> Result<Self, Error> {
        if input.is_empty() || input.len() >= crate::shape::MAX_AXES || input.contains(&0) {
            let expected = format!("1 to {} axes, none of length 0", crate::shape::MAX_AXES - 1);
            return Err(Error::argument("input shape", expected, format!("{input:?}")));
        }
        let output = net.output_shape(input)?;
        let input = Shape::of(input);
        let needs = check_needs(&net, input, output)?;
        let place = Place::root(seed);
        net.build(&input, &place);
        place.finish()?;
        static MODELS: AtomicU64 = AtomicU64::new(0);
        let id = MODELS.fetch_add(1, Ordering::Relaxed);
        let mut model = Self { net, input, output, id, shapes: Vec::new(), needs };
        let mut shapes = Vec::new();
        model.visit(&mut |slot| shapes.push(slot.value().shape()));
        model.shapes = shapes;
        Ok(model)
    }

    /// The layers.
    pub fn net(&self) -> &Sequential<F> {
        &self.net
    }

    pub(crate) fn net_mut(&mut self) -> &mut Sequential<F> {
        &mut self.net
    }

    /// Shape of one input sample.
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// Shape of one output.
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// y = f(x), with everything of the pass in the trace: `trace.y` is the output.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, of at least one sample in training; if a parameter or buffer was given another shape; or if the
    /// pass would take more memory than [`MEMORY_LIMIT`](crate::MEMORY_LIMIT) or than there is.
    pub fn forward(&self, x: &Tensor<F>, trace: &mut Trace<F>, ctx: &Context) -> Result<(), Error> {
        self.check_input(&x.shape())?;
        if x.batch() == 0 && ctx.mode == Mode::Train {
            return Err(Error::argument("input", "at least one sample to train on", x.shape()));
        }
        self.check_parameters()?;
        self.check_pass(x.batch(), trace)?;
        if x.batch() == 1 && ctx.mode == Mode::Train {
            self.check_one_sample()?;
        }
        trace.set_pass(None);
        self.net.forward(x, trace, ctx);
        // Of a prediction nothing can be done backward, and a hash would be part of its time.
        trace.set_pass((trace.keep() != Keep::Last).then(|| Pass::of(self.id, x)));
        Ok(())
    }

    /// Whether every parameter and buffer has the shape it was built with.
    pub(crate) fn check_parameters(&self) -> Result<(), Error> {
        let mut shapes = self.shapes.iter();
        let mut result = Ok(());
        self.visit(&mut |slot| {
            let (shape, whole) =
                (slot.value().shape(), !matches!(slot, Slot::Param(param) if !param.is_whole()));
            let expected = shapes.next();
            if result.is_ok() && (expected != Some(&shape) || !whole) {
                let expected =
                    format!("{} and a gradient of that shape", expected.copied().unwrap_or_default());
                result = Err(Error::argument(format!("parameter {}", slot.name()), expected, shape));
            }
        });
        result
    }

    /// Whether there is memory for a pass over this number of samples, beyond what the trace has.
    fn check_pass(&self, samples: usize, trace: &Trace<F>) -> Result<(), Error> {
        let one = if trace.keep() == Keep::Last { self.needs.prediction } else { self.needs.training };
        let all = one.saturating_mul(samples as u64);
        if all <= ASKED_ABOVE {
            return Ok(());
        }
        let more = all.saturating_sub(trace.bytes() as u64);
        if memory::is_there(more) && all <= memory::MEMORY_LIMIT {
            return Ok(());
        }
        let got = format!("{samples} samples of {} each", memory::in_words(one));
        Err(Error::argument("batch", memory::expected(), got))
    }

    /// Whether a training pass over a single sample makes sense, or which layer cannot do it.
    pub(crate) fn check_one_sample(&self) -> Result<(), Error> {
        let mut result = Ok(());
        if self.net.cost(&self.input).least_samples == 1 {
            return result;
        }
        walk(&self.net, "", self.input, &mut |path, layer, input| {
            let inside = matches!(layer.children(), Children::None);
            if inside && result.is_ok() && layer.cost(&input).least_samples > 1 {
                let expected = "more than one value for each channel in training";
                let got = format!("one sample of {input}");
                result = Err(ShapeError::new(layer.describe(), expected, got).within(path).into());
            }
        });
        result
    }

    /// From `trace.dy`, the gradient with respect to the output, to those of the parameters (added)
    /// and of `x` (overwritten, where wanted). The trace must come from [`forward`](Self::forward)
    /// with the same `x`, keeping more than the output.
    ///
    /// # Errors
    /// If the trace keeps only the output, is not that of this model's latest forward pass over this `x`, or `trace.dy` has another shape
    /// than `trace.y`. (Of `x` its shape and some of its numbers are compared.)
    pub fn backward(
        &mut self,
        x: &Tensor<F>,
        trace: &mut Trace<F>,
        dx: Option<&mut Tensor<F>>,
        ctx: &Context,
    ) -> Result<(), Error> {
        if trace.keep() == Keep::Last {
            return Err(Error::argument("trace", "Keep::ForBackward or Keep::All", "Keep::Last"));
        }
        self.check_parameters()?;
        let pass = self.pass_of(trace)?;
        let here = Pass::of(self.id, x);
        if here != pass {
            let (expected, got) = match here.input == pass.input {
                true => ("the batch that the forward pass was over".to_owned(), "other numbers".to_owned()),
                false => (format!("{}, as in the forward pass", pass.input), here.input.to_string()),
            };
            return Err(Error::argument("x", expected, got));
        }
        let expected = self.output.batched(x.batch())?;
        if trace.y.shape() != expected || trace.dy.shape() != expected {
            let got = format!("y {}, dy {}", trace.y.shape(), trace.dy.shape());
            return Err(Error::argument("trace", format!("y and dy of {expected}"), got));
        }
        self.net.backward(x, trace, dx, ctx);
        Ok(())
    }

    /// The pass of this model that a trace holds.
    fn pass_of(&self, trace: &Trace<F>) -> Result<Pass, Error> {
        let expected = "one of this model's forward pass";
        match trace.pass() {
            Some(pass) if pass.model == self.id => Ok(pass),
            Some(_) => Err(Error::argument("trace", expected, "that of another model")),
            None => Err(Error::argument("trace", expected, "one without a pass")),
        }
    }

    /// Folds what a training pass saw into running statistics, once a step.
    ///
    /// # Errors
    /// If the trace is not that of this model's forward pass, or keeps only the output.
    pub fn commit(&mut self, trace: &Trace<F>) -> Result<(), Error> {
        if trace.keep() == Keep::Last {
            return Err(Error::argument("trace", "Keep::ForBackward or Keep::All", "Keep::Last"));
        }
        self.pass_of(trace)?;
        self.check_parameters()?;
        self.net.commit(trace);
        Ok(())
    }

    /// The outputs for a batch of inputs of any size, as it is at evaluation.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, if a parameter or buffer was given another shape, or if there is no memory for the
    /// outputs or for a pass.
    pub fn predict(&self, x: &ArrayViewD<'_, F>) -> Result<ArrayD<F>, Error> {
        self.check_input(x.shape())?;
        self.check_parameters()?;
        let samples = x.shape()[0];
        let mut trace = Trace::new(Keep::Last);
        self.check_pass(samples.min(PREDICTION_BATCH), &trace)?;
        let shape = self.output.batched(samples)?;
        memory::check_tensor::<F>("outputs", &shape)?;
        let mut outputs = ArrayD::zeros(IxDyn(&shape));
        for from in (0..samples).step_by(PREDICTION_BATCH) {
            let rows = Slice::from(from..samples.min(from + PREDICTION_BATCH));
            let batch = Tensor::from_array(&x.slice_axis(Axis(0), rows))?;
            self.net.forward(&batch, &mut trace, &Context::evaluate());
            outputs.slice_axis_mut(Axis(0), rows).assign(&trace.y.view());
        }
        Ok(outputs)
    }

    /// The probability of each class, `[n, classes]`, of a model that gives logits: the softmax of
    /// [`predict`](Self::predict).
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, its outputs are not `[classes]` or already those of a softmax, or a probability
    /// is NaN: the message says of which sample, and whether weights are the reason.
    pub fn predict_proba(&self, x: &ArrayViewD<'_, F>) -> Result<Array2<F>, Error> {
        let classes = logits::classes_to_predict(self)?;
        let mut rows = self.predict(x)?.into_raw_vec_and_offset().0;
        softmax_rows(&mut rows, classes);
        finite::check_outputs(self, &rows, 0)?;
        Ok(Array2::from_shape_vec((x.shape()[0], classes), rows).expect("as many as predicted"))
    }

    fn check_input(&self, shape: &[usize]) -> Result<(), Error> {
        match shape.split_first() {
            Some((_, sample)) if sample == &*self.input => Ok(()),
            _ => {
                let sample: Vec<_> = self.input.iter().map(ToString::to_string).collect();
                Err(Error::argument(
                    "input",
                    format!("[samples, {}]", sample.join(", ")),
                    format!("{shape:?}"),
                ))
            }
        }
    }

    /// Shows every parameter and buffer, always in the same order.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        self.net.visit(f);
    }

    /// As [`visit`](Self::visit), to change them.
    pub fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        self.net.visit_mut(f);
    }

    /// Every parameter and buffer by its full name.
    pub fn state(&self) -> BTreeMap<&str, &Tensor<F>> {
        let mut state = BTreeMap::new();
        self.visit(&mut |slot| {
            state.insert(slot.name(), slot.value());
        });
        state
    }

    /// Full names of the parameters and buffers that match a pattern, in which `*` stands for any letters.
    pub fn names(&self, pattern: &str) -> Vec<String> {
        self.state().into_keys().filter(|name| matches(pattern, name)).map(str::to_owned).collect()
    }

    /// Takes on saved parameters and buffers. Either all of them fit, or nothing is changed. Numbers are taken as they are, NaN and infinite
    /// ones too, so that a network that went astray can be looked at.
    ///
    /// # Errors
    /// Lists every name that is missing, unexpected or of another shape.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor<F>>) -> Result<(), Error> {
        self.load_part("*", state)
    }

    /// As [`load_state`](Self::load_state), for the parameters and buffers whose names match a pattern, such as those of a pretrained
    /// base: `features.*`. The others stay as they are.
    ///
    /// # Errors
    /// As [`load_state`](Self::load_state), among the names that match; and if no name matches.
    pub fn load_part(&mut self, pattern: &str, state: &BTreeMap<String, Tensor<F>>) -> Result<(), Error> {
        let shapes = state.iter().map(|(name, value)| (name.clone(), value.shape())).collect();
        self.check_part(pattern, &shapes)?;
        self.visit_mut(&mut |mut slot| {
            if let Some(saved) = state.get(slot.name()) {
                slot.value_mut().copy_from(saved);
            }
        });
        Ok(())
    }

    /// Compares names and shapes with those of the parameters and buffers that match a pattern, as [`load_part`](Self::load_part) does
    /// before it changes anything.
    ///
    /// # Errors
    /// As [`load_part`](Self::load_part).
    pub fn check_part(&self, pattern: &str, shapes: &BTreeMap<String, Shape>) -> Result<(), Error> {
        let mut own = self.state();
        // A model may have no parameters at all, and takes on an empty state.
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

    /// Freezes every parameter and buffer whose name matches: optimizers leave them alone, and a batch
    /// normalization whose running statistics are frozen uses them in training too. `*` stands for any
    /// letters: `features.*`, `*.bias`. Returns how many there were.
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
        self.visit_mut(&mut |slot| {
            if !matches(pattern, slot.name()) {
                return;
            }
            count += 1;
            match slot {
                SlotMut::Param(param) => param.trainable = !frozen,
                SlotMut::Buffer(buffer) => buffer.frozen = frozen,
            }
        });
        if count == 0 {
            return Err(self.unknown_parameter(pattern));
        }
        Ok(count)
    }

    fn unknown_parameter(&self, pattern: &str) -> Error {
        Error::unknown("parameter", pattern, self.state().into_keys())
    }

    /// Forgets all gradients.
    pub fn clear_grads(&mut self) {
        self.visit_mut(&mut |slot| {
            if let SlotMut::Param(param) = slot {
                param.clear_grad();
            }
        });
    }

    /// How many numbers the model learns, frozen ones included.
    pub fn parameter_count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut |slot| {
            if let Slot::Param(param) = slot {
                count += param.value().data().len();
            }
        });
        count
    }
}

/// Whether a model can be held and a pass over one sample ends, computed from shapes before anything is taken.
fn check_needs<F: Scalar>(net: &Sequential<F>, input: Shape, output: Shape) -> Result<Needs, Error> {
    let cost = net.cost(&input);
    let training = memory::bytes_of_sample::<F>(&cost, output.elements());
    let of_input = memory::bytes::<F>(input.elements().saturating_mul(2), 0);
    let all = memory::bytes_of_model::<F>(&cost).saturating_add(training).saturating_add(of_input);
    // The layer that takes most is named, and how much the largest two maps side by side are is what prediction takes.
    let (mut largest, mut prediction) = ((0, String::new()), 0);
    walk(net, "", input, &mut |path, layer, input| {
        if matches!(layer.children(), Children::None) {
            let output = layer.output_shape(&input).map_or(0, |shape| shape.elements());
            let maps = memory::bytes::<F>(input.elements().saturating_add(output), 0);
            prediction = prediction.max(maps);
            let bytes = memory::bytes_of_model::<F>(&layer.cost(&input)).saturating_add(maps);
            if bytes > largest.0 {
                largest = (bytes, format!("{path} ({})", layer.describe()));
            }
        }
    });
    if !memory::is_there(all) {
        let got = format!("{}, most of it for {}", memory::in_words(all), largest.1);
        return Err(Error::argument("model", memory::expected(), got));
    }
    if cost.multiply_adds > WORK_LIMIT {
        let expected = format!("at most {WORK_LIMIT} multiplications for a sample");
        return Err(Error::argument("model", expected, cost.multiply_adds));
    }
    Ok(Needs { training, prediction })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, batch_norm, dense};

    #[test]
    fn a_model_without_parameters_takes_on_an_empty_state() {
        let net = Sequential::new().push(crate::layers::flatten());
        let mut model: Model = Model::new(net, &[2, 2, 1], 0).unwrap();
        model.load_state(&BTreeMap::new()).unwrap();
        let unexpected = BTreeMap::from([("w".to_owned(), Tensor::zeros(&[1]).unwrap())]);
        assert!(model.load_state(&unexpected).is_err());
    }

    #[test]
    fn freezing_says_what_there_is_where_nothing_matches() {
        let net = Sequential::new().push(dense(3, Activation::Relu)).push(batch_norm());
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
        let net = Sequential::new().push(dense(3, Activation::Relu)).named("norm", batch_norm());
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
