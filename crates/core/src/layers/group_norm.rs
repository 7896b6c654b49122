//! Group normalization.

use crate::error::ShapeError;
use crate::kernels::buffers::Buffer;
use crate::kernels::group_norm::{Groups, STATISTICS};
use crate::kernels::scratch::Scratch;
use crate::kernels::sums::add_to;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Fan, Layer, Reads};
use crate::layers::layer_norm::check_epsilon;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Normalizes groups of channels of every sample to mean 0 and variance 1, then scales and shifts each channel by learned
/// parameters (Y. Wu and K. He 2018, "Group normalization", section 3.2). Unlike a batch normalization it is the same for every batch.
///
/// # Shapes
/// x `[n, height, width, channels]`, `[n, channels]`, or any other axes before the last; y the same; weight γ and bias β one number for
/// each channel. A group is `channels / groups` channels that follow each other. PyTorch's `nn.GroupNorm(groups, channels)`, whose
/// channels come first, has the same parameters.
///
/// # Forward
/// In every group of a sample, with i over its m numbers (those of its channels at all positions): μ = Σ_i x_i / m,
/// σ² = Σ_i (x_i - μ)² / m, x̂ = (x - μ) / sqrt(σ² + ε), y = γ x̂ + β with γ and β of the channel. ε = 1e-5 by default, as in PyTorch.
///
/// # Backward
/// dL/dγ = Σ dy x̂ and dL/dβ = Σ dy, over all samples and positions. With g = dL/dx̂ = dy γ, in every group
/// dL/dx_i = (g_i - Σ_j g_j / m - x̂_i Σ_j g_j x̂_j / m) / sqrt(σ² + ε).
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, group_norm}};
/// let net = Net::new().push(conv2d(32, 3).same().without_bias()).push(group_norm(8));
/// let model: Model = Model::new(net, &[16, 16, 3], 0)?;
/// assert_eq!(model.names("groupnorm1.*"), ["groupnorm1.bias", "groupnorm1.weight"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GroupNorm {
    groups: usize,
    epsilon: f64,
}

/// Group normalization of the last axis, whose length is a multiple of `groups`.
pub fn group_norm(groups: usize) -> GroupNorm {
    GroupNorm { groups, epsilon: 1e-5 }
}

impl GroupNorm {
    /// Sets ε, which is added to the variance: a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

/// Declares a weight and a bias for each channel.
pub(super) fn declare(input: &[usize], declare: &mut Declare) {
    let (channels, fan) = (&input[input.len() - 1..], Fan { inputs: 1, outputs: 1 });
    declare.learned("weight", channels, Init::One, fan);
    declare.learned("bias", channels, Init::Zero, fan);
}

/// The groups of each sample of a batch.
fn groups_of<F: Scalar>(x: &Tensor<F>, groups: usize) -> Groups {
    let channels = x.width();
    Groups { positions: product(&x.shape()[1..]) / channels, channels, groups }
}

/// The forward pass, with the parameters if there are any.
pub(super) fn forward<F: Scalar>(
    (groups, epsilon): (usize, f64),
    affine: Option<[&[F]; 2]>,
    x: &Tensor<F>,
    y: &mut Tensor<F>,
    statistics: &mut Tensor<F>,
) {
    statistics.resize(&[x.batch(), groups, STATISTICS]);
    let groups = groups_of(x, groups);
    groups.statistics(x.data(), epsilon, statistics.data_mut());
    groups.normalize(x.data(), statistics.data(), affine, y.data_mut());
}

/// The backward pass, with the weight if there are parameters.
pub(super) fn backward<F: Scalar>(
    groups: usize,
    weight: Option<&[F]>,
    pass: Backward<'_, F>,
    statistics: &Tensor<F>,
) {
    let Backward { x, dy, dx, mut grads, .. } = pass;
    let (groups, both) = (groups_of(dy, groups), [x.data(), dy.data(), statistics.data()]);
    let learns = weight.is_some() && (grads.wants("weight") || grads.wants("bias"));
    if !learns && dx.is_none() {
        return;
    }
    let mut scratch = Scratch::take(Buffer::Sums);
    let sums = groups.gradient_sums(both, &mut scratch);
    if let Some(dx) = dx {
        groups.input_gradient(both, sums, weight, dx.data_mut());
    }
    if !learns {
        return;
    }
    let channels = groups.channels;
    let (total, others) = sums.split_at_mut((2 * channels).min(sums.len()));
    for part in others.chunks_exact(2 * channels) {
        total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let (plain, weighted) = total.split_at(total.len() / 2);
    add_to(grads.add("bias"), plain);
    add_to(grads.add("weight"), weighted);
}

/// What a pass over a sample costs.
pub(super) fn cost<F: Scalar>(input: &[usize], groups: usize) -> Cost {
    Cost {
        multiply_adds: product(input) as u64,
        sample_bytes: groups.saturating_mul(STATISTICS * size_of::<F>()),
        ..Cost::default()
    }
}

impl<F: Scalar> Layer<F> for GroupNorm {
    /// The statistics of every group of every sample.
    type Cache = Tensor<F>;

    fn describe(&self) -> String {
        format!("GroupNorm {} groups", self.groups)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error =
            |expected: String, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        check_epsilon(self.epsilon).map_err(|(expected, got)| error(expected.to_owned(), got))?;
        let Some((&channels, positions)) = input.split_last().filter(|_| product(input) > 0) else {
            return Err(error("[.., channels] with at least 1 channel".to_owned(), format!("{input:?}")));
        };
        if self.groups == 0 {
            return Err(error("at least 1 group".to_owned(), "0".to_owned()));
        }
        if !channels.is_multiple_of(self.groups) {
            let expected = format!("a number of groups that divides the {channels} channels");
            return Err(error(expected, self.groups.to_string()));
        }
        if channels == self.groups && product(positions) == 1 {
            let expected =
                "at least 2 numbers in a group (x minus the mean of one is always 0): fewer groups";
            return Err(error(expected.to_owned(), format!("1 number, of {input:?}")));
        }
        Shape::new(input)
    }

    fn params(&self, input: &[usize], to: &mut Declare) {
        declare(input, to);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        let affine = Some(["weight", "bias"].map(|name| w[name].data()));
        forward((self.groups, self.epsilon), affine, x, y, statistics);
    }

    fn backward(
        &self,
        w: &Weights<'_, F>,
        pass: Backward<'_, F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        backward(self.groups, Some(w["weight"].data()), pass, statistics);
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        cost::<F>(input, self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_cannot_be_are_refused() {
        let message = |layer: GroupNorm, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("norm").to_string()
        };
        assert_eq!(
            message(group_norm(0), &[4, 4, 6]),
            "norm (GroupNorm 0 groups): expected at least 1 group, got 0"
        );
        assert_eq!(
            message(group_norm(4), &[4, 4, 6]),
            "norm (GroupNorm 4 groups): expected a number of groups that divides the 6 channels, got 4"
        );
        assert_eq!(
            message(group_norm(6), &[1, 1, 6]),
            "norm (GroupNorm 6 groups): expected at least 2 numbers in a group (x minus the mean of one is always 0): \
             fewer groups, got 1 number, of [1, 1, 6]"
        );
        assert_eq!(
            message(group_norm(2).epsilon(f64::NAN), &[6]),
            "norm (GroupNorm 2 groups): expected a finite epsilon above 0, got NaN"
        );
        assert_eq!(
            message(group_norm(2), &[]),
            "norm (GroupNorm 2 groups): expected [.., channels] with at least 1 channel, got []"
        );
    }
}
