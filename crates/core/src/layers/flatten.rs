//! Flattens feature maps to rows of features.

use crate::error::ShapeError;
use crate::kernels::elementwise::copy;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// All numbers of a sample in one row, in their order in memory: y = x, dL/dx = dL/dy.
///
/// # Shapes
/// x `[n, height, width, channels]` (or any other), y `[n, height · width · channels]`. The order is by
/// row, column, channel. PyTorch orders by channel first: the module `pytorch` permutes the weights of all layers after it.
///
/// ```
/// use backstitch::{Model, Net, layers::flatten};
/// let model: Model = Model::new(Net::new().push(flatten()), &[7, 7, 128], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[6272]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Flatten;

/// All numbers of a sample in one row.
pub fn flatten() -> Flatten {
    Flatten
}

impl<F: Scalar> Layer<F> for Flatten {
    type Cache = ();

    fn describe(&self) -> String {
        "Flatten".to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Ok(Shape::from([product(input)]))
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        copy(x.data(), y.data_mut());
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        if let Some(dx) = pass.dx {
            copy(pass.dy.data(), dx.data_mut());
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}
