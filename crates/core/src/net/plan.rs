//! Which buffer holds what, and when: planned once for a model, over the list of operations.
//!
//! The memory figure of a model and the buffers that its passes take come from the same plans.

use crate::net::program::{Op, OpKind, Program};
use crate::tensor::scalar::Scalar;

/// How much of a pass a [`Trace`](crate::Trace) keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// The output alone, for prediction. The memory of a value is used again as soon as the value has been read.
    Last,
    /// What the backward pass reads, for training.
    ForBackward,
    /// Every output and every gradient, for interpretability methods.
    All,
}

/// Stands for the caller's tensor for dL/dx, which is not one of the buffers.
pub(crate) const DX: usize = usize::MAX;

/// Which buffer holds which value of a forward pass.
#[derive(Debug)]
pub(crate) struct ForwardPlan {
    /// The buffer of each value. The input has none: its tensor is the caller's.
    pub(crate) buffer: Vec<usize>,
    /// How many numbers of one sample each buffer has to hold.
    pub(crate) sizes: Vec<usize>,
}

/// The order in which operations are differentiated, and which buffer holds which gradient.
#[derive(Debug)]
pub(crate) struct BackwardPlan {
    pub(crate) steps: Vec<BackwardStep>,
    /// The buffer of each value's gradient, or [`DX`].
    pub(crate) buffer: Vec<Option<usize>>,
    pub(crate) sizes: Vec<usize>,
}

/// One operation's derivative.
#[derive(Debug)]
pub(crate) struct BackwardStep {
    pub(crate) op: usize,
    /// The buffer of the gradient of its output.
    pub(crate) dy: usize,
    /// For each of its inputs, what becomes of the gradient.
    pub(crate) to: Vec<To>,
}

/// Where the gradient of an input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Nothing needs it.
    Nowhere,
    /// It is written to a buffer, the first for this value.
    Write(usize),
    /// Another operation has written to the buffer: it is added, through a spare buffer if a layer computes it.
    Add { to: usize, spare: usize },
    /// The gradient of the output serves as that of the input.
    Take(usize),
}

/// What a backward pass computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The value whose gradient it starts from.
    pub(crate) from: usize,
    /// Whether the input gradient is needed.
    pub(crate) dx: bool,
    /// Whether the gradients of the parameters are needed.
    pub(crate) grads: bool,
}

/// Buffers, and which of them are free.
#[derive(Default)]
struct Pool {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Pool {
    /// The free buffer that fits best, the smallest that is large enough or else the largest, or a new one.
    fn take(&mut self, size: usize) -> usize {
        let waste = |&(_, &buffer): &(usize, &usize)| {
            let has = self.sizes[buffer];
            if has >= size { (0, has) } else { (1, usize::MAX - has) }
        };
        let buffer = match self.free.iter().enumerate().min_by_key(waste).map(|(i, _)| i) {
            Some(i) => self.free.swap_remove(i),
            None => {
                self.sizes.push(0);
                self.sizes.len() - 1
            }
        };
        self.sizes[buffer] = self.sizes[buffer].max(size);
        buffer
    }

    fn give_back(&mut self, buffer: usize) {
        self.free.push(buffer);
    }
}

/// Plans the forward pass: a value's buffer is free again when no operation will read it any more.
pub(crate) fn forward<F: Scalar>(program: &Program<F>, keep: Keep) -> ForwardPlan {
    let kept = kept_values(program, keep);
    let mut readers = vec![0; program.shapes.len()];
    program.ops.iter().flat_map(|op| &op.inputs).for_each(|&value| readers[value] += 1);
    let mut pool = Pool::default();
    let mut buffer = vec![DX; program.shapes.len()];
    for (i, op) in program.ops.iter().enumerate() {
        buffer[i + 1] = pool.take(program.shapes[i + 1].elements());
        for &value in &op.inputs {
            readers[value] -= 1;
            if value != 0 && readers[value] == 0 && !kept[value] {
                pool.give_back(buffer[value]);
            }
        }
    }
    ForwardPlan { buffer, sizes: pool.sizes }
}

/// Which values stay until the end of the pass: the output, and what the backward pass reads.
fn kept_values<F: Scalar>(program: &Program<F>, keep: Keep) -> Vec<bool> {
    let mut kept = vec![keep == Keep::All; program.shapes.len()];
    kept[program.output] = true;
    if keep == Keep::ForBackward {
        for (i, op) in program.ops.iter().enumerate() {
            let (x, y) = reads(&op.kind);
            kept[i + 1] |= y;
            // A layer may read all of its further inputs.
            op.inputs.iter().enumerate().for_each(|(at, &value)| kept[value] |= x || at > 0 && is_layer(op));
        }
    }
    kept
}

/// Whether the derivative of an operation reads its inputs and its output.
pub(crate) fn reads<F: Scalar>(kind: &OpKind<F>) -> (bool, bool) {
    match kind {
        OpKind::Layer(layer) => (layer.reads().x, layer.reads().y),
        OpKind::Sum(activation) => (false, activation.reads_output()),
        OpKind::Concat | OpKind::Input(_) => (false, false),
    }
}

/// Plans the backward pass: the operations in reverse order, and only those that a needed gradient depends on.
pub(crate) fn backward<F: Scalar>(
    program: &Program<F>,
    trainable: &[bool],
    keep: Keep,
    wanted: Wanted,
) -> BackwardPlan {
    let needed = needed_values(program, trainable, keep, wanted);
    let mut pool = Pool::default();
    let mut buffer = vec![None; program.shapes.len()];
    buffer[wanted.from] = Some(pool.take(program.shapes[wanted.from].elements()));
    let mut steps = Vec::new();
    for i in program.backwards().into_iter().filter(|&i| i < wanted.from) {
        let op = &program.ops[i];
        let Some(dy) = buffer[i + 1].filter(|_| needed[i + 1]) else { continue };
        // The buffer keeps its contents if everything is kept, and where the loss will write the next gradient.
        let may_go = keep != Keep::All && i + 1 != wanted.from;
        let mut taken = false;
        let (mut to, mut spares) = (Vec::new(), Vec::new());
        for (at, &value) in op.inputs.iter().enumerate() {
            let last = at + 1 == op.inputs.len();
            to.push(match buffer[value] {
                _ if !needed[value] => To::Nowhere,
                Some(to) if is_layer(op) => {
                    let spare = pool.take(program.shapes[value].elements());
                    spares.push(spare);
                    To::Add { to, spare }
                }
                Some(to) => To::Add { to, spare: DX },
                None if value == 0 => To::Write(DX),
                None if last && may_go && matches!(op.kind, OpKind::Sum(_)) => {
                    taken = true;
                    To::Take(dy)
                }
                None => To::Write(pool.take(program.shapes[value].elements())),
            });
            if let Some(To::Write(to) | To::Take(to)) = to.last() {
                buffer[value] = Some(*to);
            }
        }
        spares.into_iter().for_each(|spare| pool.give_back(spare));
        if may_go && !taken {
            pool.give_back(dy);
        }
        steps.push(BackwardStep { op: i, dy, to });
    }
    BackwardPlan { steps, buffer, sizes: pool.sizes }
}

/// Whether an operation is a layer. A layer computes a gradient that is added to another one in a spare buffer, which is free again after it; sums
/// and concatenations add in place.
fn is_layer<F: Scalar>(op: &Op<F>) -> bool {
    matches!(op.kind, OpKind::Layer(_))
}

/// Which values need a gradient: the input if it is asked for, and every value after a parameter that is trained.
fn needed_values<F: Scalar>(
    program: &Program<F>,
    trainable: &[bool],
    keep: Keep,
    wanted: Wanted,
) -> Vec<bool> {
    let mut needed = vec![wanted.dx];
    for op in &program.ops {
        let learns = wanted.grads && op.places.iter().any(|&(_, at)| trainable[at]);
        needed.push(keep == Keep::All || learns || op.inputs.iter().any(|&value| needed[value]));
    }
    needed
}

/// Bytes that a training pass holds, from shapes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrainingBytes {
    /// For each sample of the batch.
    pub(crate) per_sample: usize,
    /// Independent of the batch.
    pub(crate) fixed: usize,
}

/// The memory of a training pass, from the same plans as the pass itself and from the costs of the layers' caches.
pub(crate) fn training_bytes<F: Scalar>(program: &Program<F>, trainable: &[bool]) -> TrainingBytes {
    let wanted = Wanted { from: program.output, dx: false, grads: true };
    let (y, g) =
        (forward(program, Keep::ForBackward), backward(program, trainable, Keep::ForBackward, wanted));
    let mut bytes = TrainingBytes {
        per_sample: bytes_of::<F>(&y.sizes).saturating_add(bytes_of::<F>(&g.sizes)),
        fixed: 0,
    };
    for op in &program.ops {
        if let OpKind::Layer(layer) = &op.kind {
            let cost = layer.cost(&program.shapes[op.inputs[0]]);
            bytes.per_sample = bytes.per_sample.saturating_add(cost.sample_bytes);
            bytes.fixed = bytes.fixed.saturating_add(cost.fixed_bytes);
        }
    }
    bytes
}

/// The memory of a prediction for each sample, by its plan.
pub(crate) fn prediction_bytes<F: Scalar>(program: &Program<F>) -> usize {
    bytes_of::<F>(&forward(program, Keep::Last).sizes)
}

/// Bytes of buffers that hold this many numbers.
fn bytes_of<F: Scalar>(sizes: &[usize]) -> usize {
    sizes.iter().fold(0_usize, |sum, &n| sum.saturating_add(n.saturating_mul(size_of::<F>())))
}
