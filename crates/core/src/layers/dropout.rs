//! Dropout.

use rand::RngCore;
use rayon::prelude::*;

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::elementwise::{combine, copy};
use crate::layer::{Children, Context, Layer, Mode, Place};
use crate::param::{Slot, SlotMut};
use crate::rng::{Purpose, stream};
use crate::scalar::Scalar;
use crate::shape::{Shape, product};
use crate::tensor::Tensor;
use crate::trace::Trace;

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
/// use backstitch_core::{Activation, Model, Sequential, layers::{dense, dropout}};
/// let net = Sequential::new().push(dense(1024, Activation::Relu)).push(dropout(0.25));
/// let model: Model = Model::new(net, &[6272], 0)?;
/// assert!(Model::<f32>::new(Sequential::new().push(dropout(1.0)), &[4], 0).is_err());
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dropout {
    rate: f64,
    /// Tells the layers of a model apart.
    key: u64,
}

/// Sets each number to zero with probability `rate`, in [0, 1), in training.
pub fn dropout(rate: f64) -> Dropout {
    Dropout { rate, key: 0 }
}

/// Numbers that share a stream.
const CHUNK: usize = 8 * 1024;
/// Drawn at a time, 2 bytes a number.
const DRAWN: usize = 512;

impl Dropout {
    /// Fills `mask` with the factors of a step.
    fn draw<F: Scalar>(&self, mask: &mut [F], ctx: &Context) {
        let threshold = (self.rate * 65536.0).round().min(65535.0) as u16;
        let kept = F::from_f64(65536.0 / (65536.0 - f64::from(threshold)));
        mask.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut rng = stream(ctx.seed, Purpose::Dropout, self.key, (ctx.step << 24) | i as u64);
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

    fn build(&mut self, _input: &[usize], place: &Place) {
        self.key = place.key();
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, ctx: &Context) {
        t.y.resize(&x.shape());
        t.saved.resize_with(1, Tensor::default);
        if ctx.mode == Mode::Evaluate {
            t.saved[0].resize(&[0]);
            copy(x.data(), t.y.data_mut());
            return;
        }
        t.saved[0].resize(&x.shape());
        self.draw(t.saved[0].data_mut(), ctx);
        combine(x.data(), t.saved[0].data(), t.y.data_mut(), |x, factor| x * factor);
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, _ctx: &Context) {
        if let Some(dx) = dx {
            dx.resize(&x.shape());
            // Which regime forward ran in is what counts, not which this is.
            match t.saved[0].batch() {
                0 => copy(t.dy.data(), dx.data_mut()),
                _ => combine(t.dy.data(), t.saved[0].data(), dx.data_mut(), |dy, factor| dy * factor),
            }
        }
    }

    fn commit(&mut self, _t: &Trace<F>) {}
    fn visit<'a>(&'a self, _f: &mut dyn FnMut(Slot<'a, F>)) {}
    fn visit_mut(&mut self, _f: &mut dyn FnMut(SlotMut<'_, F>)) {}

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { kept: product(input), ..Cost::default() }
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Sequential;
    use crate::model::Model;
    use crate::trace::Keep;

    #[test]
    fn as_many_are_dropped_as_asked_and_the_mean_stays() {
        let model: Model<f64> = Model::new(Sequential::new().push(dropout(0.3)), &[1000], 0).unwrap();
        let mut x = Tensor::zeros(&[100, 1000]).unwrap();
        x.fill(1.0);
        let mut trace = Trace::new(Keep::ForBackward);
        let mut masks = Vec::new();
        for step in [0, 1, 0] {
            model.forward(&x, &mut trace, &Context::train(5, step)).unwrap();
            let dropped = trace.y.data().iter().filter(|&&y| y == 0.0).count() as f64 / 1e5;
            let mean = trace.y.data().iter().sum::<f64>() / 1e5;
            assert!((dropped - 0.3).abs() < 0.006, "{dropped}");
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
            masks.push(trace.y.data().to_vec());
        }
        assert!(masks[0] == masks[2] && masks[0] != masks[1], "the step alone decides");
        model.forward(&x, &mut trace, &Context::evaluate()).unwrap();
        assert_eq!(trace.y, x);
    }

    #[test]
    fn a_rate_outside_its_range_is_refused() {
        for (rate, shown) in [(1.0, "1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
            let net: Sequential = Sequential::new().named("drop", dropout(rate));
            let message = Model::new(net, &[4], 0).unwrap_err().to_string();
            assert_eq!(message, format!("drop (Dropout {shown}): expected a rate in [0, 1), got {shown}"));
        }
    }
}
