//! Follows the order of features through a network, and finds the layout of every parameter and statistic from it.

use std::collections::BTreeMap;

use backstitch_core::layers::{
    ActivationLayer, AdaptiveAvgPool, Attention, AvgPool, BatchNorm, Conv1d, Conv2d, Dense, DepthwiseConv2d,
    Direction, Dropout, Embedding, Flatten, Gelu, GlobalAvgPool, GroupNorm, GruCell, HardSwish, InstanceNorm,
    LastPosition, LayerNorm, LearnedPositions, LstmCell, MaxPool, Pad, Prelu, RmsNorm, RnnCell, Silu,
    SinusoidalPositions, Standardize, TransposedConv2d, Upsample,
};
use backstitch_core::{Model, Operation, Scalar, Shape};

use super::layout::{Axes, Order, TensorOrder, flattened, order, part, place};

/// The layout of every parameter and statistic, or why it is not known.
pub(crate) fn layouts<F: Scalar>(model: &Model<F>) -> BTreeMap<String, Result<TensorOrder, String>> {
    let mut network =
        Network { operations: model.operations().collect(), values: Vec::new(), refused: Vec::new() };
    network.values.push(ValueOrder::of_input(&model.input_shape()));
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
    /// What the number of axes says about an input of the model.
    fn of_input(shape: &[usize]) -> Self {
        match shape.len() {
            1 => Self::Row(None),
            3 => Self::Map,
            _ => Self::Lines,
        }
    }

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
        let path = operation.path();
        let Some(&input) = operation.inputs().first() else {
            return ValueOrder::of_input(&operation.shape_of(operation.output()).unwrap_or_default());
        };
        let shape = operation.shape_of(input).unwrap_or_default();
        match self.values[input].clone() {
            ValueOrder::Unknown(why) => ValueOrder::Unknown(why),
            ValueOrder::Row(_) if is::<Dense, F>(operation) => match self.values.get(operation.output()) {
                Some(settled) => settled.clone(),
                None => ValueOrder::Row(None),
            },
            ValueOrder::Row(None) if is::<Embedding, F>(operation) => ValueOrder::Lines,
            // In PyTorch too, these have the features last: a transposition stands between them and channels that are first.
            ValueOrder::Lines | ValueOrder::Turned(_) if has_features_last(operation) => ValueOrder::Lines,
            ValueOrder::Lines | ValueOrder::Turned(_) if is::<LastPosition, F>(operation) => {
                ValueOrder::Row(None)
            }
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
        if is::<Embedding, F>(operation) || is::<LearnedPositions, F>(operation) {
            return Ok(Axes::Same);
        }
        if is_recurrent(operation) {
            return Ok(TensorOrder::by_axes(here).axes);
        }
        if operation.layer::<Dense>().is_some_and(Dense::is_transposed) {
            return match (input, &self.values[operation.output()]) {
                (ValueOrder::Row(None), ValueOrder::Row(None)) | (ValueOrder::Lines, _) => Ok(Axes::Same),
                _ => Err(format!(
                    "{} is stored transposed, and the order of its features differs",
                    operation.path()
                )),
            };
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

/// Whether a layer reads sequences with the features last, in PyTorch too.
fn has_features_last<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is_recurrent(operation)
        || is::<Attention, F>(operation)
        || is::<LearnedPositions, F>(operation)
        || is::<SinusoidalPositions, F>(operation)
}

fn is_recurrent<F: Scalar>(operation: Operation<'_, F>) -> bool {
    is::<Direction<LstmCell>, F>(operation)
        || is::<Direction<GruCell>, F>(operation)
        || is::<Direction<RnnCell>, F>(operation)
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
mod tests;
