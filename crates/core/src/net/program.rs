//! A net flattened, once, into a list of operations on numbered values. Every pass is a loop over the list.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::error::{ShapeError, is_name, join_path};
use crate::layer::weights::{Declare, Spec, name_hash};
use crate::layer::{AnyLayer, DynLayer, MASK, Sequence};
use crate::layers::Activation;
use crate::net::{Child, Net, Node};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{MAX_AXES, Shape};

/// The most inputs that a layer can have.
pub(crate) const MAX_INPUTS: usize = 3;

/// One operation. Value 0 is the input; operation i makes value i + 1.
#[derive(Debug)]
pub(crate) struct Op<F: Scalar> {
    pub(crate) path: String,
    /// Tells operations apart, for those that draw random numbers.
    pub(crate) key: u64,
    pub(crate) kind: OpKind<F>,
    /// The values it reads.
    pub(crate) inputs: Vec<usize>,
    /// The names of a layer's further inputs, which are all but the first.
    pub(crate) others: Vec<Box<str>>,
    /// The first operation of its branches; the operation itself where it has none.
    pub(crate) first: usize,
    /// The layer's own names of parameters, and their places in the model's list of slots.
    pub(crate) places: Vec<(&'static str, usize)>,
}

/// What an operation does.
#[derive(Debug, Clone)]
pub(crate) enum OpKind<F: Scalar> {
    Layer(Arc<dyn DynLayer<F>>),
    Sum(Activation),
    Concat,
    /// A named input of the model.
    Input(Arc<str>),
}

impl<F: Scalar> Op<F> {
    /// An operation at this path, without further inputs, whose layer has declared nothing yet.
    fn new(kind: OpKind<F>, inputs: Vec<usize>, first: usize, path: &str) -> Self {
        let (path, key) = (path.to_owned(), name_hash(path));
        Self { path, key, kind, inputs, others: Vec::new(), first, places: Vec::new() }
    }
}

impl<F: Scalar> OpKind<F> {
    /// The layer, if it is one of this type.
    pub(crate) fn as_layer<L: 'static>(&self) -> Option<&L> {
        match self {
            Self::Layer(layer) => (layer.as_ref() as &dyn Any).downcast_ref(),
            _ => None,
        }
    }

    /// A short description.
    pub(crate) fn describe(&self, inputs: usize) -> String {
        match self {
            Self::Layer(layer) => layer.describe(),
            Self::Sum(activation) => format!("Residual, {activation}"),
            Self::Concat => format!("Concat of {inputs}"),
            Self::Input(name) => format!("Input {name}"),
        }
    }
}

/// The operations in their order, with the shapes of all values.
#[derive(Debug)]
pub(crate) struct Program<F: Scalar> {
    pub(crate) ops: Vec<Op<F>>,
    /// Of one sample.
    pub(crate) shapes: Vec<Shape>,
    /// The value that each layer, chain or branch ends with, by its path.
    pub(crate) values: BTreeMap<String, usize>,
    /// The value that is the output.
    pub(crate) output: usize,
    /// Tied parameters, by their full names ([`Net::tie`]).
    pub(crate) ties: Vec<(String, String)>,
    /// How the layers take sequences.
    pub(crate) sequence: Sequence,
    /// The operations whose inputs are ids, with how many ids there are.
    pub(crate) ids: Vec<(usize, usize)>,
    /// The named inputs that are masks.
    pub(crate) masks: Vec<String>,
}

impl<F: Scalar> Program<F> {
    /// Flattens a net for samples of this shape, and of these shapes for its named inputs.
    pub(crate) fn new(net: &Net, input: &[usize], named: &[(&str, &[usize])]) -> Result<Self, ShapeError> {
        let mut program = Self {
            ops: Vec::new(),
            shapes: vec![Shape::new(input)?],
            values: BTreeMap::new(),
            output: 0,
            ties: Vec::new(),
            sequence: Sequence::No,
            ids: Vec::new(),
            masks: Vec::new(),
        };
        program.output = program.add(net, "", 0, named)?;
        if let Some((unused, _)) =
            named.iter().find(|(name, _)| !program.named().any(|(_, own)| own == *name))
        {
            let expected = "input(..) of this name in the net";
            return Err(ShapeError::new(format!("input {unused:?}"), expected, "none".to_owned()));
        }
        program.sequence =
            program.layers().fold(Sequence::No, |all, (_, _, layer)| all.and(layer.sequence()));
        program.masks = program.masks_read();
        program.ids = program.layers().filter_map(|(at, _, layer)| Some((at, layer.ids()?))).collect();
        Ok(program)
    }

    /// The layers, with their operations and the numbers of these.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (usize, &Op<F>, &dyn DynLayer<F>)> {
        self.ops.iter().enumerate().filter_map(|(at, op)| match &op.kind {
            OpKind::Layer(layer) => Some((at, op, layer.as_ref())),
            _ => None,
        })
    }

    /// The named inputs: the value of each, and its name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (usize, &str)> {
        self.ops.iter().enumerate().filter_map(|(i, op)| match &op.kind {
            OpKind::Input(name) => Some((i + 1, &**name)),
            _ => None,
        })
    }

    /// The named inputs that layers read as masks.
    fn masks_read(&self) -> Vec<String> {
        let read = |op: &Op<F>| {
            let at = op.others.iter().position(|name| **name == *MASK)?;
            match &self.ops[op.inputs[at + 1].checked_sub(1)?].kind {
                OpKind::Input(name) => Some(name.to_string()),
                _ => None,
            }
        };
        let mut all: Vec<String> = self.ops.iter().filter_map(read).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The one recursion over a net: appends its operations on value `x`, and returns the value of its output.
    fn add(
        &mut self,
        net: &Net,
        path: &str,
        x: usize,
        named: &[(&str, &[usize])],
    ) -> Result<usize, ShapeError> {
        let full = |name: &String| join_path(path, name);
        self.ties.extend(net.ties.iter().map(|(name, with)| (full(name), full(with))));
        let first = self.ops.len();
        let value = match &net.node {
            Node::Layer(layer) => {
                self.append(Op::new(OpKind::Layer(in_precision(layer)), vec![x], first, path))?
            }
            Node::Chain(list) => {
                check_names(list, path)?;
                let mut value = x;
                for child in list {
                    value = self.add(&child.net, &child.path(path), value, named)?;
                }
                value
            }
            Node::Sum(list, activation) => {
                let ends = self.branches(list, path, x, named)?;
                self.append(Op::new(OpKind::Sum(*activation), ends, first, path))?
            }
            Node::Concat(list) => {
                let ends = self.branches(list, path, x, named)?;
                self.append(Op::new(OpKind::Concat, ends, first, path))?
            }
            Node::With(layer, list) => {
                check_names(list, path)?;
                if list.len() >= MAX_INPUTS {
                    let expected = format!("at most {} further inputs", MAX_INPUTS - 1);
                    let what = Arc::clone(layer).in_f32().describe();
                    return Err(ShapeError::new(what, expected, list.len().to_string()).within(path));
                }
                let mut inputs = vec![x];
                inputs.extend(self.branches(list, path, x, named)?);
                let others = list.iter().map(|child| child.name.as_str().into()).collect();
                let op = Op::new(OpKind::Layer(in_precision(layer)), inputs, first, path);
                self.append(Op { others, ..op })?
            }
            Node::Input(name) => {
                let shape = named.iter().find(|(own, _)| *own == &**name);
                let shape = shape.map(|(_, shape)| Shape::new(shape)).transpose()?.ok_or_else(|| {
                    let expected = "a shape for this input from Model::with_inputs";
                    ShapeError::new(format!("input {name:?}"), expected, "none".to_owned()).within(path)
                })?;
                self.push(Op::new(OpKind::Input(Arc::clone(name)), Vec::new(), first, path), shape)?
            }
        };
        self.values.insert(path.to_owned(), value);
        Ok(value)
    }

    /// The values that the branches end with.
    fn branches(
        &mut self,
        list: &[Child],
        path: &str,
        x: usize,
        named: &[(&str, &[usize])],
    ) -> Result<Vec<usize>, ShapeError> {
        list.iter().map(|child| self.add(&child.net, &child.path(path), x, named)).collect()
    }

    /// Appends an operation on values that are there.
    fn append(&mut self, op: Op<F>) -> Result<usize, ShapeError> {
        if let OpKind::Layer(layer) = &op.kind
            && layer.ids().is_some()
            && !self.is_input(op.inputs[0])
        {
            let got = format!("the output of {}", self.ops[op.inputs[0] - 1].path);
            let error = ShapeError::new(layer.describe(), "an input of the model, which are ids", got);
            return Err(error.within(&op.path));
        }
        let shape = self.shape_of(&op, &self.shapes)?;
        self.push(op, shape)
    }

    fn push(&mut self, op: Op<F>, shape: Shape) -> Result<usize, ShapeError> {
        if shape.contains(&0) || shape.len() >= MAX_AXES {
            let expected = format!("an output of at most {} axes, none of length 0", MAX_AXES - 1);
            let what = op.kind.describe(op.inputs.len());
            return Err(ShapeError::new(what, expected, format!("an output of {shape}")).within(&op.path));
        }
        self.ops.push(op);
        self.shapes.push(shape);
        Ok(self.ops.len())
    }

    /// Whether a value is an input of the model.
    pub(crate) fn is_input(&self, value: usize) -> bool {
        value == 0 || matches!(self.ops[value - 1].kind, OpKind::Input(_))
    }

    /// Shape of an operation's output where the values have these shapes.
    fn shape_of(&self, op: &Op<F>, shapes: &[Shape]) -> Result<Shape, ShapeError> {
        let (kind, inputs, path) = (&op.kind, &op.inputs, &op.path);
        let misfit = |expected: String, got: String| {
            ShapeError::new(kind.describe(inputs.len()), expected, got).within(path)
        };
        match kind {
            OpKind::Layer(layer) => {
                let shape = layer.output_shape(&shapes[inputs[0]]).map_err(|mut error| {
                    if let Some(before) = inputs[0].checked_sub(1) {
                        error.got = format!("{}, the output of {}", error.got, self.ops[before].path);
                    }
                    error.within(path)
                })?;
                let others: Vec<_> = op
                    .others
                    .iter()
                    .zip(&inputs[1..])
                    .map(|(name, &value)| (&**name, shapes[value]))
                    .collect();
                layer.check_inputs(&shapes[inputs[0]], &others).map_err(|error| error.within(path))?;
                Ok(shape)
            }
            OpKind::Sum(activation) => {
                activation.check().map_err(|(expected, got)| misfit(expected.to_owned(), got))?;
                let [main, shortcut] = [0, 1].map(|i| shapes[inputs[i]]);
                if main != shortcut {
                    let expected = format!("a shortcut that gives {main}, as main does");
                    return Err(misfit(expected, shortcut.to_string()));
                }
                Ok(main)
            }
            OpKind::Concat => {
                let shapes: Vec<Shape> = inputs.iter().map(|&value| shapes[value]).collect();
                side_by_side(&shapes).map_err(|(expected, got)| misfit(expected, got))
            }
            OpKind::Input(_) => unreachable!("inputs have the shapes that the caller says"),
        }
    }

    /// The shapes of all values for inputs of other shapes than those the net was flattened for: shorter sequences. `named` has those of the
    /// named inputs.
    ///
    /// # Errors
    /// If a layer cannot take them, or would have other parameters for them.
    pub(crate) fn shapes_for(
        &self,
        input: Shape,
        named: impl Fn(&str) -> Shape,
    ) -> Result<Vec<Shape>, ShapeError> {
        let mut shapes = vec![input];
        for op in &self.ops {
            shapes.push(match &op.kind {
                OpKind::Input(name) => named(name),
                OpKind::Layer(layer) => {
                    let shape = self.shape_of(op, &shapes)?;
                    self.check_same_parameters(op, layer.as_ref(), &shapes[op.inputs[0]])?;
                    shape
                }
                _ => self.shape_of(op, &shapes)?,
            });
        }
        Ok(shapes)
    }

    fn check_same_parameters(
        &self,
        op: &Op<F>,
        layer: &dyn DynLayer<F>,
        input: &Shape,
    ) -> Result<(), ShapeError> {
        let specs = |input: &[usize]| {
            let mut declare = Declare::default();
            layer.params(input, &mut declare);
            declare.specs.into_iter().map(|spec| (spec.name, spec.shape)).collect::<Vec<_>>()
        };
        let made_for = &self.shapes[op.inputs[0]];
        if specs(input) == specs(made_for) {
            return Ok(());
        }
        let expected = format!("{made_for}: its parameters depend on the length");
        Err(ShapeError::new(layer.describe(), expected, input.to_string()).within(&op.path))
    }

    /// The path of every layer, chain, branch and block, in the order of their outputs. An identity is not listed: its output
    /// is its input.
    pub(crate) fn paths(&self) -> Vec<&str> {
        let named = self.values.iter().filter(|(path, value)| !path.is_empty() && **value != 0);
        let mut paths: Vec<_> = named.map(|(path, value)| (*value, path.as_str())).collect();
        paths.sort_unstable();
        paths.into_iter().map(|(_, path)| path).collect()
    }

    /// The operations in the order of the backward pass: reversed, but branches keep their own order. The gradients of
    /// their common input are added in that order.
    pub(crate) fn backwards(&self) -> Vec<usize> {
        let mut order = Vec::new();
        self.add_backwards(0, self.ops.len(), &mut order);
        order
    }

    /// Those from `from` to before `to`.
    fn add_backwards(&self, from: usize, to: usize, order: &mut Vec<usize>) {
        let mut next = to;
        while next > from {
            let op = &self.ops[next - 1];
            order.push(next - 1);
            let (mut begin, end) = (op.first, next - 1);
            next = op.first.min(end);
            // A branch ends with the value that is read; an identity has no operation.
            for &value in op.inputs.iter().filter(|_| op.first < end) {
                if value > begin {
                    self.add_backwards(begin, value, order);
                    begin = value;
                }
            }
        }
    }

    /// What the layers declare, with the operation of each. Stores in every operation the places of its own.
    pub(crate) fn declare(&mut self) -> Result<Vec<(usize, Spec)>, ShapeError> {
        let (mut all, mut names) = (Vec::new(), HashSet::new());
        for (i, op) in self.ops.iter_mut().enumerate() {
            let OpKind::Layer(layer) = &op.kind else { continue };
            let mut declare = Declare::default();
            layer.params(&self.shapes[op.inputs[0]], &mut declare);
            if let Some((name, error)) = declare.refused {
                return Err(error.within(name).within(&op.path));
            }
            for spec in declare.specs {
                let name = join_path(&op.path, spec.name);
                if !names.insert(name.clone()) {
                    let expected = "parameters with names that differ (Net::inline leaves names out)";
                    return Err(ShapeError::new("net".to_owned(), expected, format!("{name:?} twice")));
                }
                op.places.push((spec.name, all.len()));
                all.push((i, spec));
            }
        }
        Ok(all)
    }
}

/// The layer for numbers of type `F`.
fn in_precision<F: Scalar>(layer: &Arc<dyn AnyLayer>) -> Arc<dyn DynLayer<F>> {
    let both: [Box<dyn Any>; 2] =
        [Box::new(Arc::clone(layer).in_f32()), Box::new(Arc::clone(layer).in_f64())];
    let mut fitting = both.into_iter().filter_map(|one| one.downcast::<Arc<dyn DynLayer<F>>>().ok());
    *fitting.next().expect("a Scalar is f32 or f64")
}

fn check_names(list: &[Child], path: &str) -> Result<(), ShapeError> {
    let mut taken = HashSet::new();
    for Child { name, .. } in list {
        if !is_name(name) || !taken.insert(name.as_str()) {
            let expected = "a name of 1 to 100 characters, without a dot, that no other layer here has";
            let error = ShapeError::new("layer".to_owned(), expected, format!("{name:?}"));
            return Err(error.within(&join_path(path, name)));
        }
    }
    Ok(())
}

/// The shape of outputs side by side along the last axis, or what was expected and what it got.
fn side_by_side(shapes: &[Shape]) -> Result<Shape, (String, String)> {
    let Some(first) = shapes.first() else {
        return Err(("at least 1 branch".to_owned(), "0".to_owned()));
    };
    let mut width = 0;
    for (i, shape) in shapes.iter().enumerate() {
        let (Some((last, map)), Some((_, expected))) = (shape.split_last(), first.split_last()) else {
            return Err(("branches with at least one axis".to_owned(), shape.to_string()));
        };
        if map != expected {
            let expected =
                format!("branches that agree in {expected:?}, as branch1 has it, before the last axis");
            return Err((expected, format!("{shape}, the output of branch{}", i + 1)));
        }
        width = last.saturating_add(width);
    }
    let mut shape = *first;
    shape.set_last(width);
    Ok(shape)
}
