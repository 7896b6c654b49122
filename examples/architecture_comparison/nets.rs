//! The four models of the comparison of architectures on Fashion-MNIST, 28x28x1.

use backstitch::layers::Conv2d;
use backstitch::prelude::*;

/// The dense net of five layers, 784-1024-512-128-32-classes. The drawing is lost; these sizes have exactly the printed
/// 1,398,597 parameters with 5 classes (the text speaks of 5 output neurons in one place), and 1,398,762 with 10.
pub fn dense_ann(classes: usize) -> Net {
    Net::new()
        .push(flatten())
        .push(dense(1024).relu())
        .push(dense(512).relu())
        .push(dense(128).relu())
        .push(dense(32).relu())
        .push(dense(classes))
}

/// The traditional convolutional network, exactly as the text's table has it: 6,484,330 parameters. The activation
/// is that of all its layers but the last, for the text's comparison of activations. (The text once gives the second
/// convolution 5x5 windows, but its table's 18,496 parameters are those of 3x3.)
pub fn traditional_cnn(activation: Activation) -> Net {
    let conv = |filters, kernel: usize| conv2d(filters, kernel).activation(activation).same();
    Net::new()
        .push(conv(32, 5))
        .push(max_pool(2))
        .push(conv(64, 3))
        .push(max_pool(2))
        .push(conv(128, 1))
        .push(dropout(0.2))
        .push(flatten())
        .push(dense(1024).activation(activation))
        .push(dropout(0.25))
        .push(dense(32).activation(activation))
        .push(dense(10))
}

/// Same padding and ReLU, as all convolutions of the two networks below.
fn conv(filters: usize, kernel: usize) -> Conv2d {
    conv2d(filters, kernel).relu().same()
}

/// A residual network with two skip connections and 11 layers (eight convolutions, three dense). The drawing is lost;
/// these sizes have 6,753,674 parameters, five more than the printed 6,753,669.
pub fn resnet() -> Net {
    let block = |filters, kernel: usize| {
        let second = conv2d(filters, kernel).same();
        residual(Net::new().push(conv(filters, kernel)).push(second), Net::new()).relu()
    };
    Net::new()
        .push(conv(16, 7))
        .push(max_pool(2))
        .push(conv(32, 5))
        .push(block(32, 3))
        .push(max_pool(2))
        .push(conv(64, 3))
        .push(block(64, 5))
        .push(conv(128, 1))
        .push(flatten())
        .push(dense(1024).relu())
        .push(dense(64).relu())
        .push(dense(10))
}

/// An Inception network with one block, global average pooling and 9 layers (eight convolutions, one dense). The drawing
/// is lost; these sizes have exactly the printed 325,426 parameters.
pub fn inception() -> Net {
    let block = concat([
        Net::new().push(conv(64, 1)),
        Net::new().push(conv(128, 1)).push(conv(64, 3)),
        Net::new().push(conv(8, 1)).push(conv(64, 5)),
        Net::new().push(max_pool(3).stride(1).padding(Padding::Same)).push(conv(32, 1)),
    ]);
    Net::new()
        .push(conv(64, 5))
        .push(max_pool(2))
        .push(conv(128, 5))
        .push(max_pool(2))
        .push(block)
        .push(global_avg_pool())
        .push(dense(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(net: Net) -> Model {
        Model::new(net, &[28, 28, 1], 0).unwrap()
    }

    #[test]
    fn parameter_counts_are_those_of_the_text() {
        for (net, expected) in [
            // Printed: 1,398,597, for 5 classes.
            (dense_ann(5), 1_398_597),
            (dense_ann(10), 1_398_762),
            // Printed: 6,484,330.
            (traditional_cnn(Activation::Relu), 6_484_330),
            // Printed: 6,753,669.
            (resnet(), 6_753_674),
            // Printed: 325,426.
            (inception(), 325_426),
        ] {
            assert_eq!(model(net).parameter_count(), expected);
        }
    }

    #[test]
    fn the_traditional_cnn_has_the_text_s_table() {
        let summary = model(traditional_cnn(Activation::Relu)).summary();
        let table: Vec<_> = summary.lines.iter().map(|l| (l.output.to_string(), l.trainable)).collect();
        let expected = [
            ("[28, 28, 32]", 832),
            ("[14, 14, 32]", 0),
            ("[14, 14, 64]", 18_496),
            ("[7, 7, 64]", 0),
            ("[7, 7, 128]", 8_320),
            ("[7, 7, 128]", 0),
            ("[6272]", 0),
            ("[1024]", 6_423_552),
            ("[1024]", 0),
            ("[32]", 32_800),
            ("[10]", 330),
        ];
        assert_eq!(table, expected.map(|(shape, count)| (shape.to_owned(), count)));
    }
}
