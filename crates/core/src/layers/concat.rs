//! Branches side by side.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::elementwise::update_with;
use crate::layer::{Child, Children, Context, Layer, Place, commit_all, visit_all, visit_all_mut};
use crate::layers::Sequential;
use crate::layers::activation::last_axis;
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Several branches over one input, their outputs side by side along the last axis: Inception's block
/// (Szegedy et al. 2015, section 4).
///
/// # Shapes
/// x whatever every branch takes; the outputs agree in all axes but the last, of lengths c_1, c_2, ...;
/// y has c_1 + c_2 + ... there.
///
/// # Forward
/// y\[..., c\] = the output of the branch that c falls into.
///
/// # Backward
/// Each branch gets its part of dL/dy; dL/dx is the sum of what all of them make of it.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::{Padding, concat, conv2d}};
/// let branch = |filters, kernel| {
///     Sequential::new().push(conv2d(filters, kernel, Activation::Relu).padding(Padding::Same))
/// };
/// let net = Sequential::new().push(concat([branch(16, 1), branch(24, 3), branch(8, 5)]));
/// let model: Model = Model::new(net, &[14, 14, 32], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[14, 14, 48]");
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Concat<F: Scalar = f32> {
    branches: Vec<Child<F>>,
}

/// The outputs of several branches side by side. Their names are `branch1`, `branch2`, ...
pub fn concat<F: Scalar>(branches: impl IntoIterator<Item = Sequential<F>>) -> Concat<F> {
    let child = |(i, branch)| Child { name: format!("branch{}", i + 1), layer: Box::new(branch) as Box<_> };
    Concat { branches: branches.into_iter().enumerate().map(child).collect() }
}

impl<F: Scalar> Concat<F> {
    pub(crate) fn children_mut(&mut self) -> &mut [Child<F>] {
        &mut self.branches
    }
}

impl<F: Scalar> Layer<F> for Concat<F> {
    fn describe(&self) -> String {
        format!("Concat of {}", self.branches.len())
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let misfit = |expected: String, got: String| ShapeError::new(self.describe(), expected, got);
        let mut total: Option<Shape> = None;
        for child in &self.branches {
            let output = child.layer.output_shape(input).map_err(|error| error.within(&child.name))?;
            let Some(so_far) = total else {
                total = Some(output);
                continue;
            };
            let (Some((width, map)), Some((more, other))) = (so_far.split_last(), output.split_last()) else {
                return Err(misfit("branches with at least one axis".to_owned(), output.to_string()));
            };
            if map != other {
                let first = &self.branches[0].name;
                let expected =
                    format!("branches that agree in {map:?}, as {first} has it, before the last axis");
                return Err(misfit(expected, format!("{output}, the output of {}", child.name)));
            }
            let mut axes = map.to_vec();
            axes.push(width.saturating_add(*more));
            total = Some(Shape::of(&axes));
        }
        total.ok_or_else(|| misfit("at least 1 branch".to_owned(), "0".to_owned()))
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        for child in &mut self.branches {
            child.layer.build(input, &place.child(&child.name));
        }
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context) {
        t.prepare_children(self.branches.len());
        for (child, trace) in self.branches.iter().zip(&mut t.children) {
            child.layer.forward(x, trace, ctx);
        }
        let Trace { y, children, .. } = t;
        let mut shape = children[0].y.shape();
        let width = children.iter().map(|trace| last_axis(&trace.y)).sum();
        shape.set_last(width);
        y.resize(&shape);
        let mut from = 0;
        for trace in children {
            let part = last_axis(&trace.y);
            for (to, row) in y.data_mut().chunks_exact_mut(width).zip(trace.y.data().chunks_exact(part)) {
                to[from..from + part].copy_from_slice(row);
            }
            from += part;
        }
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let Trace { dy, children, spare, .. } = t;
        let width = last_axis(dy);
        let mut from = 0;
        let mut dx = dx;
        for (i, (child, trace)) in self.branches.iter_mut().zip(children).enumerate() {
            let part = last_axis(&trace.y);
            trace.dy.resize(&trace.y.shape());
            for (to, row) in trace.dy.data_mut().chunks_exact_mut(part).zip(dy.data().chunks_exact(width)) {
                to.copy_from_slice(&row[from..from + part]);
            }
            from += part;
            match &mut dx {
                None => child.layer.backward(x, trace, None, ctx),
                Some(dx) if i == 0 => child.layer.backward(x, trace, Some(dx), ctx),
                Some(dx) => {
                    child.layer.backward(x, trace, Some(&mut spare[0]), ctx);
                    update_with(dx.data_mut(), spare[0].data(), |dx, d| *dx += d);
                }
            }
        }
    }

    fn commit(&mut self, t: &Trace<F>) {
        commit_all(&mut self.branches, t);
    }

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        visit_all(&self.branches, f);
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        visit_all_mut(&mut self.branches, f);
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let mut cost = Cost::default();
        for child in &self.branches {
            let Ok(output) = child.layer.output_shape(input) else { return Cost::default() };
            cost += child.layer.cost(input);
            cost.keep(output.elements().saturating_mul(2));
        }
        if self.branches.len() > 1 {
            cost.keep(product(input));
        }
        cost
    }

    fn children(&self) -> Children<'_, F> {
        Children::Branches(&self.branches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, conv2d};

    #[test]
    fn maps_that_differ_are_refused() {
        let branch = |kernel: usize| Sequential::new().push(conv2d(8, kernel, Activation::Relu));
        let block: Concat = concat([branch(1), branch(3)]);
        assert_eq!(
            block.output_shape(&[8, 8, 4]).unwrap_err().within("mixed").to_string(),
            "mixed (Concat of 2): expected branches that agree in [8, 8], as branch1 has it, before the last axis, \
             got [6, 6, 8], the output of branch2"
        );
        let none: Concat = concat([]);
        assert_eq!(
            none.output_shape(&[8, 8, 4]).unwrap_err().within("mixed").to_string(),
            "mixed (Concat of 0): expected at least 1 branch, got 0"
        );
    }
}
