//! Batch normalization.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::init::Init;
use crate::kernels::normalize::{gradient_sums, input_gradient, mean_and_variance, normalize};
use crate::layer::{Children, Context, Fan, Layer, Mode, Place};
use crate::layers::Activation;
use crate::param::{Buffer, Param, Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Brings every feature, or every channel, to mean 0 and variance 1 over the batch, then scales and shifts it
/// by learned numbers (Ioffe and Szegedy 2015, algorithm 1), then applies an activation.
///
/// # Shapes
/// x `[n, features]` or `[n, height, width, channels]`, y the same; weight γ, bias β, running mean and
/// running variance one number for each of the last axis. Below, i runs over all m other positions: the
/// samples, or the samples and their places.
///
/// # Forward
/// x̂ = (x - μ) / sqrt(σ² + ε), y = activation(γ x̂ + β), where
/// * in training μ = Σ_i x_i / m and σ² = Σ_i (x_i - μ)² / m are the batch's. Once a step the running ones
///   follow: r ← (1 - momentum) r + momentum · new, the variance with m - 1 in place of m;
/// * in evaluation, and in training where the running statistics are frozen
///   ([`Model::freeze`](crate::Model::freeze)), μ and σ² are the running ones.
///
/// ε = 1e-5 and momentum = 0.1, as in PyTorch, until told otherwise.
///
/// # Backward
/// With dz = dL/d(γ x̂ + β): dL/dγ = Σ_i dz_i x̂_i, dL/dβ = Σ_i dz_i, and
/// * with the batch's statistics, which every x_i takes part in,
///   dL/dx_i = γ / sqrt(σ² + ε) · (dz_i - dL/dβ / m - x̂_i dL/dγ / m) (`docs/derivations/batch_norm.md`);
/// * with running ones, which are constants, dL/dx_i = γ / sqrt(σ² + ε) · dz_i.
///
/// Which of the two depends on how forward ran, which the trace remembers.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::{Padding, batch_norm, conv2d}};
/// let net = Sequential::new()
///     .push(conv2d(64, 3, Activation::Linear).padding(Padding::Same).without_bias())
///     .push(batch_norm().activation(Activation::Relu));
/// let model: Model = Model::new(net, &[32, 32, 3], 0)?;
/// assert_eq!(model.parameter_count(), 3 * 3 * 3 * 64 + 2 * 64);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct BatchNorm<F: Scalar = f32> {
    epsilon: f64,
    momentum: f64,
    activation: Activation,
    weight: Param<F>,
    bias: Param<F>,
    running_mean: Buffer<F>,
    running_variance: Buffer<F>,
}

/// Batch normalization of the last axis.
pub fn batch_norm<F: Scalar>() -> BatchNorm<F> {
    BatchNorm {
        epsilon: 1e-5,
        momentum: 0.1,
        activation: Activation::Linear,
        weight: Param::default(),
        bias: Param::default(),
        running_mean: Buffer::default(),
        running_variance: Buffer::default(),
    }
}

/// What `trace.saved` holds, one number for each channel: mean, what rounding cut off it, 1 / sqrt(variance + ε), variance; and,
/// four for each, intermediate results.
const MEAN: usize = 0;
const REST: usize = 1;
const VARIANCE: usize = 3;
const WORK: usize = 4;

impl<F: Scalar> BatchNorm<F> {
    /// Adds `epsilon` to the variance, a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Lets the running statistics take up this share of each step's, in [0, 1].
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Applies an activation to the result.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    fn name(&self) -> String {
        match self.activation {
            Activation::Linear => "BatchNorm".to_owned(),
            activation => format!("BatchNorm, {activation}"),
        }
    }

    /// For every channel what evaluation subtracts, multiplies by and adds.
    pub(super) fn columns(&self) -> [Vec<F>; 3] {
        let epsilon = F::from_f64(self.epsilon);
        let variances = self.running_variance.value.data().iter();
        let factor = variances.zip(self.weight.value().data());
        let factor = factor.map(|(&variance, &weight)| F::one() / (variance + epsilon).sqrt() * weight);
        let [mean, shift] =
            [&self.running_mean.value, self.bias.value()].map(|tensor| tensor.data().to_vec());
        [mean, factor.collect(), shift]
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }

    fn uses_batch(&self, mode: Mode) -> bool {
        mode == Mode::Train && !self.running_mean.frozen
    }
}

impl<F: Scalar> Layer<F> for BatchNorm<F> {
    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        self.activation.check().map_err(|(expected, got)| error(expected, got))?;
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(error("a finite epsilon above 0", self.epsilon.to_string()));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(error("a momentum in [0, 1]", self.momentum.to_string()));
        }
        match input {
            [] => Err(error("at least one axis", "none".to_owned())),
            _ => Shape::new(input),
        }
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        let channels = input[input.len() - 1];
        let fan = Fan { inputs: 1, outputs: 1 };
        self.weight = place.param("weight", &[channels], Init::One, fan);
        self.bias = place.param("bias", &[channels], Init::Zero, fan);
        self.running_mean = place.buffer("running_mean", &[channels], F::zero());
        self.running_variance = place.buffer("running_var", &[channels], F::one());
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context) {
        let channels = self.weight.value().data().len();
        t.y.resize(&x.shape());
        t.saved.resize_with(5, Tensor::default);
        t.saved.iter_mut().for_each(|tensor| tensor.resize(&[channels]));
        t.saved[WORK].resize(&[4, channels]);
        let [mean, rest, scale, variance, work] = &mut t.saved[..] else { unreachable!("made above") };
        let batch = self.uses_batch(ctx.mode);
        t.index.clear();
        t.index.push(batch.into());
        t.index.push(u32::try_from(x.data().len() / channels).unwrap_or(u32::MAX));
        if batch {
            mean_and_variance(x.data(), mean.data_mut(), rest.data_mut(), variance.data_mut());
        } else {
            rest.fill(F::zero());
            mean.copy_from(&self.running_mean.value);
            variance.copy_from(&self.running_variance.value);
        }
        let epsilon = F::from_f64(self.epsilon);
        for (scale, &variance) in scale.data_mut().iter_mut().zip(variance.data()) {
            *scale = F::one() / (variance + epsilon).sqrt();
        }
        let (factor, shift) = work.data_mut()[..2 * channels].split_at_mut(channels);
        for (i, (&weight, &bias)) in
            self.weight.value().data().iter().zip(self.bias.value().data()).enumerate()
        {
            factor[i] = scale.data()[i] * weight;
            shift[i] = bias - rest.data()[i] * factor[i];
        }
        let columns = [mean.data(), &*factor, &*shift];
        normalize(x.data(), columns, t.y.data_mut(), |rows| self.activation.apply(rows, channels));
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let channels = self.weight.value().data().len();
        let (y, dz) = t.y_and_scratch_dy();
        self.activation.differentiate(y.data(), dz.data_mut(), channels, ctx.relu);
        let batch = t.index[0] == 1;
        let (dz, saved) = t.scratch_dy_and_saved();
        let [mean, rest, scale, _, work] = saved else { unreachable!("made by forward") };
        let (mean, mean_rest, scale) = (mean.data(), rest.data(), scale.data());
        let (sums, spare) = work.data_mut().split_at_mut(2 * channels);
        let learns = ctx.param_grads && (self.weight.trainable || self.bias.trainable);
        if learns || batch {
            gradient_sums(x.data(), dz.data(), [mean, mean_rest, scale], sums);
        }
        let (plain, weighted) = sums.split_at_mut(channels);
        for (param, sum) in [(&mut self.bias, &*plain), (&mut self.weight, &*weighted)] {
            if ctx.param_grads && param.trainable {
                let grad = param.grad_to_add().data_mut();
                grad.iter_mut().zip(sum).for_each(|(grad, &sum)| *grad += sum);
            }
        }
        let Some(dx) = dx else { return };
        dx.resize(&x.shape());
        // dx = dz · factor - (x - mean) · slope - offset, the last two only with the batch's statistics. What rounding cut off the mean
        // is in the offset.
        let share = if batch { F::from_f64(channels as f64 / x.data().len() as f64) } else { F::zero() };
        let (factor, _) = spare.split_at_mut(channels);
        for (i, &weight) in self.weight.value().data().iter().enumerate() {
            factor[i] = weight * scale[i];
            weighted[i] = if batch { factor[i] * scale[i] * share * weighted[i] } else { F::zero() };
            let offset = factor[i] * share * plain[i] - mean_rest[i] * weighted[i];
            plain[i] = if batch { offset } else { F::zero() };
        }
        input_gradient(x.data(), dz.data(), [mean, factor, weighted, plain], dx.data_mut());
    }

    fn commit(&mut self, t: &Trace<F>) {
        // The regime and the number of positions, which forward noted: y may be with the container by now.
        let &[1, positions] = &t.index[..] else { return };
        let positions = f64::from(positions);
        let unbiased = positions / (positions - 1.0);
        let momentum = self.momentum;
        // Rounded once, at the end, as in PyTorch.
        let follow = |running: &mut F, new: f64| {
            *running = F::from_f64((1.0 - momentum) * running.as_f64() + momentum * new);
        };
        let means = t.saved[MEAN].data().iter().zip(t.saved[REST].data());
        for (running, (mean, rest)) in self.running_mean.value.data_mut().iter_mut().zip(means) {
            follow(running, mean.as_f64() + rest.as_f64());
        }
        let variances = self.running_variance.value.data_mut().iter_mut().zip(t.saved[VARIANCE].data());
        variances.for_each(|(running, variance)| follow(running, unbiased * variance.as_f64()));
    }

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        f(Slot::Param(&self.weight));
        f(Slot::Param(&self.bias));
        f(Slot::Buffer(&self.running_mean));
        f(Slot::Buffer(&self.running_variance));
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        f(SlotMut::Param(&mut self.weight));
        f(SlotMut::Param(&mut self.bias));
        f(SlotMut::Buffer(&mut self.running_mean));
        f(SlotMut::Buffer(&mut self.running_variance));
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let Some((&channels, places)) = input.split_last() else { return Cost::default() };
        let positions = product(places);
        let least_samples = if positions == 1 && self.uses_batch(Mode::Train) { 2 } else { 1 };
        Cost {
            multiply_adds: positions.saturating_mul(channels) as u64,
            least_samples,
            parameters: channels.saturating_mul(4),
            ..Cost::default()
        }
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}
