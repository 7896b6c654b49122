//! The models of fixtures/pytorch/convs.py.

use backstitch::prelude::*;

use super::{Cases, one};

pub fn cases() -> Cases {
    let mut cases = convolutions();
    cases.extend(transposed());
    cases.extend(sequences());
    cases.extend(maps());
    cases
}

fn convolutions() -> Cases {
    vec![
        ("groups_2", one(conv2d(4, 3).padding(1).groups(2))),
        ("groups_3_stride_2", one(conv2d(9, [3, 2]).stride(2).padding(1).groups(3).without_bias())),
        ("groups_4_dilation_2", one(conv2d(16, 3).dilation(2).groups(4))),
        ("groups_as_channels", one(conv2d(15, 3).padding(1).groups(5))),
        ("depthwise_3x3_same", one(depthwise_conv2d(3).same())),
        ("depthwise_stride_2", one(depthwise_conv2d([5, 3]).stride([2, 1]).padding([2, 1]))),
        (
            "depthwise_multiplier_2",
            one(depthwise_conv2d(3).multiplier(2).stride(2).padding(1).without_bias()),
        ),
        ("depthwise_dilation_2", one(depthwise_conv2d(3).multiplier(3).dilation(2).padding(2))),
    ]
}

fn transposed() -> Cases {
    let conv = |filters, kernel: usize| transposed_conv2d(filters, kernel);
    let uneven = transposed_conv2d(2, [3, 4]).stride([2, 3]).padding([1, 2]).output_padding([1, 2]);
    vec![
        ("transposed_2x2_stride_2", one(conv(4, 2).stride(2))),
        ("transposed_3x3", one(conv(5, 3).padding(1).without_bias())),
        ("transposed_many_channels", one(conv(24, 3).padding(1))),
        ("transposed_output_padding", one(uneven)),
        ("transposed_dilation_2", one(conv(2, 3).stride(2).padding(1).dilation(2))),
    ]
}

fn sequences() -> Cases {
    vec![
        ("conv1d_3", one(conv1d(4, 3))),
        ("conv1d_4_same", one(conv1d(4, 4).same())),
        ("conv1d_5_stride_2_padding_3", one(conv1d(4, 5).stride(2).padding(3).without_bias())),
        ("conv1d_3_causal_dilation_2", one(conv1d(4, 3).causal().dilation(2))),
        ("conv1d_3_causal_stride_2", one(conv1d(4, 3).causal().stride(2))),
        ("conv1d_3_groups_5", one(conv1d(10, 3).padding(1).groups(5))),
    ]
}

fn maps() -> Cases {
    vec![
        ("upsample_nearest", one(upsample([2, 3]))),
        ("upsample_bilinear", one(upsample([3, 2]).bilinear())),
        ("pad_zeros", one(pad([2, 1]))),
        ("pad_constant", one(pad([[2, 1], [0, 3]]).constant(-1.5))),
        ("pad_reflect", one(pad([[0, 3], [3, 2]]).reflect())),
        ("pad_replicate", one(pad([[2, 5], [6, 1]]).replicate())),
        ("adaptive_3x2", one(adaptive_avg_pool([3, 2]))),
        ("adaptive_larger", one(adaptive_avg_pool([7, 5]))),
        ("max_pool_dilation", one(max_pool([2, 3]).stride(1).padding(1).dilation([2, 1]))),
    ]
}
