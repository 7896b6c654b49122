//! Global average pooling.

use crate::error::ShapeError;
use crate::kernels::parts::in_pieces;
use crate::kernels::sums::means;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The mean of every channel over the whole feature map (Lin, Chen and Yan 2014, section 3.2).
///
/// # Shapes
/// x `[n, height, width, channels]`, y `[n, channels]`.
///
/// # Forward
/// y\[n, c\] = Σ_i Σ_j x\[n, i, j, c\] / (height · width).
///
/// # Backward
/// dL/dx\[n, i, j, c\] = dL/dy\[n, c\] / (height · width), for every i and j.
///
/// ```
/// use backstitch::{Model, Net, layers::global_avg_pool};
/// let model: Model = Model::new(Net::new().push(global_avg_pool()), &[7, 7, 512], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[512]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GlobalAvgPool;

/// The mean of every channel over the whole feature map.
pub fn global_avg_pool() -> GlobalAvgPool {
    GlobalAvgPool
}

impl<F: Scalar> Layer<F> for GlobalAvgPool {
    type Cache = ();

    fn describe(&self) -> String {
        "GlobalAvgPool".to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            &[_, _, channels] => Ok(Shape::from([channels])),
            _ => {
                let name = Layer::<F>::describe(self);
                Err(ShapeError::new(name, "[height, width, channels]", format!("{input:?}")))
            }
        }
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        let (map, channels) = sizes(x);
        in_pieces(y.data_mut(), channels, &|i, y| means(&x.data()[i * map..][..map], y));
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Some(dx) = pass.dx else { return };
        let (map, channels) = sizes(dx);
        let share = F::from_f64(channels as f64 / map as f64);
        let dy = pass.dy.data();
        in_pieces(dx.data_mut(), map, &|i, dx| {
            let dy = &dy[i * channels..][..channels];
            for dx in dx.chunks_exact_mut(channels) {
                dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = share * dy);
            }
        });
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}

/// Numbers in a map and at one of its positions.
fn sizes<F: Scalar>(x: &Tensor<F>) -> (usize, usize) {
    (x.shape().iter().skip(1).product(), x.shape()[3])
}
