//! Two-dimensional convolution.

use std::fmt::Write as _;
use std::ops::Range;

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::init::Init;
use crate::kernels::conv::{self, Algorithm};
use crate::kernels::conv_backward::{ParameterGradients, input_gradient, parameter_gradients};
use crate::kernels::kernel::{Kept, Kernel};
use crate::kernels::window::{Layout, Padding, Pair, Windows};
use crate::layer::{Children, Context, Fan, Layer, Place};
use crate::layers::Activation;
use crate::param::{Param, Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Every filter slides over the map, and gives at each place a weighted sum of the window under it;
/// then an activation.
///
/// # Shapes
/// x `[n, height, width, channels]`, kernel K `[kernel height, kernel width, channels, filters]`, bias
/// b `[filters]`, y `[n, out height, out width, filters]`, with
/// out = floor((in + zeros before and after - dilation (kernel - 1) - 1) / stride) + 1.
///
/// # Forward
/// With i = stride · y + dilation · u - zeros above, j likewise, and x = 0 outside of the map:
///
/// z\[n, y, x, f\] = b\[f\] + Σ_u Σ_v Σ_c x\[n, i, j, c\] K\[u, v, c, f\], y = activation(z).
///
/// (A correlation, as in every deep-learning library: the kernel is not turned round.)
///
/// # Backward
/// With dz = dL/dz, each number takes part in z wherever the other factor meets it:
/// * dL/dK\[u, v, c, f\] = Σ_n Σ_y Σ_x x\[n, i, j, c\] dz\[n, y, x, f\];
/// * dL/db\[f\] = Σ_n Σ_y Σ_x dz\[n, y, x, f\];
/// * dL/dx\[n, i, j, c\] = the sum over all (y, x, u, v) that lead to (i, j), and over f, of
///   K\[u, v, c, f\] dz\[n, y, x, f\].
///
/// With the windows of x as the rows of a matrix X, those are Z = X K, dK = Xᵀ dZ and dX = dZ Kᵀ, and each
/// number of dx is the sum of all the places of dX it was copied to (`docs/derivations/conv2d.md`).
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::{Padding, conv2d}};
/// let net = Sequential::new().push(conv2d(32, 5, Activation::Relu).padding(Padding::Same));
/// let model: Model = Model::new(net, &[28, 28, 1], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[28, 28, 32]");
/// assert_eq!(model.parameter_count(), 832);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Conv2d<F: Scalar = f32> {
    filters: usize,
    layout: Layout,
    algorithm: Algorithm,
    activation: Activation,
    init: Init,
    with_bias: bool,
    kernel: Param<F>,
    bias: Param<F>,
}

/// A convolution with so many filters of a size: `3`, or `[3, 5]` for height and width. Stride 1, no
/// padding, no dilation, until told otherwise.
pub fn conv2d<F: Scalar>(filters: usize, kernel: impl Into<Pair>, activation: Activation) -> Conv2d<F> {
    Conv2d {
        filters,
        layout: Layout::new(kernel),
        algorithm: Algorithm::Fastest,
        activation,
        init: Init::default(),
        with_bias: true,
        kernel: Param::default(),
        bias: Param::default(),
    }
}

impl<F: Scalar> Conv2d<F> {
    /// Moves the windows so far each time.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.layout.stride = stride.into();
        self
    }

    /// Puts zeros around the map: [`Padding::Same`], or a number for every side.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.layout.padding = padding.into();
        self
    }

    /// Spreads each window, so that its numbers are so far apart.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.layout.dilation = dilation.into();
        self
    }

    /// Computes with this algorithm, whatever the shapes. [`Algorithm::Winograd`] is refused where it cannot be.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Draws the first weights in another way than Glorot's uniform. Biases start at zero.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Leaves the bias out, as before a batch normalization, which would take it away again.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.with_bias = false;
        self
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }

    fn name(&self) -> String {
        let Layout { kernel, stride, dilation, padding, .. } = self.layout;
        let mut name = format!("Conv2d {kernel}, {} filters", self.filters);
        if stride != 1.into() {
            let _ = write!(name, ", stride {stride}");
        }
        if dilation != 1.into() {
            let _ = write!(name, ", dilation {dilation}");
        }
        if padding != Padding::Valid {
            let _ = write!(name, ", padding {padding}");
        }
        let _ = write!(name, ", {}", self.activation);
        name
    }

    pub(super) fn filters(&self) -> usize {
        self.filters
    }

    pub(super) fn windows(&self, input: &[usize]) -> Result<Windows, ShapeError> {
        let misfit = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        if self.filters == 0 {
            return Err(misfit("at least 1 filter", "0".to_owned()));
        }
        self.activation.check().map_err(|(expected, got)| misfit(expected, got))?;
        let windows = self.layout.over(input).map_err(|error| misfit(&error.expected, error.got))?;
        if self.algorithm == Algorithm::Winograd && !conv::can_use_winograd(&windows) {
            let expected = "a kernel of 3x3 or 5x5, stride 1, no dilation for Winograd's algorithm";
            return Err(misfit(
                expected,
                format!("stride {}, dilation {}", windows.stride, windows.dilation),
            ));
        }
        Ok(windows)
    }

    /// Forward, with the kernel's form in tiles where that was kept; `then` is applied to rows of y while they are in the cache.
    pub(super) fn convolve(
        &self,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        kept: Option<&Kept<F>>,
        then: impl Fn(&mut [F]) + Sync,
    ) {
        let windows = self.windows_of(x);
        y.resize(&[x.batch(), windows.out_height, windows.out_width, self.filters]);
        let (bias, activation) = (self.bias.value().data(), self.activation);
        let finish = |rows: &mut [F]| {
            match self.with_bias {
                true => activation.apply_with_bias(rows, bias),
                false => activation.apply(rows, self.filters),
            }
            then(rows);
        };
        let kernel = Kernel { weights: self.kernel.value().data(), kept };
        conv::forward(x.data(), &windows, self.algorithm, kernel, y.data_mut(), finish);
    }

    /// The forms of the kernel that are worth keeping.
    pub(super) fn kept_kernel(&self, input: &[usize]) -> Kept<F> {
        let windows = self.layout.over(input).expect("checked when the model was built");
        Kept::new(&windows, self.algorithm, self.kernel.value().data())
    }

    /// The windows over the maps of a batch, which were checked when the model was built.
    fn windows_of(&self, x: &Tensor<F>) -> Windows {
        self.layout.over(&x.shape()[1..]).expect("checked when the model was built")
    }
}

impl<F: Scalar> Layer<F> for Conv2d<F> {
    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let windows = self.windows(input)?;
        Ok(Shape::from([windows.out_height, windows.out_width, self.filters]))
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        let Pair { height, width } = self.layout.kernel;
        let area = height * width;
        let fan = Fan { inputs: area * input[2], outputs: area * self.filters };
        self.kernel = place.param("weight", &[height, width, input[2], self.filters], self.init, fan);
        if self.with_bias {
            self.bias = place.param("bias", &[self.filters], Init::Zero, fan);
        }
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, _ctx: &Context) {
        self.convolve(x, &mut t.y, None, |_| {});
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let windows = self.windows_of(x);
        let (y, dz) = t.y_and_scratch_dy();
        let (y, activation, filters) = (y.data(), self.activation, self.filters);
        let differentiate =
            |at: Range<usize>, dy: &mut [F]| activation.differentiate(&y[at], dy, filters, ctx.relu);
        let with_bias = ctx.param_grads && self.with_bias && self.bias.trainable;
        let with_kernel = ctx.param_grads && self.kernel.trainable;
        let gradients = ParameterGradients {
            bias: with_bias.then(|| self.bias.grad_to_add().data_mut()),
            kernel: with_kernel.then(|| {
                let (_, gradient, how) = self.kernel.accumulate();
                (how, gradient.data_mut())
            }),
        };
        let (algorithm, dz) = (self.algorithm, dz.data_mut());
        let nonzeros =
            parameter_gradients(x.data(), &windows, algorithm, filters, dz, differentiate, gradients);
        if let Some(dx) = dx {
            dx.resize(&x.shape());
            let kernel = self.kernel.value().data();
            input_gradient((dz, nonzeros), &windows, algorithm, kernel, dx.data_mut());
        }
    }

    fn commit(&mut self, _t: &Trace<F>) {}

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        f(Slot::Param(&self.kernel));
        if self.with_bias {
            f(Slot::Param(&self.bias));
        }
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        f(SlotMut::Param(&mut self.kernel));
        if self.with_bias {
            f(SlotMut::Param(&mut self.bias));
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let Ok(windows) = self.windows(input) else { return Cost::default() };
        let weights = windows.window().saturating_mul(self.filters);
        Cost {
            multiply_adds: windows.positions().saturating_mul(weights) as u64,
            parameters: weights.saturating_add(if self.with_bias { self.filters } else { 0 }),
            scratch: windows.scratch(self.filters),
            ..Cost::default()
        }
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: Conv2d, input: &[usize]| {
            layer.output_shape(input).unwrap_err().within("block2.conv1").to_string()
        };
        assert_eq!(
            message(conv2d(8, 7, Activation::Relu).padding(1), &[4, 4, 3]),
            "block2.conv1 (Conv2d 7x7, 8 filters, padding 1x1, relu): expected a padded map of at least 7x7, got \
             [4, 4, 3] with a padding of 1x1"
        );
        assert_eq!(
            message(conv2d(8, 3, Activation::Relu).stride(0), &[4, 4, 3]),
            "block2.conv1 (Conv2d 3x3, 8 filters, stride 0x0, relu): expected a stride of at least 1x1, got 0x0"
        );
        assert_eq!(
            message(conv2d(0, 3, Activation::Relu), &[4, 4, 3]),
            "block2.conv1 (Conv2d 3x3, 0 filters, relu): expected at least 1 filter, got 0"
        );
    }
}
