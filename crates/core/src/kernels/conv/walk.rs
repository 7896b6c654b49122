//! The part of a convolution's backward pass that reads the gradient of its output: the activation's derivative, the bias gradient and, where the
//! kernel is small, the kernel's gradient, in one walk through memory.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::in_place::{get_ready, rows_across};
use crate::kernels::conv::plan::{ConvPlan, Method};
use crate::kernels::conv::sparse;
use crate::kernels::conv::strips::with_strips;
use crate::kernels::elementwise::update_with;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::tile;
use crate::kernels::long_sums::{in_blocks, long_edge};
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::sums::{add_columns, all_finite};
use crate::tensor::scalar::Scalar;

/// Parts of a sum over all outputs, for any number of threads.
const PARTS: usize = 8;
/// With fewer numbers than this there is one part.
const CUT_ABOVE: usize = 64 * 1024;
/// Numbers that stay in the cache between two loops over them.
const NUMBERS_AT_A_TIME: usize = 8 * 1024;
/// A kernel with no more weights than this stays in the cache whole.
const SMALL_KERNEL: usize = 16 * 1024;
/// The gradient of a kernel with more weights than this is not computed in parts.
const KERNEL_OF_PARTS: usize = 256 * 1024;

/// The gradients of a convolution's parameters, to write or to add to; none where they are not wanted.
pub struct ParameterGradients<'a, F> {
    /// `[filters]`, added to.
    pub bias: Option<&'a mut [F]>,
    /// `[kernel height, kernel width, channels, filters]`.
    pub kernel: Option<(Accumulate, &'a mut [F])>,
}

/// The input and the plan of a walk over dz.
#[derive(Clone, Copy)]
struct Walk<'a, F> {
    x: &'a [F],
    plan: &'a ConvPlan,
}

impl ConvPlan {
    /// Makes dz of the gradient with respect to the activated output, by `differentiate`, which gets a range of
    /// outputs and the gradients that are there; and computes the gradients of the parameters. Returns how many numbers of dz are not 0.
    ///
    /// Where the kernel is small, its gradient is computed while dz is in the cache. In the first layers of a network, whose maps are large
    /// and whose kernels are small, reading dz takes most of the time.
    #[inline(never)]
    pub fn parameter_gradients<F: Scalar>(
        &self,
        x: &[F],
        dz: &mut [F],
        differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
        gradients: ParameterGradients<'_, F>,
    ) -> usize {
        let ParameterGradients { bias, kernel } = gradients;
        let weights = self.windows.window() * self.filters;
        let walk = Walk { x, plan: self };
        let at_once =
            self.weight_gradient == Method::InPlace && weights <= SMALL_KERNEL && dz.len() >= CUT_ABOVE;
        let (now, later) = if at_once { (kernel, None) } else { (None, kernel) };
        let in_parts = self.may_be_sparse && weights <= KERNEL_OF_PARTS;
        if later.is_some() && in_parts {
            // The number of zeros differs from step to step. Memory is taken in the first step, for the most that any can need.
            let cut = Cut::new(&walk, dz.len(), true, true);
            Scratch::<F>::take(Buffer::Shared).first(cut.parts * cut.each());
            cut.get_ready();
        }
        let nonzeros = walk.along(dz, differentiate, bias, now);
        if let Some((how, kernel)) = later {
            if in_parts && self.is_sparse(nonzeros, dz.len()) {
                walk.along(dz, |_, _| {}, None, Some((how, kernel)));
            } else {
                self.weight_gradient(x, dz, how, kernel);
            }
        }
        nonzeros
    }

    /// As [`input_gradient`](Self::input_gradient), where `nonzeros` numbers of dz are not 0: the others are left out where that is faster.
    #[inline(never)]
    pub fn input_gradient_of<F: Scalar>(&self, (dz, nonzeros): (&[F], usize), kernel: &[F], dx: &mut [F]) {
        if self.may_be_sparse {
            sparse::get_ready::<F>(&self.windows);
        }
        // A weight that is NaN or infinite meets numbers that are 0, too.
        if self.is_sparse(nonzeros, dz.len()) && all_finite(kernel) {
            sparse::input_gradient(dz, &self.windows, kernel, dx);
        } else {
            self.input_gradient(dz, kernel, dx);
        }
    }

    fn is_sparse(&self, nonzeros: usize, all: usize) -> bool {
        self.may_be_sparse && sparse::is_faster(&self.windows, self.work_for_a_number(), nonzeros, all)
    }
}

/// How dz is cut, in rows of output, and the lengths of the sums of each part.
#[derive(Clone, Copy)]
struct Cut {
    line: usize,
    windows_of_line: usize,
    parts: usize,
    lines_of_part: usize,
    at_a_time: usize,
    of_kernel: usize,
    /// Numbers in the sums by filter (`sparse.rs`).
    of_sparse: usize,
    /// In `f64`.
    of_bias: usize,
}

impl Cut {
    fn new<F>(walk: &Walk<'_, F>, numbers: usize, with_kernel: bool, with_bias: bool) -> Self {
        let ConvPlan { windows, filters, .. } = walk.plan;
        let filters = *filters;
        let line = windows.out_width * filters;
        let lines = (numbers / line).max(1);
        let lines_of_part = if numbers < CUT_ABOVE { lines } else { lines.div_ceil(PARTS) };
        let at_a_time = if with_kernel { rows_across(windows) } else { (NUMBERS_AT_A_TIME / line).max(1) };
        let of = |wanted: bool, count: usize| if wanted { count } else { 0 };
        Self {
            line,
            windows_of_line: windows.out_width,
            parts: lines.div_ceil(lines_of_part),
            lines_of_part,
            at_a_time,
            of_kernel: of(with_kernel, windows.window() * filters),
            of_sparse: of(with_kernel, sparse::padded_window(windows) * filters),
            of_bias: of(with_bias, filters),
        }
    }

    /// Numbers in the kernel's sums of a part: at least one, so that every part has a piece.
    fn each(&self) -> usize {
        (self.of_kernel + self.of_sparse).max(1)
    }

    /// Where blocks of long sums end, in a part of `lines` lines.
    fn next_edge(&self, lines: usize) -> impl Fn(usize) -> usize {
        let with_kernel = self.of_kernel > 0;
        let edge = long_edge(lines, self.windows_of_line, self.at_a_time);
        move |from| if with_kernel { edge(from) } else { lines }
    }

    /// Makes room for long sums in the buffers of every thread.
    fn get_ready(&self) {
        if self.next_edge(self.lines_of_part)(0) < self.lines_of_part {
            ready::<f64>(&[(Buffer::Sums, self.of_kernel)]);
        }
    }
}

impl<F: Scalar> Walk<'_, F> {
    /// Walks over dz in parts, whose sums are added in order. Returns how many numbers are not 0.
    fn along(
        &self,
        dz: &mut [F],
        differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
        bias: Option<&mut [F]>,
        kernel: Option<(Accumulate, &mut [F])>,
    ) -> usize {
        let cut = Cut::new(self, dz.len(), kernel.is_some(), bias.is_some());
        let Cut { line, lines_of_part, at_a_time, of_kernel, .. } = cut;
        if kernel.is_some() {
            get_ready::<F>(&self.plan.windows, at_a_time);
        }
        cut.get_ready();
        let mut scratch = Scratch::take(Buffer::Shared);
        let sums = scratch.first(cut.parts * cut.each());
        let mut bias_scratch = Scratch::<f64>::take(Buffer::BiasSums);
        let of_bias = cut.of_bias.max(1);
        let bias_sums = bias_scratch.first(cut.parts * of_bias);
        let parts = dz.par_chunks_mut(lines_of_part * line).zip(sums.par_chunks_mut(cut.each()));
        let nonzeros = AtomicUsize::new(0);
        parts.zip(bias_sums.par_chunks_mut(of_bias)).enumerate().for_each(|(i, ((dz, sums), bias_sums))| {
            bias_sums.fill(0.0);
            let (dense, few) = sums.split_at_mut(of_kernel);
            let lines = dz.len() / line;
            in_blocks(lines, cut.next_edge(lines), Accumulate::Overwrite, dense, |block, _, dense| {
                dense.fill(F::zero());
                few.fill(F::zero());
                let mut any_few = false;
                for from in block.clone().step_by(at_a_time) {
                    let to = (from + at_a_time).min(block.end);
                    let dz = &mut dz[from * line..to * line];
                    let lines = i * lines_of_part + from..i * lines_of_part + to;
                    differentiate(lines.start * line..lines.end * line, dz);
                    let found = sparse::count(dz);
                    nonzeros.fetch_add(found, Ordering::Relaxed);
                    if cut.of_bias > 0 {
                        add_columns(dz, bias_sums);
                    }
                    if of_kernel > 0 {
                        any_few |= self.add_products(lines, dz, found, (dense, few));
                    }
                }
                if any_few {
                    sparse::add_sums(&self.plan.windows, &few[..cut.of_sparse], self.plan.filters, dense);
                }
            });
        });
        add_up(cut, (sums, bias_sums), bias, kernel);
        nonzeros.into_inner()
    }

    /// Adds the kernel's gradient from some rows of output, where `nonzeros` numbers of dz are not 0: either to the dense sums, in the
    /// order of the kernel, or to the sums by filter. Returns whether it was the latter.
    fn add_products(
        &self,
        lines: Range<usize>,
        dz: &[F],
        nonzeros: usize,
        sums: (&mut [F], &mut [F]),
    ) -> bool {
        let Self { x, plan } = *self;
        let (windows, filters) = (&plan.windows, plan.filters);
        let few = plan.is_sparse(nonzeros, dz.len());
        with_strips(x, windows, lines, |strips| {
            // The terms that are left out are 0 only if they are 0 times a finite number.
            if few && all_finite(strips.covered()) {
                sparse::add_weight_gradient(strips, windows, dz, filters, sums.1);
                return true;
            }
            let windows = strips.matrix();
            let dz = Matrix::new(dz, windows.rows, filters);
            tile::multiply(windows.t(), dz, Accumulate::Add, sums.0);
            false
        })
    }
}

/// Adds the sums of all parts to the gradients.
fn add_up<F: Scalar>(
    cut: Cut,
    (sums, bias_sums): (&[F], &[f64]),
    bias: Option<&mut [F]>,
    kernel: Option<(Accumulate, &mut [F])>,
) {
    if let Some(bias) = bias {
        for (f, bias) in bias.iter_mut().enumerate() {
            let parts = bias_sums.iter().skip(f).step_by(cut.of_bias);
            *bias = F::from_f64(bias.as_f64() + parts.sum::<f64>());
        }
    }
    let Some((how, kernel)) = kernel else { return };
    if how == Accumulate::Overwrite {
        kernel.fill(F::zero());
    }
    for sums in sums.chunks_exact(cut.each()) {
        update_with(kernel, &sums[..cut.of_kernel], |total, part| *total += part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::kernels::conv::plan::Algorithm;
    use crate::kernels::windows::{Padding, Pair, WindowLayout};
    use crate::tensor::rng::{Purpose, stream};

    /// Both gradients where few numbers of dz are not 0, compared with the products over all numbers.
    fn check(layout: WindowLayout, maps: usize, input: [usize; 3], filters: usize, share: f64, seed: u64) {
        let Ok(windows) = layout.over(&input) else { return };
        let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
        let mut random =
            |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (x, kernel) = (random(maps * windows.map()), random(windows.window() * filters));
        let mut dz = random(maps * windows.positions() * filters);
        let keep = random(dz.len());
        dz.iter_mut().zip(keep).for_each(|(v, keep)| *v *= f64::from(u8::from(keep.abs() < share)));
        let all = |algorithm| {
            let (mut dx, mut dk) = (vec![f64::NAN; x.len()], vec![f64::NAN; kernel.len()]);
            let (mut db, mut dz) = (vec![0.0; filters], dz.clone());
            let gradients =
                ParameterGradients { bias: Some(&mut db), kernel: Some((Accumulate::Overwrite, &mut dk)) };
            let plan = ConvPlan::new(windows, maps, filters, algorithm);
            let nonzeros = plan.parameter_gradients(&x, &mut dz, |_, _| {}, gradients);
            plan.input_gradient_of((&dz, nonzeros), &kernel, &mut dx);
            assert_eq!(nonzeros, dz.iter().filter(|v| **v != 0.0).count());
            [dx, dk, db]
        };
        for (few, plain) in all(Algorithm::Fastest).iter().zip(all(Algorithm::Im2col)) {
            let close = few.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + dz.len() as f64));
            assert!(close, "{layout:?} over {maps} of {input:?}, {filters} filters, {share}, seed {seed}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn few_numbers_one_by_one_give_the_same_sums(
            (maps, height, width, channels) in (1_usize..4, 1_usize..14, 1_usize..14, 1_usize..12),
            filters in 1_usize..40,
            (kernel, stride, dilation) in ((1_usize..6, 1_usize..6), (1_usize..4, 1_usize..4), (1_usize..3, 1_usize..3)),
            padding in prop_oneof![Just(Padding::Valid), Just(Padding::Same), Just(Padding::from([2, 1]))],
            (share, seed) in (0.0_f64..0.3, 0_u64..1000),
        ) {
            let pair = |(height, width)| Pair { height, width };
            let layout = WindowLayout {
                stride: pair(stride), dilation: pair(dilation), padding, ..WindowLayout::new(pair(kernel))
            };
            check(layout, maps, [height, width, channels], filters, share, seed);
        }
    }

    /// 0 times NaN or infinity is NaN: terms with a 0 are left out only where all other factors are finite.
    #[test]
    fn nothing_that_is_not_finite_is_lost_where_most_numbers_are_0() {
        let layout = WindowLayout { padding: Padding::Same, ..WindowLayout::new(5) };
        let windows = layout.over(&[16, 16, 8]).unwrap();
        let (filters, maps) = (32, 16);
        let count = maps * windows.positions() * filters;
        for bad in [f32::NAN, f32::INFINITY] {
            for where_bad in ["x", "kernel", "dz"] {
                let (mut x, mut kernel) =
                    (vec![0.5; maps * windows.map()], vec![0.5; windows.window() * filters]);
                let mut dz = vec![0.0; count];
                dz.iter_mut().step_by(97).for_each(|dz| *dz = 1.0);
                match where_bad {
                    "x" => x[windows.map() + 77] = bad,
                    "kernel" => kernel[5] = bad,
                    _ => dz[97 * 11] = bad,
                }
                let both = [Algorithm::Fastest, Algorithm::Im2col].map(|algorithm| {
                    let (mut dx, mut dk, mut db) =
                        (vec![0.0; x.len()], vec![0.0; kernel.len()], vec![0.0; filters]);
                    let mut dz = dz.clone();
                    let gradients = ParameterGradients {
                        bias: Some(&mut db),
                        kernel: Some((Accumulate::Overwrite, &mut dk)),
                    };
                    let plan = ConvPlan::new(windows, maps, filters, algorithm);
                    let nonzeros = plan.parameter_gradients(&x, &mut dz, |_, _| {}, gradients);
                    assert!(sparse::is_faster(&windows, windows.window(), nonzeros, count));
                    plan.input_gradient_of((&dz, nonzeros), &kernel, &mut dx);
                    [dx, dk, db].map(|all| all.iter().map(|v: &f32| v.is_finite()).collect::<Vec<_>>())
                });
                for (which, (few, all)) in both[0].iter().zip(&both[1]).enumerate() {
                    // A product that is not finite may have more NaN than the plain loops, never fewer.
                    let kept = few.iter().zip(all).all(|(few, all)| *all || !few);
                    assert!(kept, "{bad} in {where_bad}, gradient {which}");
                }
                assert!(both[1].iter().any(|gradient| gradient.contains(&false)), "{bad} in {where_bad}");
            }
        }
    }

    #[test]
    fn the_same_where_the_work_is_cut_in_parts() {
        for (kernel, channels, size, filters) in
            [(5, 3, 40, 32), (7, 1, 28, 64), (5, 32, 11, 64), (3, 16, 30, 24)]
        {
            let layout = WindowLayout { padding: Padding::Same, ..WindowLayout::new(kernel) };
            check(layout, 5, [size, size, channels], filters, 0.05, 7);
            check(WindowLayout::new(kernel), 5, [size, size, channels], filters, 0.05, 8);
        }
    }
}
