//! One layer of a recurrent network, in one direction: the loop over the steps of a sequence.

use crate::error::ShapeError;
use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::elementwise::is_hidden;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::multiply::multiply;
use crate::kernels::gemm::pack::RightBlock;
use crate::kernels::gemm::tile;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::vectorised;
use crate::kernels::sums::add_rows;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Cache, Context, Fan, Layer, MASK, Memory, Reads, Sequence};
use crate::layers::recurrent::cell::Cell;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The samples that a thread takes through all steps at a time. Enough that a product with the weights is worth reading them for.
const SAMPLES: usize = 32;

/// One layer of a recurrent network, in one direction. [`Recurrent`](super::Recurrent) makes nets of these.
///
/// The products of all positions with the weights of the input are one matrix product, and so are the gradients of the weights. Only h W_hh and its derivative
/// go step by step.
#[derive(Debug, Clone)]
pub struct Direction<C> {
    pub(crate) cell: C,
    pub(crate) units: usize,
    /// Whether it reads the sequence from its end.
    pub(crate) reversed: bool,
    /// The number of layers that were asked for.
    pub(crate) layers: usize,
}

/// What a pass keeps: the gates and states of all steps, and the states at both ends.
#[derive(Debug, Default)]
pub struct Steps<F> {
    /// `[n, time, gates · units]`: the gates; in backward dL/dz.
    gates: Tensor<F>,
    /// `[n, time, gates · units]`: h W_hh + bias_hh, and dL/d of it, where a cell needs both.
    split: Tensor<F>,
    /// `[n, time, units]`: each state before every step.
    before: [Tensor<F>; 2],
    /// `[n, units]`: each state where the pass began, and where it ended.
    first: [Tensor<F>; 2],
    last: [Tensor<F>; 2],
    /// `[n, units]`: the gradient of each state.
    gradient: [Tensor<F>; 2],
    /// `[n, gates · units]`: the products of one step.
    step: Tensor<F>,
}

impl<F: Scalar> Cache for Steps<F> {
    fn bytes(&self) -> usize {
        let all = [&self.gates, &self.split, &self.step].into_iter().chain(&self.before);
        let all = all.chain(&self.first).chain(&self.last).chain(&self.gradient);
        all.map(Tensor::allocated_bytes).sum()
    }
}

impl<C: Cell> Direction<C> {
    fn name(&self) -> String {
        let reversed = if self.reversed { ", reversed" } else { "" };
        format!("{} {}{reversed}", C::NAME, self.units)
    }

    /// Gates of all units.
    fn width(&self) -> usize {
        C::GATES.saturating_mul(self.units)
    }

    /// Takes the memory for a pass, and sets the states it begins from.
    fn begin<F: Scalar>(&self, c: &mut Steps<F>, n: usize, time: usize, memory: Memory) {
        let state = [n, self.units];
        for s in 0..C::STATES {
            match memory {
                Memory::Continue if *c.last[s].shape() == state => c.first[s].copy_from(&c.last[s]),
                Memory::Repeat if *c.first[s].shape() == state => {}
                _ => {
                    c.first[s].resize(&state);
                    c.first[s].fill(F::zero());
                }
            }
            c.last[s].copy_from(&c.first[s]);
            c.before[s].resize(&[n, time, self.units]);
        }
        c.gates.resize(&[n, time, self.width()]);
        c.step.resize(&[n, self.width()]);
        if C::SPLIT {
            c.split.resize(&[n, time, self.width()]);
        }
    }

    /// The position of a step.
    fn position(&self, step: usize, time: usize) -> usize {
        if self.reversed { time - 1 - step } else { step }
    }
}

impl<F: Scalar, C: Cell> Layer<F> for Direction<C> {
    type Cache = Steps<F>;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            _ if self.units == 0 => Err(ShapeError::new(self.name(), "at least 1 unit", "0".to_owned())),
            _ if self.layers == 0 => Err(ShapeError::new(self.name(), "at least 1 layer", "0".to_owned())),
            [time, features] if *features > 0 => Shape::new(&[*time, self.units]),
            _ => Err(ShapeError::new(self.name(), "[time, features]", format!("{input:?}"))),
        }
    }

    fn check_inputs(&self, input: &[usize], others: &[(&str, Shape)]) -> Result<(), ShapeError> {
        match others {
            [] => Ok(()),
            [(MASK, shape)] if **shape == input[..1] => Ok(()),
            [(name, shape), ..] => {
                let expected = format!("at most a mask [{}]", input[0]);
                Err(ShapeError::new(self.name(), expected, format!("{name:?} {shape}")))
            }
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        // PyTorch's initial values: uniform in ± 1 / sqrt(units).
        let init = Init::UniformWithin(1.0 / (self.units.max(1) as f64).sqrt());
        let fan = |inputs| Fan { inputs, outputs: self.units };
        declare.learned("weight_ih", &[input[1], self.width()], init, fan(input[1]));
        declare.learned("weight_hh", &[self.units, self.width()], init, fan(self.units));
        declare.learned("bias_ih", &[self.width()], init, fan(input[1]));
        declare.learned("bias_hh", &[self.width()], init, fan(self.units));
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, c: &mut Steps<F>, ctx: &Context) {
        let (n, time, features) = (x.batch(), x.shape()[1], x.width());
        let width = self.width();
        self.begin(c, n, time, ctx.memory);
        if n == 0 {
            return;
        }
        let weight = Matrix::new(w["weight_ih"].data(), features, width);
        multiply(
            Matrix::new(x.data(), n * time, features),
            weight,
            Accumulate::Overwrite,
            c.gates.data_mut(),
        );
        let mut scratch = Scratch::take(Buffer::Whole);
        let hidden = Hidden::new(Matrix::new(w["weight_hh"].data(), self.units, width), time, &mut scratch);
        let (bias_ih, bias_hh) = (w["bias_ih"].data(), w["bias_hh"].data());
        Chunk::all(c, y, w.input(MASK)).in_parts(&|mut part| {
            for step in 0..time {
                let h = Matrix::new(&*part.states[0], part.samples, self.units);
                hidden.multiply(h, Accumulate::Overwrite, part.step);
                part.forward(self, [self.position(step, time), time], [bias_ih, bias_hh]);
            }
        });
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, c: &mut Steps<F>, _: &Context) {
        let Backward { x, dy, dx, mut others, mut grads, .. } = pass;
        let (n, time, features) = (dy.batch(), dy.shape()[1], w["weight_ih"].batch());
        let (width, rows) = (self.width(), n * time);
        if let Some(mask) = others.write(MASK) {
            mask.fill(F::zero());
        }
        for s in 0..C::STATES {
            c.gradient[s].resize(&[n, self.units]);
            c.gradient[s].fill(F::zero());
        }
        if n > 0 {
            let mut scratch = Scratch::take(Buffer::Whole);
            let weight = Matrix::new(w["weight_hh"].data(), self.units, width);
            let hidden = Hidden::new(weight.t(), time, &mut scratch);
            std::mem::swap(&mut c.last, &mut c.gradient);
            Chunk::all(c, dy, w.input(MASK)).in_parts(&|mut part| {
                for step in (0..time).rev() {
                    let t = self.position(step, time);
                    part.backward(self, [t, time]);
                    let all = if C::SPLIT { &*part.split } else { &*part.gates };
                    let dp = Matrix::new(all, part.samples, time * width);
                    hidden.multiply(dp.columns(t * width, (t + 1) * width), Accumulate::Add, part.states[0]);
                }
            });
            std::mem::swap(&mut c.last, &mut c.gradient);
        }
        let dz = Matrix::new(c.gates.data(), rows, width);
        let dp = if C::SPLIT { Matrix::new(c.split.data(), rows, width) } else { dz };
        let before = Matrix::new(c.before[0].data(), rows, self.units);
        for (name, left, right) in
            [("weight_ih", Matrix::new(x.data(), rows, features), dz), ("weight_hh", before, dp)]
        {
            if let Some((grad, how)) = grads.write(name) {
                multiply(left.t(), right, how, grad);
            }
        }
        for (name, rows) in [("bias_ih", &c.gates), ("bias_hh", if C::SPLIT { &c.split } else { &c.gates })] {
            if let Some(grad) = grads.add(name) {
                add_rows(rows.data(), grad);
            }
        }
        if let Some(dx) = dx {
            let weight = Matrix::new(w["weight_ih"].data(), features, width);
            multiply(dz, weight.t(), Accumulate::Overwrite, dx.data_mut());
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let (time, features) = (input[0], input[1]);
        let (width, states) = (self.width(), C::STATES.saturating_mul(self.units));
        let step = width.saturating_mul(if C::SPLIT { 2 } else { 1 }).saturating_add(states);
        let numbers =
            time.saturating_mul(step).saturating_add(states.saturating_mul(3)).saturating_add(width);
        let adds = width.saturating_mul(features.saturating_add(self.units)).saturating_mul(time);
        Cost {
            multiply_adds: adds as u64,
            sample_bytes: numbers.saturating_mul(size_of::<F>()),
            ..Cost::default()
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn sequence(&self) -> Sequence {
        if self.reversed { Sequence::Whole } else { Sequence::Steps { longest: usize::MAX } }
    }
}

/// The factor of the products that go step by step, copied once where there are several steps.
enum Hidden<'a, F> {
    Once(Matrix<'a, F>),
    Copied(RightBlock<'a, F>),
}

impl<'a, F: Scalar> Hidden<'a, F> {
    fn new(weight: Matrix<'a, F>, time: usize, scratch: &'a mut Scratch<F>) -> Self {
        if time > 1 { Self::Copied(tile::copied(weight, scratch)) } else { Self::Once(weight) }
    }

    fn multiply(&self, left: Matrix<'_, F>, how: Accumulate, to: &mut [F]) {
        match self {
            Self::Once(weight) => tile::multiply(left, *weight, how, to),
            Self::Copied(weight) => tile::multiply_copied(left, *weight, how, to),
        }
    }
}

/// The part of a pass that belongs to some samples, which one thread takes through all steps.
struct Chunk<'a, F> {
    samples: usize,
    gates: &'a mut [F],
    split: &'a mut [F],
    before: [&'a mut [F]; 2],
    /// The states, or their gradients.
    states: [&'a mut [F]; 2],
    step: &'a mut [F],
    /// y, or dL/dy.
    y: &'a mut [F],
    mask: Option<&'a [F]>,
}

impl<'a, F: Scalar> Chunk<'a, F> {
    /// All samples of a pass.
    fn all(c: &'a mut Steps<F>, y: &'a mut Tensor<F>, mask: Option<&'a Tensor<F>>) -> Self {
        Self {
            samples: y.batch(),
            gates: c.gates.data_mut(),
            split: c.split.data_mut(),
            before: c.before.each_mut().map(Tensor::data_mut),
            states: c.last.each_mut().map(Tensor::data_mut),
            step: c.step.data_mut(),
            y: y.data_mut(),
            mask: mask.map(Tensor::data),
        }
    }

    /// Calls `work` for parts of at most [`SAMPLES`] samples. The number of samples alone decides how they are cut.
    fn in_parts(self, work: &(dyn Fn(Chunk<'_, F>) + Sync)) {
        if self.samples <= SAMPLES {
            return work(self);
        }
        let (samples, middle) = (self.samples, self.samples / 2);
        fn cut<T>(data: &mut [T], samples: usize, middle: usize) -> (&mut [T], &mut [T]) {
            data.split_at_mut(data.len() / samples * middle)
        }
        let (gates, gates_after) = cut(self.gates, samples, middle);
        let (split, split_after) = cut(self.split, samples, middle);
        let (step, step_after) = cut(self.step, samples, middle);
        let (y, y_after) = cut(self.y, samples, middle);
        let ([h, c], [before_h, before_c]) = (self.states, self.before);
        let ((h, h_after), (c, c_after)) = (cut(h, samples, middle), cut(c, samples, middle));
        let (before_h, before_h_after) = cut(before_h, samples, middle);
        let (before_c, before_c_after) = cut(before_c, samples, middle);
        let mask = self.mask.map(|mask| mask.split_at(mask.len() / samples * middle));
        let first = Chunk {
            samples: middle,
            gates,
            split,
            before: [before_h, before_c],
            states: [h, c],
            step,
            y,
            mask: mask.map(|(mask, _)| mask),
        };
        let second = Chunk {
            samples: samples - middle,
            gates: gates_after,
            split: split_after,
            before: [before_h_after, before_c_after],
            states: [h_after, c_after],
            step: step_after,
            y: y_after,
            mask: mask.map(|(_, mask)| mask),
        };
        rayon::join(|| first.in_parts(work), || second.in_parts(work));
    }

    /// A step forward, after the product of its states with the weights.
    fn forward<C: Cell>(&mut self, of: &Direction<C>, [t, time]: [usize; 2], [bias_ih, bias_hh]: [&[F]; 2]) {
        let (units, width) = (of.units, of.width());
        let Chunk { gates, split, before: [before_h, before_c], states: [h, c], step, y, mask, .. } = self;
        vectorised(
            #[inline(always)]
            || {
                for (s, h) in h.chunks_exact_mut(units).enumerate() {
                    let row = s * time + t;
                    let c = if C::STATES > 1 { &mut c[s * units..][..units] } else { &mut [][..] };
                    let y = &mut y[row * units..][..units];
                    before_h[row * units..][..units].copy_from_slice(h);
                    if C::STATES > 1 {
                        before_c[row * units..][..units].copy_from_slice(c);
                    }
                    let z = &mut gates[row * width..][..width];
                    if mask.is_some_and(|mask| is_hidden(mask[row])) {
                        y.fill(F::zero());
                        continue;
                    }
                    let p = &mut step[s * width..][..width];
                    z.iter_mut().zip(bias_ih).for_each(|(z, &b)| *z += b);
                    p.iter_mut().zip(bias_hh).for_each(|(p, &b)| *p += b);
                    of.cell.forward(z, p, h, c);
                    y.copy_from_slice(h);
                    if C::SPLIT {
                        split[row * width..][..width].copy_from_slice(p);
                    }
                }
            },
        );
    }

    /// The derivative of a step, before the product with the weights.
    fn backward<C: Cell>(&mut self, of: &Direction<C>, [t, time]: [usize; 2]) {
        let (units, width) = (of.units, of.width());
        let Chunk { gates, split, before: [before_h, before_c], states: [dh, dc], y: dy, mask, .. } = self;
        vectorised(
            #[inline(always)]
            || {
                for (s, dh) in dh.chunks_exact_mut(units).enumerate() {
                    let row = s * time + t;
                    let z = &mut gates[row * width..][..width];
                    let p = if C::SPLIT { &mut split[row * width..][..width] } else { &mut [][..] };
                    if mask.is_some_and(|mask| is_hidden(mask[row])) {
                        z.fill(F::zero());
                        p.fill(F::zero());
                        continue;
                    }
                    let dy = &dy[row * units..][..units];
                    dh.iter_mut().zip(dy).for_each(|(dh, &dy)| *dh += dy);
                    let dc = if C::STATES > 1 { &mut dc[s * units..][..units] } else { &mut [][..] };
                    let before_c = if C::STATES > 1 { &before_c[row * units..][..units] } else { &[][..] };
                    of.cell.backward(z, p, [&before_h[row * units..][..units], before_c], dh, dc);
                }
            },
        );
    }
}
