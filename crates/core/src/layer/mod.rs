//! What a layer is: settings, a function of them, of weights and of an input, and its derivative.

pub(crate) mod cost;
pub(crate) mod init;
pub(crate) mod undeclared;
pub(crate) mod weights;

pub use init::Fan;

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::error::ShapeError;
use crate::layer::cost::Cost;
use crate::layer::weights::{Declare, LayerGrads, Weights, WeightsMut};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Whether a pass trains the model or uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout.
    Train,
    /// Running statistics, no dropout.
    Evaluate,
}

/// Which gradients a ReLU passes back. All variants but the first are interpretability methods: their result is not a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReluRule {
    /// The derivative: passes the gradient where the output was above 0.
    #[default]
    Plain,
    /// Guided backpropagation: passes the gradient where both the output and the gradient are above 0 (J. Springenberg et al., "Striving for
    /// simplicity", 2015, section 3.4).
    Guided,
    /// The rule of a deconvnet: passes the gradient where it is above 0 (M. Zeiler and R. Fergus 2014, section 2.1).
    Deconvnet,
}

/// What layers with a state, such as an LSTM, begin a pass from. The state is in the [`Trace`](crate::Trace).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    /// Zeros.
    #[default]
    Fresh,
    /// The state after the last pass with the same trace: for a long text in pieces, and for generation step by step. Back-propagation does
    /// not go beyond the pass (truncated back-propagation through time).
    Continue,
    /// The state from which the last pass began.
    Repeat,
}

impl Memory {
    /// The position at which a pass begins, where the last one went from `begin` to `end`.
    pub(crate) fn begin(self, begin: usize, end: usize) -> usize {
        match self {
            Self::Fresh => 0,
            Self::Continue => end,
            Self::Repeat => begin,
        }
    }
}

/// The settings of one pass.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Training or evaluation.
    pub mode: Mode,
    /// What layers with a state begin from.
    pub memory: Memory,
    /// Which gradients a ReLU passes back.
    pub relu: ReluRule,
    /// The run's seed, for layers that draw random numbers.
    pub seed: u64,
    /// Steps taken since training began.
    pub step: u64,
}

impl Context {
    /// A pass that trains, at the given step of a run.
    pub fn train(seed: u64, step: u64) -> Self {
        Self { mode: Mode::Train, memory: Memory::Fresh, relu: ReluRule::Plain, seed, step }
    }

    /// A pass that uses the trained model: for predictions, or for gradients that are only looked at.
    pub fn evaluate() -> Self {
        Self { mode: Mode::Evaluate, memory: Memory::Fresh, relu: ReluRule::Plain, seed: 0, step: 0 }
    }
}

/// A function and its derivative.
///
/// A layer holds its settings and nothing else. Parameters belong to the [`Model`](crate::Model), and the data of a
/// pass to the [`Trace`](crate::Trace). So one layer serves models in `f32` and in `f64`, and many threads can
/// differentiate one model.
///
/// ```
/// use backstitch::{Context, Layer, Net, Scalar, Shape, ShapeError, Tensor, Weights, Backward, gradcheck};
///
/// /// y = x², number by number.
/// #[derive(Debug)]
/// struct Square;
///
/// impl<F: Scalar> Layer<F> for Square {
///     type Cache = ();
///     fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
///         Shape::new(input)
///     }
///     fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, _: &mut (), _: &Context) {
///         y.data_mut().iter_mut().zip(x.data()).for_each(|(y, &x)| *y = x * x);
///     }
///     fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, _: &mut (), _: &Context) {
///         let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
///         for ((dx, &dy), &x) in dx.data_mut().iter_mut().zip(dy.data()).zip(x.data()) {
///             *dx = dy * (x + x);
///         }
///     }
/// }
///
/// gradcheck::check_layer(Square, &[5], 4, &Context::train(0, 0), 7)?;
/// # Ok::<(), backstitch::gradcheck::GradientError>(())
/// ```
pub trait Layer<F: Scalar>: Debug + Send + Sync + 'static {
    /// What forward keeps for backward besides input and output: `()` for most layers, a [`Tensor`], a `Vec<u32>`, or a
    /// struct that counts its bytes.
    type Cache: Cache;

    /// Shape of one sample's output, or why this layer cannot take such an input.
    ///
    /// # Errors
    /// If the layer cannot take the input, or one of its settings is impossible.
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError>;

    /// y = f(x; parameters). `y` has its shape and unspecified numbers: write every one of them.
    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Self::Cache,
        ctx: &Context,
    );

    /// Overwrites `pass.dx` with dL/dx if it is needed, and adds dL/dparameters to those gradients that are needed.
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Self::Cache, ctx: &Context);

    /// Checks the shapes of further inputs, by their names ([`Net::with`](crate::Net::with)). Most layers take none.
    ///
    /// # Errors
    /// If the layer cannot take them.
    fn check_inputs(&self, _input: &[usize], others: &[(&str, Shape)]) -> Result<(), ShapeError> {
        match others {
            [] => Ok(()),
            [(name, _), ..] => {
                Err(ShapeError::new(self.describe(), "no further inputs", format!("{name:?}")))
            }
        }
    }

    /// Declares parameters and statistics. A pass can use only those that are declared here.
    fn params(&self, _input: &[usize], _declare: &mut Declare) {}

    /// Updates the running statistics with those of a training pass, once in each step.
    fn commit(&self, _cache: &Self::Cache, _state: &mut WeightsMut<'_, F>) {}

    /// The work and memory of a pass over one sample of this shape.
    fn cost(&self, _input: &[usize]) -> Cost {
        Cost::default()
    }

    /// Which of input and output [`backward`](Self::backward) reads. A tensor that is not read is empty in backward, and
    /// its memory may hold another value by then.
    fn reads(&self) -> Reads {
        Reads { x: true, y: true }
    }

    /// How many ids there are, if the inputs are ids: whole numbers from 0, as those of an embedding. Such a layer reads an input of the model, whose
    /// numbers every pass checks first. It has no input gradient.
    fn ids(&self) -> Option<usize> {
        None
    }

    /// Whether the first axis of the input is time. A model with such a layer takes shorter sequences than its input shape says.
    fn sequence(&self) -> Sequence {
        Sequence::No
    }

    /// A short description that begins with the layer's kind: `Dense 256, relu`. The kind, in lower case and
    /// with a number, is its name in a chain.
    fn describe(&self) -> String {
        let name = std::any::type_name::<Self>().split('<').next().unwrap_or_default();
        name.rsplit("::").next().unwrap_or_default().to_owned()
    }
}

/// The name by which layers call a mask among their further inputs: 1 for each position that there is, 0 for the others.
pub(crate) const MASK: &str = "mask";

/// Whether a layer takes sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// The first axis is not time, or the layer does the same at every position.
    No,
    /// The layer needs the whole sequence in one pass.
    Whole,
    /// A pass can go on where another ended ([`Memory::Continue`]).
    Steps {
        /// The most positions of all passes over a sequence together; `usize::MAX` if there is no limit.
        longest: usize,
    },
}

impl Sequence {
    /// What layers that follow each other can take.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, one) | (one, Self::No) => one,
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Steps { longest: a }, Self::Steps { longest: b }) => Self::Steps { longest: a.min(b) },
        }
    }
}

/// Which tensors of the forward pass a backward pass reads, besides the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// The layer's input.
    pub x: bool,
    /// The layer's output.
    pub y: bool,
}

/// What a backward pass reads and writes.
#[derive(Debug)]
pub struct Backward<'a, F: Scalar> {
    /// The input of the forward pass; empty where [`Layer::reads`] says that it is not read.
    pub x: &'a Tensor<F>,
    /// The output of the forward pass; empty where [`Layer::reads`] says that it is not read.
    pub y: &'a Tensor<F>,
    /// dL/dy. The layer may overwrite it with an intermediate result: nothing reads it afterwards.
    pub dy: &'a mut Tensor<F>,
    /// Where to write dL/dx, if it is needed. It has its shape and unspecified numbers.
    pub dx: Option<&'a mut Tensor<F>>,
    /// Where to write the gradients with respect to further inputs ([`Weights::input`]).
    pub others: InputGrads<'a, F>,
    /// Where to add the gradients of the layer's parameters.
    pub grads: LayerGrads<'a, F>,
}

/// Gradients with respect to the further inputs of a layer, by name, as far as they are needed.
#[derive(Debug)]
pub struct InputGrads<'a, F: Scalar> {
    pub(crate) names: &'a [&'a str],
    pub(crate) of: &'a mut [Option<Tensor<F>>],
}

impl<F: Scalar> InputGrads<'_, F> {
    /// Where to write the gradient with respect to this input, if it is needed. It has its shape and unspecified numbers.
    pub fn write(&mut self, name: &str) -> Option<&mut Tensor<F>> {
        let at = self.names.iter().position(|own| *own == name)?;
        self.of[at].as_mut()
    }
}

/// What a layer keeps from forward to backward.
pub trait Cache: Any + Debug + Default + Send {
    /// Bytes of memory it holds.
    fn bytes(&self) -> usize;
}

impl Cache for () {
    fn bytes(&self) -> usize {
        0
    }
}

impl<F: Scalar> Cache for Tensor<F> {
    fn bytes(&self) -> usize {
        self.allocated_bytes()
    }
}

impl Cache for Vec<u32> {
    fn bytes(&self) -> usize {
        self.capacity() * size_of::<u32>()
    }
}

/// A [`Layer`] in one precision, as a trait object.
#[doc(hidden)]
pub trait DynLayer<F: Scalar>: Any + Debug + Send + Sync {
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError>;
    fn check_inputs(&self, input: &[usize], others: &[(&str, Shape)]) -> Result<(), ShapeError>;
    fn params(&self, input: &[usize], declare: &mut Declare);
    fn new_cache(&self) -> Box<dyn DynCache>;
    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut dyn DynCache,
        ctx: &Context,
    );
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut dyn DynCache, ctx: &Context);
    fn commit(&self, cache: &dyn DynCache, state: &mut WeightsMut<'_, F>);
    fn cost(&self, input: &[usize]) -> Cost;
    fn reads(&self) -> Reads;
    fn ids(&self) -> Option<usize>;
    fn sequence(&self) -> Sequence;
    fn describe(&self) -> String;
}

/// A [`Cache`] as a trait object.
#[doc(hidden)]
pub trait DynCache: Any + Debug + Send {
    fn bytes(&self) -> usize;
}

impl<C: Cache> DynCache for C {
    fn bytes(&self) -> usize {
        Cache::bytes(self)
    }
}

fn own<C: Cache>(cache: &mut dyn DynCache) -> &mut C {
    (cache as &mut dyn Any).downcast_mut().expect("a trace makes each cache by the layer it is given to")
}

impl<F: Scalar, L: Layer<F>> DynLayer<F> for L {
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Layer::output_shape(self, input)
    }
    fn check_inputs(&self, input: &[usize], others: &[(&str, Shape)]) -> Result<(), ShapeError> {
        Layer::check_inputs(self, input, others)
    }
    fn params(&self, input: &[usize], declare: &mut Declare) {
        Layer::params(self, input, declare);
    }
    fn new_cache(&self) -> Box<dyn DynCache> {
        Box::new(L::Cache::default())
    }
    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut dyn DynCache,
        ctx: &Context,
    ) {
        Layer::forward(self, w, x, y, own(cache), ctx);
    }
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut dyn DynCache, ctx: &Context) {
        Layer::backward(self, w, pass, own(cache), ctx);
    }
    fn commit(&self, cache: &dyn DynCache, state: &mut WeightsMut<'_, F>) {
        let cache = (cache as &dyn Any).downcast_ref();
        Layer::commit(self, cache.expect("a trace makes each cache by the layer it is given to"), state);
    }
    fn cost(&self, input: &[usize]) -> Cost {
        Layer::cost(self, input)
    }
    fn reads(&self) -> Reads {
        Layer::reads(self)
    }
    fn ids(&self) -> Option<usize> {
        Layer::ids(self)
    }
    fn sequence(&self) -> Sequence {
        Layer::sequence(self)
    }
    fn describe(&self) -> String {
        Layer::describe(self)
    }
}

/// A layer in both precisions. Every type that is a [`Layer`] of `f32` and of `f64` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a net",
    note = "a net takes layers, that is types with `impl<F: Scalar> Layer<F>` for every `F`, and other nets"
)]
pub trait AnyLayer: Any + Debug + Send + Sync {
    #[doc(hidden)]
    fn in_f32(self: Arc<Self>) -> Arc<dyn DynLayer<f32>>;
    #[doc(hidden)]
    fn in_f64(self: Arc<Self>) -> Arc<dyn DynLayer<f64>>;
}

impl<L: Layer<f32> + Layer<f64>> AnyLayer for L {
    fn in_f32(self: Arc<Self>) -> Arc<dyn DynLayer<f32>> {
        self
    }
    fn in_f64(self: Arc<Self>) -> Arc<dyn DynLayer<f64>> {
        self
    }
}
