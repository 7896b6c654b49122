//! The sigmoid linear unit.

use crate::error::ShapeError;
use crate::kernels::activations::sigmoid;
use crate::kernels::elementwise::{combine, map};
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Sigmoid linear unit, also called swish (S. Elfwing, E. Uchibe and K. Doya 2018, equation 5; P. Ramachandran, B. Zoph and Q. Le 2017), number
/// by number. Input and output have one shape, any.
///
/// It is a layer of its own, because dy/dx needs x, as in [`Gelu`](crate::layers::Gelu).
///
/// # Forward
/// y = x s, with s = 1 / (1 + e^-x), as in PyTorch's `nn.SiLU`.
///
/// # Backward
/// dL/dx = dL/dy · s (1 + x (1 - s)), because ds/dx = s (1 - s).
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, silu}};
/// let net = Net::new().push(conv2d(16, 3).same()).push(silu());
/// let model: Model = Model::new(net, &[8, 8, 3], 0)?;
/// assert_eq!(model.paths(), ["conv1", "silu1"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Silu;

/// Sigmoid linear unit.
pub fn silu() -> Silu {
    Silu
}

#[inline(always)]
fn derivative<F: Scalar>(x: F) -> F {
    let s = sigmoid(x);
    s * (F::one() + x * (F::one() - s))
}

impl<F: Scalar> Layer<F> for Silu {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        map(x.data(), y.data_mut(), |x| x * sigmoid(x));
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
        combine(x.data(), dy.data(), dx.data_mut(), |x, dy| dy * derivative(x));
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_overflow_nothing() {
        let of = |x: f32| (x * sigmoid(x), derivative(x));
        assert_eq!((of(-1000.0), of(1000.0)), ((0.0, 0.0), (1000.0, 1.0)));
        assert!(of(f32::NAN).0.is_nan() && of(f32::NAN).1.is_nan());
    }
}
