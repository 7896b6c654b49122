//! The hard swish.

use crate::error::ShapeError;
use crate::kernels::activations::hard_sigmoid;
use crate::kernels::elementwise::{combine, map};
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Hard swish (A. Howard et al. 2019, "Searching for MobileNetV3", section 5.2), number by number: a [`Silu`](crate::layers::Silu) with straight
/// lines for its sigmoid. Input and output have one shape, any.
///
/// It is a layer of its own, because dy/dx needs x, as in [`Gelu`](crate::layers::Gelu).
///
/// # Forward
/// y = x min(max(x + 3, 0), 6) / 6, as in PyTorch's `nn.Hardswish`.
///
/// # Backward
/// dL/dx = 0 where x <= -3, dL/dy where x >= 3, and dL/dy · (x / 3 + ½) between.
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, hard_swish}};
/// let net = Net::new().push(conv2d(16, 3).same()).push(hard_swish());
/// let model: Model = Model::new(net, &[8, 8, 3], 0)?;
/// assert_eq!(model.paths(), ["conv1", "hardswish1"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HardSwish;

/// Hard swish.
pub fn hard_swish() -> HardSwish {
    HardSwish
}

/// dy · (x / 3 + ½) between the ends. At the ends and beyond, no product: 0 times an infinite gradient would be NaN.
#[inline(always)]
fn gradient<F: Scalar>(x: F, dy: F) -> F {
    let three = F::from_f64(3.0);
    let between = dy * (x / three + F::from_f64(0.5));
    let below = if x <= -three { F::zero() } else { between };
    if x >= three { dy } else { below }
}

impl<F: Scalar> Layer<F> for HardSwish {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        map(x.data(), y.data_mut(), |x| x * hard_sigmoid(x));
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
        combine(x.data(), dy.data(), dx.data_mut(), gradient);
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_flat_below_and_the_identity_above() {
        let of = |x: f32, dy| (x * hard_sigmoid(x), gradient(x, dy));
        assert_eq!(of(-3.0, f32::INFINITY), (0.0, 0.0));
        assert_eq!(of(4.0, 2.0), (4.0, 2.0));
        assert_eq!(of(1.5, 1.0), (1.125, 1.0));
        assert!(of(f32::NAN, 1.0).0.is_nan() && of(f32::NAN, 1.0).1.is_nan());
    }
}
