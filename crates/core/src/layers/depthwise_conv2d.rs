//! Depthwise convolution.

use crate::error::ShapeError;
use crate::kernels::windows::{Padding, Pair};
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Layer, Reads};
use crate::layers::conv2d::PlanCache;
use crate::layers::{Activation, Conv2d, conv2d};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Every channel is convolved alone, with filters of its own; then an activation (A. Howard et al., "MobileNets: efficient convolutional
/// neural networks for mobile vision applications", 2017, section 3.1). With `conv2d(filters, 1)` after it, it takes the place of a
/// convolution, with a fraction of its multiplications.
///
/// # Shapes
/// x `[n, height, width, channels]`, kernel K `[kernel height, kernel width, 1, filters]`, bias b `[filters]`,
/// y `[n, out height, out width, filters]`, with filters = channels · multiplier, and out as for [`Conv2d`](super::Conv2d).
///
/// # Forward
/// Filter f reads channel c = floor(f / multiplier). With i and j as for [`Conv2d`](super::Conv2d):
///
/// z\[n, y, x, f\] = b\[f\] + Σ_u Σ_v x\[n, i, j, c\] K\[u, v, 0, f\], y = activation(z).
///
/// # Backward
/// With dz = dL/dz:
/// * dL/dK\[u, v, 0, f\] = Σ_n Σ_y Σ_x x\[n, i, j, c\] dz\[n, y, x, f\];
/// * dL/db\[f\] = Σ_n Σ_y Σ_x dz\[n, y, x, f\];
/// * dL/dx\[n, i, j, c\] = the sum over all (y, x, u, v) that lead to (i, j), and over the filters f of c, of K\[u, v, 0, f\] dz\[n, y, x, f\].
///
/// It is `conv2d(filters, kernel).groups(channels)`.
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, depthwise_conv2d}};
/// let net = Net::new().push(depthwise_conv2d(3).same().relu()).push(conv2d(64, 1));
/// let model: Model = Model::new(net, &[28, 28, 32], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[28, 28, 64]");
/// assert_eq!(model.parameter_count(), (3 * 3 * 32 + 32) + (32 * 64 + 64));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DepthwiseConv2d {
    /// Its filters and groups are known with the channels.
    settings: Conv2d,
    multiplier: usize,
}

/// A depthwise convolution with kernels of this size: `3`, or `[3, 5]` for height and width. By default a channel has one filter, the stride
/// is 1, and there is no padding and no dilation.
pub fn depthwise_conv2d(kernel: impl Into<Pair>) -> DepthwiseConv2d {
    DepthwiseConv2d { settings: conv2d(0, kernel), multiplier: 1 }
}

impl DepthwiseConv2d {
    /// Sets the number of filters of each channel; the default is 1.
    #[must_use]
    pub fn multiplier(mut self, filters_of_a_channel: usize) -> Self {
        self.multiplier = filters_of_a_channel;
        self
    }

    /// Applies an activation to the sums.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.with(|conv| conv.activation(activation))
    }

    /// Applies a ReLU to the sums.
    #[must_use]
    pub fn relu(self) -> Self {
        self.with(Conv2d::relu)
    }

    /// Sets the padding that keeps the size of the map with stride 1: [`Padding::Same`].
    #[must_use]
    pub fn same(self) -> Self {
        self.with(Conv2d::same)
    }

    /// Sets the stride: the distance between neighbouring windows. The default is 1.
    #[must_use]
    pub fn stride(self, stride: impl Into<Pair>) -> Self {
        self.with(|conv| conv.stride(stride))
    }

    /// Sets the padding, the zeros around the map: [`Padding::Same`], or a number for every side. The default is none.
    #[must_use]
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        self.with(|conv| conv.padding(padding))
    }

    /// Sets the dilation: the distance between neighbouring numbers of a window. The default is 1.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<Pair>) -> Self {
        self.with(|conv| conv.dilation(dilation))
    }

    /// Sets the initializer of the weights; the default is Glorot's uniform. Biases start at zero.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        self.with(|conv| conv.init(init))
    }

    /// Leaves the bias out, for example before a batch normalization, which would cancel it.
    #[must_use]
    pub fn without_bias(self) -> Self {
        self.with(Conv2d::without_bias)
    }

    fn with(mut self, change: impl FnOnce(Conv2d) -> Conv2d) -> Self {
        self.settings = change(self.settings);
        self
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.settings.last_activation()
    }

    /// The convolution in groups that it is for this many channels.
    pub(crate) fn over(&self, channels: usize) -> Conv2d {
        self.settings.clone().of_channels(channels, self.multiplier)
    }

    fn name(&self) -> String {
        let filters = match self.multiplier {
            1 => String::new(),
            multiplier => format!(", {multiplier} filters a channel"),
        };
        let (layout, activation) = (self.settings.layout(), self.last_activation());
        format!("DepthwiseConv2d {}{filters}{layout}, {activation}", layout.kernel)
    }
}

impl<F: Scalar> Layer<F> for DepthwiseConv2d {
    type Cache = PlanCache;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        match input {
            _ if self.multiplier == 0 => Err(error("at least 1 filter a channel", "0".to_owned())),
            &[_, _, channels] if channels > 0 => {
                let conv = self.over(channels);
                let windows = conv.windows_of(&self.name(), input)?;
                Ok(Shape::from([windows.out_height, windows.out_width, conv.filters()]))
            }
            _ => Err(error("[height, width, channels]", format!("{input:?}"))),
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        Layer::<F>::params(&self.over(input[2]), input, declare);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        plan: &mut PlanCache,
        ctx: &Context,
    ) {
        self.over(x.width()).forward(w, x, y, plan, ctx);
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, plan: &mut PlanCache, ctx: &Context) {
        self.over(pass.x.width()).backward(w, pass, plan, ctx);
    }

    fn reads(&self) -> Reads {
        Layer::<F>::reads(&self.settings)
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Layer::<F>::cost(&self.over(input[2]), input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: DepthwiseConv2d, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("dw").to_string()
        };
        assert_eq!(
            message(depthwise_conv2d(5).relu(), &[4, 4, 3]),
            "dw (DepthwiseConv2d 5x5, relu): expected a padded map of at least 5x5, got [4, 4, 3]"
        );
        assert_eq!(
            message(depthwise_conv2d(3).same().multiplier(0), &[4, 4, 3]),
            "dw (DepthwiseConv2d 3x3, 0 filters a channel, padding same, linear): expected at least 1 filter a channel, got 0"
        );
        assert_eq!(
            message(depthwise_conv2d(3).stride(2), &[784]),
            "dw (DepthwiseConv2d 3x3, stride 2x2, linear): expected [height, width, channels], got [784]"
        );
    }
}
