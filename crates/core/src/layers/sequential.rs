//! Layers one after another.

use std::collections::HashSet;

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::layer::{
    Child, Children, Context, Layer, Place, commit_all, has_trainable, visit_all, visit_all_mut,
};
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{MAX_AXES, Shape};
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};

/// Layers one after another: y = f_k(... f_2(f_1(x))). An empty one is the identity.
///
/// Backward is the chain rule: the layers in the opposite order, each turning the gradient with
/// respect to its output into the gradient with respect to its input, which is the output of the
/// layer before. It stops at the first layer that has something to learn, unless the caller wants
/// the gradient with respect to the input.
#[derive(Debug, Default)]
pub struct Sequential<F: Scalar = f32> {
    children: Vec<Child<F>>,
}

impl<F: Scalar> Sequential<F> {
    /// No layers yet.
    pub fn new() -> Self {
        Self { children: Vec::new() }
    }

    /// Adds a layer, named after its kind and its number among those: `dense1`, `conv2`.
    #[must_use]
    pub fn push(self, layer: impl Layer<F> + 'static) -> Self {
        let kind = layer.describe().split([' ', ',']).next().unwrap_or_default().to_lowercase();
        let kind = kind.trim_end_matches("2d");
        let taken: HashSet<&str> = self.children.iter().map(|child| child.name.as_str()).collect();
        // One of the first n + 1 numbers is free where there are n layers.
        let mut names = (1..=taken.len() + 1).map(|i| format!("{kind}{i}"));
        let name = names.find(|name| !taken.contains(name.as_str())).unwrap_or_default();
        self.named(&name, layer)
    }

    /// Adds a layer under a name of your own.
    #[must_use]
    pub fn named(mut self, name: &str, layer: impl Layer<F> + 'static) -> Self {
        self.children.push(Child { name: name.to_owned(), layer: Box::new(layer) });
        self
    }

    pub(crate) fn children_mut(&mut self) -> &mut Vec<Child<F>> {
        &mut self.children
    }

    /// The path of every layer inside, containers before what they contain.
    pub fn paths(&self) -> Vec<String> {
        fn walk<F: Scalar>(layer: &dyn Layer<F>, prefix: &str, paths: &mut Vec<String>) {
            for child in layer.children().list() {
                let path = crate::error::join_path(prefix, &child.name);
                paths.push(path.clone());
                walk(child.layer.as_ref(), &path, paths);
            }
        }
        let mut paths = Vec::new();
        walk(self, "", &mut paths);
        paths
    }

    /// The backward pass of the layers up to `last`, from the `dy` of that one, where the trace keeps everything.
    pub(crate) fn backward_from(
        &mut self,
        last: usize,
        x: &Tensor<F>,
        t: &mut Trace<F>,
        dx: &mut Tensor<F>,
        ctx: &Context,
    ) {
        for i in (0..=last).rev() {
            let (before, rest) = t.children.split_at_mut(i);
            let layer = &mut self.children[i].layer;
            match before.last_mut() {
                None => layer.backward(x, &mut rest[0], Some(&mut *dx), ctx),
                Some(Trace { y, dy, .. }) => layer.backward(y, &mut rest[0], Some(dy), ctx),
            }
        }
    }

    /// The first layer whose input gradient nobody needs when the whole's is not wanted.
    fn first_to_learn(&self) -> usize {
        let position = self.children.iter().position(|child| has_trainable(child.layer.as_ref()));
        position.unwrap_or(self.children.len())
    }
}

impl<F: Scalar> Layer<F> for Sequential<F> {
    fn describe(&self) -> String {
        format!("Sequential of {}", self.children.len())
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let (mut shape, mut names) = (Shape::new(input)?, HashSet::new());
        for (i, child) in self.children.iter().enumerate() {
            if !is_name(&child.name) || !names.insert(child.name.as_str()) {
                let expected = "a name of 1 to 100 letters without a dot that no other layer here has";
                return Err(ShapeError::new(child.layer.describe(), expected, format!("{:?}", child.name))
                    .within(&child.name));
            }
            shape = child.layer.output_shape(&shape).map_err(|mut error| {
                if error.path.is_empty() && i > 0 {
                    error.got = format!("{}, the output of {}", error.got, self.children[i - 1].name);
                }
                error.within(&child.name)
            })?;
            if shape.contains(&0) || shape.len() >= MAX_AXES {
                let expected = format!("an output of at most {} axes, none of length 0", MAX_AXES - 1);
                let error =
                    ShapeError::new(child.layer.describe(), expected, format!("an output of {shape}"));
                return Err(error.within(&child.name));
            }
        }
        Ok(shape)
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        let mut shape = Shape::of(input);
        for child in &mut self.children {
            child.layer.build(&shape, &place.child(&child.name));
            shape = child.layer.output_shape(&shape).expect("checked before building");
        }
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context) {
        let Some(last) = self.children.len().checked_sub(1) else {
            t.y.copy_from(x);
            return;
        };
        t.prepare_children(self.children.len());
        let keep = t.keep();
        let Trace { y, children, spare, .. } = t;
        for (i, child) in self.children.iter().enumerate() {
            let (before, rest) = children.split_at_mut(i);
            let input = before.last().map_or(x, |trace| &trace.y);
            let trace = &mut rest[0];
            // The last layer writes into the container's own buffer; where only the output is
            // kept, the others write into two spare ones in turn.
            let buffer = if i == last { &mut *y } else { &mut spare[i % 2] };
            let borrowed = keep != Keep::All && (i == last || keep == Keep::Last);
            if borrowed {
                std::mem::swap(&mut trace.y, buffer);
            }
            child.layer.forward(input, trace, ctx);
            if keep == Keep::Last && i > 0 {
                std::mem::swap(&mut before[i - 1].y, &mut spare[(i - 1) % 2]);
            }
        }
        hand_over(keep, &mut children[last].y, y);
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let Some(last) = self.children.len().checked_sub(1) else {
            if let Some(dx) = dx {
                dx.copy_from(&t.dy);
            }
            return;
        };
        let first = if dx.is_some() { 0 } else { self.first_to_learn() };
        let keep = t.keep();
        let Trace { y, dy, children, spare, .. } = t;
        hand_over(keep, dy, &mut children[last].dy);
        if keep != Keep::All {
            std::mem::swap(y, &mut children[last].y);
        }
        let mut dx = dx;
        for i in (first..=last).rev() {
            let (before, rest) = children.split_at_mut(i);
            let trace = &mut rest[0];
            let layer = &mut self.children[i].layer;
            match before.last_mut() {
                None => layer.backward(x, trace, dx.take(), ctx),
                Some(Trace { y, .. }) if i == first => layer.backward(y, trace, None, ctx),
                Some(Trace { y, dy, .. }) => {
                    if keep != Keep::All {
                        std::mem::swap(dy, &mut spare[i % 2]);
                    }
                    layer.backward(y, trace, Some(dy), ctx);
                }
            }
            if keep != Keep::All && i < last {
                std::mem::swap(&mut trace.dy, &mut spare[(i + 1) % 2]);
            }
        }
        if keep != Keep::All {
            std::mem::swap(y, &mut children[last].y);
            std::mem::swap(dy, &mut children[last].dy);
        }
    }

    fn commit(&mut self, t: &Trace<F>) {
        commit_all(&mut self.children, t);
    }

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        visit_all(&self.children, f);
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        visit_all_mut(&mut self.children, f);
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let mut cost = Cost::default();
        let Ok(mut shape) = Shape::new(input) else { return cost };
        let first = self.first_to_learn();
        let mut spare = [0; 2];
        for (i, child) in self.children.iter().enumerate() {
            cost += child.layer.cost(&shape);
            match child.layer.output_shape(&shape) {
                Ok(output) => shape = output,
                Err(_) => return Cost::default(),
            }
            // The last output is the container's own; the gradients of the others take turns.
            if i + 1 < self.children.len() {
                cost.keep(shape.elements());
                if i >= first {
                    spare[(i + 1) % 2] = shape.elements().max(spare[(i + 1) % 2]);
                }
            }
        }
        spare.into_iter().for_each(|numbers| cost.keep(numbers));
        cost
    }

    fn children(&self) -> Children<'_, F> {
        Children::Chain(&self.children)
    }
}

/// Whether a layer can be called this: paths are names with dots between, and stand on one line of a message.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && !name.contains(|c: char| c == '.' || c.is_control())
}

/// Moves a tensor between a container and its last layer: without copying, except where
/// everything is kept and both are to have it.
fn hand_over<F: Scalar>(keep: Keep, from: &mut Tensor<F>, to: &mut Tensor<F>) {
    if keep == Keep::All {
        to.copy_from(from);
    } else {
        std::mem::swap(from, to);
    }
}
