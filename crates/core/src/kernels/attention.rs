//! Scaled dot-product attention of one sample, for blocks of queries: the scores of a block are the most that is in memory at a time.

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::elementwise::{by_lanes, is_hidden};
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::tile;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// Queries whose scores are computed at a time.
pub(crate) const QUERIES: usize = 64;
/// Partial sums of a row, so that they fit into vectors.
const SUMS: usize = 16;

/// The sizes of an attention, and what its queries may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    /// Numbers of all heads side by side.
    pub(crate) width: usize,
    /// Numbers between rows of queries.
    pub(crate) query_stride: usize,
    pub(crate) keys: usize,
    /// If a query sees only itself and what is before it: the position of the first query.
    pub(crate) causal: Option<usize>,
}

/// What a sample attends from and to. Rows of `kept` have the keys and then the values of a position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a, F> {
    pub(crate) queries: &'a [F],
    pub(crate) kept: &'a [F],
    /// 1 for each key that may be seen, 0 for the others.
    pub(crate) mask: Option<&'a [F]>,
}

/// Where the gradients of keys and values go.
pub(crate) enum KeyGradients<'a, F> {
    Nowhere,
    /// Beside those of the queries, from this key on: those before it are of earlier passes.
    BesideQueries(usize),
    /// Rows of their own.
    Rows(&'a mut [F]),
}

impl Heads {
    fn size(&self) -> usize {
        self.width / self.heads
    }

    /// The number of keys that the last of these queries sees.
    fn seen(&self, queries: usize) -> usize {
        self.causal.map_or(self.keys, |first| (first + queries).min(self.keys))
    }

    fn query<'a, F: Scalar>(&self, of: &Sample<'a, F>, head: usize) -> Matrix<'a, F> {
        let queries = Matrix::new(of.queries, of.queries.len() / self.query_stride, self.query_stride);
        queries.columns(head * self.size(), (head + 1) * self.size())
    }

    /// Keys of a head, or its values.
    fn kept<'a, F: Scalar>(&self, of: &Sample<'a, F>, head: usize, values: bool) -> Matrix<'a, F> {
        let kept = Matrix::new(&of.kept[..self.keys * 2 * self.width], self.keys, 2 * self.width);
        let from = head * self.size() + if values { self.width } else { 0 };
        kept.columns(from, from + self.size())
    }

    /// The weights of these queries over the keys that the last of them sees: softmax(q kᵀ / √size), row by row.
    pub(crate) fn weights<F: Scalar>(
        &self,
        of: &Sample<'_, F>,
        head: usize,
        from: usize,
        to: usize,
        weights: &mut [F],
    ) {
        let seen = self.seen(to);
        let keys = self.kept(of, head, false).rows(0, seen);
        tile::multiply(self.query(of, head).rows(from, to), keys.t(), Accumulate::Overwrite, weights);
        let scale = F::from_f64(1.0 / (self.size() as f64).sqrt());
        vectorised(
            #[inline(always)]
            || {
                for (row, query) in weights.chunks_exact_mut(seen).zip(from..to) {
                    let (row, hidden) = row.split_at_mut(self.seen(query + 1));
                    hidden.fill(F::zero());
                    if let Some(mask) = of.mask {
                        for (score, &mask) in row.iter_mut().zip(mask) {
                            *score = if is_hidden(mask) { F::neg_infinity() } else { *score };
                        }
                    }
                    softmax(row, scale);
                }
            },
        );
    }

    /// Outputs of the queries from `from` on: rows of `width` numbers.
    pub(crate) fn forward<F: Scalar>(&self, of: &Sample<'_, F>, from: usize, y: &mut [F]) {
        let (queries, size) = (y.len() / self.width, self.size());
        let (mut scores, mut out) = (Scratch::take(Buffer::Scores), Scratch::take(Buffer::Head));
        for start in (0..queries).step_by(QUERIES) {
            let end = (start + QUERIES).min(queries);
            let seen = self.seen(from + end);
            let y = &mut y[start * self.width..end * self.width];
            for head in 0..self.heads {
                let weights = scores.first((end - start) * seen);
                self.weights(of, head, from + start, from + end, weights);
                let weights = Matrix::new(weights, end - start, seen);
                let out = out.first((end - start) * size);
                tile::multiply(weights, self.kept(of, head, true).rows(0, seen), Accumulate::Overwrite, out);
                put(out, size, y, self.width, head * size);
            }
        }
    }

    /// The gradients from those of the outputs, `dy`.
    pub(crate) fn backward<F: Scalar>(
        &self,
        of: &Sample<'_, F>,
        dy: &[F],
        mut queries_to: Option<&mut [F]>,
        mut keys_to: KeyGradients<'_, F>,
    ) {
        let (queries, size) = (dy.len() / self.width, self.size());
        let dy = Matrix::new(dy, queries, self.width);
        let (mut scores, mut out) = (Scratch::take(Buffer::Scores), Scratch::take(Buffer::Head));
        let (mut gradients, mut sums) =
            (Scratch::take(Buffer::ScoreGradients), Scratch::take(Buffer::KeyGradients));
        let scale = F::from_f64(1.0 / (size as f64).sqrt());
        for head in 0..self.heads {
            let (dk, dv) = sums.first(2 * self.keys * size).split_at_mut(self.keys * size);
            dk.fill(F::zero());
            dv.fill(F::zero());
            let dy = dy.columns(head * size, (head + 1) * size);
            for start in (0..queries).step_by(QUERIES) {
                let end = (start + QUERIES).min(queries);
                let seen = self.seen(end);
                let (weights, ds) =
                    (scores.first((end - start) * seen), gradients.first((end - start) * seen));
                self.weights(of, head, start, end, weights);
                let dy = dy.rows(start, end);
                tile::multiply(dy, self.kept(of, head, true).rows(0, seen).t(), Accumulate::Overwrite, ds);
                let p = Matrix::new(weights, end - start, seen);
                tile::multiply(p.t(), dy, Accumulate::Add, &mut dv[..seen * size]);
                softmax_backward(weights, ds, seen, scale);
                let ds = Matrix::new(&*ds, end - start, seen);
                let query = self.query(of, head).rows(start, end);
                tile::multiply(ds.t(), query, Accumulate::Add, &mut dk[..seen * size]);
                if let Some(dq) = &mut queries_to {
                    let out = out.first((end - start) * size);
                    tile::multiply(ds, self.kept(of, head, false).rows(0, seen), Accumulate::Overwrite, out);
                    let dq = &mut dq[start * self.query_stride..];
                    put(out, size, dq, self.query_stride, head * size);
                }
            }
            match (&mut keys_to, &mut queries_to) {
                (KeyGradients::Rows(rows), _) => {
                    put(dk, size, rows, 2 * self.width, head * size);
                    put(dv, size, rows, 2 * self.width, self.width + head * size);
                }
                (KeyGradients::BesideQueries(first), Some(rows)) => {
                    let (stride, column) = (self.query_stride, self.width + head * size);
                    put(&dk[*first * size..], size, rows, stride, column);
                    put(&dv[*first * size..], size, rows, stride, column + self.width);
                }
                _ => {}
            }
        }
    }
}

/// Writes rows of `size` numbers to the columns from `column` on.
fn put<F: Scalar>(rows: &[F], size: usize, to: &mut [F], stride: usize, column: usize) {
    for (row, to) in rows.chunks_exact(size).zip(to.chunks_mut(stride)) {
        to[column..][..size].copy_from_slice(row);
    }
}

/// The softmax of scale times the row, in place; zeros where all of it is -∞.
#[inline(always)]
fn softmax<F: Scalar>(row: &mut [F], scale: F) {
    let largest = by_lanes(row, F::neg_infinity(), |x| x, |most, x| if x > most { x } else { most });
    // NaN is never the largest: a row of NaN must stay NaN, only one with every key hidden becomes zeros.
    if largest == F::neg_infinity() && row.iter().all(|&x| x == largest) {
        return row.fill(F::zero());
    }
    row.iter_mut().for_each(|x| *x = ((*x - largest) * scale).exponential());
    let sum = by_lanes(row, F::zero(), |x| x, |sum, x| sum + x);
    let share = F::one() / sum;
    row.iter_mut().for_each(|x| *x *= share);
}

/// Makes of dL/dp the gradient of the scores: ds = p (dp - Σ p dp) scale.
fn softmax_backward<F: Scalar>(weights: &[F], ds: &mut [F], width: usize, scale: F) {
    vectorised(
        #[inline(always)]
        || {
            for (p, ds) in weights.chunks_exact(width).zip(ds.chunks_exact_mut(width)) {
                let mean = dot(p, ds);
                ds.iter_mut().zip(p).for_each(|(ds, &p)| *ds = p * (*ds - mean) * scale);
            }
        },
    );
}

#[inline(always)]
fn dot<F: Scalar>(a: &[F], b: &[F]) -> F {
    let mut lanes = [F::zero(); SUMS];
    for (a, b) in a.chunks(SUMS).zip(b.chunks(SUMS)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().fold(F::zero(), |all, &lane| all + lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_query_stays_nan_and_a_query_that_sees_nothing_gives_zeros() {
        let heads = Heads { heads: 1, width: 2, query_stride: 2, keys: 3, causal: None };
        let kept = [0.5_f32; 3 * 4];
        let outputs = |queries: &[f32], mask| {
            let mut y = [9.0; 4];
            heads.forward(&Sample { queries, kept: &kept, mask }, 0, &mut y);
            y
        };
        let queries = [f32::NAN, 1.0, 1.0, 1.0];
        for mask in [None, Some(&[1.0, 0.0, 1.0][..])] {
            let y = outputs(&queries, mask);
            assert!(y[..2].iter().all(|y| y.is_nan()) && y[2..] == [0.5, 0.5], "{mask:?}: {y:?}");
        }
        assert_eq!(outputs(&queries, Some(&[0.0; 3])), [0.0; 4]);
    }
}
