//! A vector for each of many ids.

use crate::error::ShapeError;
use crate::layer::init::Init;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Fan, Layer, Reads, Sequence};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A learned vector for each id: of a character, a word, a category (Bengio et al. 2003, section 2).
///
/// # Shapes
/// x `[n, ..]`, whole numbers from 0 to `ids` - 1; weight W `[ids, width]`; y `[n, .., width]`. Every pass checks the ids.
///
/// # Forward
/// y_p = W_{x_p}, for every position p: a row of W.
///
/// # Backward
/// * dL/dW_i = Σ_{p: x_p = i} dL/dy_p;
/// * ids have no derivative: dL/dx is 0.
///
/// ```
/// use backstitch::{Model, chain, layers::{dense, embedding, flatten}};
/// use backstitch::ndarray::array;
/// let model: Model = Model::new(chain![embedding(27, 10), flatten(), dense(27)], &[3], 0)?;
/// assert_eq!(model.predict(array![[0.0, 26.0, 5.0]])?.shape(), [1, 27]);
/// let error = model.predict(array![[0.0, 27.0, 5.0]]).unwrap_err().to_string();
/// assert_eq!(error, "input: expected whole numbers from 0 to 26, the ids of embedding1, got 27 at [0, 1]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embedding {
    ids: usize,
    width: usize,
    init: Init,
}

/// A vector of `width` numbers for each of `ids` ids.
pub fn embedding(ids: usize, width: usize) -> Embedding {
    Embedding { ids, width, init: Init::NormalOf(1.0) }
}

impl Embedding {
    /// Sets the initializer; the default is the standard normal distribution, as in PyTorch.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    fn name(&self) -> String {
        format!("Embedding {} ids, {}", self.ids, self.width)
    }
}

/// The id that a number is.
fn id<F: Scalar>(number: F) -> usize {
    number.as_f64() as usize
}

impl<F: Scalar> Layer<F> for Embedding {
    type Cache = ();

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        if self.ids == 0 || self.width == 0 {
            let got = format!("{} and {}", self.ids, self.width);
            return Err(ShapeError::new(self.name(), "at least 1 id and a width of at least 1", got));
        }
        Shape::new(&[input, &[self.width]].concat())
    }

    fn params(&self, _: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: self.ids, outputs: self.width };
        declare.learned("weight", &[self.ids, self.width], self.init, fan);
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        let weight = w["weight"].data();
        for (&x, y) in x.data().iter().zip(y.data_mut().chunks_exact_mut(self.width)) {
            y.copy_from_slice(&weight[id(x) * self.width..][..self.width]);
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, dy, dx, mut grads, .. } = pass;
        if let Some(grad) = grads.add("weight") {
            for (&x, dy) in x.data().iter().zip(dy.data().chunks_exact(self.width)) {
                let row = &mut grad[id(x) * self.width..][..self.width];
                row.iter_mut().zip(dy).for_each(|(row, &dy)| *row += dy);
            }
        }
        if let Some(dx) = dx {
            dx.fill(F::zero());
        }
    }

    fn ids(&self) -> Option<usize> {
        Some(self.ids)
    }

    fn sequence(&self) -> Sequence {
        Sequence::Steps { longest: usize::MAX }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain;
    use crate::layers::dense;
    use crate::net::model::Model;

    #[test]
    fn settings_and_places_that_are_impossible_are_refused() {
        let message = |net| Model::<f32>::new(net, &[4], 0).unwrap_err().to_string();
        assert_eq!(
            message(chain![embedding(0, 3)]),
            "embedding1 (Embedding 0 ids, 3): expected at least 1 id and a width of at least 1, got 0 and 3"
        );
        assert_eq!(
            message(chain![dense(4), embedding(5, 3)]),
            "embedding1 (Embedding 5 ids, 3): expected an input of the model, which are ids, got the output of dense1"
        );
    }

    #[test]
    fn numbers_that_are_no_ids_are_refused() {
        let model: Model = Model::new(chain![embedding(5, 3)], &[2], 0).unwrap();
        for wrong in [5.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
            let x = ndarray::array![[0.0, 4.0], [1.0, wrong]];
            let message = model.predict(&x).unwrap_err().to_string();
            assert!(
                message.starts_with("input: expected whole numbers from 0 to 4, the ids of embedding1, got ")
            );
            assert!(message.ends_with(" at [1, 1]"), "{message}");
        }
    }
}
