//! The fingerprint of a data set, by which a resumed run recognizes its data.

use crate::data::{Batch, Dataset};
use crate::error::Error;
use crate::tensor::hash::hash;
use crate::tensor::scalar::Scalar;

/// How many samples are read: few, because a sample may be a large picture in a file.
const SAMPLES: usize = 8;

impl<F: Scalar> Dataset<F> {
    /// A hash over the inputs, targets and weights of at most 8 samples, from the first to the last at equal distances. Data sets with
    /// other samples or another order have other fingerprints; one changed sample among many may not be seen.
    pub(crate) fn fingerprint(&self) -> Result<u64, Error> {
        let read = self.len().min(SAMPLES);
        let samples: Vec<usize> = (0..read).map(|i| i * (self.len() - 1) / (read - 1).max(1)).collect();
        let mut batch = Batch::default();
        self.gather(&samples, &mut batch)?;
        let numbers = batch.inputs.data().iter().chain(batch.values.data());
        let numbers = numbers.chain(batch.named.iter().flat_map(|(_, named)| named.data()));
        let numbers = numbers.map(|v| v.as_f64()).chain(batch.weights.iter().copied());
        Ok(hash(numbers.map(f64::to_bits).chain(batch.classes.iter().map(|&class| class as u64))))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::data::blobs;

    #[test]
    fn other_samples_targets_weights_and_orders_have_other_fingerprints() {
        let of = |data: &Dataset| data.fingerprint().unwrap();
        let data: Dataset = blobs(100, 3, 0.3, 0).unwrap();
        let labels = data.labels().unwrap();
        let inputs = data.inputs().unwrap();
        let same = Dataset::classes(&inputs, &labels).unwrap();
        assert_eq!(of(&same), of(&data));
        let mut turned = labels.clone();
        turned.rotate_left(1);
        let others = [
            blobs(100, 3, 0.3, 1).unwrap(),
            data.shuffled(1),
            Dataset::classes(&inputs, &turned).unwrap(),
            data.clone().weights(&[2.0; 100]).unwrap(),
            Dataset::values(&inputs, Array2::zeros((100, 1))).unwrap(),
            Dataset::values(&inputs, Array2::ones((100, 1))).unwrap(),
            data.take(1),
            data.take(2),
        ];
        for (i, other) in others.iter().enumerate() {
            assert!(std::iter::once(&data).chain(&others[..i]).all(|data| of(data) != of(other)), "{i}");
        }
    }
}
