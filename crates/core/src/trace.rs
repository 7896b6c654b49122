//! The data of one pass through a network, kept apart from what the network has learned.

use crate::error::Error;
use crate::layer::Layer;
use crate::layers::Sequential;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How much of a pass a [`Trace`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The output alone, for prediction: layers share two buffers.
    Last,
    /// What the backward pass reads, for training: every output, and two gradients in turn.
    ForBackward,
    /// Every output and every gradient, for looking inside.
    All,
}

/// The data of one pass, a tree like the model's: a layer's output, the gradient with respect to
/// it, and what its derivative will want. Memory is taken in the first pass at a batch size and
/// used again in every later one.
#[derive(Debug)]
pub struct Trace<F = f32> {
    /// The layer's output.
    pub y: Tensor<F>,
    /// The gradient of the loss with respect to the output. A backward pass may overwrite it with
    /// an intermediate result, except where everything is kept.
    pub dy: Tensor<F>,
    /// What forward leaves for backward, beyond input and output.
    pub saved: Vec<Tensor<F>>,
    /// As `saved`, for positions (the winners of a max pooling).
    pub index: Vec<u32>,
    /// The traces of a container's layers, in their order.
    pub(crate) children: Vec<Trace<F>>,
    /// Buffers that children take in turn, or for intermediate results.
    pub(crate) spare: [Tensor<F>; 2],
    keep: Keep,
    /// Of which pass this is the trace, in that of a whole model.
    pass: Option<Pass>,
}

/// A pass of a model that a trace holds: what a backward pass needs to be that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Which model.
    pub(crate) model: u64,
    /// Shape of its inputs.
    pub(crate) input: Shape,
    /// A sum over some of the inputs, by which others are told from them.
    pub(crate) sample: u64,
}

impl Pass {
    /// Of this model over these inputs.
    pub(crate) fn of<F: Scalar>(model: u64, x: &Tensor<F>) -> Self {
        // FNV-1a over some hundred of the numbers: all of them would be one more walk through memory.
        let step = x.data().len() / 128 + 1;
        let bits = x.data().iter().step_by(step).map(|v| v.as_f64().to_bits());
        let sample = bits.fold(0xcbf2_9ce4_8422_2325, |hash: u64, bits| {
            (hash ^ bits ^ (bits >> 32)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { model, input: x.shape(), sample }
    }
}

impl<F: Scalar> Trace<F> {
    /// An empty trace, for any model.
    pub fn new(keep: Keep) -> Self {
        Self {
            y: Tensor::default(),
            dy: Tensor::default(),
            saved: Vec::new(),
            index: Vec::new(),
            children: Vec::new(),
            spare: [Tensor::default(), Tensor::default()],
            keep,
            pass: None,
        }
    }

    /// The pass whose trace this is.
    pub(crate) fn pass(&self) -> Option<Pass> {
        self.pass
    }

    /// Notes which pass this is the trace of; none while it is being made.
    pub(crate) fn set_pass(&mut self, pass: Option<Pass>) {
        self.pass = pass;
    }

    /// The traces of a container's layers, in their order.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// As [`children`](Self::children), for a container of your own to fill in its forward pass. A trace whose children were taken to be
    /// changed is no longer that of a pass, so a backward pass of the model refuses it.
    pub fn children_mut(&mut self) -> &mut Vec<Self> {
        self.pass = None;
        &mut self.children
    }

    /// How much is kept.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// Makes room for the traces of `count` children, in the first pass.
    pub(crate) fn prepare_children(&mut self, count: usize) {
        if self.children.len() != count {
            self.children = (0..count).map(|_| Self::new(self.keep)).collect();
        }
    }

    /// The output, and the gradient with respect to it in a buffer that may be overwritten: `dy`
    /// itself, or a copy of it where everything is kept.
    pub fn y_and_scratch_dy(&mut self) -> (&Tensor<F>, &mut Tensor<F>) {
        if self.keep == Keep::All {
            self.spare[0].copy_from(&self.dy);
            (&self.y, &mut self.spare[0])
        } else {
            (&self.y, &mut self.dy)
        }
    }

    /// What [`y_and_scratch_dy`](Self::y_and_scratch_dy) handed out, as it is now, and what forward saved.
    pub(crate) fn scratch_dy_and_saved(&mut self) -> (&Tensor<F>, &mut [Tensor<F>]) {
        let dy = if self.keep == Keep::All { &self.spare[0] } else { &self.dy };
        (dy, &mut self.saved)
    }

    /// Output of the layer called `path` (`block2.main.conv1`) and the gradient with respect to it, as they were after the latest
    /// backward pass.
    ///
    /// # Errors
    /// If the trace does not keep everything, no pass of such a model is in it, or the model has no layer of that name; the message lists
    /// the names there are.
    pub fn get(&self, model: &Sequential<F>, path: &str) -> Result<(&Tensor<F>, &Tensor<F>), Error> {
        if self.keep != Keep::All {
            return Err(Error::argument("trace", "Keep::All", format!("Keep::{:?}", self.keep)));
        }
        let unknown = || Error::unknown("layer", path, model.paths().iter().map(String::as_str));
        let mut trace = self;
        let mut layer: &dyn Layer<F> = model;
        for name in path.split('.') {
            let children = layer.children().list();
            let position = children.iter().position(|child| child.name == name);
            let position = position.ok_or_else(unknown)?;
            layer = children[position].layer.as_ref();
            if trace.children.len() != children.len() {
                let got =
                    format!("a trace of {} layers in the place of {}", trace.children.len(), children.len());
                return Err(Error::argument("trace", "one of a pass of this model", got));
            }
            trace = &trace.children[position];
        }
        Ok((&trace.y, &trace.dy))
    }

    /// Bytes of memory the trace holds.
    pub fn bytes(&self) -> usize {
        let own = [&self.y, &self.dy, &self.spare[0], &self.spare[1]];
        own.into_iter().chain(&self.saved).map(Tensor::allocated_bytes).sum::<usize>()
            + self.index.capacity() * size_of::<u32>()
            + self.children.iter().map(Self::bytes).sum::<usize>()
    }
}
