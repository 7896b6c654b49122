//! What the backward pass of a convolution does with the gradient of its output, in as few walks through memory as can be.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::conv::{ACROSS_AT_A_TIME, Algorithm, Way, choose, get_ready, weight_gradient};
use crate::kernels::elementwise::{add_rows, update_with};
use crate::kernels::gemm::Matrix;
use crate::kernels::im2col::with_strips;
use crate::kernels::tile;
use crate::kernels::window::Windows;
use crate::param::Accumulate;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch};

/// Pieces of a sum over all outputs, whatever the number of threads.
const PARTS: usize = 8;
/// With fewer numbers than this there is one piece.
const CUT_ABOVE: usize = 64 * 1024;
/// Numbers that stay in the cache from one loop over them to the next.
const AT_A_TIME: usize = 8 * 1024;
/// A kernel with no more weights than this stays in the cache whole.
const SMALL_KERNEL: usize = 16 * 1024;

/// The gradients of a convolution's parameters, to add to or to overwrite; none where they are not wanted.
pub struct ParameterGradients<'a, F> {
    /// `[filters]`, added to.
    pub bias: Option<&'a mut [F]>,
    /// `[kernel height, kernel width, channels, filters]`.
    pub kernel: Option<(Accumulate, &'a mut [F])>,
}

/// Makes dz of the gradient with respect to the activated output, by `differentiate`, which gets ranges of
/// outputs and what is there; and computes the gradients of the parameters.
///
/// Where the kernel is small, its gradient is computed while dz is in the cache: for the first layers of a network, whose maps are large
/// and whose kernels are not, that is most of what is read.
pub fn parameter_gradients<F: Scalar>(
    x: &[F],
    windows: &Windows,
    algorithm: Algorithm,
    filters: usize,
    dz: &mut [F],
    differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
    gradients: ParameterGradients<'_, F>,
) {
    let ParameterGradients { bias, kernel } = gradients;
    let weights = windows.window() * filters;
    let in_place = choose(windows, x.len() / windows.map(), filters, algorithm, false) == Way::InPlace;
    let with_kernel = kernel.is_some() && in_place && weights <= SMALL_KERNEL && dz.len() >= CUT_ABOVE;
    let line = windows.out_width * filters;
    let at_a_time = if with_kernel {
        let lines = ACROSS_AT_A_TIME.div_ceil(windows.out_width);
        get_ready::<F>(windows, lines);
        lines
    } else {
        (AT_A_TIME / line).max(1)
    };
    let lines = dz.len() / line;
    let part = if dz.len() < CUT_ABOVE { lines } else { lines.div_ceil(PARTS) };
    let of_kernel = if with_kernel { weights } else { 0 };
    let of_bias = if bias.is_some() { filters } else { 0 };
    let each = (of_kernel + of_bias).max(1);
    let mut scratch = Scratch::take(Purpose::Shared);
    let sums = scratch.first(PARTS * each);
    let parts = dz.par_chunks_mut((part * line).max(1)).zip(sums.par_chunks_mut(each)).enumerate();
    let count = lines.div_ceil(part.max(1));
    parts.for_each(|(i, (dz, sums))| {
        sums.fill(F::zero());
        let (kernel_sums, bias_sums) = sums.split_at_mut(of_kernel);
        for (j, dz) in dz.chunks_mut(at_a_time * line).enumerate() {
            let first = i * part + j * at_a_time;
            let lines = first..first + dz.len() / line;
            differentiate(lines.start * line..lines.end * line, dz);
            if of_bias > 0 {
                add_rows(dz, bias_sums);
            }
            if with_kernel {
                with_strips(x, windows, lines, |strips| {
                    let windows = Matrix::of_windows(strips.data, strips.rows);
                    let dz = Matrix::new(dz, windows.rows, filters);
                    tile::multiply(windows.t(), dz, Accumulate::Add, kernel_sums);
                });
            }
        }
    });
    let sums = sums.chunks_exact(each).take(count);
    if let Some(bias) = bias {
        sums.clone().for_each(|sums| update_with(bias, &sums[of_kernel..], |total, part| *total += part));
    }
    match kernel {
        Some((how, kernel)) if with_kernel => {
            if how == Accumulate::Overwrite {
                kernel.fill(F::zero());
            }
            sums.for_each(|sums| update_with(kernel, &sums[..of_kernel], |total, part| *total += part));
        }
        Some((how, kernel)) => weight_gradient(x, windows, algorithm, dz, how, kernel),
        None => {}
    }
}
