//! The three products of a convolution, beside the machine's peak.
//!
//! `cargo bench --bench kernels -- [FILTER]` prints, for the convolutions of the table below, forward, weight gradient and
//! input gradient; criterion's `Gelem/s` are GFLOP/s here, those of the plain convolution (two a multiply-add). `peak` is
//! fused multiply-adds that never leave the registers. All with as many threads as there are cores.

use std::hint::black_box;

use backstitch::core::kernels::conv::{self, Algorithm};
use backstitch::core::kernels::window::{Layout, Padding, Windows};
use backstitch::core::param::Accumulate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Maps, their size and channels; filters, kernel.
const CONVOLUTIONS: [(usize, usize, usize, usize, usize); 11] = [
    (64, 14, 128, 256, 3),
    (64, 7, 256, 256, 3),
    (32, 16, 64, 64, 3),
    (32, 2, 512, 512, 3),
    (64, 28, 1, 64, 7),
    (64, 60, 3, 32, 5),
    (64, 14, 64, 128, 5),
    (64, 15, 32, 64, 5),
    (32, 8, 128, 128, 3),
    (32, 4, 256, 256, 3),
    (1, 16, 64, 64, 3),
];

fn windows(size: usize, channels: usize, kernel: usize) -> Windows {
    let layout = Layout { padding: Padding::Same, ..Layout::new(kernel) };
    layout.over(&[size, size, channels]).expect("a kernel that fits")
}

fn convolutions(criterion: &mut Criterion) {
    for (maps, size, channels, filters, kernel) in CONVOLUTIONS {
        let windows = windows(size, channels, kernel);
        let x = vec![0.5_f32; maps * windows.map()];
        let weights = vec![0.1_f32; windows.window() * filters];
        let dz = vec![0.2_f32; maps * windows.positions() * filters];
        let (mut y, mut dx, mut gradient) = (dz.clone(), x.clone(), weights.clone());
        let name = format!("{maps}x{size}x{size}x{channels}, {filters} of {kernel}x{kernel}");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((2 * dz.len() * windows.window()) as u64));
        for algorithm in [Algorithm::Im2col, Algorithm::Winograd] {
            if algorithm == Algorithm::Winograd && !conv::can_use_winograd(&windows) {
                continue;
            }
            group.bench_function(format!("forward, {algorithm:?}"), |bencher| {
                bencher.iter(|| conv::forward(&x, &windows, algorithm, &weights, &mut y, |_| {}));
            });
            group.bench_function(format!("weight gradient, {algorithm:?}"), |bencher| {
                let how = Accumulate::Overwrite;
                bencher.iter(|| conv::weight_gradient(&x, &windows, algorithm, &dz, how, &mut gradient));
            });
            group.bench_function(format!("input gradient, {algorithm:?}"), |bencher| {
                bencher.iter(|| conv::input_gradient(&dz, &windows, algorithm, &weights, &mut dx));
            });
        }
    }
}

/// Multiply-adds in registers: 12 sums, so that none waits for the one before.
struct Peak;

const ROUNDS: u64 = 1 << 20;
const SUMS: usize = 12;

impl WithSimd for Peak {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> u64 {
        let (factor, addend) = (simd.splat_f32s(black_box(0.9999)), simd.splat_f32s(black_box(1.0001)));
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        for _ in 0..ROUNDS {
            for i in 0..SUMS {
                sums[i] = simd.mul_add_f32s(sums[i], factor, addend);
            }
        }
        black_box(sums);
        2 * ROUNDS * (SUMS * size_of::<S::f32s>() / size_of::<f32>()) as u64
    }
}

fn peak(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let operations = Arch::new().dispatch(Peak) * threads as u64;
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements(operations));
    group.bench_function(format!("{threads} threads"), |bencher| {
        bencher.iter(|| (0..threads).into_par_iter().map(|_| Arch::new().dispatch(Peak)).sum::<u64>());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).without_plots();
    targets = peak, convolutions
}
criterion_main!(benches);
