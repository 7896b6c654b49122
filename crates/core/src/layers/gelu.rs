//! The Gaussian error linear unit.

use crate::error::ShapeError;
use crate::kernels::elementwise::{combine, map};
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Gaussian error linear unit (D. Hendrycks and K. Gimpel 2016, section 2), number by number. Input and output have one shape, any.
///
/// It is a layer of its own and no setting of another layer: dy/dx needs x, and a layer that ends in an [`Activation`](crate::Activation) keeps
/// its output only. (The output does not tell x: each y from -0.17 to 0 has two.)
///
/// # Forward
/// y = x Φ(x), where Φ(x) = ½ erfc(-x / √2) is the distribution function of the standard normal distribution, as in PyTorch's
/// `nn.GELU()`. With [`tanh_approximation`](Self::tanh_approximation), as in `nn.GELU("tanh")`,
/// y = ½ x (1 + tanh v), v = √(2/π) (x + 0.044715 x³).
///
/// # Backward
/// dL/dx = dL/dy · (Φ(x) + x φ(x)), because Φ' is the density φ(x) = e^(-x²/2) / √(2π). With the approximation,
/// dL/dx = dL/dy · (½ (1 + tanh v) + ½ x (1 - tanh² v) √(2/π) (1 + 3 · 0.044715 x²)).
///
/// ```
/// use backstitch::{Model, Net, layers::{dense, gelu}};
/// let net = Net::new().push(dense(64)).push(gelu()).push(dense(10));
/// let model: Model = Model::new(net, &[32], 0)?;
/// assert_eq!(model.paths(), ["dense1", "gelu1", "dense2"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gelu {
    approximate: bool,
}

/// Gaussian error linear unit, exact.
pub fn gelu() -> Gelu {
    Gelu { approximate: false }
}

impl Gelu {
    /// Uses the approximation with a hyperbolic tangent, as GPT-2 does. It differs from the exact function by up to 0.0005.
    #[must_use]
    pub fn tanh_approximation(mut self) -> Self {
        self.approximate = true;
        self
    }
}

/// Φ(x) and e^(-x²/2). The tail Φ(-|x|) is computed without a difference, so that it keeps its digits.
#[inline(always)]
fn normal<F: Scalar>(x: F) -> [F; 2] {
    let bell = (F::from_f64(-0.5) * x * x).exponential();
    let tail = bell * x.abs().normal_tail_ratio();
    [if x < F::zero() { tail } else { F::one() - tail }, bell]
}

#[inline(always)]
fn exact<F: Scalar>(x: F) -> F {
    x * normal(x)[0]
}

#[inline(always)]
fn exact_derivative<F: Scalar>(x: F) -> F {
    // 1 / √(2π).
    let height = F::from_f64(0.398_942_280_401_432_7);
    let [below, bell] = normal(x);
    below + x * bell * height
}

/// tanh v, and dv/dx.
#[inline(always)]
fn inner<F: Scalar>(x: F) -> [F; 2] {
    let cubic = F::from_f64(0.044_715);
    // √(2/π).
    let slope = F::from_f64(0.797_884_560_802_865_4);
    let square = x * x;
    let tanh = (slope * x * (F::one() + cubic * square)).hyperbolic_tangent();
    [tanh, slope * (F::one() + F::from_f64(3.0) * cubic * square)]
}

#[inline(always)]
fn approximate<F: Scalar>(x: F) -> F {
    F::from_f64(0.5) * x * (F::one() + inner(x)[0])
}

#[inline(always)]
fn approximate_derivative<F: Scalar>(x: F) -> F {
    let [tanh, slope] = inner(x);
    let one = F::one();
    F::from_f64(0.5) * (one + tanh + x * (one - tanh * tanh) * slope)
}

impl<F: Scalar> Layer<F> for Gelu {
    type Cache = ();

    fn describe(&self) -> String {
        if self.approximate { "Gelu, tanh" } else { "Gelu" }.to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        match self.approximate {
            false => map(x.data(), y.data_mut(), exact),
            true => map(x.data(), y.data_mut(), approximate),
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
        match self.approximate {
            false => combine(x.data(), dy.data(), dx.data_mut(), |x, dy| dy * exact_derivative(x)),
            true => combine(x.data(), dy.data(), dx.data_mut(), |x, dy| dy * approximate_derivative(x)),
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x, x Φ(x) and Φ(x) + x φ(x), computed by mpmath with 50 digits.
    const EXACT: [(f64, f64, f64); 13] = [
        (-8.0, -4.976768459417427e-15, -3.979607261086796e-14),
        (-5.0, -1.4332578593959695e-06, -7.146946001792295e-06),
        (-3.0, -0.0040496940948902835, -0.011945647204183927),
        (-1.5, -0.1002108019032871, -0.12746919222997952),
        (-0.75, -0.16997051428265114, 0.0007742782607648957),
        (-0.25, -0.10032341857926907, 0.30462664511636395),
        (-0.0009765625, -0.00048790078905392527, 0.4992208161062869),
        (0.0009765625, 0.0004886617109460747, 0.5007791838937131),
        (0.5, 0.34573123063700656, 0.8674951246561629),
        (1.0, 0.8413447460685429, 1.0833154705876864),
        (2.5, 2.4844758366855597, 1.037611085908145),
        (4.0, 3.9998733150326675, 1.0005036496612265),
        (9.0, 9.0, 1.0),
    ];

    #[test]
    fn it_has_the_digits_of_its_type_in_the_tail_too() {
        for (x, y, derivative) in EXACT {
            let (single, double) = (f64::from(exact(x as f32)), exact(x));
            assert!((double - y).abs() <= 1e-15 * y.abs().clamp(1e-3, 1.0), "{x}: {double} {y}");
            assert!((single / y - 1.0).abs() < 3e-6, "{x}: {single} {y}");
            assert!((single - y).abs() <= 1e-7 * y.abs().max(0.5), "{x}: {single} {y}");
            assert!((exact_derivative(x) - derivative).abs() < 1e-15, "{x}");
            assert!((f64::from(exact_derivative(x as f32)) - derivative).abs() < 2e-7, "{x}");
        }
        assert_eq!((exact(0.0_f32), exact(100.0_f32), exact(-100.0_f32)), (0.0, 100.0, 0.0));
        assert_eq!(exact(f32::INFINITY), f32::INFINITY);
        assert!(exact(f32::NAN).is_nan() && approximate(f32::NAN).is_nan());
    }

    #[test]
    fn the_approximation_is_near() {
        let far = (-800..800).map(|i| f64::from(i) * 0.01).map(|x| (exact(x) - approximate(x)).abs());
        let far = far.fold(0.0, f64::max);
        assert!(far > 4e-4 && far < 5e-4, "{far}");
    }
}
