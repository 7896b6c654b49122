//! y = activation(x W + b).

use backstitch_core::{
    Backward, Context, Declare, Fan, Init, Layer, Reads, Scalar, Shape, ShapeError, Tensor, Weights,
};

use crate::{Case, case};

const UNITS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Right,
    SamplesLast,
    WithoutBias,
    InPlace,
    Abs,
    Leaky,
    ReluAtZeroOne,
    FromInput,
    Identity,
    // Wrong.
    WeightTransposed,
    LastSampleOnly,
    MeanNotSum,
    BiasForgotten,
    BiasOnce,
    BiasMean,
    WrongSign,
    DerivativeForgotten,
    DerivativeOfInput,
    DxWithoutActivation,
    ReluOfGradient,
    LeakyForgotten,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct Dense(Mistake);

impl Dense {
    fn activate<F: Scalar>(&self, z: F) -> F {
        match self.0 {
            ReluAtZeroOne | ReluOfGradient => z.max(F::zero()),
            Abs => z.abs(),
            Leaky | LeakyForgotten => {
                if z > F::zero() {
                    z
                } else {
                    z * F::from_f64(0.1)
                }
            }
            Identity => z,
            _ => z.tanh(),
        }
    }

    /// From the output, or from the sum if the output is not enough.
    fn slope<F: Scalar>(&self, y: F, z: F) -> F {
        let step =
            |at_zero: bool| if z > F::zero() || (at_zero && z == F::zero()) { F::one() } else { F::zero() };
        match self.0 {
            ReluAtZeroOne => step(true),
            ReluOfGradient | Identity | DerivativeForgotten => F::one(),
            Abs => {
                if z == F::zero() {
                    z
                } else {
                    z.signum()
                }
            }
            Leaky => {
                if z > F::zero() {
                    F::one()
                } else {
                    F::from_f64(0.1)
                }
            }
            LeakyForgotten => step(false),
            FromInput => F::one() - z.tanh() * z.tanh(),
            DerivativeOfInput => F::one() - z * z,
            _ => F::one() - y * y,
        }
    }

    fn sum<F: Scalar>(&self, w: &Weights<'_, F>, x: &[F], j: usize) -> F {
        let bias = if self.0 == WithoutBias { F::zero() } else { w["bias"].data()[j] };
        x.iter().enumerate().fold(bias, |sum, (i, &x)| sum + x * w["weight"].data()[i * UNITS + j])
    }
}

impl<F: Scalar> Layer<F> for Dense {
    type Cache = ();

    fn output_shape(&self, _: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(&[UNITS])
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: input[0], outputs: UNITS };
        declare.learned("weight", &[input[0], UNITS], Init::GlorotUniform, fan);
        if self.0 != WithoutBias {
            declare.learned("bias", &[UNITS], Init::Zero, fan);
        }
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        for (y, x) in y.data_mut().chunks_exact_mut(UNITS).zip(x.data().chunks_exact(x.width())) {
            for (j, y) in y.iter_mut().enumerate() {
                *y = self.activate(self.sum(w, x, j));
            }
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, y, dy, dx, mut grads, .. } = pass;
        let (samples, inputs) = (x.batch(), x.width());
        let plain = dy.data().to_vec();
        // The gradient of the sums, in place on dy.
        for n in 0..samples {
            for j in 0..UNITS {
                let z = self.sum(w, &x.data()[n * inputs..][..inputs], j);
                let dz = &mut dy.data_mut()[n * UNITS + j];
                *dz *= self.slope(y.data()[n * UNITS + j], z);
                if self.0 == ReluOfGradient {
                    *dz = dz.max(F::zero());
                }
            }
        }
        let dz = dy.data();
        let share = F::from_f64(1.0 / samples.max(1) as f64);
        if let Some(grad) = grads.add("weight") {
            let from = if self.0 == LastSampleOnly { samples.saturating_sub(1) } else { 0 };
            for n in from..samples {
                for i in 0..inputs {
                    for j in 0..UNITS {
                        let at = match self.0 {
                            WeightTransposed => (j * inputs + i) % grad.len(),
                            _ => i * UNITS + j,
                        };
                        let by = if self.0 == MeanNotSum { share } else { F::one() };
                        grad[at] += x.data()[n * inputs + i] * dz[n * UNITS + j] * by;
                    }
                }
            }
        }
        if self.0 != WithoutBias
            && let Some(grad) = grads.add("bias")
        {
            for n in 0..samples {
                for j in 0..UNITS {
                    grad[j] += match self.0 {
                        BiasForgotten => F::zero(),
                        BiasOnce => {
                            if n == 0 {
                                dz[j]
                            } else {
                                F::zero()
                            }
                        }
                        BiasMean => dz[n * UNITS + j] * share,
                        _ => dz[n * UNITS + j],
                    };
                }
            }
        }
        let Some(dx) = dx else { return };
        let dz = if self.0 == DxWithoutActivation { &plain } else { dz };
        if self.0 == SamplesLast || self.0 == InPlace {
            // Another order of the loops, with a sum that grows in dx.
            dx.fill(F::zero());
            for j in 0..UNITS {
                for i in 0..inputs {
                    for n in 0..samples {
                        dx.data_mut()[n * inputs + i] +=
                            dz[n * UNITS + j] * w["weight"].data()[i * UNITS + j];
                    }
                }
            }
            return;
        }
        for n in 0..samples {
            for i in 0..inputs {
                let weight = |j: usize| w["weight"].data()[i * UNITS + j];
                let sum = (0..UNITS).fold(F::zero(), |sum, j| sum + dz[n * UNITS + j] * weight(j));
                dx.data_mut()[n * inputs + i] = if self.0 == WrongSign { -sum } else { sum };
            }
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: true }
    }
}

fn cases(all: &[Mistake]) -> Vec<Case> {
    all.iter().map(|&how| case(Dense(how), &[4], 3)).collect()
}

pub fn right() -> Vec<Case> {
    let mut all =
        cases(&[Right, SamplesLast, WithoutBias, InPlace, Abs, Leaky, ReluAtZeroOne, FromInput, Identity]);
    all.push(case(Dense(Right), &[1], 1));
    all
}

pub fn wrong() -> Vec<Case> {
    cases(&[
        WeightTransposed,
        LastSampleOnly,
        MeanNotSum,
        BiasForgotten,
        BiasOnce,
        BiasMean,
        WrongSign,
        DerivativeForgotten,
        DerivativeOfInput,
        DxWithoutActivation,
        ReluOfGradient,
        LeakyForgotten,
    ])
}
