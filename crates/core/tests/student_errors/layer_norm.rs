//! y = γ (x - μ) / sqrt(σ² + ε) + β, with mean and variance of each row.

use backstitch_core::{
    Backward, Context, Declare, Fan, Init, Layer, Scalar, Shape, ShapeError, Tensor, Weights,
};

use crate::{Case, case};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Right,
    ThreeTerms,
    Jacobian,
    WithoutAffine,
    // Wrong.
    MeanConstant,
    VarianceConstant,
    BothConstant,
    RootForgotten,
    WeightForgotten,
    WeightGradientOfX,
    BiasOfOneSample,
    Unbiased,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct LayerNorm {
    how: Mistake,
    epsilon: f64,
}

/// The normalized numbers of one row, and 1 / sqrt(σ² + ε).
fn normalized<F: Scalar>(x: &[F], epsilon: f64) -> (Vec<F>, F) {
    let share = F::from_f64(1.0 / x.len() as f64);
    let mean = x.iter().fold(F::zero(), |sum, &x| sum + x) * share;
    let variance = x.iter().fold(F::zero(), |sum, &x| sum + (x - mean) * (x - mean)) * share;
    let scale = F::one() / (variance + F::from_f64(epsilon)).sqrt();
    (x.iter().map(|&x| (x - mean) * scale).collect(), scale)
}

impl<F: Scalar> Layer<F> for LayerNorm {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        if self.how != WithoutAffine {
            let fan = Fan { inputs: 1, outputs: 1 };
            declare.learned("weight", &[input[0]], Init::One, fan);
            declare.learned("bias", &[input[0]], Init::Zero, fan);
        }
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        let width = x.width();
        for (y, x) in y.data_mut().chunks_exact_mut(width).zip(x.data().chunks_exact(width)) {
            y.copy_from_slice(&normalized(x, self.epsilon).0);
            for (i, y) in y.iter_mut().enumerate().filter(|_| self.how != WithoutAffine) {
                *y = *y * w["weight"].data()[i] + w["bias"].data()[i];
            }
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, dy, mut dx, mut grads, .. } = pass;
        let width = dy.width();
        for n in 0..dy.batch() {
            let row = n * width..(n + 1) * width;
            let (hat, scale) = normalized(&x.data()[row.clone()], self.epsilon);
            let mut dhat = dy.data()[row.clone()].to_vec();
            if self.how != WithoutAffine {
                if let Some(grad) = grads.add("weight") {
                    for i in 0..width {
                        let by = if self.how == WeightGradientOfX { x.data()[row.start + i] } else { hat[i] };
                        grad[i] += dhat[i] * by;
                    }
                }
                if let Some(grad) = grads.add("bias") {
                    let counts = self.how != BiasOfOneSample || n == 0;
                    (0..width).filter(|_| counts).for_each(|i| grad[i] += dhat[i]);
                }
                if self.how != WeightForgotten {
                    (0..width).for_each(|i| dhat[i] *= w["weight"].data()[i]);
                }
            }
            if let Some(dx) = &mut dx {
                self.input_gradient(&hat, scale, &dhat, &mut dx.data_mut()[row]);
            }
        }
        // Without samples the gradients are 0, but they are added.
        if dy.batch() == 0 && self.how != WithoutAffine {
            grads.add("weight");
            grads.add("bias");
        }
    }
}

impl LayerNorm {
    fn input_gradient<F: Scalar>(&self, hat: &[F], scale: F, dhat: &[F], dx: &mut [F]) {
        let count = F::from_f64(if self.how == Unbiased { hat.len() as f64 - 1.0 } else { hat.len() as f64 });
        let sum = dhat.iter().fold(F::zero(), |sum, &d| sum + d);
        let product = dhat.iter().zip(hat).fold(F::zero(), |sum, (&d, &x)| sum + d * x);
        for i in 0..hat.len() {
            dx[i] = match self.how {
                ThreeTerms => scale / count * (count * dhat[i] - sum - hat[i] * product),
                Jacobian => (0..hat.len()).fold(F::zero(), |all, j| {
                    let one = if i == j { count } else { F::zero() };
                    all + dhat[j] * scale / count * (one - F::one() - hat[i] * hat[j])
                }),
                MeanConstant => scale * (dhat[i] - hat[i] * product / count),
                VarianceConstant => scale * (dhat[i] - sum / count),
                BothConstant => scale * dhat[i],
                RootForgotten => scale * scale * (dhat[i] - sum / count - hat[i] * product / count),
                _ => scale * (dhat[i] - sum / count - hat[i] * product / count),
            };
        }
    }
}

fn norm(how: Mistake, epsilon: f64, width: usize) -> Case {
    case(LayerNorm { how, epsilon }, &[width], 3)
}

pub fn right() -> Vec<Case> {
    vec![
        norm(Right, 1e-5, 5),
        norm(Right, 0.1, 4),
        norm(Right, 1e-12, 6),
        norm(Right, 1e-5, 2),
        norm(ThreeTerms, 1e-5, 5),
        norm(Jacobian, 1e-3, 5),
        norm(WithoutAffine, 1e-5, 4),
    ]
}

pub fn wrong() -> Vec<Case> {
    [
        MeanConstant,
        VarianceConstant,
        BothConstant,
        RootForgotten,
        WeightForgotten,
        WeightGradientOfX,
        BiasOfOneSample,
        Unbiased,
    ]
    .map(|how| norm(how, 1e-5, 5))
    .into()
}
