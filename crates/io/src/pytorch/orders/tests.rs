//! Layouts of small networks, and the reasons where there is none.

use backstitch_core::layers::{
    adaptive_avg_pool, attention, batch_norm, conv1d, conv2d, dense, depthwise_conv2d, embedding, flatten,
    gelu, group_norm, gru, instance_norm, last_position, layer_norm, learned_positions, lstm, pad, prelu,
    rms_norm, rnn, transposed_conv2d, upsample,
};
use backstitch_core::{Backward, Context, Layer, Net, ShapeError, Tensor, Weights, chain, layer, residual};

use super::*;

/// A layer of a caller. Nothing is known about its order of features.
#[derive(Debug)]
struct Own;

impl<F: Scalar> Layer<F> for Own {
    type Cache = ();
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }
    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        y.copy_from(x);
    }
    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        pass.dx.into_iter().for_each(|dx| dx.copy_from(pass.dy));
    }
}

fn why(net: Net, input: &[usize], name: &str) -> String {
    let model: Model = Model::new(net, input, 0).unwrap();
    match &layouts(&model)[name] {
        Ok(layout) => format!("{:?}", layout.axes),
        Err(why) => why.clone(),
    }
}

#[test]
fn an_order_that_is_not_known_is_an_error_that_says_why() {
    let net = Net::new().push(flatten()).push(layer(Own)).push(dense(2));
    assert_eq!(why(net, &[2, 3, 2], "dense1.weight"), "own1 (Own) may give its outputs in any order");
    // If the order is the same on both sides, such a layer is assumed to keep it.
    let net = Net::new().push(layer(Own)).push(dense(2));
    assert_eq!(why(net, &[4], "dense1.weight"), "Matrix { inputs: None, outputs: None }");
    let net = Net::new().push(batch_norm()).push(flatten()).push(dense(2));
    let expected = "batchnorm1 normalizes the last of 2 axes, which PyTorch has first";
    assert_eq!(why(net, &[3, 4], "dense1.weight"), expected);
    // 6 places of 3 channels, and 9 of 2.
    let sum = || {
        let way = |filters, kernel: [usize; 2]| Net::new().push(conv2d(filters, kernel)).push(flatten());
        Net::new().push(residual(way(3, [2, 1]), way(2, [1, 1]))).push(dense(2))
    };
    for name in ["dense1.weight", "residual1.main.conv1.weight"] {
        let expected = "residual1 adds features whose order in PyTorch is not the order here";
        assert_eq!(why(sum(), &[3, 3, 2], name), expected);
    }
}

#[test]
fn constants_lie_in_the_order_of_what_they_scale() {
    let scale = || Standardize::new(&[0.0; 12], &[1.0; 12]).unwrap();
    let net = Net::new().push(flatten()).push(scale()).push(dense(2)).push(Standardize::unfitted().inverse());
    let order = "Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])";
    for (name, expected) in [
        ("standardize1.mean", format!("Features({order})")),
        ("standardize1.deviation", format!("Features({order})")),
        ("dense1.weight", format!("Matrix {{ inputs: {order}, outputs: None }}")),
        ("unstandardize1.mean", "Features(None)".to_owned()),
    ] {
        assert_eq!(why(net.clone(), &[2, 3, 2], name), expected);
    }
    let net = Net::new().push(Standardize::unfitted()).push(conv2d(2, 1)).push(flatten()).push(dense(2));
    assert_eq!(why(net, &[1, 3, 2], "standardize1.mean"), "Same");
}

#[test]
fn normalizations_and_slopes_follow_the_features_or_say_why_not() {
    let order = "Features(Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]))";
    let after = |layer: Net| Net::new().push(flatten()).named("a", layer).push(dense(2));
    let unknown = "a (GroupNorm 3 groups) follows a flatten, and its counterpart in PyTorch is not known";
    for (layer, expected) in [
        (Net::from(layer_norm()), order),
        (rms_norm().into(), order),
        (prelu().per_channel().into(), order),
        (prelu().into(), "Same"),
        (group_norm(3).into(), unknown),
    ] {
        assert_eq!(why(after(layer), &[2, 3, 2], "a.weight"), expected);
    }
    // What follows still has that order.
    let still = after(Net::from(gelu())).named("b", layer_norm());
    assert_eq!(
        why(Net::new().push(flatten()).push(gelu()).named("b", layer_norm()), &[2, 3, 2], "b.weight"),
        order
    );
    assert_eq!(why(still, &[2, 3, 2], "b.weight"), "Features(None)");
    // A sequence has its features last on both sides, and its channels have not.
    let lines = |layer: Net| Net::new().named("a", layer).push(flatten()).push(dense(2));
    assert_eq!(why(lines(layer_norm().into()), &[3, 4], "a.weight"), "Same");
    assert!(why(lines(layer_norm().into()), &[3, 4], "dense1.weight").starts_with("Matrix"));
    for (layer, does) in [
        (Net::from(group_norm(2)), "normalizes"),
        (instance_norm().affine().into(), "normalizes"),
        (prelu().per_channel().into(), "has slopes for"),
    ] {
        assert_eq!(why(lines(layer.clone()), &[3, 4], "a.weight"), "Same");
        let expected = format!("a {does} the last of 2 axes, which PyTorch has first");
        assert_eq!(why(lines(layer.clone()), &[3, 4], "dense1.weight"), expected);
        assert_eq!(why(Net::new().named("a", layer).named("b", rms_norm()), &[3, 4], "b.weight"), expected);
    }
}

#[test]
fn all_convolutions_have_kernels_and_keep_maps() {
    let net = Net::new()
        .push(pad(1).reflect())
        .push(depthwise_conv2d(3).multiplier(2))
        .push(upsample(2))
        .push(transposed_conv2d(3, 2).stride(2))
        .push(adaptive_avg_pool([2, 3]))
        .push(flatten())
        .push(dense(2));
    for name in ["depthwiseconv1.weight", "transposedconv1.weight"] {
        assert_eq!(why(net.clone(), &[4, 5, 2], name), "Kernel");
    }
    let order = "Matrix { inputs: Some([0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17]), outputs: None }";
    assert_eq!(why(net, &[4, 5, 2], "dense1.weight"), order);
}

#[test]
fn a_convolution_over_steps_has_a_kernel_of_three_axes() {
    let net =
        Net::new().push(conv1d(4, 3)).push(batch_norm()).push(conv1d(3, 2)).push(flatten()).push(dense(2));
    for (name, expected) in [
        ("conv1d1.weight", "Kernel"),
        ("conv1d1.bias", "Same"),
        ("batchnorm1.weight", "Same"),
        ("conv1d2.weight", "Kernel"),
        ("dense1.weight", "conv1d2 has the channels last, PyTorch has them before the steps"),
    ] {
        assert_eq!(why(net.clone(), &[7, 2], name), expected);
    }
    let kernel = TensorOrder { here: Shape::new(&[2, 3, 4]).unwrap(), axes: Axes::Kernel };
    assert_eq!(kernel.shape_there(), [4, 3, 2]);
    // Filter 1, channel 2, step 0.
    assert_eq!(kernel.place((3 + 2) * 2), (2 * 4) + 1);
    // Filter 3, channel 0, step 1.
    assert_eq!(kernel.place(3 * 3 * 2 + 1), 3 * 4 + 3);
}

#[test]
fn sequences_have_their_features_last_on_both_sides() {
    let tied = chain![embedding(5, 3), learned_positions(4), dense(5).transposed()];
    let net = chain![
        embedding(5, 4),
        learned_positions(9),
        residual(chain![dense(12), attention(2)], Net::new()),
        lstm(3).layers(2).bidirectional(),
        dense(7).relu(),
        gru(6),
        last_position(),
        dense(2)
    ];
    let (matrix, same) = ("Matrix { inputs: None, outputs: None }", "Same");
    for (name, expected) in [
        ("embedding1.weight", same),
        ("learnedpositions1.weight", same),
        ("lstm1.l0.forward.weight_ih", matrix),
        ("lstm1.l1.reverse.weight_hh", matrix),
        ("lstm1.l1.reverse.bias_hh", same),
        ("dense1.weight", matrix),
        ("gru1.weight_ih", matrix),
        ("dense2.weight", matrix),
    ] {
        assert_eq!(why(net.clone(), &[9], name), expected, "{name}");
    }
    assert_eq!(why(tied, &[4], "dense1.weight"), same);
    // The state of channels that PyTorch has first: it turns them before the recurrent layer.
    let net = chain![conv1d(4, 2), rnn(3), last_position(), dense(2)];
    assert_eq!(why(net.clone(), &[7, 2], "rnn1.weight_ih"), matrix);
    assert_eq!(why(net, &[7, 2], "dense1.weight"), matrix);
    let net = chain![flatten(), dense(3).transposed()];
    let expected = "dense1 is stored transposed, and the order of its features differs";
    assert_eq!(why(net, &[2, 3, 2], "dense1.weight"), expected);
    let masked = chain![gru(3).mask("mask"), dense(2)];
    let model: Model = Model::with_inputs(masked, &[4, 2], &[("mask", &[4])], 0).unwrap();
    assert!(layouts(&model).values().all(Result::is_ok));
}

#[test]
fn dense_layers_give_what_a_sum_is_to_get() {
    // Both branches end in a dense layer or in features of maps, nested and side by side.
    let plain = || Net::new().push(flatten()).push(dense(12));
    let order = |net: Net, name: &str| why(net, &[2, 3, 2], name);
    let same = "Matrix { inputs: Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]), outputs: None }";
    assert_eq!(order(residual(plain(), plain()).into(), "residual1.main.dense1.weight"), same);
    let turned = same.replace("None", "Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])");
    let inner = residual(plain(), plain());
    let nested = residual(Net::new().push(inner).push(batch_norm()), Net::new().push(flatten()));
    for name in ["main", "shortcut"] {
        let name = format!("residual1.main.residual1.{name}.dense1.weight");
        assert_eq!(order(nested.clone().into(), &name), turned);
    }
    assert_eq!(
        order(nested.into(), "residual1.main.batchnorm1.weight"),
        "Features(Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]))"
    );
}
