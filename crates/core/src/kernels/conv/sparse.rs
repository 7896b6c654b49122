//! The gradients of a convolution where most of dz is 0.
//!
//! Max pooling gives a gradient to one place of each window, and ReLU gives none where its output was 0. Before a pooling by 4 fewer than
//! one number of dz in 16 is not 0, and products would multiply all the zeros. Here each number v = dz\[position, f\] that is not 0 adds v
//! times the window at the position to the gradient of filter f, and v times filter f to the gradient of the window. Those are the same
//! sums, without the terms that are 0.

use pulp::{Arch, Simd, WithSimd};

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::strips::{Strips, for_each_run, run_length};
use crate::kernels::gemm::tile::MOST_LANES;
use crate::kernels::gemm::transpose::transpose;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Numbers that are added together. In the sums, a run of a window is filled up to a multiple of this.
const LANES: usize = 8;
/// The time for a number that is not 0, in multiply-adds of a product: for each run of a window, and for each [`LANES`] numbers of it.
/// Every sum is read and written.
const A_RUN: usize = 75;
const LANES_OF_A_RUN: usize = 18;

/// Whether so few of `all` numbers of dz are not 0 that this is faster than products that take `product` multiply-adds for a number of dz.
pub(crate) fn is_faster(windows: &Windows, product: usize, nonzeros: usize, all: usize) -> bool {
    let run = run_length(windows);
    let one_by_one = windows.window() / run * (A_RUN + run.div_ceil(LANES) * LANES_OF_A_RUN);
    nonzeros * one_by_one < all * product
}

/// The number of numbers that are not 0.
#[inline(never)]
pub(crate) fn count<F: Scalar>(numbers: &[F]) -> usize {
    Arch::new().dispatch(Count { numbers })
}

struct Count<'a, F> {
    numbers: &'a [F],
}

/// Numbers that are counted before their count is added to the whole. An `f32` counts up to 2^24 exactly.
const COUNTED_AT_ONCE: usize = 4096;

impl<F: Scalar> WithSimd for Count<'_, F> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
        let mut total = 0;
        for piece in self.numbers.chunks(COUNTED_AT_ONCE) {
            let vectors = F::vectors::<S>(piece);
            let mut sums = F::splat(simd, F::zero());
            for &numbers in vectors {
                sums = F::sum(simd, sums, F::nonzeros(simd, numbers));
            }
            let mut of_lanes = [F::zero(); MOST_LANES];
            F::vectors_mut::<S>(&mut of_lanes)[0] = sums;
            total += of_lanes.iter().fold(F::zero(), |a, &b| a + b).as_f64() as usize;
            total += piece[vectors.len() * lanes..].iter().filter(|v| **v != F::zero()).count();
        }
        total
    }
}

/// Calls `f` with the place and the value of each number that is not 0.
#[inline(always)]
fn for_each_nonzero<S: Simd, F: Scalar>(simd: S, row: &[F], mut f: impl FnMut(usize, F)) {
    let lanes = size_of::<F::Vector<S>>() / size_of::<F>();
    let vectors = F::vectors::<S>(row);
    for (i, &numbers) in vectors.iter().enumerate() {
        if !F::any_nonzero(simd, numbers) {
            continue;
        }
        // A bit for each lane. A branch for each lane would often be predicted wrongly.
        let mut left = 0_u32;
        for (lane, &v) in row[i * lanes..][..lanes].iter().enumerate() {
            left |= u32::from(v != F::zero()) << lane;
        }
        while left != 0 {
            let j = i * lanes + left.trailing_zeros() as usize;
            left &= left - 1;
            f(j, row[j]);
        }
    }
    for (j, &v) in row.iter().enumerate().skip(vectors.len() * lanes) {
        if v != F::zero() {
            f(j, v);
        }
    }
}

/// Numbers in the sums of one filter: its weights, with each run filled up.
pub(crate) fn padded_window(windows: &Windows) -> usize {
    let run = run_length(windows);
    windows.window() / run * run.next_multiple_of(LANES)
}

/// Adds the kernel's gradient from these windows and their rows of dz to `sums`, filter by filter.
#[inline(never)]
pub(crate) fn add_weight_gradient<F: Scalar>(
    strips: Strips<'_, F>,
    windows: &Windows,
    dz: &[F],
    filters: usize,
    sums: &mut [F],
) {
    Arch::new().dispatch(SparseWeightGradient { strips, windows, dz, filters, sums });
}

struct SparseWeightGradient<'a, F> {
    strips: Strips<'a, F>,
    windows: &'a Windows,
    dz: &'a [F],
    filters: usize,
    sums: &'a mut [F],
}

impl<F: Scalar> WithSimd for SparseWeightGradient<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { strips, windows, dz, filters, sums } = self;
        let (run, width, data) = (run_length(windows), padded_window(windows), strips.data);
        let padded = run.next_multiple_of(LANES);
        for (dz, &place) in dz.chunks_exact(filters).zip(strips.rows.places) {
            for_each_nonzero(
                simd,
                dz,
                #[inline(always)]
                |f, v| {
                    let sums = &mut sums[f * width..][..width];
                    for_each_run(
                        windows,
                        strips.row,
                        #[inline(always)]
                        |i, shift| {
                            let (sums, from) = (&mut sums[i * padded..][..padded], place + shift);
                            // Numbers beyond the run are added to sums that are never read.
                            let x = data.get(from..from + padded).unwrap_or(&data[from..from + run]);
                            add::<S, F>(simd, v, x, sums);
                        },
                    );
                },
            );
        }
    }
}

/// Adds v x to sums.
#[inline(always)]
fn add<S: Simd, F: Scalar>(simd: S, v: F, x: &[F], sums: &mut [F]) {
    let all = F::splat(simd, v);
    let vectors = F::vectors::<S>(x);
    for (sum, &x) in F::vectors_mut::<S>(sums).iter_mut().zip(vectors) {
        *sum = F::fused(simd, all, x, *sum);
    }
    let done = size_of_val(vectors) / size_of::<F>();
    for (sum, &x) in sums.iter_mut().zip(x).skip(done) {
        *sum = v.mul_add(x, *sum);
    }
}

/// Adds sums by filter to a kernel's gradient `[kernel height, kernel width, channels, filters]`.
pub(crate) fn add_sums<F: Scalar>(windows: &Windows, sums: &[F], filters: usize, gradient: &mut [F]) {
    let (run, width) = (run_length(windows), padded_window(windows));
    let padded = run.next_multiple_of(LANES);
    for (f, sums) in sums.chunks_exact(width).enumerate() {
        let of_runs = sums.chunks_exact(padded).flat_map(|sums| &sums[..run]);
        for (weights, &sum) in gradient.chunks_exact_mut(filters).zip(of_runs) {
            weights[f] += sum;
        }
    }
}

/// Makes room in the buffers of every thread.
pub(crate) fn get_ready<F: Scalar>(windows: &Windows) {
    let covered = windows.covered();
    let padded = if windows.all_inside() { 0 } else { covered.height * covered.width * windows.channels };
    ready::<F>(&[(Buffer::Strips, padded)]);
}

/// Overwrites `dx` with the gradient with respect to the input.
#[inline(never)]
pub(crate) fn input_gradient<F: Scalar>(dz: &[F], windows: &Windows, kernel: &[F], dx: &mut [F]) {
    let filters = kernel.len() / windows.window();
    let mut scratch = Scratch::take(Buffer::Shared);
    let transposed = scratch.first(kernel.len());
    transpose(kernel, filters, Accumulate::Overwrite, transposed, windows.window());
    let transposed = &*transposed;
    let Windows { width, channels, before, .. } = *windows;
    let (inside, covered) = (windows.all_inside(), windows.covered());
    let (row, of_padded) = (covered.width * channels, covered.height * covered.width * channels);
    get_ready::<F>(windows);
    let of_map = windows.positions() * filters;
    in_pieces(dx, windows.map(), &|map, dx| {
        let dz = &dz[map * of_map..][..of_map];
        dx.fill(F::zero());
        if inside {
            return add_windows(dz, windows, width * channels, transposed, dx);
        }
        let mut scratch = Scratch::take(Buffer::Strips);
        let padded = scratch.first(of_padded);
        padded.fill(F::zero());
        add_windows(dz, windows, row, transposed, padded);
        let left = before.width.min(covered.width);
        let inside = width.min(covered.width - left) * channels;
        let lines = padded.chunks_exact(row).skip(before.height).zip(dx.chunks_exact_mut(width * channels));
        lines.for_each(|(from, to)| to[..inside].copy_from_slice(&from[left * channels..][..inside]));
    });
}

/// Adds dz times the filters `[filters, window]` to the numbers of a map under each window.
fn add_windows<F: Scalar>(dz: &[F], windows: &Windows, row: usize, transposed: &[F], to: &mut [F]) {
    Arch::new().dispatch(SparseInputGradient { dz, windows, row, transposed, to });
}

struct SparseInputGradient<'a, F> {
    dz: &'a [F],
    windows: &'a Windows,
    row: usize,
    transposed: &'a [F],
    to: &'a mut [F],
}

impl<F: Scalar> WithSimd for SparseInputGradient<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dz, windows, row, transposed, to } = self;
        let (run, window) = (run_length(windows), windows.window());
        for (position, dz) in dz.chunks_exact(transposed.len() / window).enumerate() {
            let (y, x) = (position / windows.out_width, position % windows.out_width);
            let place = y * windows.stride.height * row + x * windows.stride.width * windows.channels;
            for_each_nonzero(
                simd,
                dz,
                #[inline(always)]
                |f, v| {
                    let filter = &transposed[f * window..][..window];
                    for_each_run(
                        windows,
                        row,
                        #[inline(always)]
                        |i, shift| {
                            add::<S, F>(simd, v, &filter[i * run..][..run], &mut to[place + shift..][..run]);
                        },
                    );
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is found with this processor's vectors.
    struct Found<'a, F>(&'a [F]);

    impl<F: Scalar> WithSimd for Found<'_, F> {
        type Output = Vec<(usize, F)>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut found = Vec::new();
            for_each_nonzero(simd, self.0, |place, v| found.push((place, v)));
            found
        }
    }

    fn check<F: Scalar>(row: &[F]) {
        let expected: Vec<(usize, F)> =
            row.iter().copied().enumerate().filter(|(_, v)| *v != F::zero()).collect();
        assert_eq!(count(row), expected.len());
        assert!(Arch::new().dispatch(Found(row)) == expected, "{row:?}");
    }

    proptest! {
        #[test]
        fn every_number_that_is_not_0_is_found_once_and_in_order(
            row in proptest::collection::vec(prop_oneof![4 => Just(0_i8), 1 => any::<i8>()], 0..200),
        ) {
            check(&row.iter().map(|&v| f32::from(v)).collect::<Vec<_>>());
            check(&row.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        }
    }
}
