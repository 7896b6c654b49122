//! The residual block.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::elementwise::{combine, update_with};
use crate::layer::{Child, Children, Context, Layer, Place, commit_all, visit_all, visit_all_mut};
use crate::layers::activation::last_axis;
use crate::layers::{Activation, Sequential};
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Two ways from input to output, added up: y = activation(main(x) + shortcut(x)) (He et al. 2016, equations
/// 1 and 2).
///
/// The shortcut is the identity where it is an empty [`Sequential`], or a projection: a 1x1 convolution that
/// gives x the shape of main(x).
///
/// # Shapes
/// x whatever main takes; main(x), shortcut(x) and y have one shape.
///
/// # Backward
/// With dz = dL/d(main(x) + shortcut(x)): main and the shortcut both get dz, and dL/dx is the sum of what the
/// two make of it; through the identity, dz itself.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::{Padding, conv2d, residual}};
/// let main = Sequential::new()
///     .push(conv2d(16, 3, Activation::Relu).padding(Padding::Same))
///     .push(conv2d(16, 3, Activation::Linear).padding(Padding::Same));
/// let net = Sequential::new().push(residual(main, Sequential::new(), Activation::Relu));
/// let model: Model = Model::new(net, &[8, 8, 16], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[8, 8, 16]");
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Residual<F: Scalar = f32> {
    /// Main, and the shortcut unless it is the identity.
    children: Vec<Child<F>>,
    activation: Activation,
}

/// The sum of two ways, then an activation. An empty shortcut is the identity.
pub fn residual<F: Scalar>(
    main: Sequential<F>,
    shortcut: Sequential<F>,
    activation: Activation,
) -> Residual<F> {
    let mut children = vec![Child { name: "main".to_owned(), layer: Box::new(main) }];
    if !matches!(shortcut.children(), Children::Chain([])) {
        children.push(Child { name: "shortcut".to_owned(), layer: Box::new(shortcut) });
    }
    Residual { children, activation }
}

impl<F: Scalar> Residual<F> {
    pub(crate) fn children_mut(&mut self) -> &mut [Child<F>] {
        &mut self.children
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }
}

impl<F: Scalar> Layer<F> for Residual<F> {
    fn describe(&self) -> String {
        let shortcut = if self.children.len() == 1 { "identity" } else { "projection" };
        format!("Residual, {shortcut}, {}", self.activation)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        self.activation.check().map_err(|(expected, got)| ShapeError::new(self.describe(), expected, got))?;
        let main = self.children[0].layer.output_shape(input).map_err(|error| error.within("main"))?;
        let shortcut = match self.children.get(1) {
            Some(child) => child.layer.output_shape(input).map_err(|error| error.within("shortcut"))?,
            None => Shape::new(input)?,
        };
        if main == shortcut {
            Ok(main)
        } else {
            let expected = format!("a shortcut that gives {main}, as main does");
            Err(ShapeError::new(self.describe(), expected, shortcut.to_string()))
        }
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        for child in &mut self.children {
            child.layer.build(input, &place.child(&child.name));
        }
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context) {
        t.prepare_children(self.children.len());
        for (child, trace) in self.children.iter().zip(&mut t.children) {
            child.layer.forward(x, trace, ctx);
        }
        let Trace { y, children, .. } = t;
        y.resize(&children[0].y.shape());
        let other = children.get(1).map_or(x, |trace| &trace.y);
        combine(children[0].y.data(), other.data(), y.data_mut(), |a, b| a + b);
        let width = last_axis(y);
        self.activation.apply(y.data_mut(), width);
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let Trace { y, dy, children, spare: [dz, of_shortcut], .. } = t;
        dz.copy_from(dy);
        self.activation.differentiate(y.data(), dz.data_mut(), last_axis(y), ctx.relu);
        for trace in &mut *children {
            trace.dy.copy_from(dz);
        }
        let [main, shortcut @ ..] = &mut self.children[..] else { unreachable!("made with main") };
        let Some(dx) = dx else {
            main.layer.backward(x, &mut children[0], None, ctx);
            for child in shortcut {
                child.layer.backward(x, &mut children[1], None, ctx);
            }
            return;
        };
        main.layer.backward(x, &mut children[0], Some(dx), ctx);
        for child in &mut *shortcut {
            child.layer.backward(x, &mut children[1], Some(of_shortcut), ctx);
        }
        let through_shortcut = if shortcut.is_empty() { dz } else { of_shortcut };
        update_with(dx.data_mut(), through_shortcut.data(), |dx, d| *dx += d);
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
        let Ok(output) = self.output_shape(input).map(|shape| shape.elements()) else {
            return Cost::default();
        };
        // dz, and what the shortcut makes of it.
        let mut cost = Cost { kept: output, ..Cost::default() };
        for child in &self.children {
            cost += child.layer.cost(input);
            cost.keep(output.saturating_mul(2));
        }
        if self.children.len() == 2 {
            cost.keep(product(input));
        }
        cost
    }

    fn children(&self) -> Children<'_, F> {
        Children::Branches(&self.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Padding, conv2d};

    #[test]
    fn ways_that_differ_in_shape_are_refused() {
        let main = Sequential::new().push(conv2d(8, 3, Activation::Relu).padding(Padding::Same).stride(2));
        let block: Residual = residual(main, Sequential::new(), Activation::Relu);
        let error = block.output_shape(&[8, 8, 4]).unwrap_err().within("block1");
        assert_eq!(
            error.to_string(),
            "block1 (Residual, identity, relu): expected a shortcut that gives [4, 4, 8], as main does, got [8, 8, 4]"
        );
    }
}
