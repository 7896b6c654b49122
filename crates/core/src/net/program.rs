//! A net flattened, once, into a list of operations on numbered values. Every pass is a loop over the list.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::error::{ShapeError, is_name, join_path};
use crate::layer::weights::{Declare, Spec, name_hash};
use crate::layer::{AnyLayer, DynLayer};
use crate::layers::Activation;
use crate::net::{Child, Net, Node};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{MAX_AXES, Shape};

/// One operation. Value 0 is the input; operation i makes value i + 1.
#[derive(Debug)]
pub(crate) struct Op<F: Scalar> {
    pub(crate) path: String,
    /// Tells operations apart, for those that draw random numbers.
    pub(crate) key: u64,
    pub(crate) kind: OpKind<F>,
    /// The values it reads.
    pub(crate) inputs: Vec<usize>,
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
}

impl<F: Scalar> Program<F> {
    /// Flattens a net for samples of this shape.
    pub(crate) fn new(net: &Net, input: &[usize]) -> Result<Self, ShapeError> {
        let shapes = vec![Shape::new(input)?];
        let mut program =
            Self { ops: Vec::new(), shapes, values: BTreeMap::new(), output: 0, ties: Vec::new() };
        program.output = program.add(net, "", 0)?;
        Ok(program)
    }

    /// The one recursion over a net: appends its operations on value `x`, and returns the value of its output.
    fn add(&mut self, net: &Net, path: &str, x: usize) -> Result<usize, ShapeError> {
        let full = |name: &String| join_path(path, name);
        self.ties.extend(net.ties.iter().map(|(name, with)| (full(name), full(with))));
        let value = match &net.node {
            Node::Layer(layer) => {
                self.append(OpKind::Layer(in_precision(layer)), vec![x], self.ops.len(), path)?
            }
            Node::Chain(list) => {
                check_names(list, path)?;
                let mut value = x;
                for Child { name, net } in list {
                    value = self.add(net, &join_path(path, name), value)?;
                }
                value
            }
            Node::Sum(list, activation) => self.branches(list, OpKind::Sum(*activation), path, x)?,
            Node::Concat(list) => self.branches(list, OpKind::Concat, path, x)?,
        };
        self.values.insert(path.to_owned(), value);
        Ok(value)
    }

    fn branches(
        &mut self,
        list: &[Child],
        kind: OpKind<F>,
        path: &str,
        x: usize,
    ) -> Result<usize, ShapeError> {
        let first = self.ops.len();
        let ends = list.iter().map(|Child { name, net }| self.add(net, &join_path(path, name), x));
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        self.append(kind, ends, first, path)
    }

    fn append(
        &mut self,
        kind: OpKind<F>,
        inputs: Vec<usize>,
        first: usize,
        path: &str,
    ) -> Result<usize, ShapeError> {
        let misfit = |expected: String, got: String| {
            ShapeError::new(kind.describe(inputs.len()), expected, got).within(path)
        };
        let shape = match &kind {
            OpKind::Layer(layer) => layer.output_shape(&self.shapes[inputs[0]]).map_err(|mut error| {
                if let Some(before) = inputs[0].checked_sub(1) {
                    error.got = format!("{}, the output of {}", error.got, self.ops[before].path);
                }
                error.within(path)
            })?,
            OpKind::Sum(activation) => {
                activation.check().map_err(|(expected, got)| misfit(expected.to_owned(), got))?;
                let [main, shortcut] = [0, 1].map(|i| self.shapes[inputs[i]]);
                if main != shortcut {
                    let expected = format!("a shortcut that gives {main}, as main does");
                    return Err(misfit(expected, shortcut.to_string()));
                }
                main
            }
            OpKind::Concat => {
                let shapes: Vec<Shape> = inputs.iter().map(|&value| self.shapes[value]).collect();
                side_by_side(&shapes).map_err(|(expected, got)| misfit(expected, got))?
            }
        };
        if shape.contains(&0) || shape.len() >= MAX_AXES {
            let expected = format!("an output of at most {} axes, none of length 0", MAX_AXES - 1);
            return Err(misfit(expected, format!("an output of {shape}")));
        }
        self.ops.push(Op {
            path: path.to_owned(),
            key: name_hash(path),
            kind,
            inputs,
            first,
            places: Vec::new(),
        });
        self.shapes.push(shape);
        Ok(self.ops.len())
    }

    /// The shape of a value for a batch of this size.
    pub(crate) fn batched(&self, value: usize, samples: usize) -> Shape {
        self.shapes[value].batched(samples).expect("values have an axis less than a shape can have")
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
        let mut all = Vec::new();
        for (i, op) in self.ops.iter_mut().enumerate() {
            let OpKind::Layer(layer) = &op.kind else { continue };
            let mut declare = Declare::default();
            layer.params(&self.shapes[op.inputs[0]], &mut declare);
            if let Some((name, error)) = declare.refused {
                return Err(error.within(name).within(&op.path));
            }
            for spec in declare.specs {
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
