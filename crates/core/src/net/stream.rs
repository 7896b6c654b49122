//! Prediction step by step: a sequence in pieces, each of which goes on where the last one ended.

use crate::error::Error;
use crate::layer::{Context, Memory};
use crate::net::model::Model;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::tensor::Tensor;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::scalar::Scalar;

/// A sequence that is predicted piece by piece. Layers with a state go on where the last piece ended: recurrent layers from their state, attention
/// with the keys and values of all pieces before.
///
/// ```
/// use backstitch::{Model, chain, layers::{dense, embedding, lstm}};
/// use backstitch::ndarray::array;
/// let net = chain![embedding(5, 8), lstm(16), dense(5)];
/// let model: Model = Model::new(net, &[20], 0)?;
/// let mut stream = model.stream();
/// stream.next(array![[3.0, 1.0]])?;
/// // The same as the last position of [3, 1, 4] at once.
/// let step = stream.next(array![[4.0]])?.to_array();
/// let all = model.predict(array![[3.0, 1.0, 4.0]])?;
/// let last = all.slice(backstitch::ndarray::s![.., 2.., ..]).into_dyn();
/// assert!((&step - &last).iter().all(|difference| difference.abs() < 1e-6));
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream<'a, F: Scalar = f32> {
    model: &'a Model<F>,
    trace: Trace<F>,
    memory: Memory,
}

impl<F: Scalar> Model<F> {
    /// Begins a sequence that is predicted piece by piece.
    pub fn stream(&self) -> Stream<'_, F> {
        Stream { model: self, trace: Trace::new(Keep::Last), memory: Memory::Fresh }
    }
}

impl<F: Scalar> Stream<'_, F> {
    /// The outputs for the next piece, `[n, time, ..]`; every piece has the same number of samples.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, has another number of samples than the piece before, or goes beyond the longest sequence that
    /// the model can take.
    pub fn next(&mut self, x: impl IntoTensor<F>) -> Result<&Tensor<F>, Error> {
        let ctx = Context { memory: self.memory, ..Context::evaluate() };
        self.model.forward(&x.into_tensor()?, &mut self.trace, &ctx)?;
        self.memory = Memory::Continue;
        Ok(self.trace.output())
    }

    /// Begins another sequence, with the same memory.
    pub fn restart(&mut self) {
        self.memory = Memory::Fresh;
    }
}
