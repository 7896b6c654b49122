//! The passes of a model: loops over its list of operations.

use std::mem::take;
use std::sync::Arc;

use crate::error::Error;
use crate::kernels::elementwise::{add, copy, sum_and};
use crate::layer::undeclared::declared_only;
use crate::layer::weights::{Grads, LayerGrads, Weights, WeightsMut};
use crate::layer::{Backward, Context, DynCache, DynLayer, InputGrads, Mode};
use crate::layers::Activation;
use crate::net::model::Model;
use crate::net::plan::Keep;
use crate::net::plan::{BackwardStep, DX, ForwardPlan, To, Wanted, reads};
use crate::net::program::{MAX_INPUTS, Op, OpKind};
use crate::net::trace::{InputFingerprint, Trace, TraceBuffers, batched};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

impl<F: Scalar> Model<F> {
    /// The forward pass, y = f(x). The trace keeps the data of the pass: [`Trace::output`] is y.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, of at least one sample in training and more where a batch normalization needs them,
    /// if the pass would take more memory than [`MEMORY_LIMIT`](crate::MEMORY_LIMIT) or than is available, or if a layer asks for a parameter
    /// that it did not declare.
    pub fn forward(&self, x: &Tensor<F>, trace: &mut Trace<F>, ctx: &Context) -> Result<(), Error> {
        self.check_input(&x.shape())?;
        if x.batch() == 0 && ctx.mode == Mode::Train {
            return Err(Error::argument("input", "at least one sample to train on", x.shape()));
        }
        trace.check_memory(self, x.batch())?;
        if x.batch() == 1 && ctx.mode == Mode::Train {
            self.check_one_sample()?;
        }
        self.run(x, trace, ctx)
    }

    /// [`forward`](Self::forward) for arguments that are already checked.
    pub(crate) fn run(&self, x: &Tensor<F>, trace: &mut Trace<F>, ctx: &Context) -> Result<(), Error> {
        trace.begin(self, x, ctx)?;
        let Trace { plan, shapes, named, buffers: TraceBuffers { y: values, caches, .. }, .. } = trace;
        let program = self.program();
        for (i, op) in program.ops.iter().enumerate() {
            let mut y = take(&mut values[plan.buffer[i + 1]]);
            y.resize(&batched(shapes, i + 1, x.batch()));
            let input = |at: usize| match op.inputs[at] {
                0 => x,
                value => &values[plan.buffer[value]],
            };
            match &op.kind {
                OpKind::Layer(layer) => {
                    let others = others_of(op, input);
                    let w = self.weights(op, &others[..op.others.len()]);
                    let (x, cache) = (input(0), caches[i].as_mut());
                    let forward = || layer.forward(&w, x, &mut y, cache, ctx);
                    declared_only(&op.path, || layer.describe(), forward)?;
                }
                OpKind::Sum(activation) => add_up([input(0), input(1)], *activation, &mut y),
                OpKind::Concat => put_side_by_side((0..op.inputs.len()).map(input), &mut y),
                OpKind::Input(name) => {
                    let value = named.iter().find(|(own, _)| **own == **name);
                    copy(value.expect("Trace::begin looked for it").1.data(), y.data_mut());
                }
            }
            values[plan.buffer[i + 1]] = y;
        }
        // No backward pass can follow a prediction, and the hash would take a part of its time.
        trace.pass = (trace.keep() != Keep::Last).then(|| InputFingerprint::of(x));
        Ok(())
    }

    /// The backward pass. It starts from the gradient with respect to the output ([`Trace::output_and_gradient`]), overwrites `dx` with the
    /// gradient with respect to `x`, and adds the gradients of the parameters to `grads`, each if it is given. It does not change the model.
    /// The trace must come from [`forward`](Self::forward) with the same `x`, keeping more than the output.
    ///
    /// # Errors
    /// If the trace keeps only the output, or does not belong to this model's latest forward pass over this `x` (the shape and some
    /// of the numbers are compared), the gradient has another shape than the output, `grads` is of another model, or a layer gives no
    /// gradient for a parameter that it declared or asks for one that it did not declare.
    pub fn backward(
        &self,
        x: &Tensor<F>,
        trace: &mut Trace<F>,
        dx: Option<&mut Tensor<F>>,
        mut grads: Option<&mut Grads<F>>,
        ctx: &Context,
    ) -> Result<(), Error> {
        self.differentiate(self.program().output, x, trace, dx, grads.as_deref_mut(), ctx)?;
        let Some(grads) = grads else { return Ok(()) };
        let mut trainable = self.slots().iter().enumerate().filter(|(_, slot)| slot.is_trainable());
        match trainable.find(|(at, _)| grads.get(*at).is_none()) {
            Some((_, slot)) => Err(Error::argument(
                slot.name(),
                "a gradient from Layer::backward, as it was declared",
                "none",
            )),
            None => Ok(()),
        }
    }

    /// The backward pass from any value, whose gradient is in the trace's first buffer.
    pub(crate) fn differentiate(
        &self,
        from: usize,
        x: &Tensor<F>,
        trace: &mut Trace<F>,
        mut dx: Option<&mut Tensor<F>>,
        mut grads: Option<&mut Grads<F>>,
        ctx: &Context,
    ) -> Result<(), Error> {
        if let Some(grads) = &grads {
            grads.check(self.slots())?;
        }
        let (pass, keep) = (trace.pass, trace.keep());
        let wanted = Wanted { from, dx: dx.is_some(), grads: grads.is_some() };
        let ((plan, shapes), back, buffers) = trace.prepare_backward(self, wanted)?;
        let (pass, here) = (pass.expect("looked at above"), InputFingerprint::of(x));
        if here != pass {
            let (expected, got) = match here.input == pass.input {
                true => ("the batch that the forward pass was over".to_owned(), "other numbers".to_owned()),
                false => (format!("{}, as in the forward pass", pass.input), here.input.to_string()),
            };
            return Err(Error::argument("x", expected, got));
        }
        let (expected, got) = (batched(shapes, from, x.batch()), buffers.dy[0].shape());
        if got != expected {
            return Err(Error::argument("trace", format!("a gradient of {expected}"), got));
        }
        if let Some(dx) = dx.as_deref_mut() {
            dx.resize(&x.shape());
            // The output does not depend on x.
            if back.buffer[0].is_none() {
                dx.fill(F::zero());
            }
        }
        for step in &back.steps {
            let mut dy = take(&mut buffers.dy[step.dy]);
            // If everything is kept, layers get a copy that they may overwrite.
            let kept = (keep == Keep::All).then(|| {
                buffers.scratch.copy_from(&dy);
                std::mem::replace(&mut dy, take(&mut buffers.scratch))
            });
            let mut work = Work { model: self, plan, shapes, x, ctx, buffers, dx: dx.as_deref_mut() };
            match &self.program().ops[step.op].kind {
                OpKind::Layer(layer) => work.layer(layer.as_ref(), step, &mut dy, grads.as_deref_mut())?,
                OpKind::Sum(activation) => work.sum(*activation, step, &mut dy),
                OpKind::Concat => work.concat(step, &dy),
                OpKind::Input(_) => {}
            }
            if let Some(kept) = kept {
                buffers.scratch = std::mem::replace(&mut dy, kept);
            }
            if !step.to.iter().any(|to| matches!(to, To::Take(_))) {
                buffers.dy[step.dy] = dy;
            }
        }
        Ok(())
    }

    /// Updates the running statistics with those of a training pass, once in each step.
    ///
    /// # Errors
    /// If the trace does not belong to this model's forward pass or keeps only the output, or a layer asks for a name that it did not declare.
    pub fn commit(&mut self, trace: &Trace<F>) -> Result<(), Error> {
        if trace.keep() == Keep::Last {
            return Err(Error::argument("trace", "Keep::ForBackward or Keep::All", "Keep::Last"));
        }
        trace.check_model(self)?;
        let program = Arc::clone(self.program());
        for (op, cache) in program.ops.iter().zip(&trace.buffers.caches) {
            if let OpKind::Layer(layer) = &op.kind {
                let mut state = WeightsMut { slots: self.own_slots(), places: &op.places };
                let commit = || layer.commit(cache.as_ref(), &mut state);
                declared_only(&op.path, || layer.describe(), commit)?;
            }
        }
        Ok(())
    }

    pub(crate) fn weights<'a>(
        &'a self,
        op: &'a Op<F>,
        inputs: &'a [(&'a str, &'a Tensor<F>)],
    ) -> Weights<'a, F> {
        Weights { slots: self.slots(), places: &op.places, key: op.key, inputs }
    }
}

/// What the derivatives of the operations work on.
struct Work<'a, F: Scalar> {
    model: &'a Model<F>,
    plan: &'a ForwardPlan,
    shapes: &'a [Shape],
    x: &'a Tensor<F>,
    ctx: &'a Context,
    buffers: &'a mut TraceBuffers<F>,
    dx: Option<&'a mut Tensor<F>>,
}

impl<F: Scalar> Work<'_, F> {
    fn layer(
        &mut self,
        layer: &dyn DynLayer<F>,
        step: &BackwardStep,
        dy: &mut Tensor<F>,
        grads: Option<&mut Grads<F>>,
    ) -> Result<(), Error> {
        let op = &self.model.program().ops[step.op];
        let mut own: [Option<Tensor<F>>; MAX_INPUTS] = Default::default();
        for (own, (&to, &value)) in own.iter_mut().zip(step.to.iter().zip(&op.inputs)) {
            *own = match to {
                To::Nowhere => None,
                To::Write(buffer) | To::Take(buffer) | To::Add { spare: buffer, .. } => {
                    Some(self.take_gradient(buffer, value))
                }
            };
        }
        let TraceBuffers { y: values, caches, nothing, .. } = &mut *self.buffers;
        let value = |value: usize| if value == 0 { self.x } else { &values[self.plan.buffer[value]] };
        let others = others_of(op, |at| value(op.inputs[at]));
        let mut names = [""; MAX_INPUTS];
        names.iter_mut().zip(&op.others).for_each(|(to, name)| *to = name);
        let [dx, of @ ..] = &mut own;
        let (reads_x, reads_y) = reads(&op.kind);
        let pass = Backward {
            x: if reads_x { value(op.inputs[0]) } else { nothing },
            y: if reads_y { value(step.op + 1) } else { nothing },
            dy,
            dx: dx.as_mut(),
            others: InputGrads { names: &names[..op.others.len()], of },
            grads: LayerGrads { grads, slots: self.model.slots(), places: &op.places },
        };
        let w = self.model.weights(op, &others[..op.others.len()]);
        let cache: &mut dyn DynCache = caches[step.op].as_mut();
        let backward = || layer.backward(&w, pass, cache, self.ctx);
        declared_only(&op.path, || layer.describe(), backward)?;
        for (own, &to) in own.into_iter().zip(&step.to) {
            match (own, to) {
                (Some(own), To::Add { to, spare }) => {
                    add(self.gradient(to).data_mut(), own.data());
                    *self.gradient(spare) = own;
                }
                (Some(own), To::Write(buffer) | To::Take(buffer)) => *self.gradient(buffer) = own,
                _ => {}
            }
        }
        Ok(())
    }

    /// Both get dz; the last may get the buffer itself.
    fn sum(&mut self, activation: Activation, step: &BackwardStep, dy: &mut Tensor<F>) {
        let op = &self.model.program().ops[step.op];
        if activation.reads_output() {
            let width = dy.width();
            let y = &self.buffers.y[self.plan.buffer[step.op + 1]];
            activation.differentiate(y.data(), dy.data_mut(), width, self.ctx.relu);
        }
        for (&to, &value) in step.to.iter().zip(&op.inputs) {
            match to {
                To::Nowhere => {}
                To::Write(to) => {
                    let mut gradient = self.take_gradient(to, value);
                    copy(dy.data(), gradient.data_mut());
                    *self.gradient(to) = gradient;
                }
                To::Add { to, .. } => add(self.gradient(to).data_mut(), dy.data()),
                To::Take(to) => *self.gradient(to) = take(dy),
            }
        }
    }

    /// Each gets its own columns of dy.
    fn concat(&mut self, step: &BackwardStep, dy: &Tensor<F>) {
        let op = &self.model.program().ops[step.op];
        let mut from = 0;
        for (&to, &value) in step.to.iter().zip(&op.inputs) {
            let part = self.shapes[value].last().copied().unwrap_or(0);
            let columns = from..from + part;
            from += part;
            let (to, adds) = match to {
                To::Nowhere | To::Take(_) => continue,
                To::Write(to) => (to, false),
                To::Add { to, .. } => (to, true),
            };
            let mut gradient = if adds { take(self.gradient(to)) } else { self.take_gradient(to, value) };
            let rows = gradient.data_mut().chunks_exact_mut(part).zip(dy.data().chunks_exact(dy.width()));
            for (row, dy) in rows {
                match adds {
                    false => row.copy_from_slice(&dy[columns.clone()]),
                    true => row.iter_mut().zip(&dy[columns.clone()]).for_each(|(row, &dy)| *row += dy),
                }
            }
            *self.gradient(to) = gradient;
        }
    }

    /// The buffer of a gradient.
    fn gradient(&mut self, buffer: usize) -> &mut Tensor<F> {
        match buffer {
            DX => self.dx.as_deref_mut().expect("planned for a pass that wants dx"),
            _ => &mut self.buffers.dy[buffer],
        }
    }

    /// Takes the buffer out, in the shape of the value.
    fn take_gradient(&mut self, buffer: usize, value: usize) -> Tensor<F> {
        let shape = batched(self.shapes, value, self.x.batch());
        let mut gradient = take(self.gradient(buffer));
        gradient.resize(&shape);
        gradient
    }
}

/// The further inputs of a layer, by name: as many as it has, then its first input again.
fn others_of<'a, F: Scalar>(
    op: &'a Op<F>,
    input: impl Fn(usize) -> &'a Tensor<F>,
) -> [(&'a str, &'a Tensor<F>); MAX_INPUTS - 1] {
    let mut others = [("", input(0)); MAX_INPUTS - 1];
    for (i, (to, name)) in others.iter_mut().zip(&op.others).enumerate() {
        *to = (name, input(i + 1));
    }
    others
}

/// y = activation(a + b), in one pass over memory.
fn add_up<F: Scalar>([a, b]: [&Tensor<F>; 2], activation: Activation, y: &mut Tensor<F>) {
    let width = y.width();
    sum_and(a.data(), b.data(), y.data_mut(), width, |rows| activation.apply(rows, width));
}

/// Concatenates the rows of several tensors.
fn put_side_by_side<'a, F: Scalar>(inputs: impl Iterator<Item = &'a Tensor<F>>, y: &mut Tensor<F>) {
    let (width, mut from) = (y.width(), 0);
    for x in inputs {
        let part = x.width();
        for (y, x) in y.data_mut().chunks_exact_mut(width).zip(x.data().chunks_exact(part)) {
            y[from..from + part].copy_from_slice(x);
        }
        from += part;
    }
}
