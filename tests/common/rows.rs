//! The table of models that drives the tests: a new layer is a row.

use backstitch::prelude::*;

/// A small model around one kind of layer.
pub struct Row {
    pub name: String,
    pub input: Vec<usize>,
    net: Box<dyn Fn() -> Sequential<f64>>,
}

impl Row {
    /// The model, new.
    pub fn model(&self, seed: u64) -> Model<f64> {
        Model::new((self.net)(), &self.input, seed).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn row<L: Layer<f64> + 'static>(name: &str, input: &[usize], layer: impl Fn() -> L + 'static) -> Row {
    let net = Box::new(move || Sequential::new().push(layer()));
    Row { name: name.to_owned(), input: input.to_vec(), net }
}

/// All rows.
pub fn all() -> Vec<Row> {
    let mut rows = with_every_activation();
    rows.extend(convolutions());
    rows.extend(poolings());
    rows.extend(normalizations());
    rows.extend(blocks());
    rows
}

fn with_every_activation() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, a) in Activation::NAMES {
        for (inputs, units) in [(1, 1), (3, 7), (17, 4)] {
            rows.push(row(&format!("dense {units}, {name}, over {inputs}"), &[inputs], move || {
                dense(units, a)
            }));
        }
        rows.push(row(&format!("dense 4 without bias, {name}"), &[5], move || dense(4, a).without_bias()));
        for input in [&[1][..], &[5], &[2, 3], &[3, 2, 4]] {
            rows.push(row(&format!("activation {name} over {input:?}"), input, move || activation(a)));
        }
        rows.push(row(&format!("conv2d 3x2, {name}"), &[4, 5, 2], move || {
            conv2d(3, [3, 2], a).padding(Padding::Same)
        }));
        rows.push(row(&format!("batch_norm, {name}"), &[3, 2, 4], move || batch_norm().activation(a)));
        rows.push(row(&format!("residual, identity, {name}"), &[3, 3, 2], move || {
            let main = Sequential::new().push(conv2d(2, 3, a).padding(Padding::Same));
            residual(main, Sequential::new(), a)
        }));
    }
    rows.push(row("activation leaky_relu 0.3", &[9], || activation(Activation::LeakyRelu(0.3))));
    rows
}

fn convolutions() -> Vec<Row> {
    let linear = Activation::Linear;
    vec![
        row("conv2d 1x1", &[4, 3, 5], move || conv2d(2, 1, linear)),
        row("conv2d 1x1, stride 2", &[5, 4, 3], move || conv2d(2, 1, linear).stride(2)),
        row("conv2d 3x3, same, Winograd", &[5, 6, 2], move || {
            conv2d(3, 3, linear).padding(Padding::Same).algorithm(Algorithm::Winograd)
        }),
        row("conv2d 5x5, valid, Winograd", &[8, 7, 2], move || {
            conv2d(3, 5, linear).algorithm(Algorithm::Winograd)
        }),
        row("conv2d 3x3, same", &[5, 6, 2], move || conv2d(3, 3, linear).padding(Padding::Same)),
        row("conv2d 3x3, same, stride 2", &[5, 6, 2], move || {
            conv2d(3, 3, linear).padding(Padding::Same).stride(2)
        }),
        row("conv2d 4x2, same, even", &[5, 6, 2], move || conv2d(2, [4, 2], linear).padding(Padding::Same)),
        row("conv2d 3x3, dilation 2, padding 3x1", &[6, 5, 2], move || {
            conv2d(2, 3, linear).dilation(2).padding([3, 1])
        }),
        row("conv2d 5x5, more padding than kernel", &[2, 2, 1], move || conv2d(2, 2, linear).padding(3)),
        row("conv2d 3x3 without bias", &[4, 4, 3], move || conv2d(2, 3, linear).without_bias()),
        row("conv2d 7x7, stride 2, over one channel", &[9, 8, 1], move || {
            conv2d(4, 7, linear).stride(2).padding(3)
        }),
        row("conv2d 3x3 over many channels", &[7, 7, 14], move || conv2d(2, 3, linear).padding(1)),
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
        row("dropout 0.4", &[11], || dropout(0.4)),
        row("dropout 0", &[2, 2, 3], || dropout(0.0)),
    ]
}

fn conv_and_norm(filters: usize, stride: usize, a: Activation) -> Sequential<f64> {
    Sequential::new()
        .push(conv2d(filters, 3, Activation::Linear).padding(1).stride(stride).without_bias())
        .push(batch_norm().activation(a))
}

fn blocks() -> Vec<Row> {
    let relu = Activation::Relu;
    let tanh = Activation::Tanh;
    vec![
        row("sequential", &[4], move || {
            Sequential::new().push(dense(5, tanh)).push(activation(tanh)).push(dense(3, Activation::Linear))
        }),
        row("sequential, empty", &[2, 3], Sequential::new),
        row("residual, projection", &[4, 4, 2], move || {
            let main = conv_and_norm(3, 2, relu).push(conv2d(3, 3, Activation::Linear).padding(1));
            residual(main, Sequential::new().push(conv2d(3, 1, Activation::Linear).stride(2)), tanh)
        }),
        row("residual in residual", &[3, 3, 2], move || {
            let inner = residual(conv_and_norm(2, 1, tanh), Sequential::new(), tanh);
            residual(Sequential::new().push(inner), Sequential::new(), Activation::Linear)
        }),
        row("concat of features", &[4], move || {
            concat([Sequential::new().push(dense(3, tanh)), Sequential::new().push(dense(2, tanh))])
        }),
        row("concat, inception", &[4, 4, 3], move || {
            let one = || Sequential::new().push(conv2d(2, 1, tanh));
            let pool = Sequential::new().push(max_pool(3).stride(1).padding(Padding::Same));
            concat([
                one(),
                one().push(conv2d(3, 3, tanh).padding(Padding::Same)),
                pool.push(conv2d(1, 1, tanh)),
                Sequential::new(),
            ])
        }),
    ]
}
