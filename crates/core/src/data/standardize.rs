//! The constants of standardization, from a data set.

use crate::data::{Batch, Dataset};
use crate::error::Error;
use crate::layers::Standardize;
use crate::losses::Targets;
use crate::tensor::Tensor;
use crate::tensor::finite;
use crate::tensor::scalar::Scalar;

/// Samples that are read in one batch.
const BATCH_SIZE: usize = 256;

/// A layer that scales every feature of these inputs, or every channel (each index of the last axis, over all samples and positions), to
/// mean 0 and standard deviation 1. Compute it from the training set alone, so that the network learns nothing about the test set.
///
/// Means and deviations (of the population: divided by n, as scikit-learn's `StandardScaler`) are computed in `f64`, whatever the
/// weights of samples. A feature that does not vary, or by less than an `f32` can hold, has the deviation 1, and so becomes 0.
///
/// ```
/// use backstitch::{Dataset, Model, Net, data::standardize, layers::dense};
/// let train: Dataset = Dataset::classes(backstitch::ndarray::array![[1000.0, 5.0], [1001.0, 5.0]], &[0, 1])?;
/// let model: Model = Model::new(Net::new().push(standardize(&train)?).push(dense(2)), &[2], 0)?;
/// assert_eq!(model.state()["standardize1.mean"].data(), [1000.5, 5.0]);
/// assert_eq!(model.state()["standardize1.deviation"].data(), [0.5, 1.0]);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If a sample cannot be read, or holds a number that is not finite (the message says which sample), or a deviation is beyond `f32`.
pub fn standardize<F: Scalar>(data: &Dataset<F>) -> Result<Standardize, Error> {
    of(data, Field::Inputs)
}

/// A layer that turns standardized values into those of the data set: the last one of a network for regression, whose layers before
/// then work with numbers around 0, while outputs, losses and metrics are in the values' own units. With the optimizers that scale
/// gradients (Adam, RMSprop, Adagrad) learning rates stay what they are; with plain `Sgd` gradients are larger by the deviation's square.
///
/// ```
/// use backstitch::{Dataset, Model, Net, data::{standardize, unstandardize}, layers::dense};
/// use backstitch::ndarray::array;
/// let train: Dataset = Dataset::values(array![[0.0], [1.0]], array![[100_000.0], [300_000.0]])?;
/// let net = Net::new().push(standardize(&train)?).push(dense(8).relu()).push(dense(1)).push(unstandardize(&train)?);
/// let model: Model = Model::new(net, &[1], 0)?;
/// assert_eq!(model.state()["unstandardize1.mean"].data(), [200_000.0]);
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// As [`standardize`], and if the targets are classes.
pub fn unstandardize<F: Scalar>(data: &Dataset<F>) -> Result<Standardize, Error> {
    of(data, Field::Values).map(Standardize::inverse)
}

/// The inputs or the targets.
#[derive(Clone, Copy)]
enum Field {
    Inputs,
    Values,
}

impl Field {
    fn of<F: Scalar>(self, batch: &Batch<F>) -> Result<&Tensor<F>, Error> {
        match (self, batch.targets()) {
            (Self::Inputs, _) => Ok(&batch.inputs),
            (Self::Values, Targets::Values(values)) => Ok(values),
            (Self::Values, Targets::Classes(_)) => Err(Error::argument("targets", "values", "classes")),
        }
    }
}

fn of<F: Scalar>(data: &Dataset<F>, part: Field) -> Result<Standardize, Error> {
    let mut moments: Option<Moments> = None;
    let mut batch = Batch::default();
    let all: Vec<usize> = (0..data.len()).collect();
    for samples in all.chunks(BATCH_SIZE) {
        data.gather(samples, &mut batch)?;
        let numbers = part.of(&batch)?;
        if let Some(at) = finite::first_wrong(numbers.data()) {
            let what = format!("sample {}", samples[at / (numbers.data().len() / samples.len())]);
            return Err(Error::NotFinite { what, got: numbers.data()[at].to_string() });
        }
        let [_, .., width] = numbers.shape()[..] else {
            return Err(Error::argument("samples", "at least one axis", "none"));
        };
        moments.get_or_insert_with(|| Moments::new(width)).add(numbers.data());
    }
    let moments = moments.ok_or_else(|| Error::argument("samples", "at least one", 0))?;
    Standardize::new(&moments.mean, &moments.deviations())
}

/// The moments of each feature, over the samples so far.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    /// Σ (x - mean)².
    squares: Vec<f64>,
    /// The smallest number and the largest: rounding errors of a mean do not make a feature vary.
    range: Vec<[f64; 2]>,
}

impl Moments {
    fn new(width: usize) -> Self {
        let (mean, squares) = (vec![0.0; width], vec![0.0; width]);
        Self { count: 0.0, mean, squares, range: vec![[f64::INFINITY, f64::NEG_INFINITY]; width] }
    }

    /// Adds rows of features: their mean first, then the squares of what is left, so that means far from 0 cost no digits; then both
    /// together (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances").
    fn add<F: Scalar>(&mut self, numbers: &[F]) {
        let width = self.mean.len();
        let rows = || numbers.chunks_exact(width);
        let count = rows().len() as f64;
        let (mut means, mut squares) = (vec![0.0; width], vec![0.0; width]);
        for row in rows() {
            for ((sum, range), x) in means.iter_mut().zip(&mut self.range).zip(row) {
                let x = x.as_f64();
                *sum += x;
                *range = [range[0].min(x), range[1].max(x)];
            }
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        for row in rows() {
            for ((square, mean), x) in squares.iter_mut().zip(&means).zip(row) {
                *square += (x.as_f64() - mean).powi(2);
            }
        }
        let all = self.count + count;
        for i in 0..width {
            let apart = means[i] - self.mean[i];
            self.squares[i] += squares[i] + apart * apart * (self.count * count / all);
            self.mean[i] += apart * (count / all);
        }
        self.count = all;
        for (mean, [least, most]) in self.mean.iter_mut().zip(&self.range) {
            *mean = mean.clamp(*least, *most);
        }
    }

    fn deviations(&self) -> Vec<f64> {
        let deviation = |(squares, [least, most]): (&f64, &[f64; 2])| {
            let deviation = (squares / self.count).sqrt();
            if least == most || deviation as f32 == 0.0 { 1.0 } else { deviation }
        };
        self.squares.iter().zip(&self.range).map(deviation).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array2, Array4, array};

    use super::*;
    use crate::layers::dense;
    use crate::net::Net;
    use crate::net::model::Model;
    use crate::optim::Adam;
    use crate::train::{Trainer, evaluate};

    fn constants<F: Scalar>(layer: Standardize, input: &[usize]) -> [Vec<F>; 2] {
        let model: Model<F> = Model::new(layer, input, 0).unwrap();
        [0, 1].map(|at| model.slots()[at].value().data().to_vec())
    }

    #[test]
    fn means_of_1000_beside_deviations_of_a_half_keep_their_digits() {
        // 999.5 and 1000.5 in turn, over several pieces, and the last of another length.
        let x = Array2::from_shape_fn((1_000_001, 2), |(i, j)| {
            if j == 0 { 999.5 + (i % 2) as f32 } else { 16_777_216.0 + 2.0 * (i % 2) as f32 }
        });
        let data = Dataset::classes(x, &vec![0; 1_000_001]).unwrap();
        let [mean, deviation] = constants::<f32>(standardize(&data).unwrap(), &[2]);
        assert!(
            (mean[0] - 1000.0).abs() < 1e-4 && (deviation[0] - 0.5).abs() < 1e-6,
            "{mean:?} {deviation:?}"
        );
        assert!((deviation[1] - 1.0).abs() < 1e-6, "{deviation:?}");
    }

    #[test]
    fn a_feature_that_does_not_vary_becomes_0() {
        // The sum of many tenths is not a multiple of a tenth.
        for x in [0.1_f32, -1e30, 1e-45, 0.0] {
            let data = Dataset::classes(Array2::from_elem((1003, 1), x), &[0; 1003]).unwrap();
            let [mean, deviation] = constants::<f32>(standardize(&data).unwrap(), &[1]);
            assert_eq!((mean[0], deviation[0]), (x, 1.0));
        }
        let tiny = Dataset::classes(array![[0.0_f64], [1e-60]], &[0, 1]).unwrap();
        assert_eq!(constants::<f64>(standardize(&tiny).unwrap(), &[1])[1], [1.0]);
    }

    #[test]
    fn channels_are_taken_over_all_places() {
        let x =
            Array4::from_shape_fn((300, 2, 2, 3), |(n, i, j, c)| (c * 100) as f64 + ((n + i + j) % 2) as f64);
        let data = Dataset::classes(x, &[0; 300]).unwrap();
        let [mean, deviation] = constants::<f64>(standardize(&data).unwrap(), &[2, 2, 3]);
        let near =
            |got: &[f64], expected: [f64; 3]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&mean, [0.5, 100.5, 200.5]) && near(&deviation, [0.5; 3]), "{mean:?} {deviation:?}");
    }

    #[test]
    fn values_far_from_0_are_learned_with_the_usual_learning_rate() {
        let x = Array2::from_shape_fn((400, 1), |(i, _)| i as f32);
        let y = x.mapv(|x| 200_000.0 + 300.0 * x);
        let data = Dataset::values(x, y).unwrap();
        let net = Net::new().push(standardize(&data).unwrap()).push(dense(1));
        let fit = |net: Net| {
            let mut model = Model::new(net, &[1], 0).unwrap();
            Trainer::new(Adam::new(1e-2)).epochs(60).fit(&mut model, &data).unwrap();
            (evaluate(&model, &data).unwrap().get("r2").unwrap(), model)
        };
        let (without, _) = fit(net.clone());
        let (with, model) = fit(net.push(unstandardize(&data).unwrap()));
        assert!(with > 0.99 && without < 0.0, "{with} {without}");
        // Training left the constants what they were.
        assert_eq!(model.state()["standardize1.mean"].data(), [199.5]);
        // Values of several axes, and inputs that are their own targets.
        let again = Dataset::autoencoding(array![[[1.0_f64, 7.0], [3.0, 7.0]]]).unwrap();
        assert_eq!(constants::<f64>(unstandardize(&again).unwrap(), &[2, 2]), [[2.0, 7.0], [1.0, 1.0]]);
    }

    #[test]
    fn what_has_no_mean_is_refused() {
        let data: Dataset = Dataset::classes(Array2::zeros((2, 3)), &[0, 1]).unwrap();
        let error = unstandardize(&data).unwrap_err().to_string();
        assert_eq!(error, "targets: expected values, got classes");
        let broken = data.map(|x| x[2] = f32::NAN);
        let error = standardize(&broken).unwrap_err().to_string();
        assert_eq!(error, "sample 0: expected finite numbers, got NaN");
        let huge = Dataset::classes(array![[1e300_f64], [-1e300]], &[0, 1]).unwrap();
        let error = standardize(&huge).unwrap_err().to_string();
        assert!(error.starts_with("deviation 0: expected a finite number of f32 above 0, got"), "{error}");
        let scalar: Dataset = Dataset::classes(Array::zeros(3), &[0, 1, 0]).unwrap();
        let error = standardize(&scalar).unwrap_err().to_string();
        assert_eq!(error, "samples: expected at least one axis, got none");
    }
}
