//! The one trait every layer has, whether it learns, counts or only reshapes.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use crate::cost::Cost;
use crate::error::{Error, ShapeError, join_path};
use crate::init::Init;
use crate::param::{Buffer, Param, Slot, SlotMut};
use crate::rng::{Purpose, stream};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Whether a pass is for learning or for using what was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout.
    Train,
    /// Running statistics, no dropout.
    Evaluate,
}

/// What a ReLU lets back through. All but the first are for looking inside: what comes out is no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReluRule {
    /// The derivative: the gradient, where the output was above 0.
    #[default]
    Plain,
    /// Guided backpropagation: where both the output was and the gradient is above 0 (J. Springenberg et al., "Striving for
    /// simplicity", 2015, section 3.4).
    Guided,
    /// A deconvnet's: where the gradient is above 0 (M. Zeiler and R. Fergus 2014, section 2.1).
    Deconvnet,
}

/// The circumstances of one pass.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Training or evaluation.
    pub mode: Mode,
    /// Whether a backward pass adds to the gradients of parameters. Without it only gradients with
    /// respect to inputs and activations are computed, and the model stays as it is.
    pub param_grads: bool,
    /// What a ReLU lets back through.
    pub relu: ReluRule,
    /// The run's seed, for layers that draw random numbers.
    pub seed: u64,
    /// Steps taken since training began.
    pub step: u64,
}

impl Context {
    /// A pass that trains, at the given step of a run.
    pub fn train(seed: u64, step: u64) -> Self {
        Self { mode: Mode::Train, param_grads: true, relu: ReluRule::Plain, seed, step }
    }

    /// A pass that leaves everything as it is: prediction, or gradients for looking inside.
    pub fn evaluate() -> Self {
        Self { mode: Mode::Evaluate, param_grads: false, relu: ReluRule::Plain, seed: 0, step: 0 }
    }
}

/// Where in a model a layer is being built: its path and the seed of the model.
#[derive(Debug, Clone)]
pub struct Place {
    path: String,
    seed: u64,
    /// The first parameter or buffer of the model that could not be made, and why.
    refused: Arc<OnceLock<Error>>,
}

impl Place {
    /// The outermost place.
    pub(crate) fn root(seed: u64) -> Self {
        Self { path: String::new(), seed, refused: Arc::default() }
    }

    /// Whether every parameter and buffer could be made.
    pub(crate) fn finish(self) -> Result<(), Error> {
        Arc::into_inner(self.refused).and_then(OnceLock::into_inner).map_or(Ok(()), Err)
    }

    /// The place of the child called `name`.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { path: join_path(&self.path, name), seed: self.seed, refused: Arc::clone(&self.refused) }
    }

    /// A new parameter of the layer at this place. Its first values depend on the seed and on its
    /// full name, so a layer added elsewhere in the model does not change them.
    ///
    /// Where that shape or those values cannot be, the parameter is empty, and [`Model::new`](crate::Model::new) gives the error.
    pub fn param<F: Scalar>(&self, name: &str, shape: &[usize], init: Init, fan: Fan) -> Param<F> {
        let name = join_path(&self.path, name);
        let mut rng = stream(self.seed, Purpose::Initialize, name_hash(&name), 0);
        let value = self.or_refuse(&name, init.tensor(shape, fan, &mut rng));
        Param::new(name, value)
    }

    /// A new buffer of the layer at this place, every number of it `value`. Where that shape cannot be, as for
    /// [`param`](Self::param).
    pub fn buffer<F: Scalar>(&self, name: &str, shape: &[usize], value: F) -> Buffer<F> {
        let name = join_path(&self.path, name);
        let mut first = self.or_refuse(&name, Tensor::zeros(shape));
        first.fill(value);
        Buffer::new(name, first)
    }

    /// What was made for `name`, or an empty tensor and a note of the error.
    fn or_refuse<F: Scalar>(&self, name: &str, made: Result<Tensor<F>, Error>) -> Tensor<F> {
        made.unwrap_or_else(|error| {
            // Only the first is told.
            let _ = self.refused.set(match error {
                Error::Argument { name: what, expected, got } => {
                    Error::Argument { name: format!("{what} of parameter {name}"), expected, got }
                }
                other => other,
            });
            Tensor::default()
        })
    }

    /// A number that tells the layers of a model apart, for layers that draw random numbers.
    pub fn key(&self) -> u64 {
        name_hash(&self.path)
    }
}

/// FNV-1a, 64 bits: a hash that is the same in every version and on every machine.
fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// How many inputs a unit sees and how many units see an input: what initializers scale by.
#[derive(Debug, Clone, Copy)]
pub struct Fan {
    /// Inputs of a unit.
    pub inputs: usize,
    /// Outputs that an input reaches.
    pub outputs: usize,
}

/// A function and its derivative.
///
/// What is learned is the layer's; what happened in one pass is the [`Trace`]'s. So a pass needs
/// only `&self`, many threads can predict with one model, and a pass made to look at gradients
/// cannot move anything.
///
/// The methods are for models and containers to call: a [`Model`](crate::Model) looks at x, the trace and the shapes of all parameters before a pass,
/// and layers trust that it has. Programs call those of the model.
///
/// No method has a default body: a container that forgot its children would do so in silence.
pub trait Layer<F: Scalar>: Any + Debug + Send + Sync {
    /// What the layer is, in a few words that begin with its kind: `Dense 256, relu`.
    fn describe(&self) -> String;

    /// Shape of one sample's output, or why this layer cannot take such an input.
    ///
    /// # Errors
    /// If the layer cannot take the input, or was configured with something impossible.
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError>;

    /// Makes the parameters for inputs of this shape, which [`output_shape`](Self::output_shape)
    /// has accepted, and gives every one its full name.
    fn build(&mut self, input: &[usize], place: &Place);

    /// y = f(x; parameters): writes `t.y` and what backward will want.
    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context);

    /// Reads `t.y` and `t.dy`; adds dL/dparameters where `ctx.param_grads` asks for it and the
    /// parameter is trainable; overwrites `dx` with dL/dx where the caller wants it.
    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context);

    /// Folds what a training pass saw into buffers, once a step.
    fn commit(&mut self, t: &Trace<F>);

    /// Shows every parameter and every buffer, always in the same order.
    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>));

    /// As [`visit`](Self::visit), to change them.
    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>));

    /// What a pass over one sample of this shape takes.
    fn cost(&self, input: &[usize]) -> Cost;

    /// The layers inside this one, and how they are connected; none for most.
    fn children(&self) -> Children<'_, F>;
}

/// The layers inside a layer, and how they are connected.
#[derive(Debug, Clone, Copy)]
pub enum Children<'a, F: Scalar> {
    /// It contains none.
    None,
    /// Each takes the output of the one before.
    Chain(&'a [Child<F>]),
    /// All take the same input.
    Branches(&'a [Child<F>]),
}

impl<'a, F: Scalar> Children<'a, F> {
    /// The layers, in the order of their traces.
    pub fn list(self) -> &'a [Child<F>] {
        match self {
            Self::None => &[],
            Self::Chain(list) | Self::Branches(list) => list,
        }
    }
}

/// Goes through the layers inside `layer`, containers before what they contain, with the path of each and the
/// shape of its input.
pub(crate) fn walk<'a, F: Scalar>(
    layer: &'a dyn Layer<F>,
    path: &str,
    input: Shape,
    visit: &mut dyn FnMut(&str, &'a dyn Layer<F>, Shape),
) {
    let children = layer.children();
    let mut shape = input;
    for child in children.list() {
        let path = join_path(path, &child.name);
        let layer = child.layer.as_ref();
        visit(&path, layer, shape);
        walk(layer, &path, shape, visit);
        if matches!(children, Children::Chain(_)) {
            shape = layer.output_shape(&shape).expect("checked when the model was built");
        }
    }
}

/// A layer inside a container, with the name by which paths call it.
#[derive(Debug)]
pub struct Child<F: Scalar> {
    /// Unique among its siblings.
    pub name: String,
    /// The layer.
    pub layer: Box<dyn Layer<F>>,
}

/// [`Layer::commit`] of a container: of all its layers.
pub(crate) fn commit_all<F: Scalar>(children: &mut [Child<F>], t: &Trace<F>) {
    for (child, trace) in children.iter_mut().zip(&t.children) {
        child.layer.commit(trace);
    }
}

/// [`Layer::visit`] of a container: of all its layers.
pub(crate) fn visit_all<'a, F: Scalar>(children: &'a [Child<F>], f: &mut dyn FnMut(Slot<'a, F>)) {
    for child in children {
        child.layer.visit(f);
    }
}

/// [`Layer::visit_mut`] of a container: of all its layers.
pub(crate) fn visit_all_mut<F: Scalar>(children: &mut [Child<F>], f: &mut dyn FnMut(SlotMut<'_, F>)) {
    for child in children {
        child.layer.visit_mut(f);
    }
}

/// Whether any parameter of the layer is trainable.
pub(crate) fn has_trainable<F: Scalar>(layer: &dyn Layer<F>) -> bool {
    let mut found = false;
    layer.visit(&mut |slot| found |= matches!(slot, Slot::Param(param) if param.trainable));
    found
}
