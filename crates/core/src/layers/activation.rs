//! Activations: as a setting of other layers, and as layers of their own.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ShapeError, by_name};
use crate::kernels::elementwise::{TERMS_AT_A_TIME, add_bias_and, copy, softmax_rows, update, update_with};
use crate::kernels::simd::vectorised;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads, ReluRule};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A function applied to every number, or (softmax) to every row along the last axis.
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
/// | softmax | e^z_i / Σ_j e^z_j | y_i (dL/dy_i - Σ_j dL/dy_j y_j) |
///
/// The last line is the product with softmax's whole Jacobian, dy_i/dz_j = y_i ([i = j] - y_j).
/// Where softmax ends a classifier, leave it out and train on logits: the derivative of
/// cross-entropy and softmax together is simpler and safe for large logits
/// (see [`CrossEntropy`](crate::losses::CrossEntropy); `docs/derivations/softmax.md`).
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
}

impl Activation {
    /// Every activation with its name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("relu", Self::Relu),
        ("sigmoid", Self::Sigmoid),
        ("linear", Self::Linear),
        ("tanh", Self::Tanh),
        ("softmax", Self::Softmax),
        ("leaky_relu", Self::LeakyRelu(0.01)),
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
            _ => Ok(()),
        }
    }

    /// Whether [`differentiate`](Self::differentiate) reads the output.
    pub(crate) fn reads_output(self) -> bool {
        self != Self::Linear
    }

    /// `y = activation(y)` in place, with rows of `width` numbers.
    pub(crate) fn apply<F: Scalar>(self, y: &mut [F], width: usize) {
        if self == Self::Softmax {
            return softmax_rows(y, width);
        }
        // One loop for both uses: a bias of zeros would change -0.0, so it gets a loop of its own.
        match self {
            Self::Linear | Self::Softmax => {}
            Self::Relu => each(y, relu),
            Self::Sigmoid => each(y, sigmoid),
            Self::Tanh => each(y, F::hyperbolic_tangent),
            Self::LeakyRelu(slope) => each(y, leaky(F::from_f64(slope))),
        }
    }

    /// `y = activation(y + bias)` in place, with rows as long as the bias.
    pub(crate) fn apply_with_bias<F: Scalar>(self, y: &mut [F], bias: &[F]) {
        match self {
            Self::Linear => add_bias_and(y, bias, |z| z),
            Self::Relu => add_bias_and(y, bias, relu),
            Self::Sigmoid => add_bias_and(y, bias, sigmoid),
            Self::Tanh => add_bias_and(y, bias, F::hyperbolic_tangent),
            Self::LeakyRelu(slope) => add_bias_and(y, bias, leaky(F::from_f64(slope))),
            Self::Softmax => {
                add_bias_and(y, bias, |z| z);
                softmax_rows(y, bias.len());
            }
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
            Self::Softmax => vectorised(
                #[inline(always)]
                || {
                    for (d, y) in dy.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
                        let parts = d.chunks(TERMS_AT_A_TIME).zip(y.chunks(TERMS_AT_A_TIME));
                        let dot = |(d, y): (&[F], &[F])| {
                            d.iter().zip(y).fold(F::zero(), |sum, (&d, &y)| sum + d * y).as_f64()
                        };
                        let dot = F::from_f64(parts.map(dot).sum());
                        for (d, &y) in d.iter_mut().zip(y) {
                            *d = y * (*d - dot);
                        }
                    }
                },
            ),
        }
    }
}

/// The comparison is false for NaN, so that a NaN is passed on and training can stop at it.
///
/// Without the sum, the loop would store either 0 or the old value. The compiler turns that into a masked store, which takes AMD's
/// processors up to Zen 4 several times as long as a plain store.
#[inline(always)]
fn relu<F: Scalar>(z: F) -> F {
    if z < F::zero() { F::zero() } else { z + F::zero() }
}

#[inline(always)]
fn leaky<F: Scalar>(slope: F) -> impl Fn(F) -> F {
    #[inline(always)]
    move |z| z * if z < F::zero() { slope } else { F::one() }
}

#[inline(always)]
fn sigmoid<F: Scalar>(z: F) -> F {
    F::one() / (F::one() + (-z).exponential())
}

fn each<F: Scalar>(y: &mut [F], f: impl Fn(F) -> F + Sync) {
    update(y, |y| *y = f(*y));
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu(slope) if *slope != 0.01 => write!(f, " {slope}"),
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
            "activation: expected one of relu, sigmoid, linear, tanh, softmax, leaky_relu, got swish"
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

    #[test]
    fn relu_is_flat_at_zero() {
        let mut d = [1.0_f32, 1.0, f32::INFINITY];
        Activation::Relu.differentiate(&[0.0, 2.0, 0.0], &mut d, 3, ReluRule::Plain);
        assert_eq!(d, [0.0, 1.0, 0.0]);
    }
}
