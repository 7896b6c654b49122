//! The fully connected layer.

use crate::error::ShapeError;
use crate::kernels::Accumulate;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::multiply::multiply;
use crate::kernels::sums::add_rows;
use crate::layer::cost::Cost;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Fan, Layer, Reads};
use crate::layers::Activation;
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Every output is a weighted sum of every input, then an activation.
///
/// # Shapes
/// x `[n, inputs]`, weight W `[inputs, units]`, bias b `[units]`, y `[n, units]`. A sequence x `[n, time, inputs]` gives y `[n, time, units]`: every
/// position is a row of its own. With [`transposed`](Self::transposed), W is stored as `[units, inputs]`.
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
/// use backstitch::{Model, Net, layers::dense};
/// let net = Net::new().push(dense(64).relu()).push(dense(10));
/// let model: Model = Model::new(net, &[784], 0)?;
/// assert_eq!(model.parameter_count(), 784 * 64 + 64 + 64 * 10 + 10);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dense {
    units: usize,
    activation: Activation,
    init: Init,
    with_bias: bool,
    transposed: bool,
}

/// A fully connected layer with `units` units, without an activation by default.
pub fn dense(units: usize) -> Dense {
    Dense { units, activation: Activation::Linear, init: Init::default(), with_bias: true, transposed: false }
}

impl Dense {
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

    /// Sets the initializer of the weights; the default is Glorot's uniform. Biases start at zero.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Leaves the bias out: z = x W, for example before a batch normalization, which would cancel it.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.with_bias = false;
        self
    }

    /// Stores the weight as `[units, inputs]`, so that it can be tied to that of an embedding ([`Net::tie`](crate::Net::tie); O. Press and L. Wolf 2017,
    /// section 3). The bias, which an embedding does not have, is left out.
    #[must_use]
    pub fn transposed(mut self) -> Self {
        self.transposed = true;
        self.with_bias = false;
        self
    }

    /// Whether the weight is stored as `[units, inputs]`.
    pub fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// W as a matrix `[inputs, units]`.
    fn matrix<'a, F: Scalar>(&self, weight: &'a Tensor<F>) -> Matrix<'a, F> {
        match self.transposed {
            false => Matrix::new(weight.data(), weight.batch(), self.units),
            true => Matrix::new(weight.data(), self.units, weight.width()).t(),
        }
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }

    fn name(&self) -> String {
        format!("Dense {}, {}", self.units, self.activation)
    }
}

impl<F: Scalar> Layer<F> for Dense {
    type Cache = ();

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        match input {
            _ if self.units == 0 => Err(error("at least 1 unit", "0".to_owned())),
            [inputs] | [_, inputs] if *inputs > 0 => {
                self.activation.check().map_err(|(expected, got)| error(expected, got))?;
                let mut shape = Shape::of(input);
                shape.set_last(self.units);
                Ok(shape)
            }
            _ => {
                let expected =
                    "[features], or [time, features] (for images, put flatten() before this layer)";
                Err(error(expected, format!("{input:?}")))
            }
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let inputs = input[input.len() - 1];
        let fan = Fan { inputs, outputs: self.units };
        let shape = if self.transposed { [self.units, inputs] } else { [inputs, self.units] };
        declare.learned("weight", &shape, self.init, fan);
        if self.with_bias {
            declare.learned("bias", &[self.units], Init::Zero, fan);
        }
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        let x = rows(x, x.width());
        multiply(x, self.matrix(&w["weight"]), Accumulate::Overwrite, y.data_mut());
        match self.with_bias {
            true => self.activation.apply_with_bias(y.data_mut(), w["bias"].data()),
            false => self.activation.apply(y.data_mut(), self.units),
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), ctx: &Context) {
        let Backward { x, y, dy: dz, dx, mut grads, .. } = pass;
        self.activation.differentiate(y.data(), dz.data_mut(), self.units, ctx.relu);
        let dz_matrix = rows(dz, self.units);
        if let Some(grad) = if self.with_bias { grads.add("bias") } else { None } {
            add_rows(dz.data(), grad);
        }
        let weight = self.matrix(&w["weight"]);
        let inputs = weight.rows;
        if let Some(dx) = dx {
            multiply(dz_matrix, weight.t(), Accumulate::Overwrite, dx.data_mut());
        }
        match grads.write("weight") {
            Some((grad, how)) if self.transposed => multiply(dz_matrix.t(), rows(x, inputs), how, grad),
            Some((grad, how)) => multiply(rows(x, inputs).t(), dz_matrix, how, grad),
            None => {}
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { multiply_adds: product(input).saturating_mul(self.units) as u64, ..Cost::default() }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: self.activation.reads_output() }
    }
}

/// The numbers as rows of this width, one for every sample or position.
fn rows<F: Scalar>(x: &Tensor<F>, width: usize) -> Matrix<'_, F> {
    Matrix::new(x.data(), x.data().len() / width, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_no_row_of_features_is_refused() {
        let layer = dense(10).relu();
        let error = Layer::<f32>::output_shape(&layer, &[28, 28, 1]).unwrap_err().within("dense1");
        assert_eq!(
            error.to_string(),
            "dense1 (Dense 10, relu): expected [features], or [time, features] (for images, put flatten() before this \
             layer), got [28, 28, 1]"
        );
        let none = dense(0).relu();
        assert_eq!(
            Layer::<f32>::output_shape(&none, &[4]).unwrap_err().within("head").to_string(),
            "head (Dense 0, relu): expected at least 1 unit, got 0"
        );
    }
}
