//! ResNet-18.

use crate::layer::init::Init;
use crate::layers::{batch_norm, conv2d, dense, global_avg_pool, max_pool};
use crate::net::{Net, residual};

/// ResNet-18 (He et al. 2016, table 1) with as many parameters as torchvision's: a 7x7 convolution with stride 2, a 3x3
/// max pooling with stride 2, four stages of two blocks, global average pooling, one dense layer. The first
/// block of stages 2 to 4 has stride 2 and a projection. For maps of any size, 3 channels.
pub fn resnet18(classes: usize) -> Net {
    let mut net = Net::new()
        .named("conv1", convolution(64, 7, 2))
        .named("bn1", batch_norm().relu())
        .named("pool", max_pool(3).stride(2).padding(1));
    for (stage, filters) in [64, 128, 256, 512].into_iter().enumerate() {
        let stride = if stage == 0 { 1 } else { 2 };
        net = net
            .named(format!("layer{}-1", stage + 1), block(filters, stride))
            .named(format!("layer{}-2", stage + 1), block(filters, 1));
    }
    net.named("average", global_avg_pool()).named("fc", dense(classes))
}

/// Two 3x3 convolutions, with the identity as the shortcut, or a 1x1 projection if the stride is not 1.
fn block(filters: usize, stride: usize) -> crate::net::Residual {
    let main = Net::new()
        .named("conv1", convolution(filters, 3, stride))
        .named("bn1", batch_norm().relu())
        .named("conv2", convolution(filters, 3, 1))
        .named("bn2", batch_norm());
    let shortcut = if stride == 1 {
        Net::new()
    } else {
        Net::new().named("conv", convolution(filters, 1, stride)).named("bn", batch_norm())
    };
    residual(main, shortcut).relu()
}

fn convolution(filters: usize, kernel: usize, stride: usize) -> crate::layers::Conv2d {
    conv2d(filters, kernel).stride(stride).padding(kernel / 2).without_bias().init(Init::HeNormal)
}

/// The name in torchvision of a parameter or buffer of [`resnet18`]: `layer2-1.main.conv1.weight` is `layer2.0.conv1.weight`, `layer2-1.shortcut.bn.bias`
/// is `layer2.0.downsample.1.bias`.
pub fn resnet18_torchvision_name(name: &str) -> String {
    name.replace("-1.", ".0.")
        .replace("-2.", ".1.")
        .replace(".main.", ".")
        .replace(".shortcut.conv.", ".downsample.0.")
        .replace(".shortcut.bn.", ".downsample.1.")
}
