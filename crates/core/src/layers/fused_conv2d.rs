//! A convolution made for inference.

use crate::cost::Cost;
use crate::error::ShapeError;
use crate::kernels::kernel::Kept;
use crate::kernels::normalize::normalize_in_place;
use crate::layer::{Children, Context, Layer, Place};
use crate::layers::{Activation, BatchNorm, Conv2d};
use crate::param::{Slot, SlotMut};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::Trace;

/// A convolution that normalizes its outputs while they are in the cache, and keeps its kernel in the forms that
/// are fastest to use. Made by [`Model::fuse`](crate::Model::fuse), of layers that will not change again.
#[derive(Debug)]
pub(crate) struct FusedConv2d<F: Scalar> {
    conv: Conv2d<F>,
    norm: Option<Norm<F>>,
    kept: Kept<F>,
}

#[derive(Debug)]
struct Norm<F: Scalar> {
    layer: BatchNorm<F>,
    columns: [Vec<F>; 3],
}

impl<F: Scalar> FusedConv2d<F> {
    /// Of a convolution that was built for inputs of this shape, and the batch normalization behind it.
    pub(crate) fn new(conv: Conv2d<F>, norm: Option<BatchNorm<F>>, input: &[usize]) -> Self {
        let kept = conv.kept_kernel(input);
        let norm = norm.map(|layer| Norm { columns: layer.columns(), layer });
        Self { conv, norm, kept }
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.norm.as_ref().map_or(self.conv.last_activation(), |norm| norm.layer.last_activation())
    }
}

impl<F: Scalar> Layer<F> for FusedConv2d<F> {
    fn describe(&self) -> String {
        let norm = self.norm.as_ref().map(|norm| format!(", {}", norm.layer.describe()));
        format!("{}{}, fused", self.conv.describe(), norm.unwrap_or_default())
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        self.conv.output_shape(input)
    }

    fn build(&mut self, _input: &[usize], _place: &Place) {
        unreachable!("made of layers that are built, and a fused model is not built again")
    }

    fn forward(&self, x: &Tensor<F>, t: &mut Trace<F>, _ctx: &Context) {
        self.conv.convolve(x, &mut t.y, Some(&self.kept), |rows| {
            if let Some(Norm { layer, columns }) = &self.norm {
                let [mean, factor, shift] = columns;
                normalize_in_place(rows, [mean, factor, shift]);
                layer.last_activation().apply(rows, mean.len());
            }
        });
    }

    fn backward(&mut self, _x: &Tensor<F>, _t: &mut Trace<F>, _dx: Option<&mut Tensor<F>>, _ctx: &Context) {
        unreachable!("a fused model has no backward pass")
    }

    fn commit(&mut self, _t: &Trace<F>) {}

    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, F>)) {
        self.conv.visit(f);
        if let Some(norm) = &self.norm {
            norm.layer.visit(f);
        }
    }

    fn visit_mut(&mut self, _f: &mut dyn FnMut(SlotMut<'_, F>)) {
        unreachable!("a fused model does not change")
    }

    fn cost(&self, input: &[usize]) -> Cost {
        self.conv.cost(input)
    }

    fn children(&self) -> Children<'_, F> {
        Children::None
    }
}
