//! Layer normalization.

use crate::error::ShapeError;
use crate::kernels::buffers::Buffer;
use crate::kernels::row_norm::{STATISTICS, gradient_sums, input_gradient, normalize_rows};
use crate::kernels::scratch::Scratch;
use crate::kernels::sums::add_to;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Fan, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Normalizes the features of every position to mean 0 and variance 1, then scales and shifts each feature by learned
/// parameters (J. Ba, J. Kiros and G. Hinton 2016, "Layer normalization", section 3).
///
/// # Shapes
/// x `[n, features]`, or `[n, positions, features]`, or any other axes before the last; y the same; weight γ and bias β one
/// number for each feature. PyTorch's `nn.LayerNorm(features)` has the same parameters.
///
/// # Forward
/// In every row, with i over its m features: μ = Σ_i x_i / m, σ² = Σ_i (x_i - μ)² / m, x̂ = (x - μ) / sqrt(σ² + ε), y_i = γ_i x̂_i + β_i.
/// ε = 1e-5 by default, as in PyTorch. A row is computed from itself alone, so training and evaluation are the same.
///
/// # Backward
/// dL/dγ_i = Σ dy_i x̂_i and dL/dβ_i = Σ dy_i, over all rows. With g_i = dL/dx̂_i = dy_i γ_i, and because every x_i takes part in μ and σ²
/// of its row, dL/dx_i = (g_i - Σ_j g_j / m - x̂_i Σ_j g_j x̂_j / m) / sqrt(σ² + ε). That is the derivative of batch normalization
/// (`docs/derivations/batch_norm.md`), with rows for columns.
///
/// ```
/// use backstitch::{Model, Net, layers::{dense, layer_norm}};
/// let net = Net::new().push(dense(64)).push(layer_norm()).push(dense(10));
/// let model: Model = Model::new(net, &[32], 0)?;
/// assert_eq!(model.names("layernorm1.*"), ["layernorm1.bias", "layernorm1.weight"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm {
    epsilon: f64,
    with_bias: bool,
}

/// Layer normalization of the last axis.
pub fn layer_norm() -> LayerNorm {
    LayerNorm { epsilon: 1e-5, with_bias: true }
}

impl LayerNorm {
    /// Sets ε, which is added to the variance: a finite number above 0.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Leaves the bias out: y = γ x̂.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.with_bias = false;
        self
    }
}

/// The error of an ε that is impossible: what was expected, and what it is.
pub(super) fn check_epsilon(epsilon: f64) -> Result<(), (&'static str, String)> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(("a finite epsilon above 0", epsilon.to_string()))
}

/// The cost of a normalization of the last axis.
pub(super) fn cost_of_rows<F>(input: &[usize]) -> Cost {
    let Some((_, positions)) = input.split_last() else { return Cost::default() };
    Cost {
        multiply_adds: product(input) as u64,
        sample_bytes: product(positions).saturating_mul(STATISTICS * size_of::<F>()),
        ..Cost::default()
    }
}

impl<F: Scalar> Layer<F> for LayerNorm {
    /// The statistics of every row.
    type Cache = Tensor<F>;

    fn describe(&self) -> String {
        "LayerNorm".to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        check_epsilon(self.epsilon).map_err(|(expected, got)| error(expected, got))?;
        match input {
            [.., features] if *features > 1 => Shape::new(input),
            _ => {
                let expected =
                    "[.., features] with at least 2 features (x minus the mean of one is always 0)";
                Err(error(expected, format!("{input:?}")))
            }
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let features = &input[input.len() - 1..];
        let fan = Fan { inputs: 1, outputs: 1 };
        declare.learned("weight", features, Init::One, fan);
        if self.with_bias {
            declare.learned("bias", features, Init::Zero, fan);
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
        statistics.resize(&[x.data().len() / x.width(), STATISTICS]);
        let affine = (w["weight"].data(), self.with_bias.then(|| w["bias"].data()));
        normalize_rows(x.data(), affine, (true, self.epsilon), y.data_mut(), statistics.data_mut());
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
            input_gradient([x, dy, w["weight"].data(), statistics], true, dx.data_mut());
        }
        let learns_bias = self.with_bias && grads.wants("bias");
        if !learns_bias && !grads.wants("weight") {
            return;
        }
        let mut scratch = Scratch::take(Buffer::Sums);
        let (weighted, plain) = gradient_sums([x, dy, statistics], width, &mut scratch).split_at(width);
        add_to(grads.add("weight"), weighted);
        if learns_bias {
            add_to(grads.add("bias"), plain);
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
    fn one_feature_and_an_impossible_epsilon_are_refused() {
        let message = |layer: LayerNorm, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("norm").to_string()
        };
        assert_eq!(
            message(layer_norm(), &[7, 1]),
            "norm (LayerNorm): expected [.., features] with at least 2 features (x minus the mean of one is always 0), got [7, 1]"
        );
        for (epsilon, shown) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            assert_eq!(
                message(layer_norm().epsilon(epsilon), &[7]),
                format!("norm (LayerNorm): expected a finite epsilon above 0, got {shown}")
            );
        }
    }
}
