//! Dropout.

use rand::RngCore;

use crate::error::ShapeError;
use crate::kernels::elementwise::{combine, copy};
use crate::kernels::parts::in_pieces;
use crate::layer::cost::Cost;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Mode, Reads};
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Sets each number to zero with a probability, in training only (Srivastava et al. 2014).
///
/// # Shapes
/// x of any shape, y of the same.
///
/// # Forward
/// In training y = x · m, where m is 0 with probability `rate` and 1 / (1 - rate) otherwise, so that the
/// expectation of y is x; in evaluation y = x. What is dropped depends on the seed, the layer, the step and
/// the position alone, not on threads or on what ran before. (The rate is rounded to a multiple of 1/65,536.)
///
/// # Backward
/// dL/dx = dL/dy · m, with the same m.
///
/// ```
/// use backstitch::{Model, Net, layers::{dense, dropout}};
/// let net = Net::new().push(dense(1024).relu()).push(dropout(0.25));
/// let model: Model = Model::new(net, &[6272], 0)?;
/// assert!(Model::<f32>::new(Net::new().push(dropout(1.0)), &[4], 0).is_err());
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f64,
}

/// Sets each number to zero with probability `rate`, in [0, 1), in training.
pub fn dropout(rate: f64) -> Dropout {
    Dropout { rate }
}

/// Numbers that share a stream.
const CHUNK: usize = 8 * 1024;
/// Drawn at a time, 2 bytes a number.
const DRAWN: usize = 512;

impl Dropout {
    /// Fills `mask` with the factors of a step, for the layer with this key.
    fn draw<F: Scalar>(&self, mask: &mut [F], key: u64, ctx: &Context) {
        let threshold = (self.rate * 65536.0).round().min(65535.0) as u16;
        let kept = F::from_f64(65536.0 / (65536.0 - f64::from(threshold)));
        in_pieces(mask, CHUNK, &|i, chunk| {
            let mut rng = stream(ctx.seed, Purpose::Dropout, key, (ctx.step << 24) | i as u64);
            for part in chunk.chunks_mut(DRAWN) {
                let mut bytes = [[0; 2]; DRAWN];
                rng.fill_bytes(bytes.as_flattened_mut());
                for (factor, &bytes) in part.iter_mut().zip(&bytes) {
                    *factor = if u16::from_le_bytes(bytes) < threshold { F::zero() } else { kept };
                }
            }
        });
    }
}

impl<F: Scalar> Layer<F> for Dropout {
    /// The factors of a training pass; empty after one in evaluation.
    type Cache = Tensor<F>;

    fn describe(&self) -> String {
        format!("Dropout {}", self.rate)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        if (0.0..1.0).contains(&self.rate) {
            Shape::new(input)
        } else {
            let name = Layer::<F>::describe(self);
            Err(ShapeError::new(name, "a rate in [0, 1)", self.rate.to_string()))
        }
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        mask: &mut Tensor<F>,
        ctx: &Context,
    ) {
        if ctx.mode == Mode::Evaluate {
            mask.resize(&[0]);
            copy(x.data(), y.data_mut());
            return;
        }
        mask.resize(&x.shape());
        self.draw(mask.data_mut(), w.key(), ctx);
        combine(x.data(), mask.data(), y.data_mut(), |x, factor| x * factor);
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, mask: &mut Tensor<F>, _ctx: &Context) {
        let Some(dx) = pass.dx else { return };
        // The mode of the forward pass counts, not that of this pass.
        match mask.batch() {
            0 => copy(pass.dy.data(), dx.data_mut()),
            _ => combine(pass.dy.data(), mask.data(), dx.data_mut(), |dy, factor| dy * factor),
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { sample_bytes: product(input).saturating_mul(size_of::<F>()), ..Cost::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::net::model::Model;
    use crate::net::plan::Keep;
    use crate::net::trace::Trace;

    #[test]
    fn as_many_are_dropped_as_asked_and_the_mean_stays() {
        let model: Model<f64> = Model::new(Net::new().push(dropout(0.3)), &[1000], 0).unwrap();
        let mut x = Tensor::zeros(&[100, 1000]).unwrap();
        x.fill(1.0);
        let mut trace = Trace::new(Keep::ForBackward);
        let mut masks = Vec::new();
        for step in [0, 1, 0] {
            model.forward(&x, &mut trace, &Context::train(5, step)).unwrap();
            let dropped = trace.output().data().iter().filter(|&&y| y == 0.0).count() as f64 / 1e5;
            let mean = trace.output().data().iter().sum::<f64>() / 1e5;
            assert!((dropped - 0.3).abs() < 0.006, "{dropped}");
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
            masks.push(trace.output().data().to_vec());
        }
        assert!(masks[0] == masks[2] && masks[0] != masks[1], "the step alone decides");
        model.forward(&x, &mut trace, &Context::evaluate()).unwrap();
        assert_eq!(trace.output(), &x);
    }

    #[test]
    fn a_rate_outside_its_range_is_refused() {
        for (rate, shown) in [(1.0, "1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
            let net = Net::new().named("drop", dropout(rate));
            let message = Model::<f32>::new(net, &[4], 0).unwrap_err().to_string();
            assert_eq!(message, format!("drop (Dropout {shown}): expected a rate in [0, 1), got {shown}"));
        }
    }
}
