//! One-dimensional convolution.

use crate::error::ShapeError;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::windows::{Padding, Pair, WindowLayout, Windows};
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Layer, Reads};
use crate::layers::conv2d::PlanCache;
use crate::layers::{Activation, Conv2d, conv2d};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Every filter slides along a sequence. At each place it gives a weighted sum of the steps below it. Then comes an activation.
///
/// # Shapes
/// x `[n, time, channels]`, kernel K `[kernel, channels / groups, filters]`, bias b `[filters]`, y `[n, out time, filters]`, with
/// out = floor((time + zeros before and after - dilation (kernel - 1) - 1) / stride) + 1.
///
/// # Forward
/// With i = stride · t + dilation · u - zeros before, and x = 0 outside of the sequence:
///
/// z\[n, t, f\] = b\[f\] + Σ_u Σ_c x\[n, i, c\] K\[u, c, f\], y = activation(z), where c runs over the channels of the group of f.
///
/// # Backward
/// With dz = dL/dz:
/// * dL/dK\[u, c, f\] = Σ_n Σ_t x\[n, i, c\] dz\[n, t, f\];
/// * dL/db\[f\] = Σ_n Σ_t dz\[n, t, f\];
/// * dL/dx\[n, i, c\] = the sum over all (t, u) that lead to i, and over f, of K\[u, c, f\] dz\[n, t, f\].
///
/// It is a [`Conv2d`](super::Conv2d) over maps of height 1. With [`causal`](Self::causal), an output depends on its own step and the steps
/// before it alone (A. van den Oord et al., "WaveNet: a generative model for raw audio", 2016, section 2.1).
///
/// ```
/// use backstitch::{Model, Net, layers::conv1d};
/// let net = Net::new().push(conv1d(32, 3).causal().dilation(2).relu());
/// let model: Model = Model::new(net, &[100, 8], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[100, 32]");
/// assert_eq!(model.parameter_count(), 3 * 8 * 32 + 32);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv1d {
    /// Over maps of height 1.
    settings: Conv2d,
}

/// A convolution over sequences with `filters` filters. By default the stride is 1, and there is no padding and no dilation.
pub fn conv1d(filters: usize, kernel: usize) -> Conv1d {
    Conv1d { settings: conv2d(filters, [1, kernel]) }
}

impl Conv1d {
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

    /// Sets the padding that keeps the length with stride 1. Where the number of zeros is odd, the last one is after the sequence.
    #[must_use]
    pub fn same(self) -> Self {
        self.with(|conv| conv.causal(false).same())
    }

    /// Sets the padding: this many zeros before the sequence and after it. The default is none.
    #[must_use]
    pub fn padding(self, zeros: usize) -> Self {
        self.with(|conv| conv.causal(false).padding([0, zeros]))
    }

    /// Puts dilation · (kernel - 1) zeros before the sequence and none after it, so that no output depends on a later step.
    #[must_use]
    pub fn causal(self) -> Self {
        self.with(|conv| conv.causal(true).padding(Padding::Valid))
    }

    /// Sets the stride: the distance between neighbouring windows. The default is 1.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        self.with(|conv| conv.stride([1, stride]))
    }

    /// Sets the dilation: the distance between neighbouring steps of a window. The default is 1.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        self.with(|conv| conv.dilation([1, dilation]))
    }

    /// Cuts channels and filters into groups, as [`Conv2d::groups`](super::Conv2d::groups) does. The default is 1 group.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        self.with(|conv| conv.groups(groups))
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

    fn name(&self) -> String {
        let WindowLayout { kernel, stride, dilation, padding, causal, .. } = *self.settings.layout();
        let mut name = format!("Conv1d {}, {} filters", kernel.width, self.settings.filters());
        let groups = self.settings.number_of_groups();
        for (what, count) in [("stride", stride.width), ("dilation", dilation.width), ("groups", groups)] {
            if count != 1 {
                name += &format!(", {what} {count}");
            }
        }
        name += &match padding {
            _ if causal => ", causal".to_owned(),
            Padding::Valid => String::new(),
            Padding::Same => ", padding same".to_owned(),
            Padding::Explicit(zeros) => format!(", padding {}", zeros.width),
        };
        format!("{name}, {}", self.last_activation())
    }

    /// The windows over a sequence, or what is wrong.
    fn windows(&self, input: &[usize]) -> Result<Windows, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        let WindowLayout { kernel, stride, dilation, padding, causal, .. } = *self.settings.layout();
        for (what, Pair { width: length, .. }) in
            [("kernel", kernel), ("stride", stride), ("dilation", dilation)]
        {
            if length == 0 {
                return Err(error(&format!("a {what} of at least 1"), "0".to_owned()));
            }
        }
        let &[time, channels] = input else {
            return Err(error("[time, channels]", format!("{input:?}")));
        };
        let zeros = if let Padding::Explicit(zeros) = padding { zeros.width } else { 0 };
        let (reach, padded) =
            ((kernel.width - 1).saturating_mul(dilation.width), zeros.saturating_mul(2).saturating_add(time));
        if padding != Padding::Same && !causal && reach >= padded {
            let expected = format!("at least {} steps with the padding", reach.saturating_add(1));
            return Err(error(&expected, format!("{input:?} with a padding of {zeros}")));
        }
        self.settings.windows_of(&self.name(), &[1, time, channels])
    }
}

/// The shape of a batch of sequences as maps of height 1.
fn as_maps(batch: &[usize]) -> [usize; 4] {
    [batch[0], 1, batch[1], batch[2]]
}

impl<F: Scalar> Layer<F> for Conv1d {
    type Cache = PlanCache;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Ok(Shape::from([self.windows(input)?.out_width, self.settings.filters()]))
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let settings = &self.settings;
        let channels = input[1] / settings.number_of_groups();
        settings.declare(&[settings.layout().kernel.width, channels, settings.filters()], declare);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        plan: &mut PlanCache,
        _ctx: &Context,
    ) {
        let [weight, bias] = self.settings.weights(w);
        let plan = plan.plan(&self.settings, &as_maps(&x.shape()), false);
        self.settings.convolve(plan, (ConvKernel::new(weight), bias), x.data(), y.data_mut(), |_| {});
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, plan: &mut PlanCache, ctx: &Context) {
        let batch = as_maps(&pass.x.shape());
        self.settings.backward_over(&batch, w["weight"].data(), pass, plan, ctx);
    }

    fn reads(&self) -> Reads {
        Layer::<F>::reads(&self.settings)
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Layer::<F>::cost(&self.settings, &[1, input[0], input[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: Conv1d, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("conv").to_string()
        };
        assert_eq!(
            message(conv1d(8, 7).relu().padding(1), &[4, 3]),
            "conv (Conv1d 7, 8 filters, padding 1, relu): expected at least 7 steps with the padding, got [4, 3] with a padding of 1"
        );
        assert_eq!(
            message(conv1d(8, 3).stride(0), &[4, 3]),
            "conv (Conv1d 3, 8 filters, stride 0, linear): expected a stride of at least 1, got 0"
        );
        assert_eq!(
            message(conv1d(8, 3).causal().groups(2), &[4, 3]),
            "conv (Conv1d 3, 8 filters, groups 2, causal, linear): expected channels and filters that can be divided by 2 groups, got 3 \
             channels and 8 filters"
        );
        assert_eq!(
            message(conv1d(8, 3).same(), &[4, 3, 2]),
            "conv (Conv1d 3, 8 filters, padding same, linear): expected [time, channels], got [4, 3, 2]"
        );
    }
}
