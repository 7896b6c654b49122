//! Two-dimensional convolution.

use std::ops::Range;

use crate::error::ShapeError;
use crate::kernels::Accumulate;
use crate::kernels::conv::grouped::{self, GroupedPlan};
use crate::kernels::conv::kernel::{ConvKernel, PreparedKernel};
use crate::kernels::conv::plan::{self, Algorithm, ConvPlan};
use crate::kernels::conv::walk::ParameterGradients;
use crate::kernels::windows::{Padding, Pair, WindowLayout, Windows};
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Cache, Context, Fan, Layer, Reads};
use crate::layers::Activation;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Every filter slides over the map. At each place it gives a weighted sum of the window below it. Then comes an activation.
///
/// # Shapes
/// x `[n, height, width, channels]`, kernel K `[kernel height, kernel width, channels / groups, filters]`, bias
/// b `[filters]`, y `[n, out height, out width, filters]`, with
/// out = floor((in + zeros before and after - dilation (kernel - 1) - 1) / stride) + 1.
///
/// # Forward
/// With i = stride · y + dilation · u - zeros above, j likewise, and x = 0 outside of the map:
///
/// z\[n, y, x, f\] = b\[f\] + Σ_u Σ_v Σ_c x\[n, i, j, c\] K\[u, v, c, f\], y = activation(z).
///
/// (A cross-correlation, as in every deep-learning library: the kernel is not rotated.) With [`groups`](Self::groups), c runs over the channels
/// of the group of f.
///
/// # Backward
/// With dz = dL/dz, the gradient of each factor is the sum over all its products:
/// * dL/dK\[u, v, c, f\] = Σ_n Σ_y Σ_x x\[n, i, j, c\] dz\[n, y, x, f\];
/// * dL/db\[f\] = Σ_n Σ_y Σ_x dz\[n, y, x, f\];
/// * dL/dx\[n, i, j, c\] = the sum over all (y, x, u, v) that lead to (i, j), and over f, of K\[u, v, c, f\] dz\[n, y, x, f\].
///
/// With the windows of x as the rows of a matrix X, these are Z = X K, dK = Xᵀ dZ and dX = dZ Kᵀ. Each number of dx is the sum over all
/// places of dX to which it was copied (`docs/derivations/conv2d.md`).
///
/// ```
/// use backstitch::{Model, Net, layers::conv2d};
/// let net = Net::new().push(conv2d(32, 5).same().relu());
/// let model: Model = Model::new(net, &[28, 28, 1], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[28, 28, 32]");
/// assert_eq!(model.parameter_count(), 832);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    filters: usize,
    groups: usize,
    layout: WindowLayout,
    algorithm: Algorithm,
    activation: Activation,
    init: Init,
    with_bias: bool,
}

/// A convolution with `filters` filters. The kernel's size is a number (`3`), or height and width (`[3, 5]`). By default the stride is 1,
/// and there is no padding and no dilation.
pub fn conv2d(filters: usize, kernel: impl Into<Pair>) -> Conv2d {
    Conv2d {
        filters,
        groups: 1,
        layout: WindowLayout::new(kernel),
        algorithm: Algorithm::Fastest,
        activation: Activation::Linear,
        init: Init::default(),
        with_bias: true,
    }
}

impl Conv2d {
    /// Applies an activation to the sums.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Applies a ReLU to the sums.
    #[must_use]
    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }

    /// Sets the padding that keeps the size of the map with stride 1: [`Padding::Same`].
    #[must_use]
    pub fn same(self) -> Self {
        self.padding(Padding::Same)
    }

    /// Sets the stride: the distance between neighbouring windows. The default is 1.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.layout.stride = stride.into();
        self
    }

    /// Sets the padding, the zeros around the map: [`Padding::Same`], or a number for every side. The default is none.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.layout.padding = padding.into();
        self
    }

    /// Sets the dilation: the distance between neighbouring numbers of a window. The default is 1.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.layout.dilation = dilation.into();
        self
    }

    /// Cuts channels and filters into groups of equal size. The filters of a group read its channels alone (A. Krizhevsky, I. Sutskever and
    /// G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section 3.5). The first group is the first channels
    /// and the first filters, and so on, as in PyTorch. The default is 1 group.
    ///
    /// It is an error if the number of channels or of filters cannot be divided by the number of groups.
    ///
    /// ```
    /// use backstitch::{Model, Net, layers::conv2d};
    /// let net = Net::new().push(conv2d(32, 3).groups(4).same().without_bias());
    /// let model: Model = Model::new(net, &[28, 28, 16], 0)?;
    /// assert_eq!(model.parameter_count(), 3 * 3 * (16 / 4) * 32);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// All zeros before the map: for [`Conv1d`](super::Conv1d).
    pub(super) fn causal(mut self, causal: bool) -> Self {
        self.layout.causal = causal;
        self
    }

    /// Sets the algorithm for all shapes. [`Algorithm::Winograd`] is an error where it cannot be used.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the initializer of the weights; the default is Glorot's uniform. Biases start at zero.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Leaves the bias out, for example before a batch normalization, which would cancel it.
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
        let groups = if self.groups == 1 { String::new() } else { format!(", {} groups", self.groups) };
        format!(
            "Conv2d {}, {} filters{}{groups}, {}",
            self.layout.kernel, self.filters, self.layout, self.activation
        )
    }

    pub(super) fn filters(&self) -> usize {
        self.filters
    }

    /// As many groups as channels, with this number of filters in each.
    pub(super) fn of_channels(mut self, channels: usize, filters_of_a_channel: usize) -> Self {
        self.groups = channels;
        self.filters = channels.saturating_mul(filters_of_a_channel);
        self
    }

    pub(super) fn layout(&self) -> &WindowLayout {
        &self.layout
    }

    pub(super) fn number_of_groups(&self) -> usize {
        self.groups
    }

    pub(super) fn windows(&self, input: &[usize]) -> Result<Windows, ShapeError> {
        self.windows_of(&self.name(), input)
    }

    /// The windows of the layer with this name, or what is wrong.
    pub(super) fn windows_of(&self, name: &str, input: &[usize]) -> Result<Windows, ShapeError> {
        let misfit = |expected: &str, got: String| ShapeError::new(name.to_owned(), expected, got);
        if self.filters == 0 {
            return Err(misfit("at least 1 filter", "0".to_owned()));
        }
        self.activation.check().map_err(|(expected, got)| misfit(expected, got))?;
        let windows = self.layout.over(input).map_err(|error| misfit(&error.expected, error.got))?;
        if self.groups == 0 {
            return Err(misfit("at least 1 group", "0".to_owned()));
        }
        if [windows.channels, self.filters].iter().any(|count| !count.is_multiple_of(self.groups)) {
            let expected = format!("channels and filters that can be divided by {} groups", self.groups);
            return Err(misfit(
                &expected,
                format!("{} channels and {} filters", windows.channels, self.filters),
            ));
        }
        if self.algorithm == Algorithm::Winograd && !plan::can_use_winograd(&windows) {
            let expected = "a kernel of 3x3 or 5x5, stride 1, no dilation for Winograd's algorithm";
            return Err(misfit(
                expected,
                format!("stride {}, dilation {}", windows.stride, windows.dilation),
            ));
        }
        if self.algorithm == Algorithm::Winograd && self.groups > 1 && self.groups == windows.channels {
            let expected = "groups of at least 2 channels for Winograd's algorithm";
            return Err(misfit(expected, format!("{} groups of 1 channel", self.groups)));
        }
        Ok(windows)
    }

    /// Forward by a plan; `then` is applied to rows of y while they are in the cache.
    pub(super) fn convolve<F: Scalar>(
        &self,
        plan: &GroupedPlan,
        (kernel, bias): (ConvKernel<'_, F>, &[F]),
        x: &[F],
        y: &mut [F],
        then: impl Fn(&mut [F]) + Sync,
    ) {
        let finish = |rows: &mut [F]| {
            match self.with_bias {
                true => self.activation.apply_with_bias(rows, bias),
                false => self.activation.apply(rows, self.filters),
            }
            then(rows);
        };
        plan.forward(x, kernel, y, finish);
    }

    /// Declares a kernel of this shape, whose last axes are channels and filters, and the bias.
    pub(super) fn declare(&self, kernel: &[usize], declare: &mut Declare) {
        let (area, rest) = kernel.split_at(kernel.len() - 2);
        let fan = Fan {
            inputs: product(area).saturating_mul(rest[0]),
            outputs: product(area).saturating_mul(rest[1]),
        };
        declare.learned("weight", kernel, self.init, fan);
        if self.with_bias {
            declare.learned("bias", &[self.filters], Init::Zero, fan);
        }
    }

    /// The forms of the kernel that are worth keeping.
    pub(super) fn prepared_kernel<F: Scalar>(&self, input: &[usize], weight: &[F]) -> PreparedKernel<F> {
        let windows = self.layout.over(input).expect("checked when the model was built");
        match self.groups {
            1 => PreparedKernel::new(windows, self.algorithm, weight),
            _ => PreparedKernel::default(),
        }
    }

    /// Kernel and bias. The bias is empty where there is none.
    pub(super) fn weights<'a, F: Scalar>(&self, w: &'a Weights<'_, F>) -> [&'a [F]; 2] {
        [w["weight"].data(), if self.with_bias { w["bias"].data() } else { &[] }]
    }

    /// Backward over maps of this batch. The last axes of x and y may be other ones, of as many numbers.
    pub(super) fn backward_over<F: Scalar>(
        &self,
        batch: &[usize],
        kernel: &[F],
        pass: Backward<'_, F>,
        plan: &mut PlanCache,
        ctx: &Context,
    ) {
        let Backward { x, y, dy: dz, dx, mut grads, .. } = pass;
        if batch[0] == 0 {
            // Sums over no samples are 0. The kernels below need at least one sample.
            grads.add("weight");
            if self.with_bias {
                grads.add("bias");
            }
            return;
        }
        let plan = plan.plan(self, batch, false);
        let (y, activation, filters) = (y.data(), self.activation, self.filters);
        let differentiate = |at: Range<usize>, dy: &mut [F]| {
            if activation.reads_output() {
                activation.differentiate(&y[at], dy, filters, ctx.relu);
            }
        };
        let (kernel_gradient, mut bias) = match self.with_bias {
            true => grads.write_two(["weight", "bias"]).into(),
            false => (grads.write("weight"), None),
        };
        if let Some((bias, Accumulate::Overwrite)) = &mut bias {
            bias.fill(F::zero());
        }
        let gradients = ParameterGradients {
            bias: bias.map(|(gradient, _)| gradient),
            kernel: kernel_gradient.map(|(gradient, how)| (how, gradient)),
        };
        let dz = dz.data_mut();
        let nonzeros = plan.parameter_gradients(x.data(), dz, differentiate, gradients);
        if let Some(dx) = dx {
            plan.input_gradient_of((dz, nonzeros), kernel, dx.data_mut());
        }
    }

    /// A plan for a batch.
    fn plan(&self, batch: &[usize], tiles_are_kept: bool) -> GroupedPlan {
        let windows = self.layout.over(&batch[1..]).expect("checked when the model was built");
        let plan = if tiles_are_kept { ConvPlan::with_kept_tiles } else { ConvPlan::new };
        GroupedPlan::new(windows, batch[0], (self.filters, self.groups), self.algorithm, plan)
    }
}

/// The plan for batches of one size, kept from pass to pass. A batch of another size gets a new one.
#[derive(Debug, Default)]
pub struct PlanCache(Option<GroupedPlan>);

impl PlanCache {
    /// The plan of a layer for this batch.
    pub(super) fn plan(&mut self, layer: &Conv2d, batch: &[usize], tiles_are_kept: bool) -> &GroupedPlan {
        match &mut self.0 {
            Some(plan) if plan.is_for(batch) => {}
            other => *other = Some(layer.plan(batch, tiles_are_kept)),
        }
        self.0.as_ref().expect("made above")
    }
}

impl Cache for PlanCache {
    fn bytes(&self) -> usize {
        0
    }
}

impl<F: Scalar> Layer<F> for Conv2d {
    type Cache = PlanCache;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let windows = self.windows(input)?;
        Ok(Shape::from([windows.out_height, windows.out_width, self.filters]))
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let Pair { height, width } = self.layout.kernel;
        let shape = [height, width, input[2] / self.groups, self.filters];
        self.declare(&shape, declare);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        plan: &mut PlanCache,
        _ctx: &Context,
    ) {
        let [weight, bias] = self.weights(w);
        let plan = plan.plan(self, &x.shape(), false);
        self.convolve(plan, (ConvKernel::new(weight), bias), x.data(), y.data_mut(), |_| {});
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, plan: &mut PlanCache, ctx: &Context) {
        self.backward_over(&pass.x.shape(), w["weight"].data(), pass, plan, ctx);
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: self.activation.reads_output() }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let Ok(windows) = self.windows(input) else { return Cost::default() };
        let weights = (windows.window() / self.groups).saturating_mul(self.filters);
        let scratch = grouped::scratch(&windows, self.filters, self.groups);
        Cost {
            multiply_adds: windows.positions().saturating_mul(weights) as u64,
            scratch_bytes: scratch.saturating_mul(size_of::<F>()),
            ..Cost::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: Conv2d, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("block2.conv1").to_string()
        };
        assert_eq!(
            message(conv2d(8, 7).relu().padding(1), &[4, 4, 3]),
            "block2.conv1 (Conv2d 7x7, 8 filters, padding 1x1, relu): expected a padded map of at least 7x7, got \
             [4, 4, 3] with a padding of 1x1"
        );
        assert_eq!(
            message(conv2d(8, 3).relu().stride(0), &[4, 4, 3]),
            "block2.conv1 (Conv2d 3x3, 8 filters, stride 0x0, relu): expected a stride of at least 1x1, got 0x0"
        );
        assert_eq!(
            message(conv2d(0, 3).relu(), &[4, 4, 3]),
            "block2.conv1 (Conv2d 3x3, 0 filters, relu): expected at least 1 filter, got 0"
        );
        assert_eq!(
            message(conv2d(6, 3).groups(4), &[4, 4, 8]),
            "block2.conv1 (Conv2d 3x3, 6 filters, 4 groups, linear): expected channels and filters that can be divided by 4 groups, got 8 \
             channels and 6 filters"
        );
        assert_eq!(
            message(conv2d(6, 3).groups(0), &[4, 4, 8]),
            "block2.conv1 (Conv2d 3x3, 6 filters, 0 groups, linear): expected at least 1 group, got 0"
        );
    }
}
