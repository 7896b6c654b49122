//! Maps to rows of features.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::elementwise::copy;
use crate::layer::{Children, Context, Layer, Place};
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

/// All numbers of a sample in one row, in their order in memory: y = x, dL/dx = dL/dy.
///
/// # Shapes
/// x `[n, height, width, channels]` (or any other), y `[n, height · width · channels]`. The order is by
/// row, column, channel. PyTorch orders by channel first: `io::pytorch` permutes the weights of all layers behind it.
///
/// ```
/// use backstitch_core::{Model, Sequential, layers::flatten};
/// let model: Model = Model::new(Sequential::new().push(flatten()), &[7, 7, 128], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[6272]");
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Flatten;

/// All numbers of a sample in one row.
pub fn flatten() -> Flatten {
    Flatten
}

impl<F: Scalar> Layer<F> for Flatten {
    fn describe(&self) -> String {
        "Flatten".to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Ok(Shape::from([product(input)]))
    }

    fn build(&mut self, _input: &[usize], _place: &Place) {}

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, _ctx: &Context) {
        let features = x.shape().iter().skip(1).product();
        t.y.resize(&[x.batch(), features]);
        copy(x.data(), t.y.data_mut());
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, _ctx: &Context) {
        if let Some(dx) = dx {
            dx.resize(&x.shape());
            copy(t.dy.data(), dx.data_mut());
        }
    }

    fn commit(&mut self, _t: &Trace<F>) {}
    fn visit<'a>(&'a self, _f: &mut dyn FnMut(Slot<'a, F>)) {}
    fn visit_mut(&mut self, _f: &mut dyn FnMut(SlotMut<'_, F>)) {}

    fn cost(&self, _input: &[usize]) -> Cost {
        Cost::default()
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}
