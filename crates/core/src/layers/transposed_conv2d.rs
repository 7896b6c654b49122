//! Transposed convolution.

use std::fmt::Write as _;

use crate::error::ShapeError;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::conv::plan::{Algorithm, ConvPlan};
use crate::kernels::sums::add_rows;
use crate::kernels::windows::{Padding, Pair, WindowLayout, Windows};
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Cache, Context, Fan, Layer, Reads};
use crate::layers::Activation;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The adjoint of a convolution: every number of the map is multiplied by the kernel, and the results are added where they overlap. A
/// stride makes the map larger. Then comes an activation. (M. Zeiler et al., "Deconvolutional networks", 2010; V. Dumoulin and F. Visin,
/// "A guide to convolution arithmetic for deep learning", 2016, chapter 4.)
///
/// # Shapes
/// x `[n, height, width, channels]`, kernel K `[kernel height, kernel width, filters, channels]`, bias b `[filters]`,
/// y `[n, out height, out width, filters]`, with
/// out = (in - 1) stride - 2 padding + dilation (kernel - 1) + output padding + 1.
///
/// # Forward
/// z\[n, i, j, f\] = b\[f\] + the sum over all (y, x, u, v) with i = stride · y + dilation · u - padding, and j likewise, and over c, of
/// x\[n, y, x, c\] K\[u, v, f, c\]; y = activation(z).
///
/// This is dL/dx of a convolution with the same kernel, stride, padding and dilation, from maps like y to maps like x
/// ([`Conv2d`](super::Conv2d)): with conv(a) such a convolution without a bias, Σ conv(a) · x = Σ a · z for all a and x.
///
/// # Backward
/// With dz = dL/dz, and that convolution:
/// * dL/dx = conv(dz), because z is linear in x, and its adjoint is conv;
/// * dL/dK = its kernel's gradient, with dz as its input and x as the gradient of its output;
/// * dL/db\[f\] = Σ_n Σ_i Σ_j dz\[n, i, j, f\].
///
/// ```
/// use backstitch::{Model, Net, layers::transposed_conv2d};
/// let net = Net::new().push(transposed_conv2d(32, 2).stride(2));
/// let model: Model = Model::new(net, &[7, 7, 64], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[14, 14, 32]");
/// assert_eq!(model.parameter_count(), 2 * 2 * 32 * 64 + 32);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransposedConv2d {
    filters: usize,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    padding: Pair,
    output_padding: Pair,
    activation: Activation,
    init: Init,
    with_bias: bool,
}

/// A transposed convolution with `filters` filters. The kernel's size is a number (`2`), or height and width (`[2, 3]`). By default the stride
/// is 1, and there is no padding and no dilation.
pub fn transposed_conv2d(filters: usize, kernel: impl Into<Pair>) -> TransposedConv2d {
    TransposedConv2d {
        filters,
        kernel: kernel.into(),
        stride: 1.into(),
        dilation: 1.into(),
        padding: 0.into(),
        output_padding: 0.into(),
        activation: Activation::Linear,
        init: Init::default(),
        with_bias: true,
    }
}

impl TransposedConv2d {
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

    /// Sets the stride: the distance in y between the results of neighbouring numbers of x. The default is 1.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Sets the padding of the convolution that this layer is the adjoint of: the number of rows and columns that are left out on every side of y. The
    /// default is 0.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Sets the number of rows that are added below y, and of columns to its right: less than the stride. (With a stride, maps of several sizes give a
    /// convolution's output of one size. This says which size is wanted.) The default is 0.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<Pair>) -> Self {
        self.output_padding = output_padding.into();
        self
    }

    /// Sets the dilation: the distance in y between neighbouring numbers of the kernel. The default is 1.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into();
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

    fn layout(&self) -> WindowLayout {
        let Self { stride, dilation, padding, .. } = *self;
        let padding = if padding == 0.into() { Padding::Valid } else { Padding::Explicit(padding) };
        WindowLayout { stride, dilation, padding, ..WindowLayout::new(self.kernel) }
    }

    fn name(&self) -> String {
        let mut name = format!("TransposedConv2d {}, {} filters{}", self.kernel, self.filters, self.layout());
        if self.output_padding != 0.into() {
            let _ = write!(name, ", output padding {}", self.output_padding);
        }
        let _ = write!(name, ", {}", self.activation);
        name
    }

    /// The windows of the convolution that this layer is the adjoint of: over maps like y, one for each place of x.
    fn windows(&self, input: &[usize]) -> Result<Windows, ShapeError> {
        let misfit = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        let Self { kernel, stride, dilation, padding, output_padding: extra, .. } = *self;
        if self.filters == 0 {
            return Err(misfit("at least 1 filter", "0".to_owned()));
        }
        self.activation.check().map_err(|(expected, got)| misfit(expected, got))?;
        let layout = self.layout();
        layout.check().map_err(|error| misfit(&error.expected, error.got))?;
        if extra.height >= stride.height || extra.width >= stride.width {
            return Err(misfit(&format!("an output padding below the stride {stride}"), extra.to_string()));
        }
        let &[height, width, _] = input else {
            return Err(misfit("[height, width, channels]", format!("{input:?}")));
        };
        let along =
            |length: usize, kernel: usize, stride: usize, dilation: usize, padding: usize, extra: usize| {
                let covered =
                    length.checked_sub(1)?.checked_mul(stride)? + dilation * (kernel - 1) + extra + 1;
                covered.checked_sub(2 * padding).filter(|&length| length > 0)
            };
        let sides = [
            along(height, kernel.height, stride.height, dilation.height, padding.height, extra.height),
            along(width, kernel.width, stride.width, dilation.width, padding.width, extra.width),
        ];
        let [Some(out_height), Some(out_width)] = sides else {
            let got = format!("{input:?} with a padding of {padding}");
            return Err(misfit("a map of at least 1x1 within the padding", got));
        };
        layout
            .over(&[out_height, out_width, self.filters])
            .map_err(|error| misfit(&error.expected, error.got))
    }
}

/// The plan of the adjoint for batches of one size, kept from pass to pass. A batch of another size gets a new one.
#[derive(Debug, Default)]
pub struct AdjointPlan(Option<(Shape, ConvPlan)>);

impl AdjointPlan {
    fn of(&mut self, layer: &TransposedConv2d, batch: Shape) -> &ConvPlan {
        match &mut self.0 {
            Some((planned, _)) if *planned == batch => {}
            other => {
                let windows = layer.windows(&batch[1..]).expect("checked when the model was built");
                *other = Some((batch, ConvPlan::new(windows, batch[0], batch[3], Algorithm::Fastest)));
            }
        }
        &self.0.as_ref().expect("made above").1
    }
}

impl Cache for AdjointPlan {
    fn bytes(&self) -> usize {
        0
    }
}

impl<F: Scalar> Layer<F> for TransposedConv2d {
    type Cache = AdjointPlan;

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let windows = self.windows(input)?;
        Ok(Shape::from([windows.height, windows.width, self.filters]))
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let Pair { height, width } = self.kernel;
        let times_area = |n: usize| height.saturating_mul(width).saturating_mul(n);
        let fan = Fan { inputs: times_area(input[2]), outputs: times_area(self.filters) };
        declare.learned("weight", &[height, width, self.filters, input[2]], self.init, fan);
        if self.with_bias {
            declare.learned("bias", &[self.filters], Init::Zero, fan);
        }
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        plan: &mut AdjointPlan,
        _ctx: &Context,
    ) {
        plan.of(self, x.shape()).input_gradient(x.data(), w["weight"].data(), y.data_mut());
        match self.with_bias {
            true => self.activation.apply_with_bias(y.data_mut(), w["bias"].data()),
            false => self.activation.apply(y.data_mut(), self.filters),
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, plan: &mut AdjointPlan, ctx: &Context) {
        let Backward { x, y, dy: dz, dx, mut grads, .. } = pass;
        self.activation.differentiate(y.data(), dz.data_mut(), self.filters, ctx.relu);
        if let Some(gradient) = if self.with_bias { grads.add("bias") } else { None } {
            add_rows(dz.data(), gradient);
        }
        if x.batch() == 0 {
            // Sums over no samples are 0. The kernels below need at least one sample.
            grads.add("weight");
            return;
        }
        let plan = plan.of(self, x.shape());
        if let Some((gradient, how)) = grads.write("weight") {
            plan.weight_gradient(dz.data(), x.data(), how, gradient);
        }
        if let Some(dx) = dx {
            plan.forward(dz.data(), ConvKernel::new(w["weight"].data()), dx.data_mut(), |_| {});
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: self.activation.reads_output() }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let Ok(windows) = self.windows(input) else { return Cost::default() };
        let weights = windows.window().saturating_mul(input[2]);
        Cost {
            multiply_adds: windows.positions().saturating_mul(weights) as u64,
            scratch_bytes: windows.scratch(input[2]).saturating_mul(size_of::<F>()),
            ..Cost::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::layers::conv2d;
    use crate::net::Net;
    use crate::net::model::Model;
    use crate::tensor::rng::{Purpose, stream};

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: TransposedConv2d, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("up").to_string()
        };
        assert_eq!(
            message(transposed_conv2d(0, 2), &[4, 4, 3]),
            "up (TransposedConv2d 2x2, 0 filters, linear): expected at least 1 filter, got 0"
        );
        assert_eq!(
            message(transposed_conv2d(8, 3).stride(2).output_padding(2), &[4, 4, 3]),
            "up (TransposedConv2d 3x3, 8 filters, stride 2x2, output padding 2x2, linear): expected an output padding below the \
             stride 2x2, got 2x2"
        );
        assert_eq!(
            message(transposed_conv2d(8, 3).stride(0), &[4, 4, 3]),
            "up (TransposedConv2d 3x3, 8 filters, stride 0x0, linear): expected a stride of at least 1x1, got 0x0"
        );
        assert_eq!(
            message(transposed_conv2d(8, 2).padding(1), &[1, 4, 3]),
            "up (TransposedConv2d 2x2, 8 filters, padding 1x1, linear): expected a map of at least 1x1 within the padding, got \
             [1, 4, 3] with a padding of 1x1"
        );
        assert_eq!(
            message(transposed_conv2d(8, 2).relu(), &[49]),
            "up (TransposedConv2d 2x2, 8 filters, relu): expected [height, width, channels], got [49]"
        );
    }

    /// Σ conv(a) · x = Σ a · transposed(x): the definition of the adjoint.
    #[test]
    fn it_is_the_adjoint_of_the_convolution() {
        for (kernel, stride, padding, dilation, extra) in [
            (3, 1, 1, 1, 0),
            (2, 2, 0, 1, 0),
            (3, 2, 1, 1, 1),
            (4, 3, 2, 1, 2),
            (3, 2, 1, 2, 1),
            (5, 1, 0, 1, 0),
        ] {
            let settings = transposed_conv2d(3, kernel).stride(stride).padding(padding).dilation(dilation);
            let transposed = settings.output_padding(extra).without_bias();
            let mut up: Model<f64> = Model::new(Net::new().push(transposed), &[4, 5, 2], 1).unwrap();
            let large = up.output_shape();
            let conv = conv2d(2, kernel).stride(stride).padding(padding).dilation(dilation).without_bias();
            let down: Model<f64> = Model::new(Net::new().push(conv), &large, 1).unwrap();
            assert_eq!(*down.output_shape(), [4, 5, 2]);
            let weight = down.state()["conv1.weight"].clone();
            up.slots_mut().for_each(|mut slot| slot.data_mut().copy_from_slice(weight.data()));
            let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
            let mut random =
                |shape: &[usize]| ndarray::ArrayD::from_shape_fn(shape, |_| rng.random_range(-1.0..1.0));
            let (a, x) = (random(&[2, large[0], large[1], large[2]]), random(&[2, 4, 5, 2]));
            let dot = |a: &ndarray::ArrayD<f64>, b: &ndarray::ArrayD<f64>| (a * b).sum();
            let (here, there) = (dot(&down.predict(&a).unwrap(), &x), dot(&a, &up.predict(&x).unwrap()));
            assert!((here - there).abs() < 1e-11, "kernel {kernel}, stride {stride}: {here} and {there}");
        }
    }
}
