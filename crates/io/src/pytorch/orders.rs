//! Follows the order of features through a network, and finds the layout of every parameter and statistic from it.

use std::collections::BTreeMap;

use backstitch_core::layers::{
    ActivationLayer, AdaptiveAvgPool, AvgPool, BatchNorm, Conv1d, Conv2d, Dense, DepthwiseConv2d, Dropout,
    Flatten, Gelu, GlobalAvgPool, GroupNorm, HardSwish, InstanceNorm, LayerNorm, MaxPool, Pad, Prelu,
    RmsNorm, Silu, Standardize, TransposedConv2d, Upsample,
};
use backstitch_core::{Model, Operation, Scalar, Shape};

use super::layout::{Axes, Order, TensorOrder, flattened, order, part, place};

/// The layout of every parameter and statistic, or why it is not known.
pub(crate) fn layouts<F: Scalar>(model: &Model<F>) -> BTreeMap<String, Result<TensorOrder, String>> {
    let mut network =
        Network { operations: model.operations().collect(), values: Vec::new(), refused: Vec::new() };
    network.values.push(match model.input_shape().len() {
        1 => ValueOrder::Row(None),
        3 => ValueOrder::Map,
        _ => ValueOrder::Lines,
    });
    network.refused.resize(network.operations.len(), None);
    for at in 0..network.operations.len() {
        let value = network.give(at);
        network.values.push(value);
        network.settle(at);
    }
    network.layouts()
}

/// What is known about the order of the numbers of a value.
#[derive(Debug, Clone, PartialEq)]
enum ValueOrder {
    /// `[height, width, channels]`; PyTorch has the channels first.
    Map,
    /// A row of features.
    Row(Order),
    /// Other axes, the same on both sides.
    Lines,
    /// Other axes, where a layer has used the last axis. In PyTorch it is another axis.
    Turned(String),
    /// Not known, with the reason.
    Unknown(String),
    /// The order of two values that do not agree.
    Differing,
}

impl ValueOrder {
    /// What is known about the result of two values of one shape.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::Turned(why), Self::Lines | Self::Turned(_)) | (Self::Lines, Self::Turned(why)) => {
                Self::Turned(why)
            }
            (one, other) if one == other => one,
            _ => Self::Differing,
        }
    }
}

struct Network<'a, F: Scalar> {
    operations: Vec<Operation<'a, F>>,
    /// What is known about each value so far. A dense layer gives its outputs in the same order at first, and in another order if
    /// a sum needs it.
    values: Vec<ValueOrder>,
    /// Why the layouts of an operation are not known, although its input is known.
    refused: Vec<Option<String>>,
}

impl<F: Scalar> Network<'_, F> {
    /// The output of an operation, from what is known about its inputs.
    fn give(&self, at: usize) -> ValueOrder {
        let operation = self.operations[at];
        let inputs = operation.inputs().iter().map(|&value| self.values[value].clone());
        if operation.is_sum() {
            return inputs.reduce(ValueOrder::with).unwrap_or(ValueOrder::Lines);
        }
        if operation.is_concat() {
            return self.side_by_side(operation);
        }
        let (path, input) = (operation.path(), operation.inputs()[0]);
        let shape = operation.shape_of(input).unwrap_or_default();
        match self.values[input].clone() {
            ValueOrder::Unknown(why) => ValueOrder::Unknown(why),
            ValueOrder::Row(_) if is::<Dense, F>(operation) => match self.values.get(operation.output()) {
                Some(settled) => settled.clone(),
                None => ValueOrder::Row(None),
            },
            ValueOrder::Lines if has_channels_first(operation) => {
                let axes = shape.len();
                let does = if is::<Prelu, F>(operation) { "has slopes for" } else { "normalizes" };
                ValueOrder::Turned(format!("{path} {does} the last of {axes} axes, which PyTorch has first"))
            }
            ValueOrder::Lines | ValueOrder::Turned(_) if is::<Conv1d, F>(operation) => {
                ValueOrder::Turned(format!("{path} has the channels last, PyTorch has them before the steps"))
            }
            ValueOrder::Map if convolves(operation) => ValueOrder::Map,
            ValueOrder::Map if is::<Flatten, F>(operation) => match *shape {
                [height, width, channels] => ValueOrder::Row(flattened([height, width, channels])),
                _ => ValueOrder::Unknown(format!("{path} flattens {shape}")),
            },
            ValueOrder::Row(order) if is::<Flatten, F>(operation) => ValueOrder::Row(order),
            ValueOrder::Lines if is::<Flatten, F>(operation) => ValueOrder::Row(None),
            ValueOrder::Turned(why) if is::<Flatten, F>(operation) => ValueOrder::Unknown(why),
            ValueOrder::Map if is::<GlobalAvgPool, F>(operation) => ValueOrder::Row(None),
            value if keeps(operation) || keeps_maps(operation) => value,
            value => own(operation, &shape, &value),
        }
    }

    /// The features of one branch after those of another.
    fn side_by_side(&self, operation: Operation<'_, F>) -> ValueOrder {
        let (mut places, mut from, mut other): (Vec<_>, _, Option<ValueOrder>) = (Vec::new(), 0, None);
        for &value in operation.inputs() {
            let width = self.width(operation, value);
            match self.values[value].clone() {
                ValueOrder::Row(order) => places.extend((0..width).map(|i| from + place(&order, i))),
                output => other = Some(other.take().map_or(output.clone(), |other| other.with(output))),
            }
            from += width;
        }
        other.unwrap_or_else(|| ValueOrder::Row(order(places)))
    }

    fn width(&self, operation: Operation<'_, F>, value: usize) -> usize {
        operation.shape_of(value).and_then(|shape| shape.last().copied()).unwrap_or(0)
    }

    /// Brings the branches of a sum into one order, if dense layers in them can give their outputs in any order.
    fn settle(&mut self, at: usize) {
        let operation = self.operations[at];
        if self.values[operation.output()] != ValueOrder::Differing {
            return;
        }
        let first = operation.first();
        let settled = operation.inputs().iter().rev().find(|&&value| !self.is_free(value, first));
        if let Some(&settled) = settled
            && let ValueOrder::Row(order) = self.values[settled].clone()
        {
            for &value in operation.inputs().iter().filter(|&&value| value != settled) {
                self.reorder(value, &order, first);
            }
            self.values[at + 1] = self.give(at);
        }
        if self.values[at + 1] == ValueOrder::Differing {
            let path = operation.path();
            let why = format!("{path} adds features whose order in PyTorch is not the order here");
            self.refused[first..=at].fill(Some(why.clone()));
            self.values[at + 1] = ValueOrder::Unknown(why);
        }
    }

    /// The operation that makes a value, if it is an operation from `first` on.
    fn maker(&self, value: usize, first: usize) -> Option<usize> {
        value.checked_sub(1).filter(|&at| at >= first)
    }

    /// Whether weights of dense layers from `first` on decide the order of a value's features, so that it can be any order.
    fn is_free(&self, value: usize, first: usize) -> bool {
        let Some(at) = self.maker(value, first) else { return false };
        let operation = self.operations[at];
        let mut inputs = operation.inputs().iter();
        if operation.is_sum() {
            return inputs.all(|&value| self.is_free(value, first));
        }
        is::<Dense, F>(operation) || keeps(operation) && inputs.all(|&value| self.is_free(value, first))
    }

    /// Gives the features of a value this order, as far as dense layers from `first` on produce them.
    fn reorder(&mut self, value: usize, wanted: &Order, first: usize) {
        let Some(at) = self.maker(value, first) else { return };
        let operation = self.operations[at];
        if is::<Dense, F>(operation) {
            if matches!(self.values[value], ValueOrder::Row(_)) {
                self.values[value] = ValueOrder::Row(wanted.clone());
            }
            return;
        }
        let mut from = 0;
        for &input in operation.inputs() {
            if operation.is_concat() {
                let width = self.width(operation, input);
                self.reorder(input, &part(wanted, from, width), first);
                from += width;
            } else if operation.is_sum() || keeps(operation) {
                self.reorder(input, wanted, first);
            }
        }
        self.values[value] = self.give(at);
    }

    fn layouts(&self) -> BTreeMap<String, Result<TensorOrder, String>> {
        let mut layouts = BTreeMap::new();
        for (&operation, refused) in self.operations.iter().zip(&self.refused) {
            for (_, slot) in operation.slots() {
                let here = slot.value().shape();
                let layout = match refused {
                    Some(why) => Err(why.clone()),
                    None => self.axes(operation, here).map(|axes| TensorOrder { here, axes }),
                };
                layouts.insert(slot.name().to_owned(), layout);
            }
        }
        layouts
    }

    /// The layout of a tensor of this shape of a layer.
    fn axes(&self, operation: Operation<'_, F>, here: Shape) -> Result<Axes, String> {
        let input = &self.values[operation.inputs()[0]];
        if let ValueOrder::Unknown(why) = input {
            return Err(why.clone());
        }
        if is::<Dense, F>(operation)
            && let (ValueOrder::Row(inputs), ValueOrder::Row(outputs)) =
                (input, &self.values[operation.output()])
        {
            let (inputs, outputs) = (inputs.clone(), outputs.clone());
            return Ok(if here.len() == 2 {
                Axes::Matrix { inputs, outputs }
            } else {
                Axes::Features(outputs)
            });
        }
        if is_of_rows(operation)
            && let ValueOrder::Turned(why) = input
        {
            return Err(why.clone());
        }
        if is_for_each_feature(operation) {
            return Ok(match input {
                // One slope for all features has no order.
                ValueOrder::Row(Some(order)) if order.len() != here.elements() => Axes::Same,
                ValueOrder::Row(order) => Axes::Features(order.clone()),
                _ => Axes::Same,
            });
        }
        if is_of_groups(operation) && !matches!(input, ValueOrder::Row(Some(_))) {
            return Ok(Axes::Same);
        }
        let over_steps =
            matches!(input, ValueOrder::Lines | ValueOrder::Turned(_)) && is::<Conv1d, F>(operation);
        if over_steps || convolves(operation) && *input == ValueOrder::Map {
            return Ok(if here.len() > 1 { Axes::Kernel } else { Axes::Same });
        }
        if matches!(input, ValueOrder::Row(Some(_)) | ValueOrder::Turned(_)) {
            let unknown = "follows a flatten, and its counterpart in PyTorch is not known";
            return Err(format!("{} ({}) {unknown}", operation.path(), operation.describe()));
        }
        Ok(TensorOrder::by_axes(here).axes)
    }
}

/// The output of a layer of the caller: what the number of axes alone decides.
fn own<F: Scalar>(operation: Operation<'_, F>, input: &Shape, value: &ValueOrder) -> ValueOrder {
    let axes = operation.shape_of(operation.output()).map_or(0, |shape| shape.len());
    match (value, axes) {
        (ValueOrder::Map, 3) => ValueOrder::Map,
        (ValueOrder::Row(None), 1) => ValueOrder::Row(None),
        (ValueOrder::Lines, axes) if axes == input.len() => ValueOrder::Lines,
        _ => {
            let (path, what) = (operation.path(), operation.describe());
            ValueOrder::Unknown(format!("{path} ({what}) may give its outputs in any order"))
        }
    }
}

/// Whether a layer keeps the order of features.
fn keeps<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is_for_each_feature(operation)
        || is::<Dropout, F>(operation)
        || is::<ActivationLayer, F>(operation)
        || is::<Gelu, F>(operation)
        || is::<Silu, F>(operation)
        || is::<HardSwish, F>(operation)
}

/// Whether a layer is a convolution of maps. A transposed one has `[channels, filters, height, width]` in PyTorch and
/// `[height, width, filters, channels]` here: the same order of axes.
fn convolves<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<Conv2d, F>(operation) || is::<DepthwiseConv2d, F>(operation) || is::<TransposedConv2d, F>(operation)
}

/// Whether a layer gives maps with the channels of its input.
fn keeps_maps<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<MaxPool, F>(operation)
        || is::<AvgPool, F>(operation)
        || is::<AdaptiveAvgPool, F>(operation)
        || is::<Pad, F>(operation)
        || is::<Upsample, F>(operation)
}

/// Whether a layer has one number for each feature of the last axis, in the order of its input, and does the same in any order.
fn is_for_each_feature<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<BatchNorm, F>(operation)
        || is::<Standardize, F>(operation)
        || is::<Prelu, F>(operation)
        || is_of_rows(operation)
}

/// Whether a layer normalizes the last axis, in PyTorch too.
fn is_of_rows<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<LayerNorm, F>(operation) || is::<RmsNorm, F>(operation)
}

/// Whether a layer normalizes groups of features. In another order of features the groups are others.
fn is_of_groups<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<GroupNorm, F>(operation) || is::<InstanceNorm, F>(operation)
}

/// Whether the numbers of a layer are for our last axis, and for the first after the samples in PyTorch.
fn has_channels_first<F: Scalar>(operation: Operation<'_, F>) -> bool {
    let several = || operation.slots().any(|(_, slot)| slot.value().shape().elements() > 1);
    is::<BatchNorm, F>(operation)
        || is::<Standardize, F>(operation)
        || is_of_groups(operation)
        || is::<Prelu, F>(operation) && several()
}

fn is<L: 'static, F: Scalar>(operation: Operation<'_, F>) -> bool {
    operation.layer::<L>().is_some()
}

#[cfg(test)]
mod tests {
    use backstitch_core::layers::{
        adaptive_avg_pool, batch_norm, conv1d, conv2d, dense, depthwise_conv2d, flatten, gelu, group_norm,
        instance_norm, layer_norm, pad, prelu, rms_norm, transposed_conv2d, upsample,
    };
    use backstitch_core::{Backward, Context, Layer, Net, ShapeError, Tensor, Weights, layer, residual};

    use super::*;

    /// A layer of a caller. Nothing is known about its order of features.
    #[derive(Debug)]
    struct Own;

    impl<F: Scalar> Layer<F> for Own {
        type Cache = ();
        fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
            Shape::new(input)
        }
        fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
            y.copy_from(x);
        }
        fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
            pass.dx.into_iter().for_each(|dx| dx.copy_from(pass.dy));
        }
    }

    fn why(net: Net, input: &[usize], name: &str) -> String {
        let model: Model = Model::new(net, input, 0).unwrap();
        match &layouts(&model)[name] {
            Ok(layout) => format!("{:?}", layout.axes),
            Err(why) => why.clone(),
        }
    }

    #[test]
    fn an_order_that_is_not_known_is_an_error_that_says_why() {
        let net = Net::new().push(flatten()).push(layer(Own)).push(dense(2));
        assert_eq!(why(net, &[2, 3, 2], "dense1.weight"), "own1 (Own) may give its outputs in any order");
        // If the order is the same on both sides, such a layer is assumed to keep it.
        let net = Net::new().push(layer(Own)).push(dense(2));
        assert_eq!(why(net, &[4], "dense1.weight"), "Matrix { inputs: None, outputs: None }");
        let net = Net::new().push(batch_norm()).push(flatten()).push(dense(2));
        let expected = "batchnorm1 normalizes the last of 2 axes, which PyTorch has first";
        assert_eq!(why(net, &[3, 4], "dense1.weight"), expected);
        // 6 places of 3 channels, and 9 of 2.
        let sum = || {
            let way = |filters, kernel: [usize; 2]| Net::new().push(conv2d(filters, kernel)).push(flatten());
            Net::new().push(residual(way(3, [2, 1]), way(2, [1, 1]))).push(dense(2))
        };
        for name in ["dense1.weight", "residual1.main.conv1.weight"] {
            let expected = "residual1 adds features whose order in PyTorch is not the order here";
            assert_eq!(why(sum(), &[3, 3, 2], name), expected);
        }
    }

    #[test]
    fn constants_lie_in_the_order_of_what_they_scale() {
        let scale = || Standardize::new(&[0.0; 12], &[1.0; 12]).unwrap();
        let net =
            Net::new().push(flatten()).push(scale()).push(dense(2)).push(Standardize::unfitted().inverse());
        let order = "Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])";
        for (name, expected) in [
            ("standardize1.mean", format!("Features({order})")),
            ("standardize1.deviation", format!("Features({order})")),
            ("dense1.weight", format!("Matrix {{ inputs: {order}, outputs: None }}")),
            ("unstandardize1.mean", "Features(None)".to_owned()),
        ] {
            assert_eq!(why(net.clone(), &[2, 3, 2], name), expected);
        }
        let net = Net::new().push(Standardize::unfitted()).push(conv2d(2, 1)).push(flatten()).push(dense(2));
        assert_eq!(why(net, &[1, 3, 2], "standardize1.mean"), "Same");
    }

    #[test]
    fn normalizations_and_slopes_follow_the_features_or_say_why_not() {
        let order = "Features(Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]))";
        let after = |layer: Net| Net::new().push(flatten()).named("a", layer).push(dense(2));
        let unknown = "a (GroupNorm 3 groups) follows a flatten, and its counterpart in PyTorch is not known";
        for (layer, expected) in [
            (Net::from(layer_norm()), order),
            (rms_norm().into(), order),
            (prelu().per_channel().into(), order),
            (prelu().into(), "Same"),
            (group_norm(3).into(), unknown),
        ] {
            assert_eq!(why(after(layer), &[2, 3, 2], "a.weight"), expected);
        }
        // What follows still has that order.
        let still = after(Net::from(gelu())).named("b", layer_norm());
        assert_eq!(
            why(Net::new().push(flatten()).push(gelu()).named("b", layer_norm()), &[2, 3, 2], "b.weight"),
            order
        );
        assert_eq!(why(still, &[2, 3, 2], "b.weight"), "Features(None)");
        // A sequence has its features last on both sides, and its channels have not.
        let lines = |layer: Net| Net::new().named("a", layer).push(flatten()).push(dense(2));
        assert_eq!(why(lines(layer_norm().into()), &[3, 4], "a.weight"), "Same");
        assert!(why(lines(layer_norm().into()), &[3, 4], "dense1.weight").starts_with("Matrix"));
        for (layer, does) in [
            (Net::from(group_norm(2)), "normalizes"),
            (instance_norm().affine().into(), "normalizes"),
            (prelu().per_channel().into(), "has slopes for"),
        ] {
            assert_eq!(why(lines(layer.clone()), &[3, 4], "a.weight"), "Same");
            let expected = format!("a {does} the last of 2 axes, which PyTorch has first");
            assert_eq!(why(lines(layer.clone()), &[3, 4], "dense1.weight"), expected);
            assert_eq!(
                why(Net::new().named("a", layer).named("b", rms_norm()), &[3, 4], "b.weight"),
                expected
            );
        }
    }

    #[test]
    fn all_convolutions_have_kernels_and_keep_maps() {
        let net = Net::new()
            .push(pad(1).reflect())
            .push(depthwise_conv2d(3).multiplier(2))
            .push(upsample(2))
            .push(transposed_conv2d(3, 2).stride(2))
            .push(adaptive_avg_pool([2, 3]))
            .push(flatten())
            .push(dense(2));
        for name in ["depthwiseconv1.weight", "transposedconv1.weight"] {
            assert_eq!(why(net.clone(), &[4, 5, 2], name), "Kernel");
        }
        let order = "Matrix { inputs: Some([0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17]), outputs: None }";
        assert_eq!(why(net, &[4, 5, 2], "dense1.weight"), order);
    }

    #[test]
    fn a_convolution_over_steps_has_a_kernel_of_three_axes() {
        let net = Net::new()
            .push(conv1d(4, 3))
            .push(batch_norm())
            .push(conv1d(3, 2))
            .push(flatten())
            .push(dense(2));
        for (name, expected) in [
            ("conv1d1.weight", "Kernel"),
            ("conv1d1.bias", "Same"),
            ("batchnorm1.weight", "Same"),
            ("conv1d2.weight", "Kernel"),
            ("dense1.weight", "conv1d2 has the channels last, PyTorch has them before the steps"),
        ] {
            assert_eq!(why(net.clone(), &[7, 2], name), expected);
        }
        let kernel = TensorOrder { here: Shape::new(&[2, 3, 4]).unwrap(), axes: Axes::Kernel };
        assert_eq!(kernel.shape_there(), [4, 3, 2]);
        // Filter 1, channel 2, step 0.
        assert_eq!(kernel.place((3 + 2) * 2), (2 * 4) + 1);
        // Filter 3, channel 0, step 1.
        assert_eq!(kernel.place(3 * 3 * 2 + 1), 3 * 4 + 3);
    }

    #[test]
    fn dense_layers_give_what_a_sum_is_to_get() {
        // Both branches end in a dense layer or in features of maps, nested and side by side.
        let plain = || Net::new().push(flatten()).push(dense(12));
        let order = |net: Net, name: &str| why(net, &[2, 3, 2], name);
        let same = "Matrix { inputs: Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]), outputs: None }";
        assert_eq!(order(residual(plain(), plain()).into(), "residual1.main.dense1.weight"), same);
        let turned = same.replace("None", "Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])");
        let inner = residual(plain(), plain());
        let nested = residual(Net::new().push(inner).push(batch_norm()), Net::new().push(flatten()));
        for name in ["main", "shortcut"] {
            let name = format!("residual1.main.residual1.{name}.dense1.weight");
            assert_eq!(order(nested.clone().into(), &name), turned);
        }
        assert_eq!(
            order(nested.into(), "residual1.main.batchnorm1.weight"),
            "Features(Some([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]))"
        );
    }
}
