//! What a layer is: settings, a function of them, of weights and of an input, and its derivative.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weights::{Declare, LayerGrads, Weights, WeightsMut};

/// Whether a pass is for learning or for using what was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout.
    Train,
    /// Running statistics, no dropout.
    Evaluate,
}

/// What a ReLU lets back through. All but the first are interpretability methods: what comes out is no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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
        Self { mode: Mode::Train, relu: ReluRule::Plain, seed, step }
    }

    /// A pass that uses what was learned: a prediction, or gradients to look at.
    pub fn evaluate() -> Self {
        Self { mode: Mode::Evaluate, relu: ReluRule::Plain, seed: 0, step: 0 }
    }
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
/// A layer is its settings and nothing else. What is learned is the [`Model`](crate::Model)'s, what happens in a
/// pass is the [`Trace`](crate::Trace)'s: so one layer serves models in `f32` and in `f64`, and many threads can
/// differentiate one model.
///
/// ```
/// use backstitch_core::{Context, Layer, Net, Scalar, Shape, ShapeError, Tensor, Weights, Backward, gradcheck};
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
/// # Ok::<(), backstitch_core::gradcheck::GradientError>(())
/// ```
pub trait Layer<F: Scalar>: Debug + Send + Sync + 'static {
    /// What forward leaves for backward beyond input and output: `()` for most, a [`Tensor`], a `Vec<u32>`, or a
    /// struct that counts its bytes.
    type Cache: Cache;

    /// Shape of one sample's output, or why this layer cannot take such an input.
    ///
    /// # Errors
    /// If the layer cannot take the input, or was configured with something impossible.
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError>;

    /// y = f(x; parameters). `y` has its shape, and unspecified numbers: every one is to be written.
    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Self::Cache,
        ctx: &Context,
    );

    /// Overwrites `pass.dx` with dL/dx where it is wanted, and adds dL/dparameters where they are wanted.
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Self::Cache, ctx: &Context);

    /// Declares what is learned or remembered. Only what is declared here can be had in the passes.
    fn params(&self, _input: &[usize], _declare: &mut Declare) {}

    /// Folds what a training pass saw into what is remembered, once a step.
    fn commit(&self, _cache: &Self::Cache, _state: &mut WeightsMut<'_, F>) {}

    /// What a pass over one sample of this shape takes.
    fn cost(&self, _input: &[usize]) -> Cost {
        Cost::default()
    }

    /// Which of input and output [`backward`](Self::backward) reads. A tensor that is not read is empty there, and
    /// its memory may serve another value before.
    fn reads(&self) -> Reads {
        Reads { x: true, y: true }
    }

    /// What the layer is, in a few words that begin with its kind: `Dense 256, relu`. The kind, in lower case and
    /// with a number, is its name in a chain.
    fn describe(&self) -> String {
        let name = std::any::type_name::<Self>().split('<').next().unwrap_or_default();
        name.rsplit("::").next().unwrap_or_default().to_owned()
    }
}

/// Which tensors of the forward pass a backward pass reads, beside the cache.
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
    /// dL/dy. The layer may overwrite it with an intermediate result: nobody reads it afterwards.
    pub dy: &'a mut Tensor<F>,
    /// Where dL/dx is to be written, if anybody wants it. It has its shape, and unspecified numbers.
    pub dx: Option<&'a mut Tensor<F>>,
    /// Where the gradients of the layer's parameters are to be added.
    pub grads: LayerGrads<'a, F>,
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

/// A [`Layer`] in one precision, without its types.
#[doc(hidden)]
pub trait DynLayer<F: Scalar>: Any + Debug + Send + Sync {
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError>;
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
    fn describe(&self) -> String;
}

/// A [`Cache`] without its type.
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
    fn describe(&self) -> String {
        Layer::describe(self)
    }
}

/// A layer in both precisions. Made of every type that is a [`Layer`] of `f32` and of `f64`.
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
