//! The three products of dense layers and convolutions, beside the machine's peak, and passes over memory, beside a copy.
//!
//! `cargo bench --features bench-internals --bench kernels -- [FILTER]` prints, for the layers of the tables below, forward, weight gradient and
//! input gradient; criterion's `Gelem/s` are GFLOP/s here, those of the plain convolution (two a multiply-add). `peak` is
//! fused multiply-adds that never leave the registers. All with as many threads as there are cores.

use std::hint::black_box;

use backstitch::kernels::conv::kernel::{ConvKernel, PreparedKernel};
use backstitch::kernels::conv::plan::{ConvPlan, can_use_winograd};
use backstitch::kernels::gemm::matrix::Matrix;
use backstitch::kernels::gemm::multiply::multiply;
use backstitch::kernels::pool::max;
use backstitch::kernels::windows::{WindowLayout, Windows};
use backstitch::kernels::{elementwise, normalize};
use backstitch::optim::OptimizerMemory;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::train::Workspace;
use backstitch::{Accumulate, bench_internals};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulp::{Arch, Simd, WithSimd};
use rand::Rng;
use rayon::prelude::*;

/// Samples, inputs, units.
const DENSE: [(usize, usize, usize); 5] =
    [(32, 784, 256), (1024, 784, 256), (1024, 256, 128), (1024, 1024, 1024), (1024, 6272, 1024)];

fn dense_layers(criterion: &mut Criterion) {
    for (samples, inputs, units) in DENSE {
        let (x, weights) = (vec![0.5_f32; samples * inputs], vec![0.1_f32; inputs * units]);
        let dz = vec![0.2_f32; samples * units];
        let (mut y, mut dx, mut gradient) = (dz.clone(), x.clone(), weights.clone());
        let mut group = criterion.benchmark_group(format!("dense {samples} x {inputs}, {units} units"));
        group.throughput(Throughput::Elements((2 * samples * inputs * units) as u64));
        let how = Accumulate::Overwrite;
        let (x, weights) = (Matrix::new(&x, samples, inputs), Matrix::new(&weights, inputs, units));
        let dz = Matrix::new(&dz, samples, units);
        group.bench_function("forward", |bencher| bencher.iter(|| multiply(x, weights, how, &mut y)));
        group.bench_function("weight gradient", |bencher| {
            bencher.iter(|| multiply(x.t(), dz, how, &mut gradient));
        });
        group.bench_function("input gradient", |bencher| {
            bencher.iter(|| multiply(dz, weights.t(), how, &mut dx));
        });
    }
}

/// Maps, their size and channels; filters, kernel.
const CONVOLUTIONS: [(usize, usize, usize, usize, usize); 15] = [
    (64, 14, 128, 256, 3),
    (64, 7, 256, 256, 3),
    (32, 16, 64, 64, 3),
    (32, 2, 512, 512, 3),
    (64, 28, 1, 64, 7),
    (64, 60, 3, 32, 5),
    (64, 14, 64, 128, 5),
    (64, 15, 32, 64, 5),
    (64, 14, 16, 32, 3),
    (64, 7, 32, 64, 3),
    (32, 8, 128, 128, 3),
    (32, 4, 256, 256, 3),
    (1, 16, 64, 64, 3),
    (1, 4, 256, 256, 3),
    (1, 2, 512, 512, 3),
];

fn windows(size: usize, channels: usize, kernel: usize) -> Windows {
    let layout = WindowLayout { padding: Padding::Same, ..WindowLayout::new(kernel) };
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
        for algorithm in [Algorithm::Im2col, Algorithm::Winograd, Algorithm::Fastest] {
            if algorithm == Algorithm::Winograd && !can_use_winograd(&windows) {
                continue;
            }
            let plan = ConvPlan::new(windows, maps, filters, algorithm);
            group.bench_function(format!("forward, {algorithm:?}"), |bencher| {
                bencher.iter(|| plan.forward(&x, ConvKernel::new(&weights), &mut y, |_| {}));
            });
            let prepared = PreparedKernel::new(windows, algorithm, &weights);
            group.bench_function(format!("forward, {algorithm:?}, kernel kept"), |bencher| {
                let kept = ConvPlan::with_kept_tiles(windows, maps, filters, algorithm);
                let plan = if prepared.has_tiles() { &kept } else { &plan };
                let kernel = ConvKernel { weights: &weights, prepared: Some(&prepared) };
                bencher.iter(|| plan.forward(&x, kernel, &mut y, |_| {}));
            });
            group.bench_function(format!("weight gradient, {algorithm:?}"), |bencher| {
                let how = Accumulate::Overwrite;
                bencher.iter(|| plan.weight_gradient(&x, &dz, how, &mut gradient));
            });
            group.bench_function(format!("input gradient, {algorithm:?}"), |bencher| {
                bencher.iter(|| plan.input_gradient(&dz, &weights, &mut dx));
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

/// Numbers in an array that no cache holds.
const LARGE: usize = 32 << 20;
/// The activations between two layers of a small network, which share the second-level caches with others.
const SMALL: usize = 1 << 18;

/// Passes over memory, beside a copy; criterion's `GiB/s` count every number read and every number written once.
fn memory(criterion: &mut Criterion) {
    for length in [SMALL, LARGE] {
        let (x, column) = (vec![0.5_f32; length], vec![0.5_f32; 64]);
        let mut to = x.clone();
        let mut group = criterion.benchmark_group(format!("{} MiB", (4 * length) >> 20));
        let bytes = |arrays: u64| Throughput::Bytes(arrays * 4 * length as u64);
        group.throughput(bytes(2));
        group.bench_function("copy", |bencher| bencher.iter(|| elementwise::copy(&x, &mut to)));
        group.bench_function("relu", |bencher| bencher.iter(|| bench_internals::relu(&mut to)));
        group.bench_function("normalize", |bencher| {
            bencher.iter(|| normalize::normalize(&x, [&column; 3], &mut to, |_| {}));
        });
        group.throughput(bytes(3));
        group.bench_function("derivative of relu", |bencher| {
            bencher.iter(|| bench_internals::derivative_of_relu(&x, &mut to));
        });
    }
}

/// Max pooling by 2, forward and backward: the map and its gradient are a quarter of the others.
fn pooling(criterion: &mut Criterion) {
    let layout = WindowLayout { stride: 2.into(), ..WindowLayout::new(2) };
    for channels in [16, 64] {
        let windows = layout.over(&[28, 28, channels]).expect("a window that fits");
        let (maps, count) = (64, 64 * windows.positions() * channels);
        let (mut x, mut y, mut winners) =
            (vec![0.5_f32; maps * windows.map()], vec![0.0; count], vec![0; count]);
        let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
        x.iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
        let mut group = criterion.benchmark_group(format!("64 x 28x28x{channels}, max pooling by 2"));
        group.throughput(Throughput::Bytes(4 * (x.len() + 2 * count) as u64));
        group.bench_function("forward", |bencher| {
            bencher.iter(|| max::forward(&x, &windows, &mut y, &mut winners));
        });
        group.bench_function("backward", |bencher| {
            bencher.iter(|| max::backward(&y, &windows, &winners, &mut x));
        });
    }
}

/// Adam's update: weight, gradient and two moments are read, all but the gradient written.
fn optimizer(criterion: &mut Criterion) {
    let net = Net::new().push(dense(4096));
    let mut model: Model = Model::new(net, &[2048], 0).expect("a dense layer of rows");
    let (x, mut workspace) = (Tensor::zeros(&[1, 2048]).expect("a row"), Workspace::new(&model));
    let ctx = Context::train(0, 0);
    model.forward(&x, &mut workspace.trace, &ctx).expect("a batch of rows");
    workspace.trace.output_and_gradient().1.copy_from(&Tensor::zeros(&[1, 4096]).expect("a row"));
    let Workspace { trace, grads, .. } = &mut workspace;
    model.backward(&x, trace, None, Some(grads), &ctx).expect("the trace of this pass");
    let (adam, mut memory) = (Adam::new(1e-3), OptimizerMemory::new());
    let mut group = criterion.benchmark_group("8 million parameters");
    group.throughput(Throughput::Bytes(7 * 4 * model.parameter_count() as u64));
    group.bench_function("adam", |bencher| {
        bencher.iter(|| memory.step(&adam, 1e-3, &mut model, grads).expect("gradients of this model"));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).without_plots();
    targets = peak, memory, pooling, optimizer, dense_layers, convolutions
}
criterion_main!(benches);
