//! The models and optimizers of fixtures/pytorch/layers.py.

use backstitch::CrossEntropy;
use backstitch::prelude::*;
use backstitch::train::StepSettings;

#[path = "pytorch_cases/convs.rs"]
mod convs;
#[path = "pytorch_cases/norms.rs"]
mod norms;

fn one(layer: impl Into<Net>) -> Net {
    Net::new().push(layer)
}

fn conv(filters: usize, kernel: impl Into<Pair>) -> backstitch::layers::Conv2d {
    conv2d(filters, kernel)
}

#[path = "pytorch_cases/sequences.rs"]
mod sequences;

/// The nets of a file of fixtures, by the names of its cases.
pub type Cases = Vec<(&'static str, Net)>;

/// Every file of fixtures with its cases.
pub fn files() -> Vec<(&'static str, Cases)> {
    vec![
        ("layers.npz", layers()),
        ("norms.npz", norms::cases()),
        ("convs.npz", convs::cases()),
        ("sequences.npz", sequences::cases()),
    ]
}

fn layers() -> Cases {
    vec![
        ("conv_3x3_same", one(conv(4, 3).padding(Padding::Same))),
        ("conv_4x2_same_even", one(conv(3, [4, 2]).padding(Padding::Same))),
        ("conv_5x3_stride_2x1", one(conv(3, [5, 3]).stride([2, 1]).padding([2, 1]))),
        ("conv_3x3_dilation_2", one(conv(3, 3).dilation(2).padding(2))),
        ("conv_1x1", one(conv(3, 1))),
        ("conv_1x1_stride_2", one(conv(3, 1).stride(2).without_bias())),
        ("conv_7x7_stride_2", one(conv(4, 7).stride(2).padding(3).without_bias())),
        ("conv_3x3_many_channels", one(conv(20, 3).padding(1))),
        ("conv_3x3_same_stride_2", one(conv(4, 3).stride(2).padding(Padding::Same))),
        ("max_pool_2", one(max_pool(2))),
        ("max_pool_3_stride_2_padding_1", one(max_pool(3).stride(2).padding(1))),
        ("max_pool_3_stride_2_ceil", one(max_pool(3).stride(2).ceil())),
        ("max_pool_2_stride_1", one(max_pool(2).stride(1))),
        ("avg_pool_2", one(avg_pool(2))),
        ("avg_pool_3_stride_2_padding_1", one(avg_pool(3).stride(2).padding(1))),
        ("avg_pool_3_stride_2_padding_1_ceil", one(avg_pool(3).stride(2).padding(1).ceil())),
        ("global_avg_pool", one(global_avg_pool())),
        ("leaky_relu", one(activation(Activation::LeakyRelu(0.2)))),
        ("flatten", one(flatten())),
        ("batch_norm_features", one(batch_norm())),
        ("batch_norm_maps", one(batch_norm())),
        ("residual_identity", one(identity())),
        ("residual_projection", one(projection())),
        ("inception", one(inception())),
    ]
}

fn identity() -> impl Into<Net> {
    let main = Net::new().push(conv(3, 3).padding(1).without_bias()).push(batch_norm());
    residual(main, Net::new()).relu()
}

fn projection() -> impl Into<Net> {
    let main = Net::new()
        .push(conv(4, 3).stride(2).padding(1).without_bias())
        .push(batch_norm().relu())
        .push(conv(4, 3).padding(1).without_bias())
        .push(batch_norm());
    let shortcut = Net::new().push(conv(4, 1).stride(2).without_bias()).push(batch_norm());
    residual(main, shortcut).relu()
}

fn inception() -> impl Into<Net> {
    let conv = |filters, kernel: usize| conv2d(filters, kernel).relu().same();
    concat([
        Net::new().push(conv(2, 1)),
        Net::new().push(conv(3, 1)).push(conv(4, 3)),
        Net::new().push(conv(2, 1)).push(conv(3, 5)),
        Net::new().push(max_pool(3).stride(1).padding(1)).push(conv(2, 1)),
    ])
}

/// Every optimizer of the script, with the settings of its steps.
pub fn optimizers() -> Vec<(&'static str, StepSettings)> {
    fn plain(optimizer: impl Optimizer<f32>) -> StepSettings {
        StepSettings::new(optimizer, CrossEntropy::new())
    }
    let (adam, rms) = (Adam::new(0.01), RmsProp::new(0.01));
    let smoothed = CrossEntropy::label_smoothing(0.2).unwrap();
    vec![
        ("sgd_nesterov", plain(Sgd::new(0.1).momentum(0.9).nesterov().weight_decay(0.01))),
        ("adam", plain(adam)),
        ("adam_weight_decay", plain(adam.betas(0.8, 0.95).epsilon(1e-6).weight_decay(0.1))),
        ("adamw", plain(Adam::adamw(0.01, 0.1))),
        ("rmsprop", plain(rms.weight_decay(0.01))),
        ("rmsprop_alpha", plain(rms.alpha(0.9).epsilon(1e-6))),
        ("adagrad", plain(Adagrad::new(0.1).weight_decay(0.01))),
        ("clipped", StepSettings { clip_norm: Some(0.1), ..plain(Sgd::new(0.5)) }),
        ("smoothed", StepSettings::new(Sgd::new(0.5), smoothed)),
    ]
}
