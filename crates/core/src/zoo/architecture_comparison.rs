//! The four models of the comparison of architectures on Fashion-MNIST, 28x28x1.

use crate::layers::{Activation, Padding, Sequential, conv2d, dense, dropout, flatten, max_pool};
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
