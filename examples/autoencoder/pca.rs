//! Principal component analysis: the best that linear codes can do.

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch_examples::noise::fill_normal;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// The mean of the training rows, and orthogonal directions of the largest variance as columns.
pub struct Pca {
    mean: Array1<f32>,
    directions: Array2<f32>,
}

/// Rounds of orthogonal iteration.
const ROUNDS: usize = 60;

impl Pca {
    /// The first `count` directions of the rows' covariance, by orthogonal iteration (G. Golub and C. Van Loan, "Matrix
    /// Computations", 4th edition, section 8.2.4): multiply by the covariance, make orthogonal, again.
    pub fn new(rows: ArrayView2<f32>, count: usize, seed: u64) -> Self {
        let mean = rows.mean_axis(Axis(0)).expect("a data set has samples");
        let centred = &rows - &mean;
        let covariance = centred.t().dot(&centred) / rows.nrows() as f32;
        let mut start = vec![0.0; rows.ncols() * count];
        fill_normal(&mut start, &mut stream(seed, Purpose::Noise, 0, 0));
        let mut directions = Array2::from_shape_vec((rows.ncols(), count), start).expect("as many numbers");
        for _ in 0..ROUNDS {
            directions = covariance.dot(&directions);
            make_orthonormal(&mut directions);
        }
        Self { mean, directions }
    }

    /// The rows after a projection on the first `code` directions.
    pub fn reconstruct(&self, rows: ArrayView2<f32>, code: usize) -> Array2<f32> {
        let directions = self.directions.slice(ndarray::s![.., ..code]);
        (&rows - &self.mean).dot(&directions).dot(&directions.t()) + &self.mean
    }
}

/// Gram and Schmidt: from each column what lies along the ones before is taken away, twice because of rounding.
fn make_orthonormal(columns: &mut Array2<f32>) {
    for i in 0..columns.ncols() {
        let mut own = columns.column(i).to_owned();
        for j in (0..i).chain(0..i) {
            let along = columns.column(j).dot(&own);
            own.scaled_add(-along, &columns.column(j));
        }
        let length = own.dot(&own).sqrt();
        columns.column_mut(i).assign(&(own / length.max(f32::MIN_POSITIVE)));
    }
}

/// The rows of a data set of pictures.
pub fn rows(x: &Tensor) -> ArrayView2<'_, f32> {
    let shape = (x.batch(), x.data().len() / x.batch());
    ArrayView2::from_shape(shape, x.data()).expect("a tensor is in standard layout")
}
