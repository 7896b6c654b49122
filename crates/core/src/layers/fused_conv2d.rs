//! A convolution for inference.

use crate::error::ShapeError;
use crate::kernels::conv::kernel::{ConvKernel, PreparedKernel};
use crate::kernels::normalize::normalize_in_place;
use crate::layer::cost::Cost;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer};
use crate::layers::conv2d::PlanCache;
use crate::layers::{Activation, BatchNorm, Conv2d};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A convolution that normalizes its outputs while they are in the cache, and keeps its kernel in the fastest forms.
/// [`Model::fuse`](crate::Model::fuse) makes it from layers whose weights no longer change. It holds numbers, so it is part of lists of
/// operations, but never of a net.
#[derive(Debug)]
pub(crate) struct FusedConv2d<F: Scalar> {
    conv: Conv2d,
    weight: Vec<F>,
    bias: Vec<F>,
    prepared: PreparedKernel<F>,
    norm: Option<Norm<F>>,
}

#[derive(Debug)]
struct Norm<F: Scalar> {
    layer: BatchNorm,
    columns: [Vec<F>; 3],
}

impl<F: Scalar> FusedConv2d<F> {
    /// Made of a convolution for inputs of this shape, and the batch normalization after it, each with its parameters.
    pub(crate) fn new(
        (conv, w): (&Conv2d, &Weights<'_, F>),
        norm: Option<(&BatchNorm, &Weights<'_, F>)>,
        input: &[usize],
    ) -> Self {
        let [weight, bias] = conv.weights(w).map(<[F]>::to_vec);
        let prepared = conv.prepared_kernel(input, &weight);
        let norm = norm.map(|(layer, w)| Norm { columns: layer.columns(w), layer: layer.clone() });
        Self { conv: conv.clone(), weight, bias, prepared, norm }
    }

    /// The activation that comes last.
    pub(crate) fn last_activation(&self) -> Activation {
        self.norm.as_ref().map_or(self.conv.last_activation(), |norm| norm.layer.last_activation())
    }
}

impl<F: Scalar> Layer<F> for FusedConv2d<F> {
    type Cache = PlanCache;

    fn describe(&self) -> String {
        let norm = self.norm.as_ref().map(|norm| format!(", {}", Layer::<F>::describe(&norm.layer)));
        format!("{}{}, fused", Layer::<F>::describe(&self.conv), norm.unwrap_or_default())
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Layer::<F>::output_shape(&self.conv, input)
    }

    fn forward(
        &self,
        _: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        plan: &mut PlanCache,
        _ctx: &Context,
    ) {
        let plan = plan.plan(&self.conv, &x.shape(), self.prepared.has_tiles());
        let kernel = ConvKernel { weights: &self.weight, prepared: Some(&self.prepared) };
        self.conv.convolve(plan, (kernel, &self.bias), x.data(), y.data_mut(), |rows| {
            if let Some(Norm { layer, columns }) = &self.norm {
                let [mean, factor, shift] = columns;
                normalize_in_place(rows, [mean, factor, shift]);
                layer.last_activation().apply(rows, mean.len());
            }
        });
    }

    fn backward(&self, _: &Weights<'_, F>, _: Backward<'_, F>, _: &mut PlanCache, _ctx: &Context) {
        unreachable!("the type of a fused model has no backward pass")
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Layer::<F>::cost(&self.conv, input)
    }
}
