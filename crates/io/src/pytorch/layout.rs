//! Where PyTorch's numbers lie in our tensors.
//!
//! PyTorch has channels first, we have them last. In a map that is a matter of axes. Behind a flatten it is an order of features, which every
//! layer that learns something of each feature has to be told: so the order is followed through the whole network.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;

use backstitch_core::layers::{
    ActivationLayer, AvgPool, BatchNorm, Concat, Conv2d, Dense, Dropout, Flatten, GlobalAvgPool, MaxPool,
    Residual, Sequential,
};
use backstitch_core::{Children, Layer, Model, Scalar, Shape};

/// At which place each of PyTorch's features is here; none where the order is the same.
type Order = Option<Rc<[usize]>>;

/// The order of a tensor's numbers in a file of PyTorch, and here.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    here: Shape,
    axes: Axes,
}

#[derive(Debug, Clone)]
enum Axes {
    /// The same.
    Same,
    /// A number for each feature.
    Features(Order),
    /// `[outputs, inputs]` there, `[inputs, outputs]` here.
    Matrix { inputs: Order, outputs: Order },
    /// `[filters, channels, height, width]` there, `[height, width, channels, filters]` here.
    Kernel,
}

/// The lengths of axes here of a tensor that has these there.
pub(crate) fn shape_here(there: &[usize]) -> Vec<usize> {
    match *there {
        [filters, channels, height, width] => vec![height, width, channels, filters],
        [outputs, inputs] => vec![inputs, outputs],
        _ => there.to_vec(),
    }
}

impl Layout {
    /// Of a tensor whose axes alone tell.
    fn by_axes(here: Shape) -> Self {
        let axes = match here.len() {
            4 => Axes::Kernel,
            2 => Axes::Matrix { inputs: None, outputs: None },
            _ => Axes::Same,
        };
        Self { here, axes }
    }

    /// The tensor's shape there.
    pub(crate) fn shape_there(&self) -> Vec<usize> {
        match (&self.axes, &*self.here) {
            (Axes::Kernel, &[height, width, channels, filters]) => vec![filters, channels, height, width],
            (Axes::Matrix { .. }, &[inputs, outputs]) => vec![outputs, inputs],
            (_, here) => here.to_vec(),
        }
    }

    /// Where the number lies here that is the i-th there.
    pub(crate) fn place(&self, i: usize) -> usize {
        match (&self.axes, &*self.here) {
            (Axes::Features(order), _) => place(order, i),
            (Axes::Matrix { inputs, outputs }, &[columns, rows]) => {
                place(inputs, i % columns) * rows + place(outputs, i / columns)
            }
            (Axes::Kernel, &[height, width, channels, filters]) => {
                let (i, column) = (i / width, i % width);
                let (i, line) = (i / height, i % height);
                let (filter, channel) = (i / channels, i % channels);
                ((line * width + column) * channels + channel) * filters + filter
            }
            _ => i,
        }
    }

    /// Whether all numbers lie in the same order.
    pub(crate) fn is_same(&self) -> bool {
        self.shape_there() == *self.here && (0..self.here.elements()).all(|i| self.place(i) == i)
    }
}

fn place(order: &Order, i: usize) -> usize {
    order.as_ref().map_or(i, |order| order[i])
}

/// The order behind a flatten of a map `[height, width, channels]`.
fn flattened([height, width, channels]: [usize; 3]) -> Order {
    let there = (0..channels).flat_map(|channel| (0..height * width).map(move |place| (channel, place)));
    order(there.map(|(channel, place)| place * channels + channel).collect())
}

/// An order, none where it is the same.
fn order(places: Vec<usize>) -> Order {
    let same = places.iter().enumerate().all(|(i, &place)| i == place);
    (!same).then(|| places.into())
}

/// The layout of every parameter and buffer, or why it is not known.
pub(crate) fn layouts<F: Scalar>(model: &Model<F>) -> BTreeMap<String, Result<Layout, String>> {
    let input = model.input_shape();
    let value = match input.len() {
        1 => Value::Row(None),
        3 => Value::Map,
        _ => Value::Lines,
    };
    let mut walk = Walk::default();
    walk.through(model.net(), "", &input, value, None);
    walk.layouts
}

/// What is known of the order of a value's numbers between two layers.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// `[height, width, channels]`, there with the channels first.
    Map,
    /// A row of features.
    Row(Order),
    /// Other axes, the same on both sides.
    Lines,
    /// Other axes, of which a layer has used the last one: there it is another.
    Turned(String),
    /// Not known, and why.
    Unknown(String),
    /// That of two values which do not agree.
    Differing,
}

impl Value {
    /// What is known of two values of one shape that are brought together.
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

#[derive(Default)]
struct Walk {
    layouts: BTreeMap<String, Result<Layout, String>>,
}

impl Walk {
    /// Notes the layouts inside a layer, and tells that of its output. Where the order of the output's features is free, it becomes the wanted one.
    fn through<F: Scalar>(
        &mut self,
        layer: &dyn Layer<F>,
        path: &str,
        input: &[usize],
        value: Value,
        wanted: Option<&Order>,
    ) -> Value {
        match layer.children() {
            Children::Chain(_) => return self.chain(layer, path, input, value, wanted),
            Children::Branches(_) if is::<F, Residual<F>>(layer) => {
                return self.residual(layer, path, input, &value, wanted);
            }
            Children::Branches(_) => return self.branches(layer, path, input, &value, wanted),
            Children::None => {}
        }
        if let Value::Unknown(why) = &value {
            let why = why.clone();
            self.note_all(layer, &|_| Err(why.clone()));
            return value;
        }
        let out = wanted.cloned().flatten();
        match value {
            Value::Row(inputs) if is::<F, Dense<F>>(layer) => {
                self.note_all(layer, &|here| {
                    Ok(match here.len() {
                        2 => Axes::Matrix { inputs: inputs.clone(), outputs: out.clone() },
                        _ => Axes::Features(out.clone()),
                    })
                });
                Value::Row(out)
            }
            Value::Row(order) if is::<F, BatchNorm<F>>(layer) => {
                self.note_all(layer, &|_| Ok(Axes::Features(order.clone())));
                Value::Row(order)
            }
            Value::Lines if is::<F, BatchNorm<F>>(layer) => {
                self.note_all(layer, &|_| Ok(Axes::Same));
                Value::Turned(format!(
                    "{path} normalizes the last of {} axes, which PyTorch has first",
                    input.len()
                ))
            }
            value if is::<F, BatchNorm<F>>(layer) => {
                self.note_all(layer, &|_| Ok(Axes::Same));
                value
            }
            Value::Map if is::<F, Conv2d<F>>(layer) => {
                self.note_all(layer, &|here| Ok(if here.len() == 4 { Axes::Kernel } else { Axes::Same }));
                Value::Map
            }
            Value::Map if is::<F, Flatten>(layer) => match *input {
                [height, width, channels] => Value::Row(flattened([height, width, channels])),
                _ => Value::Unknown(format!("{path} flattens {input:?}")),
            },
            Value::Row(order) if is::<F, Flatten>(layer) => Value::Row(order),
            Value::Lines if is::<F, Flatten>(layer) => Value::Row(None),
            Value::Turned(why) if is::<F, Flatten>(layer) => Value::Unknown(why),
            Value::Map if is::<F, GlobalAvgPool>(layer) => Value::Row(None),
            value if keeps(layer) || is::<F, MaxPool>(layer) || is::<F, AvgPool>(layer) => value,
            value => self.own(layer, path, input, value),
        }
    }

    /// A layer of the caller's own: what its axes alone tell.
    fn own<F: Scalar>(&mut self, layer: &dyn Layer<F>, path: &str, input: &[usize], value: Value) -> Value {
        let why = format!("{path} ({}) may have any order of its outputs", layer.describe());
        if matches!(value, Value::Row(Some(_)) | Value::Turned(_)) {
            let unknown = "is behind a flatten, and no layer whose counterpart in PyTorch is known";
            self.note_all(layer, &|_| Err(format!("{path} ({}) {unknown}", layer.describe())));
            return Value::Unknown(why);
        }
        layer.visit(&mut |slot| {
            let layout = Layout::by_axes(slot.value().shape());
            self.layouts.insert(slot.name().to_owned(), Ok(layout));
        });
        match (value, layer.output_shape(input).map_or(0, |output| output.len())) {
            (Value::Map, 3) => Value::Map,
            (Value::Row(None), 1) => Value::Row(None),
            (Value::Lines, axes) if axes == input.len() => Value::Lines,
            _ => Value::Unknown(why),
        }
    }

    fn note_all<F: Scalar>(&mut self, layer: &dyn Layer<F>, axes: &dyn Fn(Shape) -> Result<Axes, String>) {
        layer.visit(&mut |slot| {
            let here = slot.value().shape();
            let layout = axes(here).map(|axes| Layout { here, axes });
            self.layouts.insert(slot.name().to_owned(), layout);
        });
    }

    fn chain<F: Scalar>(
        &mut self,
        layer: &dyn Layer<F>,
        path: &str,
        input: &[usize],
        mut value: Value,
        wanted: Option<&Order>,
    ) -> Value {
        let children = layer.children().list();
        let Ok(mut shape) = Shape::new(input) else {
            return Value::Unknown(format!("{path} takes no {input:?}"));
        };
        for (i, child) in children.iter().enumerate() {
            let passed_on = children[i + 1..].iter().all(|later| keeps(later.layer.as_ref()));
            let wanted = wanted.filter(|_| passed_on);
            value = self.through(child.layer.as_ref(), &join(path, &child.name), &shape, value, wanted);
            let Ok(output) = child.layer.output_shape(&shape) else {
                return Value::Unknown(format!("{path} takes no {shape}"));
            };
            shape = output;
        }
        value
    }

    /// A sum: all its ways have to end in one order. That of a dense layer is free, those of others are as they are.
    fn residual<F: Scalar>(
        &mut self,
        layer: &dyn Layer<F>,
        path: &str,
        input: &[usize],
        value: &Value,
        wanted: Option<&Order>,
    ) -> Value {
        let ways = layer.children().list();
        let identity = ways.len() == 1;
        let settled = ways.iter().rev().find(|way| !is_free(way.layer.as_ref())).map(|way| {
            // A look ahead, of which only the output's order is kept.
            Walk::default().through(way.layer.as_ref(), path, input, value.clone(), None)
        });
        let settled = if identity { Some(value.clone()) } else { settled };
        let wanted = match &settled {
            Some(Value::Row(order)) => Some(order),
            _ => wanted,
        };
        let mut outputs: Vec<Value> = ways
            .iter()
            .map(|way| {
                let path = join(path, &way.name);
                self.through(way.layer.as_ref(), &path, input, value.clone(), wanted)
            })
            .collect();
        if identity {
            outputs.push(value.clone());
        }
        let sum = outputs.into_iter().reduce(Value::with);
        match sum {
            Some(Value::Differing) | None => {}
            Some(sum) => return sum,
        }
        let why = format!("{path} adds features that lie in different orders in PyTorch and here");
        self.note_all(layer, &|_| Err(why.clone()));
        Value::Unknown(why)
    }

    /// Branches side by side.
    fn branches<F: Scalar>(
        &mut self,
        layer: &dyn Layer<F>,
        path: &str,
        input: &[usize],
        value: &Value,
        wanted: Option<&Order>,
    ) -> Value {
        let (mut places, mut from, mut other): (Vec<_>, _, Option<Value>) = (Vec::new(), 0, None);
        for branch in layer.children().list() {
            let width = branch.layer.output_shape(input).ok().and_then(|output| output.last().copied());
            let width = width.unwrap_or(0);
            let wanted = wanted.map(|order| part(order, from, width));
            let path = join(path, &branch.name);
            let output = self.through(branch.layer.as_ref(), &path, input, value.clone(), wanted.as_ref());
            match output {
                Value::Row(order) => places.extend((0..width).map(|i| from + place(&order, i))),
                output => other = Some(other.take().map_or(output.clone(), |other| other.with(output))),
            }
            from += width;
        }
        match other {
            _ if !is::<F, Concat<F>>(layer) => {
                Value::Unknown(format!("{path} ({}) may join its branches in any way", layer.describe()))
            }
            Some(value) => value,
            None => Value::Row(order(places)),
        }
    }
}

/// The order within features that lie side by side with others; the same where the others' are mixed in.
fn part(whole: &Order, from: usize, width: usize) -> Order {
    let places = (from..from + width).map(|i| place(whole, i).checked_sub(from).filter(|&at| at < width));
    places.collect::<Option<Vec<_>>>().and_then(order)
}

/// Whether features come out in the order in which they came in.
fn keeps<F: Scalar>(layer: &dyn Layer<F>) -> bool {
    match layer.children() {
        Children::None => {
            is::<F, BatchNorm<F>>(layer) || is::<F, Dropout>(layer) || is::<F, ActivationLayer>(layer)
        }
        Children::Chain(chain) => {
            is::<F, Sequential<F>>(layer) && chain.iter().all(|child| keeps(child.layer.as_ref()))
        }
        Children::Branches(ways) => {
            is::<F, Residual<F>>(layer)
                && (ways.len() == 1 || ways.iter().any(|way| keeps(way.layer.as_ref())))
        }
    }
}

/// Whether the order in which a layer gives its features is the order in which the weights of a dense layer lie, and so can be any.
fn is_free<F: Scalar>(layer: &dyn Layer<F>) -> bool {
    match layer.children() {
        Children::None => is::<F, Dense<F>>(layer),
        Children::Chain(chain) => {
            let last = chain.iter().rev().find(|child| !keeps(child.layer.as_ref()));
            last.is_some_and(|child| is_free(child.layer.as_ref()))
        }
        Children::Branches(ways) if is::<F, Residual<F>>(layer) => {
            ways.len() == 2 && ways.iter().all(|way| is_free(way.layer.as_ref()))
        }
        Children::Branches(_) => false,
    }
}

fn is<F: Scalar, L: Any>(layer: &dyn Layer<F>) -> bool {
    (layer as &dyn Any).is::<L>()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use backstitch_core::layer::Place;
    use backstitch_core::layers::{Activation, activation, batch_norm, conv2d, dense, flatten, residual};
    use backstitch_core::{Context, ShapeError, Slot, SlotMut, Tensor, Trace};

    use super::*;

    /// A layer of a caller's own, of whose order of features nothing is known here.
    #[derive(Debug)]
    struct Own(ActivationLayer);

    type Inner = dyn Layer<f32>;

    impl Layer<f32> for Own {
        fn describe(&self) -> String {
            "Own".to_owned()
        }
        fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
            (&self.0 as &Inner).output_shape(input)
        }
        fn build(&mut self, input: &[usize], place: &Place) {
            (&mut self.0 as &mut Inner).build(input, place);
        }
        fn forward(&self, x: &Tensor, t: &mut Trace<f32>, ctx: &Context) {
            self.0.forward(x, t, ctx);
        }
        fn backward(&mut self, x: &Tensor, t: &mut Trace<f32>, dx: Option<&mut Tensor>, ctx: &Context) {
            self.0.backward(x, t, dx, ctx);
        }
        fn commit(&mut self, _t: &Trace<f32>) {}
        fn visit<'a>(&'a self, _f: &mut dyn FnMut(Slot<'a, f32>)) {}
        fn visit_mut(&mut self, _f: &mut dyn FnMut(SlotMut<'_, f32>)) {}
        fn cost(&self, input: &[usize]) -> backstitch_core::cost::Cost {
            (&self.0 as &Inner).cost(input)
        }
        fn children(&self) -> Children<'_, f32> {
            Children::None
        }
    }

    fn why(net: Sequential, input: &[usize], name: &str) -> String {
        let model: Model = Model::new(net, input, 0).unwrap();
        match &layouts(&model)[name] {
            Ok(layout) => format!("{:?}", layout.axes),
            Err(why) => why.clone(),
        }
    }

    #[test]
    fn an_order_that_is_not_known_is_an_error_that_says_why() {
        let linear = |units| dense(units, Activation::Linear);
        let own = || Own(activation(Activation::Tanh));
        let net = Sequential::new().push(flatten()).push(own()).push(linear(2));
        assert_eq!(why(net, &[2, 3, 2], "dense1.weight"), "own1 (Own) may have any order of its outputs");
        // Where the order is the same, such a layer is taken as one that leaves it so.
        let net = Sequential::new().push(own()).push(linear(2));
        assert_eq!(why(net, &[4], "dense1.weight"), "Matrix { inputs: None, outputs: None }");
        let net = Sequential::new().push(batch_norm()).push(flatten()).push(linear(2));
        let expected = "batchnorm1 normalizes the last of 2 axes, which PyTorch has first";
        assert_eq!(why(net, &[3, 4], "dense1.weight"), expected);
        // 6 places of 3 channels, and 9 of 2.
        let sum = || {
            let way = |filters, kernel: [usize; 2]| {
                Sequential::new().push(conv2d(filters, kernel, Activation::Linear)).push(flatten())
            };
            let sum = residual(way(3, [2, 1]), way(2, [1, 1]), Activation::Linear);
            Sequential::new().push(sum).push(linear(2))
        };
        for name in ["dense1.weight", "residual1.main.conv1.weight"] {
            let expected = "residual1 adds features that lie in different orders in PyTorch and here";
            assert_eq!(why(sum(), &[3, 3, 2], name), expected);
        }
    }
}
