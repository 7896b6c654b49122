//! Batch normalization.

use crate::error::ShapeError;
use crate::kernels::normalize::{gradient_sums, input_gradient, mean_and_variance, normalize};
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights, WeightsMut};
use crate::layer::{Backward, Cache, Context, Fan, Layer, Mode, Reads};
use crate::layers::Activation;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Normalizes every feature, or every channel, to mean 0 and variance 1 over the batch, then scales and shifts it
/// by learned parameters (Ioffe and Szegedy 2015, algorithm 1), then applies an activation.
///
/// # Shapes
/// x `[n, features]` or `[n, height, width, channels]`, y the same; weight γ, bias β, running mean and
/// running variance one number for each of the last axis. Below, i runs over all m other positions: the
/// samples, or the samples and their positions.
///
/// # Forward
/// x̂ = (x - μ) / sqrt(σ² + ε), y = activation(γ x̂ + β), where
/// * in training μ = Σ_i x_i / m and σ² = Σ_i (x_i - μ)² / m are the batch's. Once a step the running ones
///   follow: r ← (1 - momentum) r + momentum · new, the variance with m - 1 in place of m;
/// * in evaluation, and in training where the running statistics are frozen
///   ([`Model::freeze`](crate::Model::freeze)), μ and σ² are the running ones.
///
/// ε = 1e-5 and momentum = 0.1 by default, as in PyTorch.
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
/// use backstitch::{Model, Net, layers::{batch_norm, conv2d}};
/// let net = Net::new().push(conv2d(64, 3).same().without_bias()).push(batch_norm().relu());
/// let model: Model = Model::new(net, &[32, 32, 3], 0)?;
/// assert_eq!(model.parameter_count(), 3 * 3 * 3 * 64 + 2 * 64);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchNorm {
    epsilon: f64,
    momentum: f64,
    activation: Activation,
}

/// Batch normalization of the last axis.
pub fn batch_norm() -> BatchNorm {
    BatchNorm { epsilon: 1e-5, momentum: 0.1, activation: Activation::Linear }
}

/// What a forward pass keeps for backward and for the running statistics.
#[derive(Debug, Default)]
pub struct Statistics<F> {
    /// Whether they are of the batch; otherwise they are the running ones.
    of_batch: bool,
    /// Numbers of each channel that they were taken over.
    positions: usize,
    /// One number for each channel: mean, what rounding cut off it, variance, 1 / sqrt(variance + ε).
    mean: Vec<F>,
    rest: Vec<F>,
    variance: Vec<F>,
    scale: Vec<F>,
    /// Intermediate results, one and two for each channel.
    factor: Vec<F>,
    sums: Vec<F>,
}

impl<F: Scalar> Statistics<F> {
    fn make_room(&mut self, channels: usize) {
        let Self { mean, rest, variance, scale, factor, sums, .. } = self;
        for (list, count) in [(mean, 1), (rest, 1), (variance, 1), (scale, 1), (factor, 1), (sums, 2)] {
            list.reserve_exact((count * channels).saturating_sub(list.len()));
            list.resize(count * channels, F::zero());
        }
    }
}

impl<F: Scalar> Cache for Statistics<F> {
    fn bytes(&self) -> usize {
        let Self { mean, rest, variance, scale, factor, sums, .. } = self;
        [mean, rest, variance, scale, factor, sums].iter().map(|list| list.capacity() * size_of::<F>()).sum()
    }
}

impl BatchNorm {
    /// Sets ε, which is added to the variance: a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Sets the momentum in [0, 1]: the weight of each step's statistics in the running ones.
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

    /// Applies a ReLU to the result.
    #[must_use]
    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }

    fn name(&self) -> String {
        match self.activation {
            Activation::Linear => "BatchNorm".to_owned(),
            activation => format!("BatchNorm, {activation}"),
        }
    }

    /// For every channel what evaluation subtracts, multiplies by and adds.
    pub(super) fn columns<F: Scalar>(&self, w: &Weights<'_, F>) -> [Vec<F>; 3] {
        let epsilon = F::from_f64(self.epsilon);
        let factor = w["running_var"].data().iter().zip(w["weight"].data());
        let factor = factor.map(|(&variance, &weight)| F::one() / (variance + epsilon).sqrt() * weight);
        [w["running_mean"].data().to_vec(), factor.collect(), w["bias"].data().to_vec()]
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }
}

impl<F: Scalar> Layer<F> for BatchNorm {
    type Cache = Statistics<F>;

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

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let channels = [input[input.len() - 1]];
        let fan = Fan { inputs: 1, outputs: 1 };
        declare.learned("weight", &channels, Init::One, fan);
        declare.learned("bias", &channels, Init::Zero, fan);
        declare.remembered("running_mean", &channels, Init::Zero);
        declare.remembered("running_var", &channels, Init::One);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Statistics<F>,
        ctx: &Context,
    ) {
        let channels = x.width();
        cache.make_room(channels);
        let Statistics { of_batch, positions, mean, rest, variance, scale, factor, sums } = cache;
        *positions = x.data().len() / channels;
        *of_batch = ctx.mode == Mode::Train && !w.is_frozen("running_mean");
        if *of_batch {
            mean_and_variance(x.data(), mean, rest, variance);
        } else {
            mean.copy_from_slice(w["running_mean"].data());
            rest.fill(F::zero());
            variance.copy_from_slice(w["running_var"].data());
        }
        let (weight, bias, epsilon) = (w["weight"].data(), w["bias"].data(), F::from_f64(self.epsilon));
        // Until the backward pass, the sums are free.
        let shift = &mut sums[..channels];
        for i in 0..channels {
            scale[i] = F::one() / (variance[i] + epsilon).sqrt();
            factor[i] = scale[i] * weight[i];
            shift[i] = bias[i] - rest[i] * factor[i];
        }
        let columns = [&*mean, &*factor, &*shift];
        normalize(x.data(), columns, y.data_mut(), |rows| self.activation.apply(rows, channels));
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Statistics<F>, ctx: &Context) {
        let Backward { x, y, dy: dz, dx, mut grads, .. } = pass;
        let channels = dz.width();
        let Statistics { of_batch, mean, rest, scale, factor, sums, .. } = cache;
        self.activation.differentiate(y.data(), dz.data_mut(), channels, ctx.relu);
        let learns = grads.wants("weight") || grads.wants("bias");
        if learns || *of_batch {
            gradient_sums(x.data(), dz.data(), [mean, rest, scale], sums);
        }
        let (plain, weighted) = sums.split_at_mut(channels);
        for (name, sum) in [("bias", &*plain), ("weight", &*weighted)] {
            if let Some(grad) = grads.add(name) {
                grad.iter_mut().zip(sum).for_each(|(grad, &sum)| *grad += sum);
            }
        }
        let Some(dx) = dx else { return };
        // dx = dz · factor - (x - mean) · slope - offset, the last two only with the batch's statistics. What rounding cut off the mean
        // is in the offset.
        let share = if *of_batch { F::from_f64(channels as f64 / x.data().len() as f64) } else { F::zero() };
        for (i, &weight) in w["weight"].data().iter().enumerate() {
            factor[i] = weight * scale[i];
            weighted[i] = if *of_batch { factor[i] * scale[i] * share * weighted[i] } else { F::zero() };
            let offset = factor[i] * share * plain[i] - rest[i] * weighted[i];
            plain[i] = if *of_batch { offset } else { F::zero() };
        }
        input_gradient(x.data(), dz.data(), [mean, factor, weighted, plain], dx.data_mut());
    }

    fn commit(&self, cache: &Statistics<F>, state: &mut WeightsMut<'_, F>) {
        if !cache.of_batch {
            return;
        }
        let positions = cache.positions as f64;
        let unbiased = positions / (positions - 1.0);
        let momentum = self.momentum;
        // Rounded once, at the end, as in PyTorch.
        let follow = |running: &mut F, new: f64| {
            *running = F::from_f64((1.0 - momentum) * running.as_f64() + momentum * new);
        };
        let means = cache.mean.iter().zip(&cache.rest);
        for (running, (mean, rest)) in state.data_mut("running_mean").iter_mut().zip(means) {
            follow(running, mean.as_f64() + rest.as_f64());
        }
        let variances = state.data_mut("running_var").iter_mut().zip(&cache.variance);
        variances.for_each(|(running, variance)| follow(running, unbiased * variance.as_f64()));
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: self.activation.reads_output() }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let Some((&channels, places)) = input.split_last() else { return Cost::default() };
        let positions = product(places);
        Cost {
            multiply_adds: positions.saturating_mul(channels) as u64,
            fixed_bytes: channels.saturating_mul(7 * size_of::<F>()),
            least_samples: if positions == 1 { 2 } else { 1 },
            ..Cost::default()
        }
    }
}
