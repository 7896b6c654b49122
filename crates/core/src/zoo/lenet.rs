//! LeNet, for small grey images and for photographs.

use crate::layer::init::Init;
use crate::layers::{Activation, Padding, avg_pool, batch_norm, conv2d, dense, dropout, flatten, max_pool};
use crate::net::Net;

/// LeNet-5 on 28x28x1 (LeCun et al. 1998, section II.B, with every map of the second convolution connected to all of
/// the first): 6 filters of 5x5 with padding 2, 16 of 5x5, each with average pooling, then 120-84-classes, tanh.
pub fn lenet_fashion(classes: usize) -> Net {
    Net::new()
        .push(conv2d(6, 5).activation(Activation::Tanh).padding(2))
        .push(avg_pool(2))
        .push(conv2d(16, 5).activation(Activation::Tanh))
        .push(avg_pool(2))
        .push(flatten())
        .push(dense(120).activation(Activation::Tanh))
        .push(dense(84).activation(Activation::Tanh))
        .push(dense(classes))
}

/// The LeNet5 for photographs of 64x64x3: 32 and 64 filters of 5x5, each with max pooling by 4,
/// then 1021-84-classes, ReLU.
pub fn lenet5(classes: usize) -> Net {
    Lenet5::default().build(classes)
}

/// Optional additions to [`lenet5`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lenet5 {
    /// `same` padding in the two convolutions, so that edges count.
    pub padded: bool,
    /// Batch normalization behind each pooling, where a sixteenth of the numbers is left, and behind each hidden dense layer.
    pub batch_norm: bool,
    /// Rate of the dropout before the second dense layer; half of it before the first.
    pub dropout: f64,
    /// How the initial weights are drawn.
    pub init: Init,
}

impl Lenet5 {
    /// [`lenet5`] with these additions; with none of them, the same network.
    pub fn build(self, classes: usize) -> Net {
        let padding = if self.padded { Padding::Same } else { Padding::Valid };
        let mut net = Net::new();
        for filters in [32, 64] {
            let conv = conv2d(filters, 5).relu().padding(padding).init(self.init);
            net = net.push(conv).push(max_pool(4));
            net = if self.batch_norm { net.push(batch_norm()) } else { net };
        }
        net = net.push(flatten());
        for (units, rate) in [(1021, self.dropout / 2.0), (84, self.dropout)] {
            // The layer refuses a value that is not a rate.
            net = if rate != 0.0 { net.push(dropout(rate)) } else { net };
            net = net.push(dense(units).relu().init(self.init));
            net = if self.batch_norm { net.push(batch_norm()) } else { net };
        }
        net.push(dense(classes).init(self.init))
    }
}
