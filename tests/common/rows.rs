//! The table of models for the tests. A new layer needs one row.

use backstitch::prelude::*;
use backstitch::zoo::Gpt;

/// A small model around one kind of layer.
pub struct Row {
    pub name: String,
    pub input: Vec<usize>,
    net: Box<dyn Fn() -> Net>,
}

impl Row {
    /// Makes a new model.
    pub fn model<F: Scalar>(&self, seed: u64) -> Model<F> {
        Model::new((self.net)(), &self.input, seed).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn row<N: Into<Net>>(name: &str, input: &[usize], net: impl Fn() -> N + 'static) -> Row {
    let net = Box::new(move || Net::new().push(net()));
    Row { name: name.to_owned(), input: input.to_vec(), net }
}

/// All rows.
pub fn all() -> Vec<Row> {
    let mut rows = with_every_activation();
    rows.extend(convolutions());
    rows.extend(groups());
    rows.extend(transposed_and_sequences());
    rows.extend(poolings());
    rows.extend(padded_and_enlarged());
    rows.extend(normalizations());
    rows.extend(blocks());
    rows.extend(sequences());
    rows
}

fn with_every_activation() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, a) in Activation::NAMES {
        for (inputs, units) in [(1, 1), (3, 7), (17, 4)] {
            rows.push(row(&format!("dense {units}, {name}, over {inputs}"), &[inputs], move || {
                dense(units).activation(a)
            }));
        }
        rows.push(row(&format!("dense 4 without bias, {name}"), &[5], move || {
            dense(4).activation(a).without_bias()
        }));
        for input in [&[1][..], &[5], &[2, 3], &[3, 2, 4]] {
            rows.push(row(&format!("activation {name} over {input:?}"), input, move || activation(a)));
        }
        rows.push(row(&format!("conv2d 3x2, {name}"), &[4, 5, 2], move || {
            conv2d(3, [3, 2]).activation(a).same()
        }));
        rows.push(row(&format!("batch_norm, {name}"), &[3, 2, 4], move || batch_norm().activation(a)));
        rows.push(row(&format!("residual, identity, {name}"), &[3, 3, 2], move || {
            let main = Net::new().push(conv2d(2, 3).activation(a).same());
            residual(main, Net::new()).activation(a)
        }));
    }
    rows.push(row("activation leaky_relu 0.3", &[9], || activation(Activation::LeakyRelu(0.3))));
    rows.push(row("activation elu 0.3", &[9], || activation(Activation::Elu(0.3))));
    rows.push(row("gelu", &[3, 7], gelu));
    rows.push(row("gelu, tanh", &[19], || gelu().tanh_approximation()));
    rows.push(row("silu", &[2, 3, 5], silu));
    rows.push(row("hard_swish", &[2, 9], hard_swish));
    rows.push(row("prelu", &[3, 2, 5], prelu));
    rows.push(row("prelu per channel", &[3, 2, 5], || prelu().per_channel()));
    rows
}

fn convolutions() -> Vec<Row> {
    let linear = Activation::Linear;
    vec![
        row("conv2d 1x1", &[4, 3, 5], move || conv2d(2, 1).activation(linear)),
        row("conv2d 1x1, stride 2", &[5, 4, 3], move || conv2d(2, 1).activation(linear).stride(2)),
        row("conv2d 3x3, same, Winograd", &[5, 6, 2], move || {
            conv2d(3, 3).activation(linear).same().algorithm(Algorithm::Winograd)
        }),
        row("conv2d 5x5, valid, Winograd", &[8, 7, 2], move || {
            conv2d(3, 5).activation(linear).algorithm(Algorithm::Winograd)
        }),
        row("conv2d 3x3, same", &[5, 6, 2], move || conv2d(3, 3).activation(linear).same()),
        row("conv2d 3x3, same, stride 2", &[5, 6, 2], move || {
            conv2d(3, 3).activation(linear).same().stride(2)
        }),
        row("conv2d 4x2, same, even", &[5, 6, 2], move || conv2d(2, [4, 2]).activation(linear).same()),
        row("conv2d 3x3, dilation 2, padding 3x1", &[6, 5, 2], move || {
            conv2d(2, 3).activation(linear).dilation(2).padding([3, 1])
        }),
        row("conv2d 5x5, more padding than kernel", &[2, 2, 1], move || {
            conv2d(2, 2).activation(linear).padding(3)
        }),
        row("conv2d 3x3 without bias", &[4, 4, 3], move || conv2d(2, 3).activation(linear).without_bias()),
        row("conv2d 7x7, stride 2, over one channel", &[9, 8, 1], move || {
            conv2d(4, 7).activation(linear).stride(2).padding(3)
        }),
        row("conv2d 3x3 over many channels", &[7, 7, 14], move || conv2d(2, 3).activation(linear).padding(1)),
    ]
}

fn groups() -> Vec<Row> {
    vec![
        row("conv2d 3x2, 2 groups", &[4, 5, 6], || conv2d(4, [3, 2]).same().groups(2).relu()),
        row("conv2d 3x3, 3 groups, stride 2", &[5, 4, 6], || {
            conv2d(3, 3).groups(3).stride(2).padding(1).without_bias()
        }),
        row("conv2d 3x3, as many groups as channels", &[5, 4, 3], || conv2d(6, 3).groups(3).padding(1)),
        row("depthwise_conv2d 3x3, same", &[5, 4, 11], || {
            depthwise_conv2d(3).same().activation(Activation::Tanh)
        }),
        row("depthwise_conv2d 3x2, stride 2x1", &[6, 5, 3], || {
            depthwise_conv2d([3, 2]).stride([2, 1]).relu()
        }),
        row("depthwise_conv2d 3x3, 2 filters a channel", &[5, 4, 2], || {
            depthwise_conv2d(3).multiplier(2).padding(1).without_bias()
        }),
        row("depthwise_conv2d 2x2, more padding than kernel", &[2, 3, 2], || {
            depthwise_conv2d(2).multiplier(3).padding(3).dilation(2)
        }),
    ]
}

fn transposed_and_sequences() -> Vec<Row> {
    vec![
        row("transposed_conv2d 2x2, stride 2", &[3, 2, 4], || transposed_conv2d(3, 2).stride(2).relu()),
        row("transposed_conv2d 3x3, padding 1", &[4, 3, 2], || {
            transposed_conv2d(3, 3).padding(1).activation(Activation::Tanh).without_bias()
        }),
        row("transposed_conv2d 3x2, output padding", &[3, 2, 2], || {
            transposed_conv2d(2, [3, 2]).stride([2, 3]).output_padding([1, 2]).padding([1, 0])
        }),
        row("transposed_conv2d 2x3, dilation 2", &[2, 3, 3], || transposed_conv2d(2, [2, 3]).dilation(2)),
        row("conv1d 3, same", &[7, 3], || conv1d(4, 3).same().relu()),
        row("conv1d 3, causal, dilation 2", &[6, 2], || {
            conv1d(3, 3).causal().dilation(2).activation(Activation::Tanh)
        }),
        row("conv1d 4, stride 3, padding 2", &[9, 2], || conv1d(3, 4).stride(3).padding(2).without_bias()),
        row("conv1d 2, 3 groups", &[5, 3], || conv1d(6, 2).groups(3)),
    ]
}

fn padded_and_enlarged() -> Vec<Row> {
    vec![
        row("upsample 2x3", &[3, 2, 4], || upsample([2, 3])),
        row("upsample 3x2, bilinear", &[2, 3, 2], || upsample([3, 2]).bilinear()),
        row("upsample 2, bilinear, over one number", &[1, 1, 2], || upsample(2).bilinear()),
        row("pad 1x2", &[3, 2, 2], || pad([1, 2]).constant(0.5)),
        row("pad, reflect", &[4, 3, 2], || pad([[3, 1], [0, 2]]).reflect()),
        row("pad, replicate", &[2, 1, 3], || pad([[0, 3], [2, 2]]).replicate()),
        row("adaptive_avg_pool 3x2", &[5, 4, 3], || adaptive_avg_pool([3, 2])),
        row("adaptive_avg_pool 5x1, larger", &[3, 4, 2], || adaptive_avg_pool([5, 1])),
    ]
}

fn poolings() -> Vec<Row> {
    vec![
        row("max_pool 2", &[4, 6, 3], || max_pool(2)),
        row("max_pool 2, odd map", &[5, 5, 2], || max_pool(2)),
        row("max_pool 3, stride 2, padding 1", &[7, 6, 2], || max_pool(3).stride(2).padding(1)),
        row("max_pool 3, stride 1, overlapping", &[4, 5, 1], || max_pool(3).stride(1)),
        row("max_pool 3, stride 2, rounding up", &[6, 8, 2], || max_pool(3).stride(2).ceil()),
        row("max_pool 3, same", &[5, 4, 2], || max_pool(3).stride(1).padding(Padding::Same)),
        row("max_pool 2x3, dilation 2x1, padding 1", &[5, 6, 2], || {
            max_pool([2, 3]).dilation([2, 1]).padding(1)
        }),
        row("max_pool 3, stride 1, dilation 2", &[7, 6, 2], || max_pool(3).stride(1).dilation(2)),
        row("max_pool 5, rounding up over a smaller map", &[3, 4, 2], || max_pool(5).ceil()),
        row("avg_pool 2", &[4, 6, 3], || avg_pool(2)),
        row("avg_pool 5, rounding up over a smaller map", &[3, 4, 2], || avg_pool(5).padding(1).ceil()),
        row("avg_pool 9x8, large windows", &[12, 9, 2], || avg_pool([9, 8]).stride(1)),
        row("avg_pool 3, stride 2, padding 1", &[7, 6, 2], || avg_pool(3).stride(2).padding(1)),
        row("avg_pool 3, stride 2, padding 1, rounding up", &[6, 6, 2], || {
            avg_pool(3).stride(2).padding(1).ceil()
        }),
        row("avg_pool 3, same", &[5, 4, 2], || avg_pool(3).stride(2).padding(Padding::Same)),
        row("avg_pool 2x3", &[4, 6, 2], || avg_pool([2, 3])),
        row("global_avg_pool", &[3, 4, 5], global_avg_pool),
        row("flatten", &[3, 2, 4], flatten),
    ]
}

fn normalizations() -> Vec<Row> {
    vec![
        row("batch_norm over features", &[5], batch_norm),
        row("batch_norm over maps", &[3, 4, 2], batch_norm),
        row("batch_norm, another epsilon", &[2, 2, 3], || batch_norm().epsilon(0.1).momentum(0.5)),
        row("layer_norm over features", &[5], layer_norm),
        row("layer_norm over a sequence", &[3, 18], layer_norm),
        row("layer_norm over maps, without bias", &[2, 3, 4], || layer_norm().without_bias()),
        row("layer_norm, another epsilon", &[2], || layer_norm().epsilon(0.1)),
        row("rms_norm over features", &[1], rms_norm),
        row("rms_norm over a sequence", &[3, 17], rms_norm),
        row("rms_norm, another epsilon", &[2, 2, 3], || rms_norm().epsilon(0.1)),
        row("group_norm over features", &[6], || group_norm(3)),
        row("group_norm over maps", &[3, 4, 6], || group_norm(2)),
        row("group_norm, one group, another epsilon", &[2, 3, 5], || group_norm(1).epsilon(0.1)),
        row("group_norm, a channel each", &[3, 4], || group_norm(4)),
        row("instance_norm over maps", &[3, 2, 4], instance_norm),
        row("instance_norm over a sequence, affine", &[7, 3], || instance_norm().affine().epsilon(0.1)),
        row("standardize, features", &[2], scale),
        row("standardize, maps", &[3, 4, 2], scale),
        row("unstandardize", &[3, 2], || scale().inverse()),
        row("dropout 0.4", &[11], || dropout(0.4)),
        row("dropout 0", &[2, 2, 3], || dropout(0.0)),
    ]
}

fn scale() -> Standardize {
    Standardize::new(&[0.3, -2.0], &[0.5, 4.0]).expect("constants that can be")
}

fn conv_and_norm(filters: usize, stride: usize, a: Activation) -> Net {
    Net::new()
        .push(conv2d(filters, 3).padding(1).stride(stride).without_bias())
        .push(batch_norm().activation(a))
}

fn blocks() -> Vec<Row> {
    let relu = Activation::Relu;
    let tanh = Activation::Tanh;
    vec![
        row("sequential", &[4], move || {
            Net::new().push(dense(5).activation(tanh)).push(activation(tanh)).push(dense(3))
        }),
        row("residual, projection", &[4, 4, 2], move || {
            let main = conv_and_norm(3, 2, relu).push(conv2d(3, 3).padding(1));
            residual(main, Net::new().push(conv2d(3, 1).stride(2))).activation(tanh)
        }),
        row("residual in residual", &[3, 3, 2], move || {
            let inner = residual(conv_and_norm(2, 1, tanh), Net::new()).activation(tanh);
            residual(Net::new().push(inner), Net::new())
        }),
        row("concat of features", &[4], move || {
            concat([Net::new().push(dense(3).activation(tanh)), Net::new().push(dense(2).activation(tanh))])
        }),
        row("concat, inception", &[4, 4, 3], move || {
            let one = || Net::new().push(conv2d(2, 1).activation(tanh));
            let pool = Net::new().push(max_pool(3).stride(1).padding(Padding::Same));
            concat([
                one(),
                one().push(conv2d(3, 3).activation(tanh).same()),
                pool.push(conv2d(1, 1).activation(tanh)),
                Net::new(),
            ])
        }),
    ]
}

fn sequences() -> Vec<Row> {
    vec![
        row("dense over time", &[4, 3], || dense(5).activation(Activation::Tanh)),
        row("dense, transposed", &[4, 3], || dense(5).transposed()),
        row("embedding", &[5], || embedding(13, 3)),
        row("learned positions", &[5, 3], || learned_positions(7)),
        row("sinusoidal positions", &[5, 3], sinusoidal_positions),
        row("last position", &[5, 3], last_position),
        row("rnn", &[4, 3], || rnn(5)),
        row("rnn, one step", &[1, 3], || rnn(2)),
        row("lstm", &[4, 3], || lstm(5)),
        row("lstm, two layers, both directions", &[3, 2], || lstm(3).layers(2).bidirectional()),
        row("gru", &[4, 3], || gru(5)),
        row("gru, two layers, dropout", &[3, 2], || gru(3).layers(2).dropout(0.3)),
        row("attention", &[5, 12], || attention(2)),
        row("attention, causal", &[5, 12], || attention(4).causal()),
        row("attention over more than a block of queries", &[70, 3], || attention(1).causal()),
        row("gpt", &[4], || {
            let sizes = Gpt {
                vocabulary: 13,
                longest: 4,
                width: 4,
                layers: 1,
                heads: 2,
                tanh_gelu: true,
                bias: true,
            };
            sizes.net()
        }),
    ]
}
