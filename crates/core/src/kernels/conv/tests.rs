//! All algorithms against the plain loops.

use proptest::prelude::*;
use rand::Rng;

use crate::kernels::conv::grouped::GroupedPlan;
use crate::kernels::conv::kernel::{ConvKernel, PreparedKernel};
use crate::kernels::conv::plan::{Algorithm, ConvPlan};
use crate::kernels::conv::walk::ParameterGradients;
use crate::kernels::windows::{Padding, Pair, WindowLayout};
use crate::kernels::{Accumulate, naive};
use crate::tensor::rng::{Purpose, stream};

fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// All three products against the plain loops.
fn check(layout: WindowLayout, maps: usize, input: [usize; 3], filters: usize, seed: u64) {
    for algorithm in [Algorithm::Fastest, Algorithm::Im2col, Algorithm::Winograd] {
        check_with(algorithm, layout, maps, input, filters, seed);
    }
}

fn check_with(
    algorithm: Algorithm,
    layout: WindowLayout,
    maps: usize,
    input: [usize; 3],
    filters: usize,
    seed: u64,
) {
    let Ok(windows) = layout.over(&input) else { return };
    let (x, kernel) = (random(maps * windows.map(), seed), random(windows.window() * filters, seed + 1));
    let dz = random(maps * windows.positions() * filters, seed + 2);
    let plan = ConvPlan::new(windows, maps, filters, algorithm);
    let mut y = vec![f64::NAN; dz.len()];
    plan.forward(&x, ConvKernel::new(&kernel), &mut y, |_| {});
    let (mut dx, mut dk) = (vec![f64::NAN; x.len()], vec![f64::NAN; kernel.len()]);
    plan.input_gradient(&dz, &kernel, &mut dx);
    plan.weight_gradient(&x, &dz, Accumulate::Overwrite, &mut dk);
    let mut twice = dk.clone();
    plan.weight_gradient(&x, &dz, Accumulate::Add, &mut twice);
    let expected_dk = naive::weight_gradient(&x, &windows, &dz, (filters, 1));
    for (name, got, expected, terms) in [
        ("y", &y, &naive::convolve(&x, &windows, &kernel, (filters, 1)).0, windows.window()),
        ("dx", &dx, &naive::input_gradient(&dz, &windows, &kernel, (filters, 1)), windows.window() * filters),
        ("dK", &dk, &expected_dk, maps * windows.positions()),
        ("dK added", &twice, &expected_dk.iter().map(|v| 2.0 * v).collect(), maps * windows.positions()),
    ] {
        let close = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-11 * (1.0 + terms as f64));
        assert!(
            close,
            "{name} by {plan:?}, {algorithm:?}, {layout:?} over {maps} of {input:?}, {filters} filters, seed {seed}"
        );
    }
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Valid),
        Just(Padding::Same),
        (0_usize..4, 0_usize..4).prop_map(|(a, b)| Padding::from([a, b])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn agrees_with_the_plain_loops(
        (maps, height, width, channels) in (1_usize..4, 1_usize..12, 1_usize..12, 1_usize..20),
        (filters, kernel) in (1_usize..10, (1_usize..5, 1_usize..5)),
        (stride, dilation) in ((1_usize..4, 1_usize..4), (1_usize..3, 1_usize..3)),
        padding in padding(),
        seed in 0_u64..1000,
    ) {
        let pair = |(height, width)| Pair { height, width };
        let layout = WindowLayout {
            stride: pair(stride), dilation: pair(dilation), padding, ..WindowLayout::new(pair(kernel))
        };
        check(layout, maps, [height, width, channels], filters, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn tiles_agree_with_the_plain_loops(
        (maps, height, width, channels) in (1_usize..4, 3_usize..16, 3_usize..16, 1_usize..20),
        (filters, kernel) in (1_usize..70, prop_oneof![Just(3_usize), Just(5)]),
        padding in padding(),
        seed in 0_u64..1000,
    ) {
        let layout = WindowLayout { padding, ..WindowLayout::new(kernel) };
        check_with(Algorithm::Winograd, layout, maps, [height, width, channels], filters, seed);
    }
}

#[test]
fn tiles_in_f32_are_exact_to_a_ten_thousandth_of_the_largest_output() {
    for (kernel, maps, size, channels, filters) in
        [(3, 2, 14, 128, 64), (3, 4, 7, 256, 32), (3, 1, 33, 3, 16), (5, 2, 14, 64, 48), (5, 1, 9, 200, 17)]
    {
        let layout = WindowLayout { padding: Padding::Same, ..WindowLayout::new(kernel) };
        let windows = layout.over(&[size, size, channels]).unwrap();
        let [x, weights, dz] =
            [maps * windows.map(), windows.window() * filters, maps * windows.positions() * filters]
                .map(|count| random(count, count as u64).iter().map(|&v| v as f32).collect::<Vec<_>>());
        let all = |algorithm| {
            let (mut y, mut dx) = (vec![0.0; dz.len()], vec![0.0; x.len()]);
            let mut gradient = vec![0.0; weights.len()];
            let plan = ConvPlan::new(windows, maps, filters, algorithm);
            plan.forward(&x, ConvKernel::new(&weights), &mut y, |_| {});
            plan.input_gradient(&dz, &weights, &mut dx);
            plan.weight_gradient(&x, &dz, Accumulate::Overwrite, &mut gradient);
            [y, dx, gradient]
        };
        // A kernel whose form in tiles is kept gives the same bits.
        let prepared = PreparedKernel::new(windows, Algorithm::Winograd, &weights);
        let mut y = vec![0.0; dz.len()];
        let kept = ConvKernel { weights: &weights, prepared: Some(&prepared) };
        let plan = ConvPlan::with_kept_tiles(windows, maps, filters, Algorithm::Winograd);
        plan.forward(&x, kept, &mut y, |_| {});
        assert!(kept.tiles().is_some() && y == all(Algorithm::Winograd)[0]);
        let results = all(Algorithm::Winograd).into_iter().zip(all(Algorithm::Im2col));
        for ((tiles, plain), what) in results.zip(["y", "dx", "dK"]) {
            let largest = plain.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let differences = tiles.iter().zip(&plain).map(|(a, b)| (a - b).abs());
            let worst = differences.fold(0.0_f32, f32::max) / largest;
            assert!(
                worst < 1e-4,
                "{what} of {maps} maps {size}x{size}x{channels}, {kernel}x{kernel}: {worst}"
            );
        }
    }
}

#[test]
fn agrees_where_the_work_is_cut_in_pieces() {
    let layout = |kernel: usize, stride: usize, padding: Padding| WindowLayout {
        stride: stride.into(),
        padding,
        ..WindowLayout::new(kernel)
    };
    for (kernel, stride, padding, maps, input, filters) in [
        (7, 1, Padding::Same, 3, [28, 28, 1], 16),
        (3, 1, Padding::Same, 5, [14, 14, 16], 32),
        (3, 2, Padding::from(1), 4, [16, 16, 24], 40),
        (1, 2, Padding::Valid, 4, [16, 16, 48], 40),
        (5, 1, Padding::Valid, 3, [20, 20, 3], 32),
        (3, 1, Padding::Same, 40, [2, 2, 64], 48),
        (1, 1, Padding::Valid, 4, [7, 7, 64], 48),
    ] {
        check(layout(kernel, stride, padding), maps, input, filters, 1);
    }
}

/// All three products of a convolution in groups against the plain loops.
fn check_groups(
    layout: WindowLayout,
    maps: usize,
    [height, width, channels]: [usize; 3],
    filters: usize,
    groups: usize,
    seed: u64,
) {
    let (channels, filters) = (channels * groups, filters * groups);
    let Ok(windows) = layout.over(&[height, width, channels]) else { return };
    let x = random(maps * windows.map(), seed);
    let kernel = random(windows.window() / groups * filters, seed + 1);
    let mut dz = random(maps * windows.positions() * filters, seed + 2);
    let plan = GroupedPlan::new(windows, maps, (filters, groups), Algorithm::Fastest, ConvPlan::new);
    let mut y = vec![f64::NAN; dz.len()];
    plan.forward(&x, ConvKernel::new(&kernel), &mut y, |_| {});
    let (mut dx, mut dk) = (vec![f64::NAN; x.len()], vec![f64::NAN; kernel.len()]);
    let mut gradient = |how, dk: &mut [f64]| {
        let gradients = ParameterGradients { bias: None, kernel: Some((how, dk)) };
        plan.parameter_gradients(&x, &mut dz, |_, _| {}, gradients)
    };
    gradient(Accumulate::Overwrite, &mut dk);
    let mut twice = dk.clone();
    let nonzeros = gradient(Accumulate::Add, &mut twice);
    plan.input_gradient_of((&dz, nonzeros), &kernel, &mut dx);
    let expected_dk = naive::weight_gradient(&x, &windows, &dz, (filters, groups));
    for (name, got, expected) in [
        ("y", &y, &naive::convolve(&x, &windows, &kernel, (filters, groups)).0),
        ("dx", &dx, &naive::input_gradient(&dz, &windows, &kernel, (filters, groups))),
        ("dK", &dk, &expected_dk),
        ("dK added", &twice, &expected_dk.iter().map(|v| 2.0 * v).collect()),
    ] {
        assert_eq!(got.len(), expected.len());
        let close = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close, "{name} by {plan:?}, {layout:?} over {maps} maps, seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn groups_agree_with_the_plain_loops(
        (maps, height, width) in (1_usize..4, 1_usize..12, 1_usize..12),
        // The last: channels and filters of a group.
        (groups, channels, filters) in (1_usize..44, 1_usize..4, 1_usize..4),
        kernel in (1_usize..5, 1_usize..5),
        (stride, dilation) in ((1_usize..4, 1_usize..4), (1_usize..3, 1_usize..3)),
        padding in padding(),
        seed in 0_u64..1000,
    ) {
        let pair = |(height, width)| Pair { height, width };
        let layout = WindowLayout {
            stride: pair(stride), dilation: pair(dilation), padding, ..WindowLayout::new(pair(kernel))
        };
        check_groups(layout, maps, [height, width, channels], filters, groups, seed);
    }
}

#[test]
fn groups_agree_where_the_work_is_cut_in_pieces() {
    let same = WindowLayout { padding: Padding::Same, ..WindowLayout::new(3) };
    let second = WindowLayout { stride: 2.into(), ..same };
    for (layout, maps, input, filters, groups) in [
        (same, 17, [30, 90, 1], 1, 40),
        (second, 9, [31, 28, 1], 1, 70),
        (same, 9, [14, 15, 1], 3, 24),
        (second, 9, [14, 15, 1], 3, 24),
        // More numbers of a group than are copied at a time.
        (same, 14, [64, 65, 12], 10, 2),
    ] {
        check_groups(layout, maps, input, filters, groups, 1);
    }
}
