//! Initial values of parameters.

use std::fmt;
use std::str::FromStr;

use ndarray_rand::rand_distr::{Distribution, Normal, Uniform};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, above_zero};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;

/// The number of inputs of a unit (fan-in) and the number of units that read an input (fan-out). Initializers scale by them.
#[derive(Debug, Clone, Copy)]
pub struct Fan {
    /// Inputs of a unit.
    pub inputs: usize,
    /// Outputs that an input reaches.
    pub outputs: usize,
}

/// How the initial values of a weight are drawn. Biases start at zero.
///
/// ```
/// use backstitch::Init;
/// assert_eq!("glorot_uniform".parse::<Init>()?, Init::GlorotUniform);
/// assert_eq!(Init::HeNormal.to_string(), "he_normal");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Init {
    /// All one: the weight of a batch normalization.
    One,
    /// All zero. Units of a layer then stay equal for ever: a lesson, not a method.
    Zero,
    /// Uniform in [-1, 1), times 0.01.
    Random,
    /// Standard normal, times 0.01.
    Normal,
    /// Uniform in ±sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010, equation 16).
    #[default]
    GlorotUniform,
    /// Normal with variance 2 / (inputs + outputs) (Glorot and Bengio 2010, equation 12).
    GlorotNormal,
    /// Uniform in ±sqrt(6 / inputs), for ReLU (He et al. 2015, section 2.2).
    HeUniform,
    /// Normal with variance 2 / inputs, for ReLU (He et al. 2015, equation 10).
    HeNormal,
    /// Uniform in ± this bound, which is above 0.
    UniformWithin(f64),
    /// Normal with this standard deviation, which is above 0.
    NormalOf(f64),
}

impl Init {
    /// Every initializer with the name it is called by.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("zero", Self::Zero),
        ("random", Self::Random),
        ("normal", Self::Normal),
        ("glorot_uniform", Self::GlorotUniform),
        ("glorot_normal", Self::GlorotNormal),
        ("he_uniform", Self::HeUniform),
        ("he_normal", Self::HeNormal),
    ];

    /// A tensor of initial values, drawn in `f64` so that `f32` and `f64` models start alike.
    ///
    /// # Errors
    /// If there cannot be such a tensor, or the fan has no inputs or outputs.
    pub(crate) fn tensor<F: Scalar>(
        self,
        shape: &[usize],
        fan: Fan,
        rng: &mut ChaCha8Rng,
    ) -> Result<Tensor<F>, Error> {
        if fan.inputs == 0 || fan.outputs == 0 {
            return Err(Error::argument("fan", "at least 1 input and 1 output", format!("{fan:?}")));
        }
        let (inputs, outputs) = (fan.inputs as f64, fan.outputs as f64);
        if let Self::UniformWithin(spread) | Self::NormalOf(spread) = self {
            above_zero("init", spread)?;
        }
        let mut tensor = Tensor::zeros(shape)?;
        match self {
            Self::Zero => {}
            Self::One => tensor.fill(F::one()),
            Self::Random => uniform(&mut tensor, 0.01, rng),
            Self::Normal => normal(&mut tensor, 0.01, rng),
            Self::GlorotUniform => uniform(&mut tensor, (6.0 / (inputs + outputs)).sqrt(), rng),
            Self::GlorotNormal => normal(&mut tensor, (2.0 / (inputs + outputs)).sqrt(), rng),
            Self::HeUniform => uniform(&mut tensor, (6.0 / inputs).sqrt(), rng),
            Self::HeNormal => normal(&mut tensor, (2.0 / inputs).sqrt(), rng),
            Self::UniformWithin(bound) => uniform(&mut tensor, bound, rng),
            Self::NormalOf(deviation) => normal(&mut tensor, deviation, rng),
        }
        Ok(tensor)
    }
}

fn uniform<F: Scalar>(tensor: &mut Tensor<F>, bound: f64, rng: &mut ChaCha8Rng) {
    draw(tensor, Uniform::new(-bound, bound).expect("the bound is finite and above 0"), rng);
}

fn normal<F: Scalar>(tensor: &mut Tensor<F>, deviation: f64, rng: &mut ChaCha8Rng) {
    draw(tensor, Normal::new(0.0, deviation).expect("the deviation is finite and above 0"), rng);
}

/// Each number is rounded as it is drawn: an additional array of `f64` would be the largest allocation in building
/// a large model.
fn draw<F: Scalar>(tensor: &mut Tensor<F>, from: impl Distribution<f64>, rng: &mut ChaCha8Rng) {
    tensor.data_mut().iter_mut().for_each(|value| *value = F::from_f64(from.sample(&mut *rng)));
}

/// Its name: `glorot_uniform`.
impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UniformWithin(bound) => return write!(f, "uniform within {bound}"),
            Self::NormalOf(deviation) => return write!(f, "normal of {deviation}"),
            _ => {}
        }
        let name = Self::NAMES.iter().find(|(_, init)| init == self).map_or("one", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Init {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        crate::error::by_name("weight_init", &Self::NAMES, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::rng::{Purpose, stream};

    const FAN: Fan = Fan { inputs: 300, outputs: 100 };

    fn moments(init: Init) -> (f64, f64, f64) {
        let mut rng = stream(1, Purpose::Initialize, 0, 0);
        let tensor: Tensor<f64> = init.tensor(&[300, 100], FAN, &mut rng).unwrap();
        let values = tensor.data();
        let mean = values.iter().sum::<f64>() / 3e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3e4;
        (mean, variance.sqrt(), values.iter().fold(0.0, |a: f64, v| a.max(v.abs())))
    }

    #[test]
    fn spread_and_bounds_are_those_of_the_papers() {
        let uniform_deviation = |bound: f64| bound / 3.0_f64.sqrt();
        let glorot = (6.0_f64 / 400.0).sqrt();
        let he = (6.0_f64 / 300.0).sqrt();
        for (init, deviation, bound) in [
            (Init::Random, uniform_deviation(0.01), 0.01),
            (Init::Normal, 0.01, f64::INFINITY),
            (Init::GlorotUniform, uniform_deviation(glorot), glorot),
            (Init::GlorotNormal, (2.0_f64 / 400.0).sqrt(), f64::INFINITY),
            (Init::HeUniform, uniform_deviation(he), he),
            (Init::HeNormal, (2.0_f64 / 300.0).sqrt(), f64::INFINITY),
        ] {
            let (mean, spread, largest) = moments(init);
            assert!(mean.abs() < 0.02 * deviation, "{init:?} mean {mean}");
            assert!((spread / deviation - 1.0).abs() < 0.02, "{init:?} deviation {spread}");
            assert!(largest <= bound, "{init:?} largest {largest}");
        }
        assert_eq!(moments(Init::Zero), (0.0, 0.0, 0.0));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_allowed_ones() {
        let message = "xavier".parse::<Init>().unwrap_err().to_string();
        assert_eq!(
            message,
            "weight_init: expected one of zero, random, normal, glorot_uniform, glorot_normal, \
             he_uniform, he_normal, got xavier"
        );
    }
}
