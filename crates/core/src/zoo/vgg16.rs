//! VGG16.

use crate::layer::init::Init;
use crate::layers::{batch_norm, conv2d, dense, dropout, flatten, max_pool};
use crate::net::Net;

/// The convolutional part of VGG16 (Simonyan and Zisserman 2015, table 1, column D): 13 convolutions of 3x3 in five
/// groups, each group followed by a max pooling. For maps of at least 32x32, 3 channels.
pub fn vgg16_features() -> Net {
    groups(GROUPS.len())
}

/// [`vgg16_features`] with batch normalization between each convolution and its ReLU, which lets it learn from its initial weights.
pub fn vgg16_batch_norm_features() -> Net {
    let mut net = Net::new();
    for (group, (count, filters)) in GROUPS.into_iter().enumerate() {
        for i in 1..=count {
            let place = format!("{}-{i}", group + 1);
            let conv = conv2d(filters, 3).same().without_bias();
            net = net
                .named(format!("conv{place}"), conv.init(Init::HeNormal))
                .named(format!("bn{place}"), batch_norm().relu());
        }
        net = net.named(format!("pool{}", group + 1), max_pool(2));
    }
    net
}

/// The first two groups of [`vgg16_features`]: four convolutions and two poolings, a quarter of the map's height and width, 128 channels.
pub fn vgg16_blocks12() -> Net {
    groups(2)
}

/// Convolutions and filters of each group.
const GROUPS: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

fn groups(count: usize) -> Net {
    let mut net = Net::new();
    for (group, (count, filters)) in GROUPS[..count].iter().copied().enumerate() {
        for i in 1..=count {
            let conv = conv2d(filters, 3).relu().same();
            net = net.named(format!("conv{}-{i}", group + 1), conv);
        }
        net = net.named(format!("pool{}", group + 1), max_pool(2));
    }
    net
}

/// VGG16 for 224x224x3: the convolutional part, then two dense layers of 4,096 with dropout, and one for the classes.
pub fn vgg16(classes: usize) -> Net {
    vgg16_features()
        .push(flatten())
        .push(dense(4096).relu())
        .push(dropout(0.5))
        .push(dense(4096).relu())
        .push(dropout(0.5))
        .push(dense(classes))
}

/// The name in torchvision of a parameter of [`vgg16`]: `conv2-1.weight` is `features.5.weight`, `dense2.bias` is `classifier.3.bias`.
pub fn vgg16_torchvision_name(name: &str) -> String {
    let (layer, parameter) = name.rsplit_once('.').unwrap_or((name, ""));
    if let Some((group, i)) = layer.strip_prefix("conv").and_then(|place| place.split_once('-'))
        && let (Ok(group), Ok(i)) = (group.parse::<usize>(), i.parse::<usize>())
        && (1..=GROUPS.len()).contains(&group)
    {
        // There a convolution and its ReLU are two layers, and a pooling ends each group.
        let before: usize = GROUPS[..group - 1].iter().map(|(count, _)| 2 * count + 1).sum();
        return format!(
            "features.{}.{parameter}",
            before.saturating_add(i.saturating_sub(1).saturating_mul(2))
        );
    }
    match layer.strip_prefix("dense").and_then(|i| i.parse::<usize>().ok()) {
        // There a dense layer, its ReLU and the dropout are three.
        Some(i) => format!("classifier.{}.{parameter}", i.saturating_sub(1).saturating_mul(3)),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_torchvision() {
        let net: Net = vgg16(1000);
        let model: crate::Model = crate::Model::new(net, &[32, 32, 3], 0).unwrap();
        let mut numbers = Vec::new();
        for name in model.state().into_keys().filter(|name| name.ends_with(".weight")) {
            let there = vgg16_torchvision_name(name);
            numbers.push(there.split('.').nth(1).unwrap().parse::<usize>().unwrap());
        }
        // torchvision.models.vgg16().state_dict()
        let features = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
        assert_eq!(numbers, [&features[..], &[0, 3, 6]].concat());
        assert_eq!(vgg16_torchvision_name("dense3.bias"), "classifier.6.bias");
        assert_eq!(vgg16_torchvision_name("other.weight"), "other.weight");
        for name in [format!("conv5-{}.weight", usize::MAX), format!("dense{}.bias", usize::MAX)] {
            assert!(!vgg16_torchvision_name(&name).is_empty());
        }
    }
}
