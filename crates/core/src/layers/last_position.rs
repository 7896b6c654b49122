//! The last position of a sequence, alone.

use crate::error::ShapeError;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads, Sequence};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The last position of each sequence: the state of a recurrent layer after all of it, for a classifier of whole sequences. Where sequences are filled up
/// to one length, fill them up in front.
///
/// # Shapes
/// x `[n, time, features]`, y `[n, features]`.
///
/// # Forward and backward
/// y_n = x_n,time; dL/dx_n,time = dL/dy_n, and 0 at the other positions.
///
/// ```
/// use backstitch::{Model, chain, layers::{dense, embedding, gru, last_position}};
/// let net = chain![embedding(1000, 16), gru(32), last_position(), dense(2)];
/// let model: Model = Model::new(net, &[50], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[2]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LastPosition {}

/// The last position of each sequence.
pub fn last_position() -> LastPosition {
    LastPosition {}
}

impl<F: Scalar> Layer<F> for LastPosition {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            [_, features] if *features > 0 => Shape::new(&[*features]),
            _ => {
                let name = Layer::<F>::describe(self);
                Err(ShapeError::new(name, "[time, features]", format!("{input:?}")))
            }
        }
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        let (time, width) = (x.shape()[1], x.width());
        for (x, y) in x.data().chunks_exact(time * width).zip(y.data_mut().chunks_exact_mut(width)) {
            y.copy_from_slice(&x[(time - 1) * width..]);
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { dy, dx: Some(dx), .. } = pass else { return };
        let (time, width) = (dx.shape()[1], dx.width());
        dx.fill(F::zero());
        for (dx, dy) in dx.data_mut().chunks_exact_mut(time * width).zip(dy.data().chunks_exact(width)) {
            dx[(time - 1) * width..].copy_from_slice(dy);
        }
    }

    fn sequence(&self) -> Sequence {
        Sequence::Steps { longest: usize::MAX }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}
