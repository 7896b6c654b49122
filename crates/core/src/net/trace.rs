//! The data of one pass through a model, kept apart from what the model has learned.

use std::sync::Arc;

use crate::error::Error;
use crate::layer::{Context, DynCache, Sequence};
use crate::net::model::Model;
use crate::net::plan::{self, BackwardPlan, ForwardPlan, Keep, Wanted};
use crate::net::program::{Op, OpKind, Program};
use crate::net::{ids, masks};
use crate::tensor::Tensor;
use crate::tensor::hash::hash;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The data of one pass: outputs of operations, gradients with respect to them, and what layers leave for their
/// derivatives. The first pass at a batch size allocates the memory, and every later pass uses it again.
///
/// ```
/// use backstitch::{Context, Keep, Model, Net, Tensor, Trace, layers::dense};
/// let model: Model = Model::new(Net::new().push(dense(3).relu()), &[2], 0)?;
/// let mut trace = Trace::new(Keep::All);
/// model.forward(&Tensor::zeros(&[4, 2])?, &mut trace, &Context::evaluate())?;
/// assert_eq!(trace.output().shape().to_string(), "[4, 3]");
/// assert_eq!(trace.get("dense1")?.0, trace.output());
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct Trace<F: Scalar = f32> {
    keep: Keep,
    /// The model version that the plans are made for: another version has other plans.
    version: u64,
    program: Option<Arc<Program<F>>>,
    pub(crate) plan: ForwardPlan,
    /// The shapes of all values in the last pass, of one sample.
    pub(crate) shapes: Vec<Shape>,
    /// The named inputs.
    pub(crate) named: Vec<(String, Tensor<F>)>,
    carried: Carried,
    back: Option<(Wanted, BackwardPlan)>,
    /// The inputs of the last forward pass, if a backward pass can start from it.
    pub(crate) pass: Option<InputFingerprint>,
    pub(crate) buffers: TraceBuffers<F>,
}

/// Where the last pass stands in the sequences that it went on with.
#[derive(Debug, Clone, Copy, Default)]
struct Carried {
    samples: usize,
    /// The positions before the pass, and those after it.
    begin: usize,
    end: usize,
}

/// The inputs of a forward pass, as a backward pass recognizes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputFingerprint {
    /// Shape of the inputs.
    pub(crate) input: Shape,
    /// A hash over some of the numbers, which tells these inputs from others.
    sample: u64,
}

impl InputFingerprint {
    /// The fingerprint of these inputs.
    pub(crate) fn of<F: Scalar>(x: &Tensor<F>) -> Self {
        // At most 128 of the numbers: a hash of all of them would read the whole memory once more.
        let step = x.data().len() / 128 + 1;
        let sample = hash(x.data().iter().step_by(step).map(|v| v.as_f64().to_bits()));
        Self { input: x.shape(), sample }
    }
}

/// The plan of the last forward pass, and the shapes of its values.
type ForwardParts<'a> = (&'a ForwardPlan, &'a [Shape]);

/// The memory of a trace.
#[derive(Debug)]
pub(crate) struct TraceBuffers<F: Scalar> {
    /// Values.
    pub(crate) y: Vec<Tensor<F>>,
    /// Gradients of values. The first is that from which a backward pass starts.
    pub(crate) dy: Vec<Tensor<F>>,
    /// One cache for each operation.
    pub(crate) caches: Vec<Box<dyn DynCache>>,
    /// A copy of the gradient that a layer may overwrite, where everything is kept.
    pub(crate) scratch: Tensor<F>,
    /// Passed in place of a tensor that the layer does not read.
    pub(crate) nothing: Tensor<F>,
}

impl<F: Scalar> Trace<F> {
    /// An empty trace, for any model.
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            version: 0,
            program: None,
            plan: ForwardPlan { buffer: Vec::new(), sizes: Vec::new() },
            shapes: Vec::new(),
            named: Vec::new(),
            carried: Carried::default(),
            back: None,
            pass: None,
            buffers: TraceBuffers {
                y: Vec::new(),
                dy: vec![Tensor::default()],
                caches: Vec::new(),
                scratch: Tensor::default(),
                nothing: Tensor::default(),
            },
        }
    }

    /// Checks that there is memory for a pass over this number of samples, beyond what the trace has.
    pub(crate) fn check_memory(&self, model: &Model<F>, samples: usize) -> Result<(), Error> {
        model.needs().check_pass(samples, self.keep, || self.bytes())
    }

    /// How much is kept.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// Allocates the memory for a forward pass of this model. Until that pass is complete, the trace belongs to no pass.
    pub(crate) fn prepare(&mut self, model: &Model<F>) {
        self.pass = None;
        if self.version == model.version() {
            return;
        }
        let program = model.program();
        if !self.is_of(program) {
            let cache = |op: &Op<F>| match &op.kind {
                OpKind::Layer(layer) => layer.new_cache(),
                OpKind::Sum(_) | OpKind::Concat | OpKind::Input(_) => Box::new(()),
            };
            self.buffers.caches = program.ops.iter().map(cache).collect();
            self.program = Some(Arc::clone(program));
            self.carried = Carried::default();
        }
        self.plan = plan::forward(program, self.keep);
        self.shapes.clone_from(&program.shapes);
        self.buffers.y.resize_with(self.plan.sizes.len(), Tensor::default);
        self.back = None;
        self.version = model.version();
    }

    /// Sets a named input of the model ([`input`](crate::input)), `[n, ..]`, for the passes that follow.
    pub fn set_input(&mut self, name: &str, value: &Tensor<F>) {
        match self.named.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => own.copy_from(value),
            None => self.named.push((name.to_owned(), value.clone())),
        }
    }

    /// The named input of this name, if it is set.
    pub(crate) fn named(&self, name: &str) -> Option<&Tensor<F>> {
        self.named.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Prepares a pass over these inputs: memory, shapes, and what a sequence goes on from.
    pub(crate) fn begin(&mut self, model: &Model<F>, x: &Tensor<F>, ctx: &Context) -> Result<(), Error> {
        self.prepare(model);
        let program = model.program();
        let sample = Shape::of(&x.shape()[1..]);
        let mut same = self.shapes[0] == sample;
        for (value, name) in program.named() {
            let named = self.named(name).ok_or_else(|| {
                Error::argument(format!("input {name:?}"), "a tensor from Trace::set_input", "none")
            })?;
            model.check_named(name, &program.shapes[value], &named.shape(), x.batch())?;
            same &= self.shapes[value] == Shape::of(&named.shape()[1..]);
        }
        if !same {
            let named = |name: &str| {
                let shape = self.named(name).map_or(Shape::default(), Tensor::shape);
                Shape::of(shape.get(1..).unwrap_or(&[]))
            };
            self.shapes = program.shapes_for(sample, named)?;
        }
        for &(op, count) in &program.ids {
            let ids = match program.ops[op].inputs[0] {
                0 => x,
                value => match &program.ops[value - 1].kind {
                    OpKind::Input(name) => self.named(name).expect("looked for above"),
                    _ => unreachable!("ids are inputs"),
                },
            };
            ids::check(&program.ops[op].path, ids, count)?;
        }
        for name in &program.masks {
            masks::check(name, self.named(name).expect("looked for above"))?;
        }
        self.carry(program, x, ctx)
    }

    /// Counts the positions of sequences, and checks that those of this pass can go on with those of the last.
    fn carry(&mut self, program: &Program<F>, x: &Tensor<F>, ctx: &Context) -> Result<(), Error> {
        let Carried { samples, begin, end } = self.carried;
        let begin = ctx.memory.begin(begin, end);
        if begin > 0 && samples != x.batch() {
            let expected = format!("{samples} samples, whose state is carried on (Memory::{:?})", ctx.memory);
            return Err(Error::argument("input", expected, x.batch()));
        }
        let mut end = 0;
        if program.sequence != Sequence::No {
            let length = self.shapes[0].first().copied().unwrap_or(1);
            end = begin.saturating_add(length);
            if begin > 0
                && let Some((_, op, layer)) =
                    program.layers().find(|(_, _, layer)| layer.sequence() == Sequence::Whole)
            {
                let got = format!("a piece of one, for {} ({})", op.path, layer.describe());
                return Err(Error::argument("input", "a whole sequence, with Memory::Fresh", got));
            }
            if let Sequence::Steps { longest } = program.sequence
                && end > longest
            {
                let expected = format!("at most {longest} positions in all");
                return Err(Error::argument("input", expected, format!("{length} after {begin}")));
            }
        }
        self.carried = Carried { samples: x.batch(), begin, end };
        Ok(())
    }

    /// Checks that the last forward pass was one of this model.
    pub(crate) fn check_model(&self, model: &Model<F>) -> Result<(), Error> {
        let expected = "one of this model's forward pass, as it is frozen now";
        match self.pass {
            None => Err(Error::argument("trace", expected, "one without a pass")),
            Some(_) if self.version != model.version() => {
                Err(Error::argument("trace", expected, "that of another model, or frozen otherwise"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether the caches are those of this list of operations.
    fn is_of(&self, program: &Arc<Program<F>>) -> bool {
        self.program.as_ref().is_some_and(|own| Arc::ptr_eq(own, program))
    }

    /// Allocates the memory for a backward pass, and returns its plan.
    pub(crate) fn prepare_backward(
        &mut self,
        model: &Model<F>,
        wanted: Wanted,
    ) -> Result<(ForwardParts<'_>, &BackwardPlan, &mut TraceBuffers<F>), Error> {
        if self.keep == Keep::Last {
            return Err(Error::argument("trace", "Keep::ForBackward or Keep::All", "Keep::Last"));
        }
        self.check_model(model)?;
        let back = match self.back.take().filter(|(of, _)| *of == wanted) {
            Some(back) => back,
            None => {
                let back = plan::backward(model.program(), &model.trainable(), self.keep, wanted);
                self.buffers.dy.resize_with(back.sizes.len(), Tensor::default);
                (wanted, back)
            }
        };
        let (_, back) = self.back.insert(back);
        Ok(((&self.plan, &self.shapes), back, &mut self.buffers))
    }

    /// A value, and its gradient, which the caller writes before a backward pass starts from this value.
    pub(crate) fn value_and_gradient(&mut self, value: usize) -> (&Tensor<F>, &mut Tensor<F>) {
        let TraceBuffers { y, dy, .. } = &mut self.buffers;
        (&y[self.plan.buffer[value]], &mut dy[0])
    }

    fn output_buffer(&self) -> Option<usize> {
        self.program.as_ref().map(|program| self.plan.buffer[program.output])
    }

    /// The output of the last forward pass; empty before the first.
    pub fn output(&self) -> &Tensor<F> {
        self.output_buffer().map_or(&self.buffers.nothing, |buffer| &self.buffers.y[buffer])
    }

    /// The output, and the gradient with respect to it, which the caller writes before the backward pass.
    pub fn output_and_gradient(&mut self) -> (&Tensor<F>, &mut Tensor<F>) {
        let buffer = self.output_buffer();
        let TraceBuffers { y, dy, nothing, .. } = &mut self.buffers;
        (buffer.map_or(nothing, |buffer| &y[buffer]), &mut dy[0])
    }

    /// Output of the layer, chain or branch called `path` (`block2.main.conv1`), and, after a backward pass, the
    /// gradient with respect to it. For a trace made with [`Keep::All`].
    ///
    /// # Errors
    /// If the model has no layer of that name (the message lists the names that exist), if not everything is kept, or
    /// if there has been no forward pass.
    pub fn get(&self, path: &str) -> Result<(&Tensor<F>, Option<&Tensor<F>>), Error> {
        let value = self.value(path)?;
        let y = &self.buffers.y[self.plan.buffer[value]];
        let buffer = self.back.as_ref().and_then(|(_, back)| back.buffer[value]);
        Ok((y, buffer.and_then(|buffer| self.buffers.dy.get(buffer))))
    }

    /// The value that a layer, chain or branch ends with.
    pub(crate) fn value(&self, path: &str) -> Result<usize, Error> {
        if self.keep != Keep::All {
            return Err(Error::argument("trace", "Keep::All", format!("Keep::{:?}", self.keep)));
        }
        let Some(program) = &self.program else {
            return Err(Error::argument("trace", "one of a forward pass", "a new one"));
        };
        // Value 0 is the input, which an identity ends with.
        let value = program.values.get(path).filter(|value| !path.is_empty() && **value != 0);
        value.copied().ok_or_else(|| Error::unknown("layer", path, program.paths()))
    }

    /// Bytes of memory the trace holds.
    pub fn bytes(&self) -> usize {
        let TraceBuffers { y, dy, caches, scratch, .. } = &self.buffers;
        y.iter().chain(dy).chain([scratch]).map(Tensor::allocated_bytes).sum::<usize>()
            + caches.iter().map(|cache| cache.bytes()).sum::<usize>()
    }
}

/// The shape of a value for a batch of this size.
pub(crate) fn batched(shapes: &[Shape], value: usize, samples: usize) -> Shape {
    shapes[value].batched(samples).expect("values have an axis less than a shape can have")
}
