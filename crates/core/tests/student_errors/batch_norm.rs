//! y = γ (x - μ) / sqrt(σ² + ε) + β, with mean and variance over the batch.

use backstitch_core::{
    Backward, Cache, Context, Cost, Declare, Fan, Init, Layer, Mode, Scalar, Shape, ShapeError, Tensor,
    Weights, WeightsMut,
};

use crate::{Case, case};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Right,
    ThreeTerms,
    KeepsNormalized,
    WithoutAffine,
    // Wrong.
    MeanConstant,
    VarianceConstant,
    BothConstant,
    RunningInTraining,
    BatchInEvaluation,
    EpsilonForgotten,
    RootForgotten,
    WeightForgotten,
    WeightGradientOfX,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct BatchNorm {
    how: Mistake,
    epsilon: f64,
}

/// What a forward pass keeps: the statistics, and the normalized numbers if they are needed.
#[derive(Debug, Default)]
struct Kept<F> {
    of_batch: bool,
    mean: Vec<F>,
    variance: Vec<F>,
    hat: Vec<F>,
}

impl<F: Scalar> Cache for Kept<F> {
    fn bytes(&self) -> usize {
        (self.mean.capacity() + self.variance.capacity() + self.hat.capacity()) * size_of::<F>()
    }
}

fn statistics<F: Scalar>(x: &[F], column: usize, width: usize) -> [F; 2] {
    let share = F::from_f64(width as f64 / x.len() as f64);
    let numbers = || x.iter().skip(column).step_by(width);
    let mean = numbers().fold(F::zero(), |sum, &x| sum + x) * share;
    [mean, numbers().fold(F::zero(), |sum, &x| sum + (x - mean) * (x - mean)) * share]
}

impl BatchNorm {
    fn scale<F: Scalar>(&self, variance: F) -> F {
        F::one() / (variance + F::from_f64(self.epsilon)).sqrt()
    }
}

impl<F: Scalar> Layer<F> for BatchNorm {
    type Cache = Kept<F>;

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let (width, fan) = (input[input.len() - 1], Fan { inputs: 1, outputs: 1 });
        if self.how != WithoutAffine {
            declare.learned("weight", &[width], Init::One, fan);
            declare.learned("bias", &[width], Init::Zero, fan);
        }
        declare.remembered("mean", &[width], Init::Zero);
        declare.remembered("variance", &[width], Init::One);
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Kept<F>,
        ctx: &Context,
    ) {
        let width = x.width();
        cache.of_batch = (ctx.mode == Mode::Train || self.how == BatchInEvaluation) && x.batch() > 0;
        for list in [&mut cache.mean, &mut cache.variance] {
            list.clear();
            list.reserve_exact(width);
        }
        for column in 0..width {
            let [mean, variance] = match cache.of_batch {
                true => statistics(x.data(), column, width),
                false => [w["mean"].data()[column], w["variance"].data()[column]],
            };
            cache.mean.push(mean);
            cache.variance.push(variance);
        }
        cache.hat.clear();
        cache.hat.reserve_exact(if self.how == KeepsNormalized { x.data().len() } else { 0 });
        for (i, y) in y.data_mut().iter_mut().enumerate() {
            let column = i % width;
            *y = (x.data()[i] - cache.mean[column]) * self.scale(cache.variance[column]);
            if self.how == KeepsNormalized {
                cache.hat.push(*y);
            }
            if self.how != WithoutAffine {
                *y = *y * w["weight"].data()[column] + w["bias"].data()[column];
            }
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Kept<F>, _: &Context) {
        let Backward { x, dy, mut dx, mut grads, .. } = pass;
        let width = dy.width();
        let count = F::from_f64((dy.data().len() / width).max(1) as f64);
        for column in 0..width {
            let places: Vec<usize> = (column..dy.data().len()).step_by(width).collect();
            let (mut mean, mut variance) = (cache.mean[column], cache.variance[column]);
            if self.how == RunningInTraining {
                (mean, variance) = (w["mean"].data()[column], w["variance"].data()[column]);
            }
            let scale = match self.how {
                EpsilonForgotten => F::one() / variance.sqrt(),
                RootForgotten => F::one() / (variance + F::from_f64(self.epsilon)),
                _ => self.scale(variance),
            };
            let hat = |at: usize| match self.how {
                KeepsNormalized => cache.hat[at],
                WeightGradientOfX => x.data()[at],
                _ => (x.data()[at] - mean) * scale,
            };
            let sum = places.iter().fold(F::zero(), |sum, &at| sum + dy.data()[at]);
            let product = places.iter().fold(F::zero(), |sum, &at| sum + dy.data()[at] * hat(at));
            let mut weight = F::one();
            if self.how != WithoutAffine {
                if let Some(grad) = grads.add("weight") {
                    grad[column] += product;
                }
                if let Some(grad) = grads.add("bias") {
                    grad[column] += sum;
                }
                weight = w["weight"].data()[column];
            }
            let Some(dx) = &mut dx else { continue };
            let factor = if self.how == WeightForgotten { scale } else { scale * weight };
            for &at in &places {
                let dy = dy.data()[at];
                dx.data_mut()[at] = match self.how {
                    _ if !cache.of_batch => factor * dy,
                    BothConstant => factor * dy,
                    MeanConstant => factor * (dy - hat(at) * product / count),
                    VarianceConstant => factor * (dy - sum / count),
                    ThreeTerms => factor / count * (count * dy - sum - hat(at) * product),
                    _ => factor * (dy - sum / count - hat(at) * product / count),
                };
            }
        }
    }

    fn commit(&self, cache: &Kept<F>, state: &mut WeightsMut<'_, F>) {
        for (name, new) in [("mean", &cache.mean), ("variance", &cache.variance)] {
            let tenth = F::from_f64(0.1);
            state.data_mut(name).iter_mut().zip(new).for_each(|(old, &new)| *old += (new - *old) * tenth);
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let width = input[input.len() - 1];
        let kept = if self.how == KeepsNormalized { input.iter().product() } else { 0 };
        let (sample_bytes, fixed_bytes) = (kept * size_of::<F>(), 2 * width * size_of::<F>());
        Cost { sample_bytes, fixed_bytes, least_samples: 2, ..Cost::default() }
    }
}

fn norm(how: Mistake, epsilon: f64) -> Case {
    case(BatchNorm { how, epsilon }, &[3], 5)
}

pub fn right() -> Vec<Case> {
    vec![
        norm(Right, 1e-5),
        norm(Right, 1e-8),
        norm(Right, 0.5),
        norm(ThreeTerms, 1e-5),
        norm(KeepsNormalized, 1e-3),
        norm(WithoutAffine, 1e-5),
        case(BatchNorm { how: Right, epsilon: 1e-5 }, &[3, 2, 2], 2),
    ]
}

pub fn wrong() -> Vec<Case> {
    [
        MeanConstant,
        VarianceConstant,
        BothConstant,
        RunningInTraining,
        BatchInEvaluation,
        EpsilonForgotten,
        RootForgotten,
        WeightForgotten,
        WeightGradientOfX,
    ]
    .map(|how| norm(how, 1e-3))
    .into()
}
