//! What the backward pass of a convolution does with the gradient of its output, in as few walks through memory as can be.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::kernels::Accumulate;
use crate::kernels::conv::{self, ACROSS_AT_A_TIME, Algorithm, Way, choose, get_ready, weight_gradient};
use crate::kernels::elementwise::update_with;
use crate::kernels::gemm::Matrix;
use crate::kernels::im2col::with_strips;
use crate::kernels::long_sums::{in_blocks, long_edge};
use crate::kernels::sparse;
use crate::kernels::sums::{add_columns, all_finite};
use crate::kernels::tile;
use crate::kernels::window::Windows;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch, ready};

/// Pieces of a sum over all outputs, whatever the number of threads.
const PARTS: usize = 8;
/// With fewer numbers than this there is one piece.
const CUT_ABOVE: usize = 64 * 1024;
/// Numbers that stay in the cache from one loop over them to the next.
const AT_A_TIME: usize = 8 * 1024;
/// A kernel with no more weights than this stays in the cache whole.
const SMALL_KERNEL: usize = 16 * 1024;
/// A kernel with more weights than this is not summed up in parts.
const KERNEL_OF_PARTS: usize = 256 * 1024;

/// The gradients of a convolution's parameters, to add to or to overwrite; none where they are not wanted.
pub struct ParameterGradients<'a, F> {
    /// `[filters]`, added to.
    pub bias: Option<&'a mut [F]>,
    /// `[kernel height, kernel width, channels, filters]`.
    pub kernel: Option<(Accumulate, &'a mut [F])>,
}

/// What is differentiated, and over which windows.
#[derive(Clone, Copy)]
struct Walk<'a, F> {
    x: &'a [F],
    windows: &'a Windows,
    filters: usize,
    /// How the products of these windows are computed.
    way: Way,
    /// Whether products with few numbers in dz may be computed one by one.
    may_be_sparse: bool,
}

/// Makes dz of the gradient with respect to the activated output, by `differentiate`, which gets ranges of
/// outputs and what is there; and computes the gradients of the parameters. Returns how many numbers of dz are not 0.
///
/// Where the kernel is small, its gradient is computed while dz is in the cache: for the first layers of a network, whose maps are large
/// and whose kernels are not, that is most of what is read.
#[inline(never)]
pub fn parameter_gradients<F: Scalar>(
    x: &[F],
    windows: &Windows,
    algorithm: Algorithm,
    filters: usize,
    dz: &mut [F],
    differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
    gradients: ParameterGradients<'_, F>,
) -> usize {
    let ParameterGradients { bias, kernel } = gradients;
    let weights = windows.window() * filters;
    let way = choose(windows, x.len() / windows.map(), filters, algorithm, false);
    let walk = Walk { x, windows, filters, way, may_be_sparse: algorithm == Algorithm::Fastest };
    let at_once = way == Way::InPlace && weights <= SMALL_KERNEL && dz.len() >= CUT_ABOVE;
    let (now, later) = if at_once { (kernel, None) } else { (None, kernel) };
    let in_parts = walk.may_be_sparse && weights <= KERNEL_OF_PARTS;
    if later.is_some() && in_parts {
        // How many numbers are 0 differs from step to step; what memory there is shall not.
        let plan = Plan::new(&walk, dz.len(), true, true);
        Scratch::<F>::take(Purpose::Shared).first(plan.parts * plan.each());
        plan.get_ready();
    }
    let nonzeros = walk.along(dz, differentiate, bias, now);
    if let Some((how, kernel)) = later {
        if in_parts && walk.is_sparse(nonzeros, dz.len()) {
            walk.along(dz, |_, _| {}, None, Some((how, kernel)));
        } else {
            weight_gradient(x, windows, algorithm, dz, how, kernel);
        }
    }
    nonzeros
}

/// Overwrites `dx` with the gradient with respect to the input. Of dz so many numbers are not 0.
#[inline(never)]
pub fn input_gradient<F: Scalar>(
    (dz, nonzeros): (&[F], usize),
    windows: &Windows,
    algorithm: Algorithm,
    kernel: &[F],
    dx: &mut [F],
) {
    let filters = kernel.len() / windows.window();
    let way = choose(windows, dx.len() / windows.map(), filters, algorithm, false);
    if algorithm == Algorithm::Fastest {
        sparse::get_ready::<F>(windows);
    }
    let few = algorithm == Algorithm::Fastest && sparse::is_faster(windows, way, nonzeros, dz.len());
    // A weight that is NaN or infinite meets numbers that are 0, too.
    if few && all_finite(kernel) {
        sparse::input_gradient(dz, windows, kernel, dx);
    } else {
        conv::input_gradient(dz, windows, algorithm, kernel, dx);
    }
}

/// How dz is cut, in rows of output, and the length of what is summed up in each part.
#[derive(Clone, Copy)]
struct Plan {
    line: usize,
    windows_of_line: usize,
    parts: usize,
    lines_of_part: usize,
    at_a_time: usize,
    of_kernel: usize,
    /// Sums by filter, of the numbers that are not 0.
    of_sparse: usize,
    /// In `f64`.
    of_bias: usize,
}

impl Plan {
    fn new<F>(walk: &Walk<'_, F>, numbers: usize, with_kernel: bool, with_bias: bool) -> Self {
        let Walk { windows, filters, .. } = *walk;
        let line = windows.out_width * filters;
        let lines = (numbers / line).max(1);
        let lines_of_part = if numbers < CUT_ABOVE { lines } else { lines.div_ceil(PARTS) };
        let at_a_time = if with_kernel {
            ACROSS_AT_A_TIME.div_ceil(windows.out_width)
        } else {
            (AT_A_TIME / line).max(1)
        };
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

    /// Numbers in the kernel's sums of a part: one more than none, so that there is a piece of them for each.
    fn each(&self) -> usize {
        (self.of_kernel + self.of_sparse).max(1)
    }

    /// Where blocks of long sums end, in lines of a part with n.
    fn next_edge(&self, lines: usize) -> impl Fn(usize) -> usize {
        let with_kernel = self.of_kernel > 0;
        let edge = long_edge(lines, self.windows_of_line, self.at_a_time);
        move |from| if with_kernel { edge(from) } else { lines }
    }

    /// Lets every thread take the buffer for long sums.
    fn get_ready(&self) {
        if self.next_edge(self.lines_of_part)(0) < self.lines_of_part {
            ready::<f64>(&[(Purpose::Sums, self.of_kernel)]);
        }
    }
}

impl<F: Scalar> Walk<'_, F> {
    fn is_sparse(&self, nonzeros: usize, all: usize) -> bool {
        self.may_be_sparse && sparse::is_faster(self.windows, self.way, nonzeros, all)
    }

    /// From one end of dz to the other, in parts whose sums are added in order. Returns how many numbers are not 0.
    fn along(
        &self,
        dz: &mut [F],
        differentiate: impl Fn(Range<usize>, &mut [F]) + Sync,
        bias: Option<&mut [F]>,
        kernel: Option<(Accumulate, &mut [F])>,
    ) -> usize {
        let plan = Plan::new(self, dz.len(), kernel.is_some(), bias.is_some());
        let Plan { line, lines_of_part, at_a_time, of_kernel, .. } = plan;
        if kernel.is_some() {
            get_ready::<F>(self.windows, at_a_time);
        }
        plan.get_ready();
        let mut scratch = Scratch::take(Purpose::Shared);
        let sums = scratch.first(plan.parts * plan.each());
        let mut bias_scratch = Scratch::<f64>::take(Purpose::BiasSums);
        let of_bias = plan.of_bias.max(1);
        let bias_sums = bias_scratch.first(plan.parts * of_bias);
        let parts = dz.par_chunks_mut(lines_of_part * line).zip(sums.par_chunks_mut(plan.each()));
        let nonzeros = AtomicUsize::new(0);
        parts.zip(bias_sums.par_chunks_mut(of_bias)).enumerate().for_each(|(i, ((dz, sums), bias_sums))| {
            bias_sums.fill(0.0);
            let (dense, few) = sums.split_at_mut(of_kernel);
            let lines = dz.len() / line;
            in_blocks(lines, plan.next_edge(lines), Accumulate::Overwrite, dense, |block, _, dense| {
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
                    if plan.of_bias > 0 {
                        add_columns(dz, bias_sums);
                    }
                    if of_kernel > 0 {
                        any_few |= self.add_products(lines, dz, found, (dense, few));
                    }
                }
                if any_few {
                    sparse::add_sums(self.windows, &few[..plan.of_sparse], self.filters, dense);
                }
            });
        });
        add_up(plan, (sums, bias_sums), bias, kernel);
        nonzeros.into_inner()
    }

    /// Adds the kernel's gradient from some rows of output, `nonzeros` of whose gradients are not 0, to sums as they are in the kernel, or
    /// to those by filter. Returns whether it was the latter.
    fn add_products(
        &self,
        lines: Range<usize>,
        dz: &[F],
        nonzeros: usize,
        sums: (&mut [F], &mut [F]),
    ) -> bool {
        let Self { x, windows, filters, .. } = *self;
        let few = self.is_sparse(nonzeros, dz.len());
        with_strips(x, windows, lines, |strips| {
            // The terms that are left out are 0 only where they are 0 times a finite number.
            if few && all_finite(strips.covered()) {
                sparse::add_weight_gradient(strips, windows, dz, filters, sums.1);
                return true;
            }
            let windows = Matrix::of_windows(strips.data, strips.rows);
            let dz = Matrix::new(dz, windows.rows, filters);
            tile::multiply(windows.t(), dz, Accumulate::Add, sums.0);
            false
        })
    }
}

/// Adds the sums of all parts to the gradients.
fn add_up<F: Scalar>(
    plan: Plan,
    (sums, bias_sums): (&[F], &[f64]),
    bias: Option<&mut [F]>,
    kernel: Option<(Accumulate, &mut [F])>,
) {
    if let Some(bias) = bias {
        for (f, bias) in bias.iter_mut().enumerate() {
            let parts = bias_sums.iter().skip(f).step_by(plan.of_bias);
            *bias = F::from_f64(bias.as_f64() + parts.sum::<f64>());
        }
    }
    let Some((how, kernel)) = kernel else { return };
    if how == Accumulate::Overwrite {
        kernel.fill(F::zero());
    }
    for sums in sums.chunks_exact(plan.each()) {
        update_with(kernel, &sums[..plan.of_kernel], |total, part| *total += part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::Rng;

    use super::*;
    use crate::kernels::window::{Layout, Padding, Pair};
    use crate::rng::{Purpose, stream};

    /// Both gradients where few numbers of dz are not 0, against the products with all of them.
    fn check(layout: Layout, maps: usize, input: [usize; 3], filters: usize, share: f64, seed: u64) {
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
            let nonzeros =
                parameter_gradients(&x, &windows, algorithm, filters, &mut dz, |_, _| {}, gradients);
            input_gradient((&dz, nonzeros), &windows, algorithm, &kernel, &mut dx);
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
            let layout = Layout {
                stride: pair(stride), dilation: pair(dilation), padding, ..Layout::new(pair(kernel))
            };
            check(layout, maps, [height, width, channels], filters, share, seed);
        }
    }

    /// 0 times NaN or infinity is NaN: terms of zeros are left out only where all other factors are finite.
    #[test]
    fn nothing_that_is_not_finite_is_lost_where_most_numbers_are_0() {
        let layout = Layout { padding: Padding::Same, ..Layout::new(5) };
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
                    let nonzeros =
                        parameter_gradients(&x, &windows, algorithm, filters, &mut dz, |_, _| {}, gradients);
                    assert!(sparse::is_faster(&windows, Way::InPlace, nonzeros, count));
                    input_gradient((&dz, nonzeros), &windows, algorithm, &kernel, &mut dx);
                    [dx, dk, db].map(|all| all.iter().map(|v: &f32| v.is_finite()).collect::<Vec<_>>())
                });
                for (which, (few, all)) in both[0].iter().zip(&both[1]).enumerate() {
                    // In a product that is not finite more may be NaN than the plain loops make so, never less.
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
            let layout = Layout { padding: Padding::Same, ..Layout::new(kernel) };
            check(layout, 5, [size, size, channels], filters, 0.05, 7);
            check(Layout::new(kernel), 5, [size, size, channels], filters, 0.05, 8);
        }
    }
}
