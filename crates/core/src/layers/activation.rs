//! Activations: as a setting of other layers, and as layers of their own.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ShapeError, by_name};
use crate::kernels::activations::{
    clamp, each, exponential_linear, hard_sigmoid, leaky, log_softmax_gradient, log_softmax_rows, relu,
    sigmoid, softmax_gradient, softplus,
};
use crate::kernels::elementwise::{copy, softmax_rows, update_with};
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads, ReluRule};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// SELU's factors (G. Klambauer et al. 2017, section "Deriving the SNN mapping function"): λ, and λ α with α = 1.6732632423543772.
const SELU_SLOPE: f64 = 1.050_700_987_355_480_5;
const SELU_DEPTH: f64 = SELU_SLOPE * 1.673_263_242_354_377_2;

/// A function applied to every number, or (softmax and log_softmax) to every row along the last axis.
///
/// With z the input, y the output and L the loss, each derivative is written in terms of y, so
/// that only the output must be kept:
///
/// | activation | y | dL/dz |
/// |---|---|---|
/// | linear | z | dL/dy |
/// | relu | max(z, 0) | 0 where y <= 0, else dL/dy |
/// | sigmoid | 1 / (1 + e^-z) | dL/dy · y (1 - y) |
/// | tanh | tanh z | dL/dy · (1 - y²) |
/// | leaky_relu | z where z > 0, else slope · z | dL/dy where y > 0, else slope · dL/dy |
/// | elu | z where z > 0, else α (e^z - 1) | dL/dy where y > 0, else dL/dy · (y + α) |
/// | selu | λ z where z > 0, else λ α (e^z - 1) | dL/dy · λ where y > 0, else dL/dy · (y + λ α) |
/// | softplus | ln(1 + e^z) | dL/dy · (1 - e^-y) |
/// | hard_sigmoid | min(max(z + 3, 0), 6) / 6 | dL/dy / 6 where 0 < y < 1, else 0 |
/// | hard_tanh | min(max(z, -1), 1) | dL/dy where -1 < y < 1, else 0 |
/// | relu6 | min(max(z, 0), 6) | dL/dy where 0 < y < 6, else 0 |
/// | softmax | e^z_i / Σ_j e^z_j | y_i (dL/dy_i - Σ_j dL/dy_j y_j) |
/// | log_softmax | z_i - ln Σ_j e^z_j | dL/dy_i - e^y_i Σ_j dL/dy_j |
///
/// The line of softmax is the product with its whole Jacobian, dy_i/dz_j = y_i ([i = j] - y_j); that of log_softmax is
/// dy_i/dz_j = [i = j] - e^y_j.
/// Where softmax ends a classifier, leave it out and train on logits: the derivative of
/// cross-entropy and softmax together is simpler and safe for large logits
/// (see [`CrossEntropy`](crate::losses::CrossEntropy); `docs/derivations/softmax.md`). A network that ends in log_softmax can be trained
/// on cross-entropy, because the log-softmax of a log-softmax is the same: only time is lost.
///
/// Activations whose derivative needs z are layers of their own: [`gelu`](crate::layers::gelu), [`silu`](crate::layers::silu),
/// [`hard_swish`](crate::layers::hard_swish), [`prelu`](crate::layers::prelu).
///
/// ```
/// use backstitch::Activation;
/// assert_eq!("tanh".parse::<Activation>()?, Activation::Tanh);
/// assert_eq!("LeakyReLU".parse::<Activation>()?, Activation::LeakyRelu(0.01));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// The identity.
    #[default]
    Linear,
    /// Rectified linear unit (Nair and Hinton 2010). The derivative at 0 is taken as 0.
    Relu,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Probabilities that sum to 1 along the last axis.
    Softmax,
    /// Leaky rectified linear unit with a slope in [0, 1) below 0 (Maas, Hannun and Ng 2013); by name with
    /// a slope of 0.01, as in PyTorch. The derivative at 0 is taken as the slope.
    LeakyRelu(f64),
    /// Exponential linear unit with a depth α above 0 (D. Clevert, T. Unterthiner and S. Hochreiter 2016, equation 15); by name with
    /// α = 1. The derivative at 0 is taken as α.
    Elu(f64),
    /// Scaled exponential linear unit, with the paper's λ and α (G. Klambauer et al. 2017, equation 2). The derivative at 0 is taken as λ α.
    Selu,
    /// A smooth ReLU (C. Dugas et al. 2001).
    Softplus,
    /// Straight lines for a sigmoid, as in PyTorch (A. Howard et al. 2019, "Searching for MobileNetV3", section 5.2). The derivative at both
    /// ends is taken as 0.
    HardSigmoid,
    /// Straight lines for a hyperbolic tangent (R. Collobert 2004). The derivative at both ends is taken as 0.
    HardTanh,
    /// A ReLU that ends at 6 (A. Krizhevsky 2010). The derivative at both ends is taken as 0.
    Relu6,
    /// Logarithms of the probabilities of a softmax, without rounding them first.
    LogSoftmax,
}

impl Activation {
    /// Every activation with its name.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("relu", Self::Relu),
        ("sigmoid", Self::Sigmoid),
        ("linear", Self::Linear),
        ("tanh", Self::Tanh),
        ("softmax", Self::Softmax),
        ("leaky_relu", Self::LeakyRelu(0.01)),
        ("elu", Self::Elu(1.0)),
        ("selu", Self::Selu),
        ("softplus", Self::Softplus),
        ("hard_sigmoid", Self::HardSigmoid),
        ("hard_tanh", Self::HardTanh),
        ("relu6", Self::Relu6),
        ("log_softmax", Self::LogSoftmax),
    ];

    /// Its name: `relu`.
    pub fn name(self) -> &'static str {
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        Self::NAMES.iter().find(|(_, activation)| same(activation)).expect("all are listed").0
    }

    /// Checks the settings; the error is what was expected and what it got.
    pub(crate) fn check(self) -> Result<(), (&'static str, String)> {
        match self {
            Self::LeakyRelu(slope) if !(0.0..1.0).contains(&slope) => {
                Err(("a slope of leaky_relu in [0, 1)", slope.to_string()))
            }
            Self::Elu(alpha) if !(alpha > 0.0 && alpha.is_finite()) => {
                Err(("a finite alpha of elu above 0", alpha.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Whether [`differentiate`](Self::differentiate) reads the output.
    pub(crate) fn reads_output(self) -> bool {
        self != Self::Linear
    }

    /// `y = activation(y)` in place, with rows of `width` numbers.
    pub(crate) fn apply<F: Scalar>(self, y: &mut [F], width: usize) {
        self.apply_to(y, None, width);
    }

    /// `y = activation(y + bias)` in place, with rows as long as the bias.
    pub(crate) fn apply_with_bias<F: Scalar>(self, y: &mut [F], bias: &[F]) {
        self.apply_to(y, Some(bias), bias.len());
    }

    fn apply_to<F: Scalar>(self, y: &mut [F], bias: Option<&[F]>, width: usize) {
        let number = F::from_f64;
        match self {
            Self::Linear | Self::Softmax | Self::LogSoftmax => {
                if bias.is_some() {
                    each(y, bias, |z| z);
                }
            }
            Self::Relu => each(y, bias, relu),
            Self::Sigmoid => each(y, bias, sigmoid),
            Self::Tanh => each(y, bias, F::hyperbolic_tangent),
            Self::LeakyRelu(slope) => each(y, bias, leaky(number(slope))),
            Self::Elu(alpha) => each(y, bias, exponential_linear(F::one(), number(alpha))),
            Self::Selu => each(y, bias, exponential_linear(number(SELU_SLOPE), number(SELU_DEPTH))),
            Self::Softplus => each(y, bias, softplus),
            Self::HardSigmoid => each(y, bias, hard_sigmoid),
            Self::HardTanh => each(y, bias, clamp(-F::one(), F::one())),
            Self::Relu6 => each(y, bias, clamp(F::zero(), number(6.0))),
        }
        match self {
            Self::Softmax => softmax_rows(y, width),
            Self::LogSoftmax => log_softmax_rows(y, width),
            _ => {}
        }
    }

    /// Turns dL/dy into dL/dz in place, with rows of `width` numbers; a ReLU follows the rule of the pass.
    ///
    /// As in PyTorch, a ReLU whose output is NaN passes the gradient on, because the comparison is false for NaN. `+ zero` makes it
    /// faster, as in `relu`.
    pub(crate) fn differentiate<F: Scalar>(self, y: &[F], dy: &mut [F], width: usize, relu: ReluRule) {
        let (zero, one) = (F::zero(), F::one());
        match self {
            Self::Relu if relu == ReluRule::Guided => {
                update_with(dy, y, |d, y| *d = if y <= zero || *d <= zero { zero } else { *d + zero });
            }
            Self::Relu if relu == ReluRule::Deconvnet => {
                update_with(dy, y, |d, _| *d = if *d <= zero { zero } else { *d + zero });
            }
            Self::Linear => {}
            // Multiplying by 0 would turn an infinite gradient into NaN.
            Self::Relu => update_with(dy, y, |d, y| *d = if y <= zero { zero } else { *d + zero }),
            Self::Sigmoid => update_with(dy, y, |d, y| *d = *d * y * (one - y)),
            Self::Tanh => update_with(dy, y, |d, y| *d *= one - y * y),
            Self::LeakyRelu(slope) => {
                let slope = F::from_f64(slope);
                update_with(dy, y, |d, y| *d *= if y > zero { one } else { slope });
            }
            Self::Elu(alpha) => exponential_linear_gradient(y, dy, one, F::from_f64(alpha)),
            Self::Selu => {
                exponential_linear_gradient(y, dy, F::from_f64(SELU_SLOPE), F::from_f64(SELU_DEPTH));
            }
            // e^-y - 1 keeps its digits where y is small: there dy/dz is nearly y.
            Self::Softplus => update_with(dy, y, |d, y| *d *= -(-y).exponential_minus_one()),
            Self::HardSigmoid => between(y, dy, [zero, one], one / F::from_f64(6.0)),
            Self::HardTanh => between(y, dy, [-one, one], one),
            Self::Relu6 => between(y, dy, [zero, F::from_f64(6.0)], one),
            Self::Softmax => softmax_gradient(y, dy, width),
            Self::LogSoftmax => log_softmax_gradient(y, dy, width),
        }
    }
}

/// dy · slope where y > 0, else dy · (y + depth), because depth · e^z = y + depth.
fn exponential_linear_gradient<F: Scalar>(y: &[F], dy: &mut [F], slope: F, depth: F) {
    update_with(dy, y, |d, y| *d *= if y > F::zero() { slope } else { y + depth });
}

/// dy · slope between two numbers, else 0; for an infinite gradient too.
fn between<F: Scalar>(y: &[F], dy: &mut [F], [low, high]: [F; 2], slope: F) {
    update_with(dy, y, |d, y| *d = if y <= low || y >= high { F::zero() } else { *d * slope });
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu(slope) if *slope != 0.01 => write!(f, " {slope}"),
            Self::Elu(alpha) if *alpha != 1.0 => write!(f, " {alpha}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Activation {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        by_name("activation", &Self::NAMES, name)
    }
}

/// An activation as a layer of its own. Input and output have one shape, any.
#[derive(Debug, Clone)]
pub struct ActivationLayer {
    activation: Activation,
}

/// An activation as a layer of its own.
pub fn activation(activation: Activation) -> ActivationLayer {
    ActivationLayer { activation }
}

impl ActivationLayer {
    /// The activation that it applies.
    pub(crate) fn last_activation(&self) -> Activation {
        self.activation
    }
}

impl<F: Scalar> Layer<F> for ActivationLayer {
    type Cache = ();

    fn describe(&self) -> String {
        format!("Activation {}", self.activation)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let checked = self.activation.check();
        checked.map_err(|(expected, got)| ShapeError::new(Layer::<F>::describe(self), expected, got))?;
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        copy(x.data(), y.data_mut());
        self.activation.apply(y.data_mut(), x.width());
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), ctx: &Context) {
        if let Some(dx) = pass.dx {
            copy(pass.dy.data(), dx.data_mut());
            self.activation.differentiate(pass.y.data(), dx.data_mut(), pass.dy.width(), ctx.relu);
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: self.activation.reads_output() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_activation() {
        for (name, activation) in Activation::NAMES {
            assert_eq!(name.parse::<Activation>().unwrap(), activation);
            assert_eq!(activation.to_string(), name);
        }
        assert_eq!(
            "swish".parse::<Activation>().unwrap_err().to_string(),
            "activation: expected one of relu, sigmoid, linear, tanh, softmax, leaky_relu, elu, selu, softplus, hard_sigmoid, hard_tanh, relu6, log_softmax, got swish"
        );
    }

    #[test]
    fn every_activation_passes_nan_on() {
        for (name, activation) in Activation::NAMES {
            let mut plain = [f32::NAN, 1.0];
            activation.apply(&mut plain, 2);
            assert!(plain[0].is_nan(), "{name}");
            let mut biased = [f32::NAN, 1.0];
            activation.apply_with_bias(&mut biased, &[0.5, 0.5]);
            assert!(biased[0].is_nan(), "{name} with bias");
        }
    }

    /// What PyTorch 2.15 gives.
    #[test]
    fn gradients_of_nan_and_to_nan_are_those_of_pytorch() {
        const NAN: f32 = f32::NAN;
        const INFINITY: f32 = f32::INFINITY;
        let dy = [1.0, NAN, NAN, NAN, NAN, INFINITY, INFINITY];
        let check = |activation: Activation, y: &[f32], expected: [f32; 7]| {
            // As many as fill vectors, and some more.
            let (y, mut d) = (y.repeat(20), dy.repeat(20));
            activation.differentiate(&y, &mut d, 7, ReluRule::Plain);
            for (i, (d, expected)) in d.iter().zip(expected.repeat(20)).enumerate() {
                assert!(*d == expected || d.is_nan() && expected.is_nan(), "{activation} at {i}: {d}");
            }
        };
        // Of z = NaN, 1, -1, 0, NaN, 2, -3.
        let relu = [NAN, 1.0, 0.0, 0.0, NAN, 2.0, 0.0];
        check(Activation::Relu, &relu, [1.0, NAN, 0.0, 0.0, NAN, INFINITY, 0.0]);
        check(Activation::Relu6, &relu, [1.0, NAN, 0.0, 0.0, NAN, INFINITY, 0.0]);
        check(
            Activation::HardTanh,
            &[NAN, 1.0, -1.0, 0.0, NAN, 1.0, -1.0],
            [1.0, 0.0, 0.0, NAN, NAN, 0.0, 0.0],
        );
        let leaky = [NAN, 1.0, -0.25, 0.0, NAN, 2.0, -0.75];
        check(Activation::LeakyRelu(0.25), &leaky, [0.25, NAN, NAN, NAN, NAN, INFINITY, INFINITY]);
    }

    #[test]
    fn rules_for_pictures_pass_nan_on() {
        for rule in [ReluRule::Guided, ReluRule::Deconvnet] {
            let mut d = [f32::NAN, 1.0, -1.0];
            Activation::Relu.differentiate(&[1.0, f32::NAN, 1.0], &mut d, 3, rule);
            assert!(d[0].is_nan() && d[1] == 1.0 && d[2] == 0.0, "{rule:?}");
        }
    }

    #[test]
    fn the_slope_of_leaky_relu_is_exact_in_f64() {
        let mut y = [-1.0_f64, 2.0];
        Activation::LeakyRelu(0.3).apply(&mut y, 2);
        assert_eq!(y, [-0.3, 2.0]);
        let mut y = [-2.0_f64];
        Activation::LeakyRelu(0.3).apply_with_bias(&mut y, &[1.0]);
        assert_eq!(y, [-0.3]);
        let mut d = [1.0_f64];
        Activation::LeakyRelu(0.3).differentiate(&y, &mut d, 1, ReluRule::Plain);
        assert_eq!(d, [0.3]);
    }

    /// Values and derivatives of single numbers in `f32`, against `f64`.
    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        let (alpha, scale) = (SELU_DEPTH / SELU_SLOPE, SELU_SLOPE);
        let elu = |z: f64| if z > 0.0 { (z, 1.0) } else { (z.exp_m1(), z.exp()) };
        let selu = |z: f64| {
            if z > 0.0 { (scale * z, scale) } else { (scale * alpha * z.exp_m1(), scale * alpha * z.exp()) }
        };
        let softplus = |z: f64| (z.max(0.0) + (-z.abs()).exp().ln_1p(), 1.0 / (1.0 + (-z).exp()));
        let check = |activation: Activation, exact: &dyn Fn(f64) -> (f64, f64)| {
            for z in [-80.0_f32, -20.0, -3.0, -0.5, -1e-3, -1e-6, -1e-20, 1e-20, 1e-5, 0.7, 15.0, 100.0, 1e30]
            {
                let (mut y, mut d) = ([z; 3], [1.0_f32; 3]);
                activation.apply(&mut y, 3);
                activation.differentiate(&y, &mut d, 3, ReluRule::Plain);
                let (exact, derivative) = exact(f64::from(z));
                assert!(
                    (f64::from(y[0]) / exact - 1.0).abs() < 4e-7,
                    "{activation} of {z}: {} {exact}",
                    y[0]
                );
                assert!(
                    (f64::from(d[0]) - derivative).abs() < 2e-7,
                    "{activation}' of {z}: {} {derivative}",
                    d[0]
                );
            }
        };
        check(Activation::Elu(1.0), &elu);
        check(Activation::Selu, &selu);
        check(Activation::Softplus, &softplus);
    }

    #[test]
    fn log_softmax_survives_large_values_and_keeps_small_logarithms() {
        let mut y = [1000.0_f32, 980.0, -1000.0, f32::NAN, 0.0, 0.0];
        Activation::LogSoftmax.apply(&mut y, 3);
        assert!((y[0] / -2.061_153_6e-9 - 1.0).abs() < 1e-6 && y[1..3] == [-20.0, -2000.0], "{y:?}");
        assert!(y[3..].iter().all(|y| y.is_nan()));
        // More numbers than are added up at a time, the largest in the second part.
        let mut long: Vec<f64> = (0..150).map(|i| f64::from(i % 71) * 0.1).collect();
        let sum: f64 = long.iter().map(|z| z.exp()).sum();
        let expected: Vec<f64> = long.iter().map(|z| z - sum.ln()).collect();
        Activation::LogSoftmax.apply(&mut long, 150);
        assert!(long.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-13));
    }

    #[test]
    fn an_alpha_that_cannot_be_is_refused() {
        for (alpha, shown) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let error = Layer::<f32>::output_shape(&activation(Activation::Elu(alpha)), &[3]).unwrap_err();
            let expected =
                format!("a (Activation elu {shown}): expected a finite alpha of elu above 0, got {shown}");
            assert_eq!(error.within("a").to_string(), expected);
        }
    }

    #[test]
    fn relu_is_flat_at_zero() {
        let mut d = [1.0_f32, 1.0, f32::INFINITY];
        Activation::Relu.differentiate(&[0.0, 2.0, 0.0], &mut d, 3, ReluRule::Plain);
        assert_eq!(d, [0.0, 1.0, 0.0]);
    }
}
