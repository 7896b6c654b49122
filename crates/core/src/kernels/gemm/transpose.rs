//! The transpose of a matrix, written or added.

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::tensor::scalar::Scalar;

/// Rows and columns that are moved at a time, so that both stay in the first-level cache.
const BLOCK: usize = 16;

/// The transpose: `to[i, j] = from[j, i]` or `to[i, j] += from[j, i]`, where rows of `from` have `stride` numbers
/// and rows of `to` have `columns`.
pub(crate) fn transpose<F: Scalar>(from: &[F], stride: usize, how: Accumulate, to: &mut [F], columns: usize) {
    let blocks = to.par_chunks_mut(BLOCK * columns.max(1)).enumerate();
    blocks.with_min_len(4).for_each(|(block, to)| {
        for left in (0..columns).step_by(BLOCK) {
            for (i, row) in to.chunks_exact_mut(columns).enumerate() {
                let right = (left + BLOCK).min(columns);
                for (j, to) in (left..right).zip(&mut row[left..right]) {
                    let from = from[j * stride + block * BLOCK + i];
                    *to = if how == Accumulate::Add { *to + from } else { from };
                }
            }
        }
    });
}
