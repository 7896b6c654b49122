//! Attention with several heads.

use rayon::prelude::*;

use crate::error::ShapeError;
use crate::kernels::attention::{Heads, KeyGradients, QUERIES, Sample};
use crate::kernels::parts::in_pieces;
use crate::layer::cost::Cost;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Cache, Context, Layer, MASK, Memory, Reads, Sequence};
use crate::net::Net;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The name of the further input that has keys and values.
pub(crate) const CONTEXT: &str = "context";

/// Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2). It has no parameters: the layer before it makes queries, keys
/// and values, and the one behind it mixes the heads.
///
/// # Shapes
/// x `[n, time, 3 width]`: queries, keys and values side by side; y `[n, time, width]`. The width is cut into `heads` heads of equal size. With
/// [`over`](Self::over), x `[n, time, width]` has the queries alone, and the context `[n, keys, 2 width]` keys and values.
///
/// # Forward
/// For each head, with q, k and v its columns, and `size` their number: scores s_ij = q_i · k_j / √size, weights p_ij = e^s_ij / Σ_j' e^s_ij', and
/// y_i = Σ_j p_ij v_j. Sums are over the keys j that query i may see: all, only those up to i ([`causal`](Self::causal)), and only those that the
/// [`mask`](Self::mask) shows. A query that sees none gives 0.
///
/// # Backward
/// With dy the gradient of a head's output:
/// * dv_j = Σ_i p_ij dy_i;
/// * dp_ij = dy_i · v_j, and by the derivative of softmax ds_ij = p_ij (dp_ij - Σ_j' p_ij' dp_ij');
/// * dq_i = Σ_j ds_ij k_j / √size, dk_j = Σ_i ds_ij q_i / √size.
///
/// # Memory
/// Weights are computed for 64 queries at a time, and again in backward (T. Dao et al. 2022, section 3.1): a thread holds 64 · keys numbers of them, twice in
/// backward, and never the matrix of all queries and keys. Keys and values are kept for passes that go on with a sequence.
///
/// ```
/// use backstitch::{Model, chain, layers::{attention, dense}};
/// let net = chain!["qkv" => dense(3 * 32), attention(4).causal(), "out" => dense(32)];
/// let model: Model = Model::new(net, &[16, 32], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[16, 32]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Attention {
    heads: usize,
    causal: bool,
    pub(crate) mask: Option<String>,
    pub(crate) context: Option<Net>,
}

/// Attention with this number of heads.
pub fn attention(heads: usize) -> Attention {
    Attention { heads, causal: false, mask: None, context: None }
}

impl Attention {
    /// Lets each position see itself and those before it, and none behind it. Such a layer can go on with a sequence.
    #[must_use]
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Reads a mask `[n, keys]` from the named input of the model ([`input`](crate::input)): 1 for each key that may be seen, 0 for the others.
    #[must_use]
    pub fn mask(mut self, input: &str) -> Self {
        self.mask = Some(input.to_owned());
        self
    }

    /// Takes keys and values from another net (cross-attention): from an encoder that begins with a named [`input`](crate::input) of the model, with a
    /// dense layer of 2 width units at its end.
    #[must_use]
    pub fn over(mut self, context: impl Into<Net>) -> Self {
        self.context = Some(context.into());
        self
    }

    fn name(&self) -> String {
        let heads = if self.heads == 1 { "head" } else { "heads" };
        let causal = if self.causal { ", causal" } else { "" };
        format!("Attention {} {heads}{causal}", self.heads)
    }

    /// Whether keys and values come from another net.
    fn crosses(&self) -> bool {
        self.context.is_some()
    }

    fn sizes(&self, x: &[usize], keys: usize, begin: usize) -> Heads {
        let query_stride = x[2];
        let width = if self.crosses() { query_stride } else { query_stride / 3 };
        Heads { heads: self.heads, width, query_stride, keys, causal: self.causal.then_some(begin) }
    }
}

/// Keys and values of a pass, and of those before it that it goes on from.
#[derive(Debug, Default)]
pub struct Kept<F> {
    /// `[n, capacity, 2 width]`.
    rows: Tensor<F>,
    /// The positions before the pass, and those after it.
    begin: usize,
    end: usize,
    /// Memory to move the rows.
    spare: Tensor<F>,
}

impl<F: Scalar> Cache for Kept<F> {
    fn bytes(&self) -> usize {
        self.rows.allocated_bytes() + self.spare.allocated_bytes()
    }
}

impl<F: Scalar> Kept<F> {
    /// Takes on the keys and values of a pass.
    fn go_on(&mut self, x: &Tensor<F>, memory: Memory) {
        let (n, time, width) = (x.batch(), x.shape()[1], x.width() / 3);
        self.begin = memory.begin(self.begin, self.end);
        self.end = self.begin + time;
        self.make_room(n, 2 * width);
        let capacity = self.rows.shape()[1];
        let begin = self.begin * 2 * width;
        in_pieces(self.rows.data_mut(), capacity * 2 * width, &|i, rows| {
            let x = &x.data()[i * time * 3 * width..][..time * 3 * width];
            let rows = rows[begin..].chunks_exact_mut(2 * width);
            for (row, x) in rows.zip(x.chunks_exact(3 * width)) {
                row.copy_from_slice(&x[width..]);
            }
        });
    }

    /// Makes room for all positions. A sequence that goes on gets twice as much as it needs, so that few passes move its rows.
    fn make_room(&mut self, n: usize, width: usize) {
        let shape = self.rows.shape();
        let fits = shape.len() == 3 && (shape[0], shape[2]) == (n, width);
        if self.begin == 0 {
            return self.rows.resize(&[n, self.end, width]);
        }
        if fits && shape[1] >= self.end {
            return;
        }
        std::mem::swap(&mut self.rows, &mut self.spare);
        self.rows.resize(&[n, 2 * self.end, width]);
        let old = self.spare.data().chunks_exact(shape[1] * width);
        for (rows, old) in self.rows.data_mut().chunks_exact_mut(2 * self.end * width).zip(old) {
            rows[..self.begin * width].copy_from_slice(&old[..self.begin * width]);
        }
    }
}

impl<F: Scalar> Layer<F> for Attention {
    type Cache = Kept<F>;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: String, got: String| Err(ShapeError::new(self.name(), expected, got));
        let parts = if self.crosses() { 1 } else { 3 };
        match input {
            _ if self.heads == 0 => error("at least 1 head".to_owned(), "0".to_owned()),
            [time, features]
                if *features > 0
                    && (features / parts).is_multiple_of(self.heads)
                    && features % parts == 0 =>
            {
                Shape::new(&[*time, features / parts])
            }
            _ if self.crosses() => error(
                format!("[time, width], the width a multiple of {} heads", self.heads),
                format!("{input:?}"),
            ),
            _ => error(
                format!(
                    "[time, 3 width] (queries, keys, values), the width a multiple of {} heads",
                    self.heads
                ),
                format!("{input:?}"),
            ),
        }
    }

    fn check_inputs(&self, input: &[usize], others: &[(&str, Shape)]) -> Result<(), ShapeError> {
        let mut keys = input[0];
        for (name, shape) in others {
            let fits = match *name {
                CONTEXT => shape.len() == 2 && shape[1] == input[1].saturating_mul(2),
                MASK => **shape == [keys],
                _ => false,
            };
            if !fits {
                let expected = match *name {
                    CONTEXT => format!("a context [keys, {}]: keys and values", input[1].saturating_mul(2)),
                    MASK => format!("a mask [{keys}]"),
                    _ => format!("further inputs called {CONTEXT:?} and {MASK:?}"),
                };
                return Err(ShapeError::new(self.name(), expected, format!("{name:?} {shape}")));
            }
            if *name == CONTEXT {
                keys = shape[0];
            }
        }
        Ok(())
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        kept: &mut Kept<F>,
        ctx: &Context,
    ) {
        if !self.crosses() {
            kept.go_on(x, ctx.memory);
        }
        let passes = Passes::new(self, w, x, kept);
        let (time, width) = (x.shape()[1], passes.sizes.width);
        // One long sequence is cut into blocks of queries, many sequences are not.
        let piece = if x.batch() == 1 { QUERIES } else { time };
        in_pieces(y.data_mut(), piece * width, &|i, y| {
            let (sample, from) = if piece == time { (i, 0) } else { (0, i * piece) };
            passes.sizes.forward(&passes.sample(sample), from, y);
        });
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, kept: &mut Kept<F>, _: &Context) {
        let Backward { x, dy, dx, mut others, .. } = pass;
        if let Some(mask) = others.write(MASK) {
            mask.fill(F::zero());
        }
        let passes = Passes::new(self, w, x, kept);
        let (of_x, of_dy) = (x.shape()[1] * x.width(), dy.shape()[1] * dy.width());
        let dy = dy.data();
        let one = |i: usize, queries: Option<&mut [F]>, keys: KeyGradients<'_, F>| {
            passes.sizes.backward(&passes.sample(i), &dy[i * of_dy..][..of_dy], queries, keys);
        };
        let beside = || match self.crosses() {
            true => KeyGradients::Nowhere,
            false => KeyGradients::BesideQueries(passes.begin),
        };
        match (dx, others.write(CONTEXT)) {
            (Some(dx), None) => in_pieces(dx.data_mut(), of_x, &|i, dx| one(i, Some(dx), beside())),
            (None, Some(context)) => {
                let size = context.shape()[1] * context.width();
                in_pieces(context.data_mut(), size, &|i, rows| one(i, None, KeyGradients::Rows(rows)));
            }
            (Some(dx), Some(context)) => {
                let size = context.shape()[1] * context.width();
                let pieces = dx.data_mut().par_chunks_mut(of_x).zip(context.data_mut().par_chunks_mut(size));
                pieces.enumerate().for_each(|(i, (dx, rows))| one(i, Some(dx), KeyGradients::Rows(rows)));
            }
            (None, None) => {}
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let width = if self.crosses() { input[1] } else { input[1] / 3 };
        let products = input[0].saturating_mul(input[0]).saturating_mul(width).saturating_mul(2);
        let kept = if self.crosses() { 0 } else { input[0].saturating_mul(width).saturating_mul(2) };
        Cost {
            multiply_adds: products as u64,
            sample_bytes: kept.saturating_mul(size_of::<F>()),
            ..Cost::default()
        }
    }

    fn sequence(&self) -> Sequence {
        let goes_on = self.causal && self.mask.is_none() && !self.crosses();
        if goes_on { Sequence::Steps { longest: usize::MAX } } else { Sequence::Whole }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

/// What a pass over a batch works on.
struct Passes<'a, F> {
    sizes: Heads,
    queries: &'a [F],
    of_queries: usize,
    kept: &'a [F],
    of_kept: usize,
    mask: Option<&'a [F]>,
    begin: usize,
}

impl<'a, F: Scalar> Passes<'a, F> {
    fn new(of: &Attention, w: &'a Weights<'_, F>, x: &'a Tensor<F>, kept: &'a Kept<F>) -> Self {
        let context = w.input(CONTEXT);
        let (rows, keys, begin) = match context {
            Some(context) => (context, context.shape()[1], 0),
            None => (&kept.rows, kept.end, kept.begin),
        };
        Self {
            sizes: of.sizes(&x.shape(), keys, begin),
            queries: x.data(),
            of_queries: x.shape()[1] * x.width(),
            kept: rows.data(),
            of_kept: rows.shape()[1] * rows.width(),
            mask: w.input(MASK).map(Tensor::data),
            begin,
        }
    }

    fn sample(&self, i: usize) -> Sample<'a, F> {
        Sample {
            queries: &self.queries[i * self.of_queries..][..self.of_queries],
            kept: &self.kept[i * self.of_kept..][..self.of_kept],
            mask: self.mask.map(|mask| &mask[i * self.sizes.keys..][..self.sizes.keys]),
        }
    }
}
