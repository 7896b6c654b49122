//! The products of a convolution with windows that are read where they lie (`strips.rs`), some rows of output at a time. Sums stay in registers over
//! all runs of a window.
//!
//! The input gradient with stride 1 is the forward product with the rotated kernel (`rotated.rs`). With other strides `im2col.rs` computes it.

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::strips::{self, with_strips};
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::multiply::SPLIT_ABOVE;
use crate::kernels::gemm::tile;
use crate::kernels::long_sums::{LONG, in_blocks, long_edge};
use crate::kernels::parts::{in_parts, in_pieces};
use crate::kernels::scratch::ready;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Windows in a piece of the forward product.
const WINDOWS_A_PIECE: usize = 512;
/// Windows in a piece of a weight gradient, which reads one number of each: they stay in the first-level cache.
const WINDOWS_ACROSS: usize = 256;

/// y = X K: rows of output are cut into pieces.
pub(crate) fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: Matrix<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let (rows, filters) = (x.len() / windows.map() * windows.out_height, kernel.columns);
    let piece = rows_a_piece(rows, windows, filters);
    get_ready::<F>(windows, piece);
    in_parts(0..rows, piece, &|row| row * windows.out_width * filters, y, &|rows, y: &mut [F]| {
        with_strips(x, windows, rows, |strips| {
            tile::multiply(strips.matrix(), kernel, Accumulate::Overwrite, y);
        });
        finish(y);
    });
}

/// Rows of output in a piece: by shape alone, so that a result never depends on the threads.
fn rows_a_piece(rows: usize, windows: &Windows, filters: usize) -> usize {
    let work = rows * windows.out_width * windows.window() * filters;
    let most = WINDOWS_A_PIECE.div_ceil(windows.out_width);
    if work > SPLIT_ABOVE { most.min(rows.div_ceil(2)) } else { most }
}

/// Rows of output in a piece of a weight gradient.
pub(crate) fn rows_across(windows: &Windows) -> usize {
    WINDOWS_ACROSS.div_ceil(windows.out_width)
}

/// Makes room in every thread's buffers for the products of this number of rows of output.
pub(crate) fn get_ready<F: Scalar>(windows: &Windows, rows: usize) {
    strips::get_ready::<F>(windows, rows);
    tile::get_ready::<F>();
}

/// dK = Xᵀ dz: rows of the gradient are cut into pieces.
pub(crate) fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: Matrix<'_, F>,
    how: Accumulate,
    gradient: &mut [F],
) {
    let (rows, filters) = (rows_across(windows), dz.columns);
    get_ready::<F>(windows, rows);
    // Every piece copies maps and padding anew: with many filters that is little beside the product.
    let pieces = (filters / 16).next_power_of_two().clamp(2, 16);
    let piece = windows.window().div_ceil(pieces).max(16);
    if dz.rows > 2 * LONG {
        ready::<f64>(&[(Buffer::Sums, piece * filters)]);
    }
    let across = Across { x, windows, dz, how, rows };
    in_pieces(gradient, piece * filters, &|i, part| across.rows_of_gradient(i * piece, part));
}

/// A product across the windows.
struct Across<'a, F> {
    x: &'a [F],
    windows: &'a Windows,
    dz: Matrix<'a, F>,
    how: Accumulate,
    /// Rows of output that are read at a time.
    rows: usize,
}

impl<F: Scalar> Across<'_, F> {
    /// The rows of the gradient from `first` on that `part` holds.
    fn rows_of_gradient(&self, first: usize, part: &mut [F]) {
        let Self { x, windows, dz, how, rows } = *self;
        let last = first + part.len() / dz.columns;
        let all = dz.rows / windows.out_width;
        let next_edge = long_edge(all, windows.out_width, rows);
        in_blocks(all, next_edge, how, part, |block, how, part| {
            for from in block.clone().step_by(rows) {
                let to = (from + rows).min(block.end);
                let dz = dz.rows(from * windows.out_width, to * windows.out_width);
                let how = if from == block.start { how } else { Accumulate::Add };
                with_strips(x, windows, from..to, |strips| {
                    tile::multiply(strips.matrix().t().rows(first, last), dz, how, part);
                });
            }
        });
    }
}
