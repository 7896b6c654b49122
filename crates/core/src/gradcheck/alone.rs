//! One layer outside a model: passes with buffers of the check's own, and a panic made an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rand::Rng;

use crate::gradcheck::report::GradientError;
use crate::layer::undeclared::Undeclared;
use crate::layer::weights::{Grads, LayerGrads, Slot, Weights, WeightsMut};
use crate::layer::{Backward, Context, DynCache, DynLayer, InputGrads, Mode, Reads};
use crate::net::model::Model;
use crate::net::program::OpKind;
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::shape::Shape;

/// A layer with its own copy of the parameters.
pub(super) struct Alone {
    pub(super) layer: Arc<dyn DynLayer<f64>>,
    /// Its name in messages.
    pub(super) name: String,
    pub(super) input: Shape,
    pub(super) output: Shape,
    pub(super) slots: Vec<Slot<f64>>,
    /// The layer's own names, in the order of the slots.
    pub(super) places: Vec<(&'static str, usize)>,
    /// Its further inputs: a name, and the values of one sample, which every sample gets.
    pub(super) others: Vec<(Box<str>, Tensor<f64>)>,
    key: u64,
}

/// How a pass is made.
#[derive(Clone, Copy)]
pub(super) struct PassSettings {
    pub(super) ctx: Context,
    /// Selects the numbers in y and in dx before the pass writes them.
    pub(super) noise: u64,
    /// Which of input and output the backward pass gets.
    pub(super) there: Reads,
    pub(super) dx: bool,
    pub(super) grads: bool,
}

/// What a pass wrote.
pub(super) struct PassOutput {
    pub(super) y: Tensor<f64>,
    pub(super) dx: Option<Tensor<f64>>,
    /// The gradients with respect to the further inputs.
    pub(super) others: Vec<Tensor<f64>>,
    pub(super) grads: Option<Grads<f64>>,
    pub(super) cache: Box<dyn DynCache>,
}

impl Alone {
    /// The layer of an operation, with the model's parameters as they are; none if it is a sum or a concatenation.
    pub(super) fn of(model: &Model<f64>, op: usize, name: String) -> Option<Self> {
        Self::with(model, op, name, Vec::new())
    }

    /// As [`of`](Self::of), of a layer with these further inputs.
    pub(super) fn with(
        model: &Model<f64>,
        op: usize,
        name: String,
        others: Vec<(Box<str>, Tensor<f64>)>,
    ) -> Option<Self> {
        let program = model.program();
        let op_at = &program.ops[op];
        let OpKind::Layer(layer) = &op_at.kind else { return None };
        let slots = op_at.places.iter().map(|&(_, at)| model.slots()[at].clone()).collect();
        let places = op_at.places.iter().enumerate().map(|(i, &(name, _))| (name, i)).collect();
        let (input, output) = (program.shapes[op_at.inputs[0]], program.shapes[op + 1]);
        Some(Self { layer: Arc::clone(layer), name, input, output, slots, places, others, key: op_at.key })
    }

    /// The error for a promise that the layer breaks.
    pub(super) fn broken(
        &self,
        expected: impl Into<String>,
        got: impl Into<String>,
        help: impl Into<String>,
    ) -> GradientError {
        let layer = self.name.clone();
        GradientError::Contract { layer, expected: expected.into(), got: got.into(), help: help.into() }
    }

    fn weights<'a>(&'a self, inputs: &'a [(&'a str, &'a Tensor<f64>)]) -> Weights<'a, f64> {
        Weights { slots: &self.slots, places: &self.places, key: self.key, inputs }
    }

    /// The further inputs for a batch of this size.
    fn others(&self, samples: usize) -> Result<Vec<Tensor<f64>>, GradientError> {
        self.others.iter().map(|(_, one)| repeated(one, samples)).collect()
    }

    /// The further inputs with their names.
    fn named<'a>(&'a self, others: &'a [Tensor<f64>]) -> Vec<(&'a str, &'a Tensor<f64>)> {
        self.others.iter().zip(others).map(|((name, _), value)| (&**name, value)).collect()
    }

    /// Runs code of the layer; `what` says in which pass.
    pub(super) fn guarded<T>(&self, what: &str, run: impl FnOnce() -> T) -> Result<T, GradientError> {
        guarded(&self.name, what, run)
    }

    /// A pass forward, into a y full of noise.
    pub(super) fn forward(
        &self,
        x: &Tensor<f64>,
        cache: &mut dyn DynCache,
        ctx: &Context,
        noise: u64,
    ) -> Result<Tensor<f64>, GradientError> {
        // A pass may be over shorter sequences.
        let shape = self.guarded("output_shape", || self.layer.output_shape(&x.shape()[1..]))?;
        let shape = shape.and_then(|shape| shape.batched(x.batch())).map_err(crate::Error::from)?;
        let others = self.others(x.batch())?;
        let others = self.named(&others);
        let mut y = Tensor::zeros(&shape)?;
        fill_with_noise(&mut y, noise);
        let what = format!("forward, {}", circumstances(x, ctx));
        self.guarded(&what, || self.layer.forward(&self.weights(&others), x, &mut y, cache, ctx))?;
        match y.shape() == shape {
            true => Ok(y),
            false => Err(self.broken(
                format!("y of {shape} after forward, as output_shape says"),
                y.shape().to_string(),
                "y has its shape already: write its numbers, and correct output_shape if that is wrong",
            )),
        }
    }

    /// A pass backward, into a dx full of noise.
    pub(super) fn backward(
        &self,
        x: &Tensor<f64>,
        dy: &Tensor<f64>,
        done: &mut PassOutput,
        how: &PassSettings,
    ) -> Result<(), GradientError> {
        let nothing = Tensor::default();
        let mut dy = dy.clone();
        let mut dx = if how.dx { Some(Tensor::zeros(&x.shape())?) } else { None };
        if let Some(dx) = &mut dx {
            fill_with_noise(dx, how.noise);
        }
        let others = self.others(x.batch())?;
        let named = self.named(&others);
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        let mut of: Vec<_> = others.iter().cloned().map(Some).collect();
        of.iter_mut().flatten().for_each(|gradient| fill_with_noise(gradient, how.noise));
        let pass = Backward {
            x: if how.there.x { x } else { &nothing },
            y: if how.there.y { &done.y } else { &nothing },
            dy: &mut dy,
            dx: dx.as_mut(),
            others: InputGrads { names: &names, of: &mut of },
            grads: LayerGrads { grads: done.grads.as_mut(), slots: &self.slots, places: &self.places },
        };
        let without = match (how.dx, how.grads) {
            (true, true) => "",
            (true, false) => " without parameter gradients",
            (false, _) => " without dx",
        };
        let what = format!("backward{without}, {}", circumstances(x, &how.ctx));
        let cache = done.cache.as_mut();
        self.guarded(&what, || self.layer.backward(&self.weights(&named), pass, cache, &how.ctx))?;
        done.others = of.into_iter().flatten().collect();
        match &dx {
            Some(dx) if dx.shape() != x.shape() => Err(self.broken(
                format!("dx of {} after backward, the shape of x", x.shape()),
                dx.shape().to_string(),
                "dx has its shape already: write its numbers",
            )),
            _ => {
                done.dx = dx;
                Ok(())
            }
        }
    }

    /// Both passes, with a cache as it comes or with a new one.
    pub(super) fn pass(
        &self,
        x: &Tensor<f64>,
        dy: &Tensor<f64>,
        cache: Option<Box<dyn DynCache>>,
        how: &PassSettings,
    ) -> Result<PassOutput, GradientError> {
        let mut cache = cache.unwrap_or_else(|| self.layer.new_cache());
        let y = self.forward(x, cache.as_mut(), &how.ctx, how.noise)?;
        let grads = how.grads.then(|| Grads::new(&self.slots));
        let mut done = PassOutput { y, dx: None, others: Vec::new(), grads, cache };
        self.backward(x, dy, &mut done, how)?;
        Ok(done)
    }

    /// The pass of a training step or of a prediction that computes all gradients.
    pub(super) fn how(&self, ctx: &Context) -> PassSettings {
        PassSettings { ctx: *ctx, noise: 1, there: self.layer.reads(), dx: true, grads: true }
    }

    /// The same layer with one of its parameters frozen.
    pub(super) fn with_frozen(&self, at: usize) -> Self {
        let mut slots = self.slots.clone();
        slots[at].set_frozen(true);
        let (layer, name, places) = (Arc::clone(&self.layer), self.name.clone(), self.places.clone());
        Self { layer, name, slots, places, others: self.others.clone(), ..*self }
    }

    /// What was seen in a pass, folded into what is remembered.
    pub(super) fn commit(&mut self, cache: &dyn DynCache) -> Result<(), GradientError> {
        let Self { layer, name, slots, places, .. } = self;
        guarded(name, "commit", || layer.commit(cache, &mut WeightsMut { slots, places }))
    }
}

/// A batch of this size that repeats the samples of another.
pub(super) fn repeated(x: &Tensor<f64>, samples: usize) -> Result<Tensor<f64>, GradientError> {
    let mut shape = x.shape();
    shape.set_first(samples);
    let mut all = Tensor::zeros(&shape)?;
    let length = all.data().len();
    let numbers = x.data().iter().cycle().take(length);
    all.data_mut().iter_mut().zip(numbers).for_each(|(to, &from)| *to = from);
    Ok(all)
}

/// `training, 3 samples`.
fn circumstances(x: &Tensor<f64>, ctx: &Context) -> String {
    let mode = if ctx.mode == Mode::Train { "training" } else { "evaluation" };
    let samples = x.batch();
    format!("{mode}, {samples} {}", if samples == 1 { "sample" } else { "samples" })
}

/// Runs code under check; a panic is an error that says in which pass.
pub(super) fn guarded<T>(layer: &str, what: &str, run: impl FnOnce() -> T) -> Result<T, GradientError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let (expected, got, help) = match panic.downcast_ref::<Undeclared>() {
            Some(undeclared) => (
                format!("{} ({what})", undeclared.expected()),
                undeclared.got(),
                "declare it there with declare.learned or declare.remembered, under the same name",
            ),
            None => (
                format!("no panic ({what})"),
                format!("a panic: {}", message(panic.as_ref())),
                "the panic's message above names the line",
            ),
        };
        GradientError::Contract { layer: layer.to_owned(), expected, got, help: help.to_owned() }
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of no text").to_owned()
}

/// Large numbers, other ones for every `noise`.
fn fill_with_noise(tensor: &mut Tensor<f64>, noise: u64) {
    let mut rng = stream(noise, Purpose::GradientCheck, 3, 0);
    tensor.data_mut().iter_mut().for_each(|v| *v = rng.random_range(-1000.0..1000.0));
}
