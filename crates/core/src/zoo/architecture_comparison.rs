//! The four models of the comparison of architectures on Fashion-MNIST, 28x28x1.

use crate::layers::{
    Activation, Padding, Sequential, concat, conv2d, dense, dropout, flatten, global_avg_pool, max_pool,
    residual,
};
use crate::scalar::Scalar;

/// The dense net of five layers, 784-1024-512-128-32-classes. The drawing is lost; these sizes have exactly the printed
/// 1,398,597 parameters with 5 classes (the text speaks of 5 output neurons in one place), and 1,398,762 with 10.
pub fn dense_ann<F: Scalar>(classes: usize) -> Sequential<F> {
    Sequential::new()
        .push(flatten())
        .push(dense(1024, Activation::Relu))
        .push(dense(512, Activation::Relu))
        .push(dense(128, Activation::Relu))
        .push(dense(32, Activation::Relu))
        .push(dense(classes, Activation::Linear))
}

/// The traditional convolutional network, exactly as the text's table has it: 6,484,330 parameters. The activation
/// is that of all its layers but the last, for the text's comparison of activations. (The text once gives the second
/// convolution 5x5 windows, but its table's 18,496 parameters are those of 3x3.)
pub fn traditional_cnn<F: Scalar>(activation: Activation) -> Sequential<F> {
    let conv = |filters, kernel: usize| conv2d(filters, kernel, activation).padding(Padding::Same);
    Sequential::new()
        .push(conv(32, 5))
        .push(max_pool(2))
        .push(conv(64, 3))
        .push(max_pool(2))
        .push(conv(128, 1))
        .push(dropout(0.2))
        .push(flatten())
        .push(dense(1024, activation))
        .push(dropout(0.25))
        .push(dense(32, activation))
        .push(dense(10, Activation::Linear))
}

/// Same padding and ReLU, as all convolutions of the two networks below.
fn conv<F: Scalar>(filters: usize, kernel: usize) -> crate::layers::Conv2d<F> {
    conv2d(filters, kernel, Activation::Relu).padding(Padding::Same)
}

/// A residual network with two skip connections and 11 layers (eight convolutions, three dense). The drawing is lost;
/// these sizes have 6,753,674 parameters, five more than the printed 6,753,669.
pub fn resnet<F: Scalar>() -> Sequential<F> {
    let block = |filters, kernel: usize| {
        let second = conv2d(filters, kernel, Activation::Linear).padding(Padding::Same);
        residual(
            Sequential::new().push(conv(filters, kernel)).push(second),
            Sequential::new(),
            Activation::Relu,
        )
    };
    Sequential::new()
        .push(conv(16, 7))
        .push(max_pool(2))
        .push(conv(32, 5))
        .push(block(32, 3))
        .push(max_pool(2))
        .push(conv(64, 3))
        .push(block(64, 5))
        .push(conv(128, 1))
        .push(flatten())
        .push(dense(1024, Activation::Relu))
        .push(dense(64, Activation::Relu))
        .push(dense(10, Activation::Linear))
}

/// An Inception network with one block, global average pooling and 9 layers (eight convolutions, one dense). The drawing
/// is lost; these sizes have exactly the printed 325,426 parameters.
pub fn inception<F: Scalar>() -> Sequential<F> {
    let block = concat([
        Sequential::new().push(conv(64, 1)),
        Sequential::new().push(conv(128, 1)).push(conv(64, 3)),
        Sequential::new().push(conv(8, 1)).push(conv(64, 5)),
        Sequential::new().push(max_pool(3).stride(1).padding(Padding::Same)).push(conv(32, 1)),
    ]);
    Sequential::new()
        .push(conv(64, 5))
        .push(max_pool(2))
        .push(conv(128, 5))
        .push(max_pool(2))
        .push(block)
        .push(global_avg_pool())
        .push(dense(10, Activation::Linear))
}
