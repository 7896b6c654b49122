//! The library's own layers keep every promise of a layer, in both modes, and so do nets of them.

use backstitch_core::gradcheck::{check_layer, check_net, check_net_with};
use backstitch_core::layers::{
    activation, adaptive_avg_pool, attention, avg_pool, batch_norm, conv1d, conv2d, dense, depthwise_conv2d,
    dropout, embedding, flatten, gelu, global_avg_pool, group_norm, gru, hard_swish, instance_norm,
    last_position, layer_norm, learned_positions, lstm, max_pool, pad, prelu, rms_norm, rnn, silu,
    sinusoidal_positions, transposed_conv2d, upsample,
};
use backstitch_core::{Activation, AnyLayer, Context, Mode, Net, Tensor, chain, concat, input, residual};

fn holds(layer: impl AnyLayer + Clone, input: &[usize]) {
    for mode in [Mode::Train, Mode::Evaluate] {
        for (batch, seed) in [(2, 1), (3, 2)] {
            let ctx = Context { mode, ..Context::train(3, 5) };
            check_layer(layer.clone(), input, batch, &ctx, seed)
                .unwrap_or_else(|error| panic!("{layer:?} over {input:?}, {mode:?}, seed {seed}: {error}"));
        }
    }
}

#[test]
fn every_layer_keeps_its_contract() {
    for (_, a) in Activation::NAMES {
        holds(dense(4).activation(a), &[3]);
        holds(activation(a), &[2, 3]);
        holds(batch_norm().activation(a), &[3, 2, 2]);
        holds(conv2d(3, [3, 2]).activation(a).same(), &[4, 5, 2]);
    }
    holds(dense(3).without_bias(), &[5]);
    holds(dense(3).relu(), &[4, 5]);
    holds(dense(3).transposed(), &[2, 5]);
    holds(embedding(7, 3), &[5]);
    holds(learned_positions(6), &[5, 3]);
    holds(sinusoidal_positions(), &[5, 3]);
    holds(last_position(), &[4, 3]);
    holds(attention(1), &[4, 6]);
    holds(attention(2).causal(), &[5, 12]);
    holds(attention(2).causal(), &[67, 6]);
    holds(conv2d(2, 3).stride(2).padding(1).without_bias(), &[6, 5, 3]);
    holds(conv2d(2, 3).dilation(2), &[6, 5, 2]);
    holds(conv2d(4, 1).relu(), &[4, 3, 5]);
    holds(batch_norm().epsilon(0.1).momentum(0.5), &[5]);
    holds(layer_norm(), &[3, 5]);
    holds(layer_norm().without_bias(), &[18]);
    holds(rms_norm(), &[2, 17]);
    holds(group_norm(2), &[3, 2, 6]);
    holds(instance_norm(), &[3, 2, 3]);
    holds(instance_norm().affine(), &[4, 2]);
    holds(activation(Activation::Elu(0.3)), &[9]);
    holds(gelu(), &[3, 7]);
    holds(gelu().tanh_approximation(), &[19]);
    holds(silu(), &[2, 3, 5]);
    holds(hard_swish(), &[2, 9]);
    holds(prelu(), &[2, 3, 5]);
    holds(prelu().per_channel(), &[2, 3, 5]);
    holds(dropout(0.4), &[11]);
    holds(max_pool(2), &[4, 6, 3]);
    holds(max_pool(3).stride(1), &[4, 5, 1]);
    holds(max_pool(3).stride(2).padding(1), &[7, 6, 2]);
    holds(avg_pool(3).stride(2).padding(1), &[7, 6, 2]);
    holds(global_avg_pool(), &[3, 4, 5]);
    holds(flatten(), &[3, 2, 4]);
    holds(conv2d(4, 3).groups(2).relu(), &[4, 5, 6]);
    holds(depthwise_conv2d(3).same().relu(), &[4, 5, 3]);
    holds(depthwise_conv2d(3).multiplier(2).stride(2), &[5, 4, 3]);
    holds(transposed_conv2d(3, 2).stride(2).relu(), &[3, 2, 4]);
    holds(transposed_conv2d(2, 3).padding(1).without_bias(), &[4, 3, 2]);
    holds(conv1d(4, 3).causal().dilation(2).relu(), &[6, 3]);
    holds(upsample([2, 3]), &[3, 2, 4]);
    holds(upsample(2).bilinear(), &[3, 2, 4]);
    holds(pad([1, 2]).constant(0.5), &[3, 2, 4]);
    holds(pad(1).reflect(), &[3, 2, 4]);
    holds(pad(3).replicate(), &[3, 2, 4]);
    holds(adaptive_avg_pool([3, 2]), &[5, 3, 2]);
}

#[test]
fn nets_with_branches_keep_it_too() {
    let conv = |filters| conv2d(filters, 3).same().relu();
    let block = residual(Net::new().push(conv(3)).push(batch_norm()), Net::new()).relu();
    let branches = concat([Net::new().push(conv(2)), Net::new().push(max_pool(3).stride(1).padding(1))]);
    let net =
        Net::new().push(conv(3)).push(block).push(branches).push(flatten()).push(dropout(0.2)).push(dense(2));
    for ctx in [Context::train(1, 2), Context::evaluate()] {
        let passed = check_net(net.clone(), &[4, 4, 2], 2, &ctx, 3).unwrap();
        assert!(passed.compared == passed.total && passed.total > 400, "{passed:?}");
    }
}

/// The rounding errors of outputs around 100, and of their differences, are a hundred times those of outputs around 1.
#[test]
fn a_deep_net_with_large_outputs_is_not_called_wrong() {
    let block = |filters, shortcut: Net| {
        let conv = || conv2d(filters, 3).same();
        chain![residual(chain![conv(), batch_norm().relu(), conv(), batch_norm()], shortcut).relu()]
    };
    let net = chain![
        conv2d(4, 3).same().relu(),
        block(4, chain![]),
        block(8, chain![conv2d(8, 1)]),
        flatten(),
        dense(10)
    ];
    for seed in 0..6 {
        let passed = check_net(net.clone(), &[4, 4, 1], 3, &Context::train(0, 0), seed);
        passed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn recurrent_layers_keep_it_in_both_directions_and_in_the_middle_of_a_sequence() {
    fn check(net: impl Into<Net>, input: &[usize]) {
        let net = net.into();
        for ctx in [Context::train(1, 2), Context::evaluate()] {
            for batch in [1, 3] {
                let passed = check_net(net.clone(), input, batch, &ctx, 3);
                passed.unwrap_or_else(|error| panic!("{net}, {batch}: {error}"));
            }
        }
    }
    for time in [2, 5] {
        check(rnn(3), &[time, 4]);
        check(lstm(3), &[time, 4]);
        check(gru(3), &[time, 2]);
    }
    check(lstm(2).layers(2).bidirectional(), &[3, 2]);
    check(gru(2).layers(2).dropout(0.3), &[3, 2]);
    check(chain![embedding(5, 3), gru(4), last_position(), dense(2)], &[4]);
    let tied = chain!["embed" => embedding(5, 3), rnn(3), "out" => dense(5).transposed()];
    check(tied.tie("out.weight", "embed.weight"), &[4]);
}

#[test]
fn masked_positions_do_not_count() {
    let mask: &[f64] = &[1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
    let mut masks = Tensor::zeros(&[3, 4]).unwrap();
    masks.data_mut().copy_from_slice(mask);
    let named = [("mask", masks)];
    for net in [
        Net::from(lstm(3).mask("mask")),
        gru(3).mask("mask").bidirectional().into(),
        rnn(2).layers(2).mask("mask").into(),
        chain![dense(12), attention(2).mask("mask")],
    ] {
        let net = chain![dense(2), net];
        let passed = check_net_with(net.clone(), &[4, 3], &named, 3, &Context::train(1, 2), 3);
        passed.unwrap_or_else(|error| panic!("{net}: {error}"));
    }
}

#[test]
fn attention_over_an_encoder_keeps_it_too() {
    let encoder = chain![input("source"), dense(3).relu(), dense(8)];
    let net = chain![dense(4), attention(2).over(encoder).mask("mask"), dense(2)];
    let mut source = Tensor::zeros(&[3, 5, 2]).unwrap();
    source.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = (i as f64).sin());
    let mut mask = Tensor::zeros(&[3, 5]).unwrap();
    mask.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = f64::from(i % 3 != 1));
    let named = [("source", source), ("mask", mask)];
    let passed = check_net_with(net.clone(), &[4, 3], &named, 3, &Context::train(1, 2), 3);
    passed.unwrap_or_else(|error| panic!("{net}: {error}"));
}
