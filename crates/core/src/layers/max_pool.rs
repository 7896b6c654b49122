//! Max pooling.

use crate::error::ShapeError;
use crate::kernels::pool::max;
use crate::kernels::windows::{Padding, Pair, Rounding};
use crate::layer::cost::Cost;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::layers::pooling::PoolWindows;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The largest number of every window, channel by channel.
///
/// # Shapes
/// x `[n, height, width, channels]`, y `[n, out height, out width, channels]`, with
/// out = floor((in + padding before and after - dilation (window - 1) - 1) / stride) + 1, or rounded up
/// ([`ceil`](Self::ceil)). The padding never wins.
///
/// # Forward
/// y\[n, i, j, c\] = max over the window of x\[n, ·, ·, c\]. A NaN wins over all numbers.
///
/// # Backward
/// dL/dy goes to the number that was the largest (the first of equals), and is 0 for the others; a number
/// that is the largest of several overlapping windows gets the sum.
///
/// ```
/// use backstitch::{Model, Net, layers::max_pool};
/// let net = Net::new().push(max_pool(3).stride(2).padding(1));
/// let model: Model = Model::new(net, &[32, 32, 64], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[16, 16, 64]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MaxPool {
    windows: PoolWindows,
}

/// Max pooling with windows of this size: `2`, or `[2, 3]` for height and width.
pub fn max_pool(window: impl Into<Pair>) -> MaxPool {
    MaxPool { windows: PoolWindows::new("MaxPool", window.into()) }
}

impl MaxPool {
    /// Sets the stride; the default is the size of the window.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.windows.layout.stride = stride.into();
        self
    }

    /// Sets the dilation, the distance between the numbers of a window: 2 takes every second one. The default is 1.
    ///
    /// ```
    /// use backstitch::{Model, Net, layers::max_pool};
    /// let net = Net::new().push(max_pool(3).stride(1).dilation(2));
    /// let model: Model = Model::new(net, &[32, 32, 64], 0)?;
    /// assert_eq!(model.output_shape().to_string(), "[28, 28, 64]");
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.windows.layout.dilation = dilation.into();
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
}

impl<F: Scalar> Layer<F> for MaxPool {
    /// Which number of each window was the largest.
    type Cache = Vec<u32>;

    fn describe(&self) -> String {
        self.windows.to_string()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let windows = self.windows.over(input)?;
        Ok(Shape::from([windows.out_height, windows.out_width, windows.channels]))
    }

    fn forward(
        &self,
        _: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        winners: &mut Vec<u32>,
        _ctx: &Context,
    ) {
        winners.reserve_exact(y.data().len().saturating_sub(winners.len()));
        winners.resize(y.data().len(), 0);
        max::forward(x.data(), &self.windows.over_batch(&x.shape()), y.data_mut(), winners);
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, winners: &mut Vec<u32>, _ctx: &Context) {
        if let Some(dx) = pass.dx {
            max::backward(pass.dy.data(), &self.windows.over_batch(&dx.shape()), winners, dx.data_mut());
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let positions = self.windows.over(input).map_or(0, |windows| windows.positions() * windows.channels);
        Cost { sample_bytes: positions.saturating_mul(size_of::<u32>()), ..Cost::default() }
    }
}
