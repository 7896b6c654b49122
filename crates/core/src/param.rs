//! What a layer learns, and what it remembers without learning it.

use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// A learned tensor: its value, its gradient, and whether an optimizer may change it.
#[derive(Debug, Default)]
pub struct Param<F = f32> {
    name: String,
    value: Tensor<F>,
    grad: Tensor<F>,
    has_grad: bool,
    /// Whether optimizers change the value. Frozen parameters keep their optimizer state.
    pub trainable: bool,
}

impl<F: Scalar> Param<F> {
    /// A trainable parameter with a value and no gradient. The name is the full path,
    /// `block1.main.conv2.weight`, given once when the model is built.
    pub fn new(name: String, value: Tensor<F>) -> Self {
        Self { name, grad: value.alike(F::zero()), value, has_grad: false, trainable: true }
    }

    /// The full path of the parameter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What has been learned.
    pub fn value(&self) -> &Tensor<F> {
        &self.value
    }

    /// What has been learned, to change. A model whose parameters have other shapes than it was built with refuses to run.
    pub fn value_mut(&mut self) -> &mut Tensor<F> {
        &mut self.value
    }

    /// Whether value and gradient have one shape: both can be changed from outside.
    pub(crate) fn is_whole(&self) -> bool {
        self.value.shape() == self.grad.shape()
    }

    /// The gradient of the loss, or `None` where no backward pass has added to it since the last
    /// [`clear_grad`](Self::clear_grad).
    pub fn grad(&self) -> Option<&Tensor<F>> {
        self.has_grad.then_some(&self.grad)
    }

    /// Forgets the gradient, in no time: the next one to be added overwrites what is there.
    pub fn clear_grad(&mut self) {
        self.has_grad = false;
    }

    /// The value, the buffer into which a layer adds its gradient, and how: `Overwrite` for the
    /// first after [`clear_grad`](Self::clear_grad), `Add` for a later one (a layer used twice).
    pub fn accumulate(&mut self) -> (&Tensor<F>, &mut Tensor<F>, Accumulate) {
        let how = if self.has_grad { Accumulate::Add } else { Accumulate::Overwrite };
        self.has_grad = true;
        (&self.value, &mut self.grad, how)
    }

    /// The gradient to add to: zeros for the first after [`clear_grad`](Self::clear_grad).
    pub fn grad_to_add(&mut self) -> &mut Tensor<F> {
        let (_, grad, how) = self.accumulate();
        if how == Accumulate::Overwrite {
            grad.fill(F::zero());
        }
        grad
    }

    /// Value and gradient for an optimizer, where it has something to do: the parameter is
    /// trainable and has a gradient, of its shape. (Where one of the two was given another shape, the model refuses to run.)
    pub fn to_update(&mut self) -> Option<(&mut Tensor<F>, &mut Tensor<F>)> {
        (self.trainable && self.has_grad && self.is_whole()).then_some((&mut self.value, &mut self.grad))
    }
}

/// Whether a result replaces what is in the buffer or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulate {
    /// The buffer's old content does not matter.
    Overwrite,
    /// The result is added.
    Add,
}

/// A tensor that is saved with the model and never optimized, such as a running mean.
#[derive(Debug, Default)]
pub struct Buffer<F = f32> {
    name: String,
    /// The present value. A model whose buffers have other shapes than it was built with refuses to run.
    pub value: Tensor<F>,
    /// Whether training leaves it as it is, and uses it as evaluation does.
    pub frozen: bool,
}

impl<F: Scalar> Buffer<F> {
    /// A buffer with its full path and first value.
    pub fn new(name: String, value: Tensor<F>) -> Self {
        Self { name, value, frozen: false }
    }

    /// The full path of the buffer.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A parameter or a buffer, to read.
#[derive(Debug, Clone, Copy)]
pub enum Slot<'a, F> {
    /// Learned.
    Param(&'a Param<F>),
    /// Remembered.
    Buffer(&'a Buffer<F>),
}

/// A parameter or a buffer, to change.
#[derive(Debug)]
pub enum SlotMut<'a, F> {
    /// Learned.
    Param(&'a mut Param<F>),
    /// Remembered.
    Buffer(&'a mut Buffer<F>),
}

impl<'a, F: Scalar> Slot<'a, F> {
    /// The full path.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Param(param) => param.name(),
            Self::Buffer(buffer) => buffer.name(),
        }
    }

    /// The present value.
    pub fn value(&self) -> &'a Tensor<F> {
        match self {
            Self::Param(param) => param.value(),
            Self::Buffer(buffer) => &buffer.value,
        }
    }
}

impl<F: Scalar> SlotMut<'_, F> {
    /// The full path.
    pub fn name(&self) -> &str {
        match self {
            Self::Param(param) => param.name(),
            Self::Buffer(buffer) => buffer.name(),
        }
    }

    /// The present value, to change. A model whose values have other shapes than it was built with refuses to run.
    pub fn value_mut(&mut self) -> &mut Tensor<F> {
        match self {
            Self::Param(param) => param.value_mut(),
            Self::Buffer(buffer) => &mut buffer.value,
        }
    }
}
