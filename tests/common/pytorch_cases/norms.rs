//! The models of fixtures/pytorch/norms.py.

use backstitch::prelude::*;

use super::{Cases, one};

pub fn cases() -> Cases {
    let mut cases = normalizations();
    cases.extend(activations());
    cases
}

fn normalizations() -> Cases {
    vec![
        ("layer_norm_features", one(layer_norm())),
        ("layer_norm_sequence", one(layer_norm())),
        ("layer_norm_epsilon", one(layer_norm().epsilon(0.1))),
        ("layer_norm_without_bias", one(layer_norm().without_bias())),
        ("layer_norm_maps", one(layer_norm())),
        ("rms_norm_features", one(rms_norm())),
        ("rms_norm_sequence", one(rms_norm())),
        ("rms_norm_epsilon", one(rms_norm().epsilon(0.1))),
        ("group_norm_maps", one(group_norm(2))),
        ("group_norm_one_group", one(group_norm(1).epsilon(0.1))),
        ("group_norm_channels", one(group_norm(4))),
        ("group_norm_features", one(group_norm(3))),
        ("instance_norm", one(instance_norm())),
        ("instance_norm_affine", one(instance_norm().affine())),
    ]
}

fn activations() -> Cases {
    let after = |a| one(dense(9).activation(a));
    vec![
        ("gelu", one(gelu())),
        ("gelu_tanh", one(gelu().tanh_approximation())),
        ("silu", one(silu())),
        ("log_softmax", one(activation(Activation::LogSoftmax))),
        ("softplus", one(activation(Activation::Softplus))),
        ("elu", after(Activation::Elu(1.0))),
        ("elu_0.3", after(Activation::Elu(0.3))),
        ("selu", after(Activation::Selu)),
        ("dense_softplus", after(Activation::Softplus)),
        ("hard_sigmoid", after(Activation::HardSigmoid)),
        ("hard_tanh", after(Activation::HardTanh)),
        ("relu6", after(Activation::Relu6)),
        ("dense_log_softmax", after(Activation::LogSoftmax)),
        ("hard_swish", one(dense(9)).push(hard_swish())),
        ("dense_gelu", one(dense(9)).push(gelu())),
        ("prelu", one(prelu())),
        ("prelu_per_channel", one(prelu().per_channel())),
        ("prelu_features", one(prelu().per_channel())),
    ]
}
