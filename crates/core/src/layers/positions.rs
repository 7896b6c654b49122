//! Where in a sequence a vector is: a vector for each position is added.

use crate::error::ShapeError;
use crate::kernels::elementwise::copy;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Cache, Context, Fan, Layer, Memory, Reads, Sequence};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Adds a learned vector for each position (Gehring et al. 2017, section 3.1).
///
/// # Shapes
/// x and y `[n, time, features]`; weight W `[longest, features]`. A pass that goes on with a sequence goes on with the positions.
///
/// # Forward
/// y_nt = x_nt + W_t.
///
/// # Backward
/// dL/dx = dL/dy, dL/dW_t = Σ_n dL/dy_nt.
///
/// ```
/// use backstitch::{Model, chain, layers::{embedding, learned_positions}};
/// let model: Model = Model::new(chain![embedding(65, 16), learned_positions(32)], &[32], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[32, 16]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LearnedPositions {
    longest: usize,
    init: Init,
}

/// Adds a learned vector for each of `longest` positions.
pub fn learned_positions(longest: usize) -> LearnedPositions {
    LearnedPositions { longest, init: Init::NormalOf(1.0) }
}

impl LearnedPositions {
    /// Sets the initializer; the default is the standard normal distribution, as that of PyTorch's embedding.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    fn name(&self) -> String {
        format!("LearnedPositions {}", self.longest)
    }
}

/// The positions of a pass.
#[derive(Debug, Default)]
pub struct Range {
    begin: usize,
    end: usize,
}

impl Range {
    /// The range of a pass over `time` positions.
    fn go_on(&mut self, time: usize, memory: Memory) {
        self.begin = memory.begin(self.begin, self.end);
        self.end = self.begin + time;
    }
}

impl Cache for Range {
    fn bytes(&self) -> usize {
        0
    }
}

impl<F: Scalar> Layer<F> for LearnedPositions {
    type Cache = Range;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            [time, features] if *features > 0 && *time <= self.longest => Shape::new(input),
            _ => {
                let expected = format!("[time, features], of at most {} positions", self.longest);
                Err(ShapeError::new(self.name(), expected, format!("{input:?}")))
            }
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: self.longest, outputs: input[1] };
        declare.learned("weight", &[self.longest, input[1]], self.init, fan);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        range: &mut Range,
        ctx: &Context,
    ) {
        let (time, width) = (x.shape()[1], x.width());
        range.go_on(time, ctx.memory);
        add_vectors(x, &w["weight"].data()[range.begin * width..][..time * width], y);
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, range: &mut Range, _: &Context) {
        let Backward { dy, dx, mut grads, .. } = pass;
        let (time, width) = (dy.shape()[1], dy.width());
        if let Some(grad) = grads.add("weight") {
            let vectors = &mut grad[range.begin * width..][..time * width];
            for dy in dy.data().chunks_exact(time * width) {
                vectors.iter_mut().zip(dy).for_each(|(v, &dy)| *v += dy);
            }
        }
        if let Some(dx) = dx {
            copy(dy.data(), dx.data_mut());
        }
    }

    fn sequence(&self) -> Sequence {
        Sequence::Steps { longest: self.longest }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}

/// y = x + vectors, in every sample.
fn add_vectors<F: Scalar>(x: &Tensor<F>, vectors: &[F], y: &mut Tensor<F>) {
    let samples = y.data_mut().chunks_exact_mut(vectors.len()).zip(x.data().chunks_exact(vectors.len()));
    for (y, x) in samples {
        y.iter_mut().zip(x).zip(vectors).for_each(|((y, &x), &v)| *y = x + v);
    }
}

/// Adds a fixed vector for each position (Vaswani et al. 2017, section 3.5): waves, from short ones to long ones.
///
/// # Shapes
/// x and y `[n, time, features]`, of any length.
///
/// # Forward
/// y_nt = x_nt + v_t, with v_t,2i = sin(t / 10000^(2i / features)) and v_t,2i+1 = cos(t / 10000^(2i / features)).
///
/// # Backward
/// dL/dx = dL/dy.
///
/// ```
/// use backstitch::{Model, chain, layers::{embedding, sinusoidal_positions}};
/// let model: Model = Model::new(chain![embedding(65, 16), sinusoidal_positions()], &[32], 0)?;
/// assert_eq!(model.parameter_count(), 65 * 16);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SinusoidalPositions {}

/// Adds a fixed vector for each position.
pub fn sinusoidal_positions() -> SinusoidalPositions {
    SinusoidalPositions {}
}

/// The vectors of the last pass, and the positions that they belong to.
#[derive(Debug, Default)]
pub struct Waves<F> {
    range: Range,
    vectors: Tensor<F>,
    /// The first position that they belong to.
    first: usize,
}

impl<F: Scalar> Cache for Waves<F> {
    fn bytes(&self) -> usize {
        self.vectors.allocated_bytes()
    }
}

impl<F: Scalar> Waves<F> {
    fn fill(&mut self, time: usize, width: usize) {
        if *self.vectors.shape() == [time, width] && self.first == self.range.begin {
            return;
        }
        self.first = self.range.begin;
        self.vectors.resize(&[time, width]);
        for (t, row) in self.vectors.data_mut().chunks_exact_mut(width).enumerate() {
            for (i, v) in row.iter_mut().enumerate() {
                let power = (i / 2 * 2) as f64 / width as f64;
                let angle = (self.first + t) as f64 / 10_000_f64.powf(power);
                *v = F::from_f64(if i % 2 == 0 { angle.sin() } else { angle.cos() });
            }
        }
    }
}

impl<F: Scalar> Layer<F> for SinusoidalPositions {
    type Cache = Waves<F>;

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            [_, features] if *features > 0 => Shape::new(input),
            _ => {
                let name = Layer::<F>::describe(self);
                Err(ShapeError::new(name, "[time, features]", format!("{input:?}")))
            }
        }
    }

    fn forward(
        &self,
        _: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        waves: &mut Waves<F>,
        ctx: &Context,
    ) {
        let (time, width) = (x.shape()[1], x.width());
        waves.range.go_on(time, ctx.memory);
        waves.fill(time, width);
        add_vectors(x, waves.vectors.data(), y);
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, _: &mut Waves<F>, _: &Context) {
        if let Some(dx) = pass.dx {
            copy(pass.dy.data(), dx.data_mut());
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { fixed_bytes: product(input).saturating_mul(size_of::<F>()), ..Cost::default() }
    }

    fn sequence(&self) -> Sequence {
        Sequence::Steps { longest: usize::MAX }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}
