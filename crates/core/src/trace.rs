//! The data of one pass through a network, kept apart from what the network has learned.

use crate::error::Error;
use crate::layer::Layer;
use crate::layers::Sequential;
use crate::scalar::Scalar;
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
    pub children: Vec<Trace<F>>,
    /// Buffers that children take in turn, or for intermediate results.
    pub(crate) spare: [Tensor<F>; 2],
    keep: Keep,
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
        }
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

    /// Output of the layer called `path` (`block2.main.conv1`) and the gradient with respect to it.
    /// Complete where the trace was made with [`Keep::All`].
    ///
    /// # Errors
    /// If the model has no layer of that name; the message lists the names there are.
    pub fn get(&self, model: &Sequential<F>, path: &str) -> Result<(&Tensor<F>, &Tensor<F>), Error> {
        let unknown =
            || Error::UnknownName { kind: "layer", name: path.to_owned(), known: model.paths().join(", ") };
        let mut trace = self;
        let mut layer: &dyn Layer<F> = model;
        for name in path.split('.') {
            let children = layer.children().list();
            let position = children.iter().position(|child| child.name == name);
            let position = position.ok_or_else(unknown)?;
            layer = children[position].layer.as_ref();
            trace = trace.children.get(position).ok_or_else(unknown)?;
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
