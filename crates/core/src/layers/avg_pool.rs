//! Average pooling.

use crate::error::ShapeError;
use crate::kernels::pool::mean;
use crate::kernels::windows::{Padding, Pair, Rounding};
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::layers::pooling::PoolWindows;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The mean of every window, channel by channel.
///
/// # Shapes
/// As [`MaxPool`](super::MaxPool).
///
/// # Forward
/// y\[n, i, j, c\] = Σ over the window of x\[n, ·, ·, c\] / count. Zeros of an explicit padding count, as
/// is PyTorch's default; those of [`Padding::Same`] do not, as in Keras.
///
/// # Backward
/// dL/dy / count for every number of the window, added up where windows overlap.
///
/// ```
/// use backstitch::{Model, Net, layers::avg_pool};
/// let model: Model = Model::new(Net::new().push(avg_pool(2)), &[28, 28, 6], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[14, 14, 6]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AvgPool {
    windows: PoolWindows,
}

/// Average pooling with windows of this size: `2`, or `[2, 3]` for height and width.
pub fn avg_pool(window: impl Into<Pair>) -> AvgPool {
    AvgPool { windows: PoolWindows::new("AvgPool", window.into()) }
}

impl AvgPool {
    /// Sets the stride; the default is the size of the window.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.windows.layout.stride = stride.into();
        self
    }

    /// Sets the padding, at most half the window.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.windows.layout.padding = padding.into();
        self
    }

    /// Rounds the number of windows up: a last one may reach beyond the map and its padding by less than the stride, and is there
    /// also where it is the only one; but every window begins in the map or before it. As in PyTorch.
    #[must_use]
    pub fn ceil(mut self) -> Self {
        self.windows.layout.rounding = Rounding::Ceil;
        self
    }

    fn padding_counts(&self) -> bool {
        self.windows.layout.padding != Padding::Same
    }
}

impl<F: Scalar> Layer<F> for AvgPool {
    type Cache = ();

    fn describe(&self) -> String {
        self.windows.to_string()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let windows = self.windows.over(input)?;
        Ok(Shape::from([windows.out_height, windows.out_width, windows.channels]))
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        mean::forward(x.data(), &self.windows.over_batch(&x.shape()), self.padding_counts(), y.data_mut());
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        if let Some(dx) = pass.dx {
            let windows = self.windows.over_batch(&dx.shape());
            mean::backward(pass.dy.data(), &windows, self.padding_counts(), dx.data_mut());
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}
