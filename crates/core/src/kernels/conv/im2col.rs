//! The products of a convolution with copied windows.
//!
//! im2col copies each window into a row of a matrix X. Then y = X K, dK = Xᵀ dz, and dX = dz Kᵀ, whose rows col2im adds where the windows lie
//! (K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document processing", 2006, section 3.1).

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::conv::strips::{Strips, with_strips};
use crate::kernels::gemm::filter_panels;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::multiply::multiply;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::Scratch;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Numbers of dX that are held at a time.
const MOST_COLUMNS: usize = 1 << 20;

/// y = X K.
pub(crate) fn forward<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: ConvKernel<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let filters = kernel.weights.len() / windows.window();
    with_all_columns(x, windows, |columns| match kernel.panels() {
        Some(panels) => filter_panels::multiply(columns, panels, filters, y),
        None => {
            let weights = Matrix::new(kernel.weights, windows.window(), filters);
            multiply(columns, weights, Accumulate::Overwrite, y);
        }
    });
    finish(y);
}

/// dK = Xᵀ dz.
pub(crate) fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: Matrix<'_, F>,
    how: Accumulate,
    gradient: &mut [F],
) {
    with_all_columns(x, windows, |columns| multiply(columns.t(), dz, how, gradient));
}

/// dX = dz Kᵀ, then col2im: some maps at a time.
pub(crate) fn input_gradient<F: Scalar>(
    dz: Matrix<'_, F>,
    windows: &Windows,
    kernel: Matrix<'_, F>,
    dx: &mut [F],
) {
    let (rows, maps) = (windows.positions(), dx.len() / windows.map());
    let at_once = (MOST_COLUMNS / (rows * windows.window())).clamp(1, maps);
    let mut scratch = Scratch::take(Buffer::Columns);
    let columns = scratch.first(at_once * rows * windows.window());
    for (i, dx) in dx.chunks_mut(at_once * windows.map()).enumerate() {
        let count = dx.len() / windows.map();
        let columns = &mut columns[..count * rows * windows.window()];
        let from = i * at_once * rows;
        multiply(dz.rows(from, from + count * rows), kernel.t(), Accumulate::Overwrite, columns);
        col2im(columns, windows, dx);
    }
}

/// Calls `work` with X.
fn with_all_columns<F: Scalar>(x: &[F], windows: &Windows, work: impl FnOnce(Matrix<'_, F>)) {
    let maps = x.len() / windows.map();
    let (rows, width) = (maps * windows.positions(), windows.window());
    let mut scratch = Scratch::take(Buffer::Columns);
    let columns = scratch.first(rows * width);
    with_strips(x, windows, 0..maps * windows.out_height, |strips| im2col(strips, windows, columns));
    work(Matrix::new(columns, rows, width));
}

/// Copies every window into a row of `columns`.
fn im2col<F: Scalar>(strips: Strips<'_, F>, windows: &Windows, columns: &mut [F]) {
    for (row, &place) in columns.chunks_exact_mut(windows.window()).zip(strips.rows.places) {
        for run in strips.rows.runs {
            let from = &strips.data[place + run.shift..][..run.length];
            row[run.from..run.from + run.length].copy_from_slice(from);
        }
    }
}

/// The adjoint of im2col: adds every row of `columns`, which is a window, to those numbers of the maps `dx` that the window covers. A number in
/// several windows gets the sum over all of them.
fn col2im<F: Scalar>(columns: &[F], windows: &Windows, dx: &mut [F]) {
    let Windows { kernel, channels, out_width, width, .. } = *windows;
    let window = windows.window();
    let of_map = windows.positions() * window;
    in_pieces(dx, windows.map(), &|map, dx| {
        let columns = &columns[map * of_map..][..of_map];
        dx.fill(F::zero());
        for (position, row) in columns.chunks_exact(window).enumerate() {
            let (y, x) = (position / out_width, position % out_width);
            for (tap, from) in row.chunks_exact(channels).enumerate() {
                let (tap_y, tap_x) = (tap / kernel.width, tap % kernel.width);
                if let (Some(line), Some(column)) = (windows.row(y, tap_y), windows.column(x, tap_x)) {
                    let to = &mut dx[(line * width + column) * channels..][..channels];
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        }
    });
}
