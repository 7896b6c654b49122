//! The fully connected layer.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::init::Init;
use crate::kernels::gemm::{Matrix, multiply};
use crate::kernels::sums::add_rows;
use crate::layer::{Children, Context, Fan, Layer, Place};
use crate::layers::Activation;
use crate::param::{Accumulate, Param, Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

/// Every output is a weighted sum of every input, then an activation.
///
/// # Shapes
/// x `[n, inputs]`, weight W `[inputs, units]`, bias b `[units]`, y `[n, units]`.
///
/// # Forward
/// z = x W + b, y = activation(z).
///
/// # Backward
/// With dz = dL/dz, which the activation makes of dL/dy (see [`Activation`]):
/// * dL/dW = xᵀ dz: weight W_ij takes part in z_nj with the factor x_ni, for every sample n;
/// * dL/db = Σ_n dz_n;
/// * dL/dx = dz Wᵀ: input x_ni takes part in z_nj with the factor W_ij, for every unit j.
///
/// ```
/// use backstitch_core::{Activation, Model, Sequential, layers::dense};
/// let net = Sequential::new().push(dense(64, Activation::Relu)).push(dense(10, Activation::Linear));
/// let model: Model = Model::new(net, &[784], 0)?;
/// assert_eq!(model.parameter_count(), 784 * 64 + 64 + 64 * 10 + 10);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dense<F: Scalar = f32> {
    units: usize,
    activation: Activation,
    init: Init,
    with_bias: bool,
    weight: Param<F>,
    bias: Param<F>,
}

/// A fully connected layer of `units` units.
pub fn dense<F: Scalar>(units: usize, activation: Activation) -> Dense<F> {
    Dense {
        units,
        activation,
        init: Init::default(),
        with_bias: true,
        weight: Param::default(),
        bias: Param::default(),
    }
}

impl<F: Scalar> Dense<F> {
    /// Draws the first weights in another way than Glorot's uniform. Biases start at zero.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Leaves the bias out: z = x W, as before a batch normalization, which would take it away again.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.with_bias = false;
        self
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }
}

impl<F: Scalar> Layer<F> for Dense<F> {
    fn describe(&self) -> String {
        format!("Dense {}, {}", self.units, self.activation)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(Layer::<F>::describe(self), expected, got);
        match input {
            _ if self.units == 0 => Err(error("at least 1 unit", "0".to_owned())),
            [inputs] if *inputs > 0 => {
                self.activation.check().map_err(|(expected, got)| error(expected, got))?;
                Ok(Shape::from([self.units]))
            }
            _ => Err(error("[features]", format!("{input:?}"))),
        }
    }

    fn build(&mut self, input: &[usize], place: &Place) {
        let fan = Fan { inputs: input[0], outputs: self.units };
        self.weight = place.param("weight", &[input[0], self.units], self.init, fan);
        if self.with_bias {
            self.bias = place.param("bias", &[self.units], Init::Zero, fan);
        }
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, _ctx: &Context) {
        let (samples, inputs) = (x.batch(), self.weight.value().batch());
        t.y.resize(&[samples, self.units]);
        let x = Matrix::new(x.data(), samples, inputs);
        let weight = Matrix::new(self.weight.value().data(), inputs, self.units);
        multiply(x, weight, Accumulate::Overwrite, t.y.data_mut());
        match self.with_bias {
            true => self.activation.apply_with_bias(t.y.data_mut(), self.bias.value().data()),
            false => self.activation.apply(t.y.data_mut(), self.units),
        }
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, ctx: &Context) {
        let (samples, inputs) = (x.batch(), self.weight.value().batch());
        let (y, dz) = t.y_and_scratch_dy();
        self.activation.differentiate(y.data(), dz.data_mut(), self.units, ctx.relu);
        let dz_matrix = Matrix::new(dz.data(), samples, self.units);
        if ctx.param_grads && self.with_bias && self.bias.trainable {
            add_rows(dz.data(), self.bias.grad_to_add().data_mut());
        }
        if let Some(dx) = dx {
            dx.resize(&[samples, inputs]);
            let weight = Matrix::new(self.weight.value().data(), inputs, self.units);
            multiply(dz_matrix, weight.t(), Accumulate::Overwrite, dx.data_mut());
        }
        if ctx.param_grads && self.weight.trainable {
            let (_, grad, how) = self.weight.accumulate();
            let x = Matrix::new(x.data(), samples, inputs);
            multiply(x.t(), dz_matrix, how, grad.data_mut());
        }
    }

    fn commit(&mut self, _t: &Trace<F>) {}

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        f(Slot::Param(&self.weight));
        if self.with_bias {
            f(Slot::Param(&self.bias));
        }
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, F>)) {
        f(SlotMut::Param(&mut self.weight));
        if self.with_bias {
            f(SlotMut::Param(&mut self.bias));
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let weights = product(input).saturating_mul(self.units);
        let biases = if self.with_bias { self.units } else { 0 };
        let parameters = weights.saturating_add(biases);
        Cost { multiply_adds: weights as u64, parameters, ..Cost::default() }
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_no_row_of_features_is_refused() {
        let layer: Dense = dense(10, Activation::Relu);
        let error = layer.output_shape(&[28, 28, 1]).unwrap_err().within("dense1");
        assert_eq!(error.to_string(), "dense1 (Dense 10, relu): expected [features], got [28, 28, 1]");
        let none: Dense = dense(0, Activation::Relu);
        assert_eq!(
            none.output_shape(&[4]).unwrap_err().within("head").to_string(),
            "head (Dense 0, relu): expected at least 1 unit, got 0"
        );
    }
}
