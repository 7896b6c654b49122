//! RMS normalization.

use crate::error::ShapeError;
use crate::kernels::buffers::Buffer;
use crate::kernels::row_norm::{STATISTICS, gradient_sums, input_gradient, normalize_rows};
use crate::kernels::scratch::Scratch;
use crate::kernels::sums::add_to;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Fan, Layer, Reads};
use crate::layers::layer_norm::{check_epsilon, cost_of_rows};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Divides the features of every position by their root mean square, then scales each feature by a learned parameter
/// (B. Zhang and R. Sennrich 2019, "Root mean square layer normalization", equation 4).
///
/// # Shapes
/// x `[n, features]`, or any other axes before the last; y the same; weight γ one number for each feature. PyTorch's
/// `nn.RMSNorm(features)` has the same parameter.
///
/// # Forward
/// In every row, with i over its m features: r = sqrt(Σ_i x_i² / m + ε), x̂ = x / r, y_i = γ_i x̂_i. ε = 2^-23 (1.19e-7) by default: PyTorch's
/// default in `f32`, here in both precisions.
///
/// # Backward
/// dL/dγ_i = Σ dy_i x̂_i over all rows. With g_i = dL/dx̂_i = dy_i γ_i, and because dr/dx_i = x̂_i / m,
/// dL/dx_i = (g_i - x̂_i Σ_j g_j x̂_j / m) / r.
///
/// ```
/// use backstitch::{Model, Net, layers::{dense, rms_norm}};
/// let net = Net::new().push(dense(64)).push(rms_norm()).push(dense(10));
/// let model: Model = Model::new(net, &[32], 0)?;
/// assert_eq!(model.names("rmsnorm1.*"), ["rmsnorm1.weight"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RmsNorm {
    epsilon: f64,
}

/// RMS normalization of the last axis.
pub fn rms_norm() -> RmsNorm {
    RmsNorm { epsilon: f64::from(f32::EPSILON) }
}

impl RmsNorm {
    /// Sets ε, which is added to the mean square: a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl<F: Scalar> Layer<F> for RmsNorm {
    /// The statistics of every row.
    type Cache = Tensor<F>;

    fn describe(&self) -> String {
        "RmsNorm".to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        check_epsilon(self.epsilon).map_err(|(expected, got)| error(expected, got))?;
        match input {
            [.., features] if *features > 0 => Shape::new(input),
            _ => Err(error("[.., features] with at least 1 feature", format!("{input:?}"))),
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        declare.learned("weight", &input[input.len() - 1..], Init::One, Fan { inputs: 1, outputs: 1 });
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        statistics.resize(&[x.data().len() / x.width(), STATISTICS]);
        let settings = (false, self.epsilon);
        normalize_rows(x.data(), (w["weight"].data(), None), settings, y.data_mut(), statistics.data_mut());
    }

    fn backward(
        &self,
        w: &Weights<'_, F>,
        pass: Backward<'_, F>,
        statistics: &mut Tensor<F>,
        _ctx: &Context,
    ) {
        let Backward { x, dy, dx, mut grads, .. } = pass;
        let (width, x, dy, statistics) = (dy.width(), x.data(), dy.data(), statistics.data());
        if let Some(dx) = dx {
            input_gradient([x, dy, w["weight"].data(), statistics], false, dx.data_mut());
        }
        if let Some(gradient) = grads.add("weight") {
            let mut scratch = Scratch::take(Buffer::Sums);
            let sums = gradient_sums([x, dy, statistics], width, &mut scratch);
            add_to(Some(gradient), &sums[..width]);
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        cost_of_rows::<F>(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_epsilon_is_refused() {
        for (epsilon, shown) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN")] {
            let error = Layer::<f32>::output_shape(&rms_norm().epsilon(epsilon), &[7]).unwrap_err();
            assert_eq!(
                error.within("norm").to_string(),
                format!("norm (RmsNorm): expected a finite epsilon above 0, got {shown}")
            );
        }
        let error = Layer::<f32>::output_shape(&rms_norm(), &[]).unwrap_err().within("norm");
        assert_eq!(
            error.to_string(),
            "norm (RmsNorm): expected [.., features] with at least 1 feature, got []"
        );
    }
}
