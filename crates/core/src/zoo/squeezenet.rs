//! SqueezeNet v1.0 (F. Iandola et al. 2016, table 1), for weights trained on ImageNet.

use crate::layers::{conv2d, dropout, global_avg_pool, max_pool};
use crate::net::{Net, concat};

/// SqueezeNet v1.0 on 227x227x3: a fire module squeezes its maps with 1x1 convolutions and expands them with 1x1 and 3x3 ones side by
/// side. ReLU after every convolution, the last one too; a global average gives the logits.
///
/// Published weights take blue, green and red from 0 to 255, less 104, 117 and 123, and have the names of
/// [`squeezenet_published_name`].
pub fn squeezenet(classes: usize) -> Net {
    squeezenet_features()
        .named("dropout", dropout(0.5))
        .named("conv_final", conv2d(classes, 1).relu())
        .named("average", global_avg_pool())
}

/// [`squeezenet`] up to its last fire module: 512 channels. For maps of at least 37x37, 3 channels.
pub fn squeezenet_features() -> Net {
    Net::new()
        .named("conv1", conv2d(96, 7).relu().stride(2))
        .named("pool1", max_pool(3).stride(2).ceil())
        .named("fire2", fire(16, 64))
        .named("fire3", fire(16, 64))
        .named("fire4", fire(32, 128))
        .named("pool4", max_pool(3).stride(2).ceil())
        .named("fire5", fire(32, 128))
        .named("fire6", fire(48, 192))
        .named("fire7", fire(48, 192))
        .named("fire8", fire(64, 256))
        .named("pool8", max_pool(3).stride(2).ceil())
        .named("fire9", fire(64, 256))
}

fn fire(squeezed: usize, expanded: usize) -> Net {
    let conv = |filters, kernel: usize| conv2d(filters, kernel).relu();
    Net::new().named("conv1x1_1", conv(squeezed, 1)).named(
        "expand",
        concat([
            Net::new().named("conv1x1_2", conv(expanded, 1)),
            Net::new().named("conv3x3_2", conv(expanded, 3).padding(1)),
        ]),
    )
}

/// The name in the published weights of a parameter of [`squeezenet`]: `fire2.expand.branch2.conv3x3_2.weight` is
/// `fire2.conv3x3_2.weight`.
pub fn squeezenet_published_name(name: &str) -> String {
    name.replace(".expand.branch1", "").replace(".expand.branch2", "")
}
