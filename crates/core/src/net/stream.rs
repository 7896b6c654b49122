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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::layers::{attention, dense, embedding, learned_positions, lstm};
    use crate::net::Net;

    fn refused(stream: &mut Stream<'_>, x: Array2<f32>) -> String {
        stream.next(x).unwrap_err().to_string()
    }

    #[test]
    fn a_piece_of_another_number_of_samples_is_refused() {
        let net = Net::new().push(embedding(5, 4)).push(lstm(3));
        let model: Model = Model::new(net, &[6], 0).unwrap();
        let mut stream = model.stream();
        stream.next(array![[1.0], [2.0]]).unwrap();
        let error = refused(&mut stream, array![[3.0]]);
        assert_eq!(error, "input: expected 2 samples, whose state is carried on (Memory::Continue), got 1");
        // The state is still there: two steps are those of the sequence at once.
        let second = stream.next(array![[3.0], [4.0]]).unwrap().data().to_vec();
        let all = model.predict(array![[1.0, 3.0], [2.0, 4.0]]).unwrap();
        let expected = all.index_axis(ndarray::Axis(1), 1);
        assert!(second.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{second:?} {expected}");
        // A new sequence may have another number of samples.
        stream.restart();
        stream.next(array![[3.0]]).unwrap();
    }

    #[test]
    fn a_piece_beyond_the_last_position_is_refused() {
        let net = Net::new()
            .push(embedding(5, 4))
            .push(learned_positions(3))
            .push(dense(12))
            .push(attention(2).causal());
        let model: Model = Model::new(net, &[3], 0).unwrap();
        let mut stream = model.stream();
        stream.next(array![[1.0, 2.0]]).unwrap();
        let error = refused(&mut stream, array![[3.0, 4.0]]);
        assert_eq!(error, "input: expected at most 3 positions in all, got 2 after 2");
        stream.next(array![[3.0]]).unwrap();
        assert!(refused(&mut stream, array![[4.0]]).ends_with("got 1 after 3"));
    }

    #[test]
    fn a_net_that_reads_backwards_takes_one_piece() {
        for (net, layer) in [
            (
                Net::new().push(embedding(5, 4)).push(lstm(3).bidirectional()),
                "lstm1.reverse (Lstm 3, reversed)",
            ),
            (Net::new().push(embedding(5, 6)).push(attention(1)), "attention1 (Attention 1 head)"),
        ] {
            let model: Model = Model::new(net, &[6], 0).unwrap();
            let mut stream = model.stream();
            stream.next(array![[1.0, 2.0]]).unwrap();
            assert_eq!(
                refused(&mut stream, array![[3.0]]),
                format!(
                    "input: expected a whole sequence, with Memory::Fresh, got a piece of one, for {layer}"
                )
            );
        }
    }
}
