//! Adaptive average pooling.

use crate::error::ShapeError;
use crate::kernels::pool::adaptive::Bins;
use crate::kernels::windows::Pair;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The means of bins that a map is cut into, channel by channel: an output of one size for maps of any size. As PyTorch's
/// `AdaptiveAvgPool2d`.
///
/// # Shapes
/// x `[n, height, width, channels]`, y `[n, out height, out width, channels]`.
///
/// # Forward
/// y\[n, i, j, c\] = the mean of x\[n, ·, ·, c\] over the rows from floor(i height / out height) to
/// ceil((i + 1) height / out height), without the last, and the columns likewise. Neighbouring bins overlap where height is no multiple of out
/// height.
///
/// # Backward
/// Every number of a bin gets dL/dy / (numbers in the bin), added up where bins overlap.
///
/// ```
/// use backstitch::{Model, Net, layers::adaptive_avg_pool};
/// let model: Model = Model::new(Net::new().push(adaptive_avg_pool([7, 7])), &[10, 13, 512], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[7, 7, 512]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AdaptiveAvgPool {
    output: Pair,
}

/// Average pooling to a map of this size: `7`, or `[2, 3]` for height and width.
pub fn adaptive_avg_pool(output: impl Into<Pair>) -> AdaptiveAvgPool {
    AdaptiveAvgPool { output: output.into() }
}

/// The largest output along one axis.
const MOST_ALONG: usize = 1 << 24;

impl AdaptiveAvgPool {
    /// The bins of the maps of a batch.
    fn bins(&self, batch: &[usize]) -> Bins {
        let &[_, height, width, channels] = batch else { unreachable!("checked when the model was built") };
        Bins { height, width, channels, bins: [self.output.height, self.output.width] }
    }
}

impl<F: Scalar> Layer<F> for AdaptiveAvgPool {
    type Cache = ();

    fn describe(&self) -> String {
        format!("AdaptiveAvgPool {}", self.output)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        let Pair { height, width } = self.output;
        if height.min(width) == 0 {
            return Err(error("an output of at least 1x1", self.output.to_string()));
        }
        if height.max(width) > MOST_ALONG {
            let most = Pair::from(MOST_ALONG);
            return Err(error(&format!("an output of at most {most}"), self.output.to_string()));
        }
        let &[from_height, from_width, channels] = input else {
            return Err(error("[height, width, channels]", format!("{input:?}")));
        };
        if from_height.max(from_width) > MOST_ALONG {
            return Err(error(&format!("a map of at most {}", Pair::from(MOST_ALONG)), format!("{input:?}")));
        }
        Shape::new(&[height, width, channels])
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        self.bins(&x.shape()).forward(x.data(), y.data_mut());
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        if let Some(dx) = pass.dx {
            self.bins(&dx.shape()).backward(pass.dy.data(), dx.data_mut());
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: AdaptiveAvgPool, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("pool").to_string()
        };
        assert_eq!(
            message(adaptive_avg_pool([0, 2]), &[4, 4, 3]),
            "pool (AdaptiveAvgPool 0x2): expected an output of at least 1x1, got 0x2"
        );
        assert_eq!(
            message(adaptive_avg_pool(7), &[784]),
            "pool (AdaptiveAvgPool 7x7): expected [height, width, channels], got [784]"
        );
    }
}
