//! A convolution as the equivalent dense layer.

use ndarray::{Array1, Array2};

use crate::error::Error;
use crate::layers::Conv2d;
use crate::tensor::Tensor;
use crate::tensor::memory;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

impl Conv2d {
    /// The same linear function as a dense layer: a matrix W `[height * width * channels, out height * out width *
    /// filters]` and a bias b `[out height * out width * filters]`, with z = x W + b for x and z read row by row. Most of W is zero, and
    /// the other numbers are those of the kernel, repeated: a convolution is a dense layer with these constraints (Y. LeCun 1989,
    /// "Generalization and network design strategies", section 5).
    ///
    /// `weight` and `bias` are the layer's, as [`Model::state`](crate::Model::state) has them; a layer without bias takes zeros.
    ///
    /// ```
    /// use backstitch::{Activation, Model, Net, layers::conv2d};
    /// use backstitch::ndarray::Array;
    /// let conv = || conv2d(3, 5);
    /// let model: Model<f64> = Model::new(Net::new().push(conv()), &[32, 32, 1], 0)?;
    /// let state = model.state();
    /// let (w, b) = conv().to_dense(state["conv1.weight"], state["conv1.bias"], &[32, 32, 1])?;
    /// let x = Array::from_shape_fn((1, 32, 32, 1), |(_, i, j, _)| (i * j) as f64);
    /// let y = model.predict(&x.view().into_dyn())?;
    /// let dense = x.into_shape_with_order((1, 1024))?.dot(&w) + &b;
    /// assert!(y.iter().zip(&dense).all(|(a, b)| (a - b).abs() < 1e-9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the layer cannot take such an input, weight and bias are another layer's, or there is not enough memory for the matrix.
    pub fn to_dense<F: Scalar>(
        &self,
        weight: &Tensor<F>,
        bias: &Tensor<F>,
        input: &[usize],
    ) -> Result<(Array2<F>, Array1<F>), Error> {
        let windows = self.windows(input)?;
        let filters = self.filters();
        let (channels, of_group) =
            (windows.channels / self.number_of_groups(), filters / self.number_of_groups());
        let expected = [windows.kernel.height, windows.kernel.width, channels, filters];
        if *weight.shape() != expected || bias.data().len() != filters {
            let got = format!("weight {}, bias {}", weight.shape(), bias.shape());
            return Err(Error::argument("weight", format!("weight {expected:?}, bias [{filters}]"), got));
        }
        let outputs = windows.positions().saturating_mul(filters);
        memory::check_tensor::<F>("matrix of the dense layer", &Shape::from([windows.map(), outputs]))?;
        let mut matrix = Array2::zeros((windows.map(), outputs));
        for (row, column) in grid(windows.out_height, windows.out_width) {
            let output = (row * windows.out_width + column) * filters;
            for (tap, (u, v)) in grid(windows.kernel.height, windows.kernel.width).enumerate() {
                let (Some(i), Some(j)) = (windows.row(row, u), windows.column(column, v)) else { continue };
                for c in 0..channels {
                    for f in 0..filters {
                        let channel = f / of_group * channels + c;
                        let place = (i * windows.width + j) * windows.channels + channel;
                        matrix[[place, output + f]] = weight.data()[(tap * channels + c) * filters + f];
                    }
                }
            }
        }
        Ok((matrix, Array1::from_shape_fn(outputs, |i| bias.data()[i % filters])))
    }
}

fn grid(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use crate::layers::conv2d;
    use crate::net::Net;
    use crate::net::model::Model;
    use crate::tensor::Tensor;
    use crate::tensor::rng::{Purpose, stream};

    #[test]
    fn the_dense_layer_has_the_same_outputs_with_stride_and_padding() {
        let conv = || conv2d(3, [3, 2]).same().stride(2);
        let mut model: Model<f64> = Model::new(Net::new().push(conv()), &[7, 6, 2], 1).unwrap();
        let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
        for mut slot in model.slots_mut() {
            slot.data_mut().iter_mut().for_each(|v| *v = rng.random_range(-1.0..1.0));
        }
        let x = ndarray::Array::from_shape_fn((1, 7, 6, 2), |_| rng.random_range(-1.0..1.0));
        let state = model.state();
        let (w, b) = conv().to_dense(state["conv1.weight"], state["conv1.bias"], &[7, 6, 2]).unwrap();
        let y = model.predict(x.view().into_dyn()).unwrap();
        let dense = x.into_shape_with_order((1, 84)).unwrap().dot(&w) + &b;
        assert!(y.iter().zip(&dense).all(|(a, b)| (a - b).abs() < 1e-12));
        let wrong = Tensor::zeros(&[3, 3, 2, 3]).unwrap();
        let error = conv().to_dense(&wrong, state["conv1.bias"], &[7, 6, 2]).unwrap_err().to_string();
        assert_eq!(
            error,
            "weight: expected weight [3, 2, 2, 3], bias [3], got weight [3, 3, 2, 3], bias [3]"
        );
    }
}
