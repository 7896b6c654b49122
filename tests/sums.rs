//! Compares sums of many `f32` numbers with values in `f64`. If PyTorch's own error in `f32` was measured, a comment
//! gives it (2.15, on a processor, with one thread).

use backstitch::Grads;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use rand::Rng;

/// A layer with its gradients for a given dL/dy.
struct Pass {
    model: Model,
    trace: Trace,
    grads: Grads,
    dx: Tensor,
}

fn tensor(shape: &[usize], value: impl FnMut(usize) -> f32) -> Tensor {
    let mut tensor = Tensor::zeros(shape).unwrap();
    let values = (0..tensor.data().len()).map(value).collect::<Vec<_>>();
    tensor.data_mut().copy_from_slice(&values);
    tensor
}

fn pass(layer: impl Into<Net>, x: &Tensor, dy: impl FnMut(usize) -> f32) -> Pass {
    let mut model: Model = Model::new(Net::new().push(layer), &x.shape()[1..], 0).unwrap();
    let (mut trace, mut dx) = (Trace::new(Keep::ForBackward), Tensor::default());
    let ctx = Context::train(0, 0);
    model.forward(x, &mut trace, &ctx).unwrap();
    let (y, gradient) = trace.output_and_gradient();
    gradient.copy_from(&tensor(&y.shape(), dy));
    let mut grads = model.grads();
    model.backward(x, &mut trace, Some(&mut dx), Some(&mut grads), &ctx).unwrap();
    model.commit(&trace).unwrap();
    Pass { model, trace, grads, dx }
}

impl Pass {
    fn gradient(&self, name: &str) -> Vec<f64> {
        let at = self.model.slots().iter().position(|slot| slot.name().ends_with(name)).unwrap();
        self.grads.get(at).unwrap().data().iter().map(|&g| g.into()).collect()
    }

    fn buffer(&self, name: &str) -> Vec<f64> {
        let state = self.model.state();
        let value = state.iter().find(|(full, _)| full.ends_with(name)).unwrap().1;
        value.data().iter().map(|&v| v.into()).collect()
    }
}

fn assert_close(what: &str, got: f64, expected: f64, tolerance: f64) {
    let error = (got - expected).abs() / expected.abs();
    assert!(error <= tolerance, "{what}: {got} for {expected}, {error:.1e} off");
}

#[test]
fn two_values_that_alternate_give_batch_norm_their_mean_and_variance() {
    let count = 25_088;
    let x = tensor(&[32, 28, 28, 1], |i| 1000.0 + (i % 2) as f32);
    let norm = pass(batch_norm().epsilon(1e-12), &x, |i| (i % 2) as f32);
    assert_close("mean", norm.buffer("running_mean")[0], 0.1 * 1000.5, 1e-7);
    let unbiased = 0.25 * f64::from(count) / f64::from(count - 1);
    assert_close("variance", norm.buffer("running_var")[0], 0.9 + 0.1 * unbiased, 1e-7);
    assert_close("weight", norm.gradient("weight")[0], 12_544.0, 1e-7);
    assert_close("bias", norm.gradient("bias")[0], 12_544.0, 0.0);
    assert!(
        norm.trace.output().data().iter().enumerate().all(|(i, &y)| y == if i % 2 == 0 { -1.0 } else { 1.0 })
    );
}

/// A random number with mean 0 and standard deviation 1, nearly normally distributed.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random_range(-0.5..0.5)).sum()
}

/// Batch norm in `f64`, of the numbers as they are in `f32`: mean, variance, dγ, dβ of every channel, and dx.
fn reference(x: &[f32], dy: &[f32], channels: usize) -> ([Vec<f64>; 4], Vec<f64>) {
    let count = (x.len() / channels) as f64;
    let mut all = [const { Vec::new() }; 4];
    let mut dx = vec![0.0; x.len()];
    for c in 0..channels {
        let column = |data: &[f32]| -> Vec<f64> {
            data.iter().skip(c).step_by(channels).map(|&v| f64::from(v)).collect()
        };
        let (x, dy) = (column(x), column(dy));
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        let weight = x.iter().zip(&dy).map(|(x, dy)| dy * (x - mean) * scale).sum::<f64>();
        let bias = dy.iter().sum::<f64>();
        for (i, (x, dy)) in x.iter().zip(&dy).enumerate() {
            dx[i * channels + c] = scale * (dy - bias / count - (x - mean) * scale * weight / count);
        }
        for (all, value) in all.iter_mut().zip([mean, variance, weight, bias]) {
            all.push(value);
        }
    }
    (all, dx)
}

#[test]
fn normal_maps_far_from_0_give_batch_norm_exact_sums_at_any_width() {
    // With width 3 and mean 10, a single accumulator is off by 8.5e-4, and PyTorch by 2.3e-5.
    for (batch, size, channels, mean, deviation) in [
        (64, 28, 1, 10.0, 1.0),
        (64, 32, 3, 10.0, 1.0),
        (64, 32, 3, 1000.0, 0.5),
        (16, 28, 64, 1000.0, 0.5),
        (16, 7, 65, 10.0, 1.0),
        (32, 7, 512, 1000.0, 0.5),
    ] {
        let mut rng = stream(7, Purpose::GradientCheck, channels as u64, 0);
        let x = tensor(&[batch, size, size, channels], |_| (mean + deviation * normal(&mut rng)) as f32);
        let dy: Vec<f32> = x.data().iter().map(|_| (1.0 + normal(&mut rng)) as f32).collect();
        let norm = pass(batch_norm(), &x, |i| dy[i]);
        let ([means, variances, weights, biases], dx) = reference(x.data(), &dy, channels);
        let count = (x.data().len() / channels) as f64;
        // dγ is a sum whose terms cancel out, so its error is compared with the size of the terms.
        let size_of_terms = count.sqrt();
        for c in 0..channels {
            let what = format!("{channels} channels, channel {c}");
            assert_close(&what, norm.buffer("running_mean")[c], 0.1 * means[c], 1e-7);
            let running = 0.9 + 0.1 * variances[c] * count / (count - 1.0);
            assert_close(&what, norm.buffer("running_var")[c], running, 1e-7);
            assert_close(&what, norm.gradient("bias")[c], biases[c], 1e-7);
            let error = (norm.gradient("weight")[c] - weights[c]).abs();
            assert!(error <= 1e-5 * size_of_terms, "{what}: {error:.1e} of {}", weights[c]);
        }
        let largest = dx.iter().fold(0.0_f64, |most, dx| most.max(dx.abs()));
        let errors = dx.iter().zip(norm.dx.data()).map(|(expected, &got)| (expected - f64::from(got)).abs());
        let worst = errors.fold(0.0, f64::max) / largest;
        assert!(worst < 1e-6, "{channels} channels at {mean}: dx {worst:.1e} off");
    }
}

#[test]
fn batch_norm_of_values_whose_squares_add_up_to_no_f32_is_that_of_small_ones() {
    let x = tensor(&[4, 8, 8, 2], |i| [-1.5e19, 0.5e19][i / 2 % 2]);
    let norm = pass(batch_norm(), &x, |_| 1.0);
    assert!(norm.trace.output().data().iter().all(|y| (y.abs() - 1.0).abs() < 1e-6));
}

const TENTH: f64 = 0.1_f32 as f64;

#[test]
fn means_of_large_maps_and_windows_are_exact() {
    let x = tensor(&[1, 1000, 1000, 1], |_| 0.1);
    let mean = pass(global_avg_pool(), &x, |_| 1.0).trace.output().data()[0];
    assert_close("global", mean.into(), TENTH, 1e-7);
    // PyTorch is off by 9.6e-3, 9.7e-5, 9.7e-6, 1.5e-7 and 4.5e-7.
    for (window, tolerance) in [(1000, 2e-7), (100, 2e-7), (32, 2e-7), (10, 1.5e-7), (7, 2e-7)] {
        let means = pass(avg_pool(window), &x, |_| 1.0).trace.output().clone();
        for &mean in means.data() {
            assert_close(&format!("window {window}"), mean.into(), TENTH, tolerance);
        }
    }
    for channels in [1, 3, 64, 512] {
        let x = tensor(&[2, 40, 41, channels], |i| 0.1 * (1 + i % channels) as f32);
        let means = pass(global_avg_pool(), &x, |_| 1.0).trace.output().clone();
        for (i, &mean) in means.data().iter().enumerate() {
            let expected = f64::from(0.1 * (1 + i % channels) as f32);
            assert_close(&format!("{channels} channels"), mean.into(), expected, 2e-7);
        }
    }
}

#[test]
fn gradients_of_many_overlapping_windows_are_exact() {
    // The middle of the map is in 40 x 40 windows.
    let x = tensor(&[1, 100, 100, 1], |i| if i == 5050 { 1.0 } else { 0.0 });
    let of_max = pass(max_pool(40).stride(1), &x, |_| 0.1).dx.data()[5050];
    assert_close("max", of_max.into(), 1600.0 * TENTH, 1e-7);
    let of_mean = pass(avg_pool(40).stride(1), &x, |_| 0.1).dx.data()[5050];
    assert_close("mean", of_mean.into(), TENTH, 1e-7);
}

#[test]
fn ten_million_tenths_give_a_dense_layer_its_gradients() {
    for units in [1, 3, 64, 512] {
        let samples = 10_000_000 / units;
        let x = tensor(&[samples, 1], |_| 1.0);
        let dense = pass(dense(units), &x, |_| 0.1);
        // PyTorch is off by 5.8e-7, 9.1e-7, 3.9e-7.
        for gradient in dense.gradient("bias") {
            assert_close(&format!("{units} units, bias"), gradient, samples as f64 * TENTH, 2e-7);
        }
        // PyTorch is off by 8.8e-2, 3.4e-2, 1.8e-5.
        for gradient in dense.gradient("weight") {
            assert_close(&format!("{units} units, weight"), gradient, samples as f64 * TENTH, 5e-6);
        }
    }
}

#[test]
fn ten_million_tenths_give_a_convolution_its_gradients() {
    // The algorithms of a convolution: pointwise, by windows with a small kernel, in Winograd's tiles, with a large
    // kernel.
    for (maps, size, channels, filters, kernel) in [
        (10, 1000, 1, 1, 1),
        (10, 1000, 1, 1, 3),
        (2, 400, 16, 16, 3),
        (1, 600, 8, 4, 7),
        (1, 300, 64, 16, 6),
    ] {
        let x = tensor(&[maps, size, size, channels], |_| 1.0);
        let conv = pass(conv2d(filters, kernel), &x, |_| 0.1);
        let count = (conv.trace.output().data().len() / filters) as f64;
        let what = format!("{kernel}x{kernel}, {channels} channels");
        // PyTorch is off by up to 8.7e-2, in both.
        for gradient in conv.gradient("bias") {
            assert_close(&format!("{what}, bias"), gradient, count * TENTH, 2e-7);
        }
        for gradient in conv.gradient("weight") {
            assert_close(&format!("{what}, weight"), gradient, count * TENTH, 1e-5);
        }
    }
}

#[test]
fn a_gradient_that_is_mostly_0_is_summed_as_exactly() {
    // One number in 64 is not 0, so the products are computed one by one.
    let x = tensor(&[40, 128, 128, 4], |_| 1.0);
    let conv = pass(conv2d(16, 5), &x, |i| if i % 64 < 16 && i / 64 % 16 == 0 { 0.1 } else { 0.0 });
    let of_filter = |f: usize| {
        let numbers = conv.trace.output().data().len();
        (f..numbers).step_by(16).filter(|i| i % 64 < 16 && i / 64 % 16 == 0).count() as f64 * TENTH
    };
    for (i, gradient) in conv.gradient("weight").into_iter().enumerate() {
        assert_close("weight", gradient, of_filter(i % 16), 2e-6);
    }
}

#[test]
fn a_product_over_many_inputs_is_summed_in_blocks() {
    for batch in [1, 4, 64] {
        let inputs = 200_000;
        let x = tensor(&[batch, inputs], |_| 0.1);
        let mut model: Model = Model::new(Net::new().push(dense(96)), &[inputs], 0).unwrap();
        let mut weight = model.slots_mut().find(|slot| slot.name().ends_with("weight")).unwrap();
        weight.data_mut().fill(1.0);
        let y = model.predict(x.view()).unwrap();
        for &y in &y {
            assert_close(&format!("{batch} samples"), y.into(), inputs as f64 * TENTH, 5e-6);
        }
    }
}

#[test]
fn sums_have_the_same_bits_on_any_number_of_threads() {
    let mut rng = stream(9, Purpose::GradientCheck, 0, 0);
    let x = tensor(&[24, 40, 40, 6], |_| (10.0 + normal(&mut rng)) as f32);
    let all = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            let dy = |i: usize| (i % 7) as f32 - 2.9;
            let norm = pass(batch_norm(), &x, dy);
            let conv = pass(conv2d(8, 7), &x, dy);
            let pool = pass(avg_pool(20).stride(1), &x, dy);
            let wide = |tensor: &Tensor| tensor.data().iter().map(|&v| f64::from(v)).collect();
            [
                norm.buffer("running_mean"),
                norm.buffer("running_var"),
                norm.gradient("weight"),
                conv.gradient("weight"),
                conv.gradient("bias"),
                wide(pool.trace.output()),
                wide(&pool.dx),
            ]
            .map(bits)
        })
    });
    assert!(all[0] == all[1] && all[0] == all[2]);
}
