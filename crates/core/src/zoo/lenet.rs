//! LeNet, in the two forms of the assignments.

use crate::layers::{Activation, Sequential, avg_pool, conv2d, dense, dropout, flatten, max_pool};
use crate::scalar::Scalar;

/// LeNet-5 on 28x28x1 (LeCun et al. 1998, section II.B, with every map of the second convolution connected to all of
/// the first): 6 filters of 5x5 with padding 2, 16 of 5x5, each with average pooling, then 120-84-classes, tanh.
pub fn lenet_fashion<F: Scalar>(classes: usize) -> Sequential<F> {
    lenet_maps()
        .push(dense(120, Activation::Tanh))
        .push(dense(84, Activation::Tanh))
        .push(dense(classes, Activation::Linear))
}

/// The convolutions of LeNet-5, to rows.
fn lenet_maps<F: Scalar>() -> Sequential<F> {
    Sequential::new()
        .push(conv2d(6, 5, Activation::Tanh).padding(2))
        .push(avg_pool(2))
        .push(conv2d(16, 5, Activation::Tanh))
        .push(avg_pool(2))
        .push(flatten())
}

/// [`lenet_fashion`] with dropout of this rate before each of its dense layers.
pub fn lenet_fashion_with_dropout<F: Scalar>(classes: usize, rate: f64) -> Sequential<F> {
    lenet_maps()
        .push(dropout(rate))
        .push(dense(120, Activation::Tanh))
        .push(dropout(rate))
        .push(dense(84, Activation::Tanh))
        .push(dropout(rate))
        .push(dense(classes, Activation::Linear))
}

/// The LeNet5 of the assignment on image folders, on 64x64x3: 32 and 64 filters of 5x5, each with max pooling by 4,
/// then 1021-84-classes, ReLU.
pub fn lenet5<F: Scalar>(classes: usize) -> Sequential<F> {
    Sequential::new()
        .push(conv2d(32, 5, Activation::Relu))
        .push(max_pool(4))
        .push(conv2d(64, 5, Activation::Relu))
        .push(max_pool(4))
        .push(flatten())
        .push(dense(1021, Activation::Relu))
        .push(dense(84, Activation::Relu))
        .push(dense(classes, Activation::Linear))
}
