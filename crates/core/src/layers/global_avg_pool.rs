//! Global average pooling.

use rayon::prelude::*;

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::sums::means;
use crate::layer::{Children, Context, Layer, Place};
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::Trace;

/// The mean of every channel over the whole map (Lin, Chen and Yan 2014, section 3.2).
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
/// use backstitch_core::{Model, Sequential, layers::global_avg_pool};
/// let model: Model = Model::new(Sequential::new().push(global_avg_pool()), &[7, 7, 512], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[512]");
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GlobalAvgPool;

/// The mean of every channel over the whole map.
pub fn global_avg_pool() -> GlobalAvgPool {
    GlobalAvgPool
}

impl<F: Scalar> Layer<F> for GlobalAvgPool {
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

    fn build(&mut self, _input: &[usize], _place: &Place) {}

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, _ctx: &Context) {
        let (map, channels) = sizes(x);
        t.y.resize(&[x.batch(), channels]);
        let maps = t.y.data_mut().par_chunks_mut(channels).zip(x.data().par_chunks(map));
        maps.for_each(|(y, map)| means(map, y));
    }

    fn backward(&mut self, x: &Tensor<F>, t: &mut Trace<F>, dx: Option<&mut Tensor<F>>, _ctx: &Context) {
        if let Some(dx) = dx {
            let (map, channels) = sizes(x);
            dx.resize(&x.shape());
            let share = F::from_f64(channels as f64 / map as f64);
            let maps = dx.data_mut().par_chunks_mut(map).zip(t.dy.data().par_chunks(channels));
            maps.for_each(|(dx, dy)| {
                for dx in dx.chunks_exact_mut(channels) {
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = share * dy);
                }
            });
        }
    }

    fn commit(&mut self, _t: &Trace<F>) {}
    fn visit<'a>(&'a self, _f: &mut dyn FnMut(Slot<'a, F>)) {}
    fn visit_mut(&mut self, _f: &mut dyn FnMut(SlotMut<'_, F>)) {}

    fn cost(&self, _input: &[usize]) -> Cost {
        Cost::default()
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}

/// Numbers in a map and in one of its places.
fn sizes<F: Scalar>(x: &Tensor<F>) -> (usize, usize) {
    (x.shape().iter().skip(1).product(), x.shape()[3])
}
