//! Instance normalization.

use crate::error::ShapeError;
use crate::layer::cost::Cost;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Layer, Reads};
use crate::layers::group_norm;
use crate::layers::layer_norm::check_epsilon;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Normalizes every channel of every sample to mean 0 and variance 1 over its positions (D. Ulyanov, A. Vedaldi and V. Lempitsky 2016,
/// "Instance normalization", equation 3). It takes the contrast out of each image.
///
/// # Shapes
/// x `[n, height, width, channels]`, or other axes with at least 2 positions before the channels; y the same. With
/// [`affine`](Self::affine), weight γ and bias β one number for each channel. As in PyTorch's `nn.InstanceNorm2d` there are none by default,
/// and no running statistics: training and evaluation are the same.
///
/// # Forward and backward
/// Those of a [group normalization](crate::layers::GroupNorm) in which each channel is a group; without parameters γ = 1 and β = 0.
/// ε = 1e-5 by default.
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, instance_norm}};
/// let net = Net::new().push(conv2d(32, 3).same()).push(instance_norm());
/// let model: Model = Model::new(net, &[16, 16, 3], 0)?;
/// assert_eq!(model.names("instancenorm1.*").len(), 0);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct InstanceNorm {
    epsilon: f64,
    affine: bool,
}

/// Instance normalization of the last axis, without parameters.
pub fn instance_norm() -> InstanceNorm {
    InstanceNorm { epsilon: 1e-5, affine: false }
}

impl InstanceNorm {
    /// Sets ε, which is added to the variance: a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Scales and shifts each channel by a learned weight and bias.
    #[must_use]
    pub fn affine(mut self) -> Self {
        self.affine = true;
        self
    }
}

impl<F: Scalar> Layer<F> for InstanceNorm {
    /// The statistics of every channel of every sample.
    type Cache = Tensor<F>;

    fn describe(&self) -> String {
        if self.affine { "InstanceNorm, affine" } else { "InstanceNorm" }.to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        check_epsilon(self.epsilon).map_err(|(expected, got)| error(expected, got))?;
        match input {
            [positions @ .., channels] if *channels > 0 && product(positions) > 1 => Shape::new(input),
            _ => {
                let expected =
                    "[.., channels] with at least 2 positions (x minus the mean of one is always 0)";
                Err(error(expected, format!("{input:?}")))
            }
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        if self.affine {
            group_norm::declare(input, declare);
        }
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        let affine = self.affine.then(|| ["weight", "bias"].map(|name| w[name].data()));
        group_norm::forward((x.width(), self.epsilon), affine, x, y, statistics);
    }

    fn backward(
        &self,
        w: &Weights<'_, F>,
        pass: Backward<'_, F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        let weight = self.affine.then(|| w["weight"].data());
        group_norm::backward(pass.dy.width(), weight, pass, statistics);
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        group_norm::cost::<F>(input, input.last().copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_position_and_an_impossible_epsilon_are_refused() {
        let message = |layer: InstanceNorm, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("norm").to_string()
        };
        for input in [&[1, 1, 6][..], &[6], &[0, 4, 6]] {
            assert_eq!(
                message(instance_norm(), input),
                format!(
                    "norm (InstanceNorm): expected [.., channels] with at least 2 positions (x minus the mean of one is \
                     always 0), got {input:?}"
                )
            );
        }
        assert_eq!(
            message(instance_norm().affine().epsilon(0.0), &[4, 4, 6]),
            "norm (InstanceNorm, affine): expected a finite epsilon above 0, got 0"
        );
    }
}
