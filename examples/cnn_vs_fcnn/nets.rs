//! The four models of the comparison of dense and convolutional networks, on 28x28x1.

use backstitch::prelude::*;

/// Model 1, the dense net of the text's starter script. The script is lost; this one, 784-128-64-10, has more
/// parameters (109,386) than model 2 (61,514), but of the same order: so the comparison shows what convolutions do with
/// fewer weights. Model 3 (62,350) then has as many as model 2.
pub fn model1() -> Net {
    Net::new().push(flatten()).push(dense(128).relu()).push(dense(64).relu()).push(dense(10))
}

/// Model 2, experiment 1: three convolutions with pooling, then two dense layers.
pub fn model2() -> Net {
    let conv = |filters, kernel: usize| conv2d(filters, kernel).relu().same();
    Net::new()
        .push(conv(16, 7))
        .push(max_pool(2))
        .push(conv(32, 3))
        .push(max_pool(2))
        .push(conv(64, 3))
        .push(max_pool(2))
        .push(flatten())
        .push(dense(64).relu())
        .push(dense(10))
}

/// Model 3, experiment 2: the dense net 784-74-50-10.
pub fn model3() -> Net {
    Net::new().push(flatten()).push(dense(74).relu()).push(dense(50).relu()).push(dense(10))
}

/// Model 4, experiment 3: five convolutions with batch normalization. The text's list ends with the layer of 64;
/// the ten classes of the problem, softmax in the text's other models, are added here.
pub fn model4() -> Net {
    let conv = |filters, kernel: usize| conv2d(filters, kernel).relu().same();
    Net::new()
        .push(conv(64, 7))
        .push(batch_norm())
        .push(max_pool(2))
        .push(batch_norm())
        .push(conv(128, 5))
        .push(batch_norm())
        .push(conv(128, 3))
        .push(batch_norm())
        .push(max_pool(2))
        .push(batch_norm())
        .push(conv(256, 3))
        .push(batch_norm())
        .push(conv(256, 3))
        .push(batch_norm())
        .push(max_pool(2))
        .push(flatten())
        .push(dense(128).relu())
        .push(dense(64).relu())
        .push(dense(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_those_of_the_text() {
        for (net, expected) in
            [(model1(), 109_386), (model2(), 61_514), (model3(), 62_350), (model4(), 1_546_954)]
        {
            let model: Model = Model::new(net, &[28, 28, 1], 0).unwrap();
            assert_eq!(model.parameter_count(), expected);
        }
    }
}
