//! VGG16.

use crate::layers::{Activation, Padding, Sequential, conv2d, dense, dropout, flatten, max_pool};
use crate::scalar::Scalar;

/// The convolutional part of VGG16 (Simonyan and Zisserman 2015, table 1, column D): 13 convolutions of 3x3 in five
/// groups, each group followed by a max pooling. For maps of at least 32x32, 3 channels.
pub fn vgg16_features<F: Scalar>() -> Sequential<F> {
    let mut net = Sequential::new();
    for (group, (count, filters)) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)].into_iter().enumerate()
    {
        for i in 1..=count {
            let conv = conv2d(filters, 3, Activation::Relu).padding(Padding::Same);
            net = net.named(&format!("conv{}-{i}", group + 1), conv);
        }
        net = net.named(&format!("pool{}", group + 1), max_pool(2));
    }
    net
}

/// VGG16 for 224x224x3: the convolutional part, then two dense layers of 4,096 with dropout, and one for the classes.
pub fn vgg16<F: Scalar>(classes: usize) -> Sequential<F> {
    vgg16_features()
        .push(flatten())
        .push(dense(4096, Activation::Relu))
        .push(dropout(0.5))
        .push(dense(4096, Activation::Relu))
        .push(dropout(0.5))
        .push(dense(classes, Activation::Linear))
}
