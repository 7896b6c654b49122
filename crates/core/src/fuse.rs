//! Models made for inference.

use std::any::Any;

use ndarray::{Array2, ArrayD, ArrayViewD};

use crate::error::Error;
use crate::layer::{Child, Context, Layer};
use crate::layers::{BatchNorm, Concat, Conv2d, FusedConv2d, Residual, Sequential};
use crate::memory;
use crate::model::Model;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::trace::Trace;

/// A model that only predicts: made by [`Model::fuse`].
#[derive(Debug)]
pub struct FusedModel<F: Scalar = f32> {
    model: Model<F>,
}

impl<F: Scalar> Model<F> {
    /// Makes the model ready for inference: a batch normalization behind a convolution is done to its outputs while they are in the
    /// cache, and kernels are kept in the form of Winograd's tiles where those are of use, which takes four times their memory
    /// (60 MB become 300 in VGG16's convolutions). Outputs are the same to 1e-5 of the largest.
    ///
    /// Layers of your own are left as they are, and so are all where there is no memory for those forms. What was learned cannot be changed
    /// any more, so save it before.
    ///
    /// ```
    /// use backstitch_core::{Activation, Model, Sequential, layers::{Padding, batch_norm, conv2d}};
    /// use ndarray::Array;
    /// let net = Sequential::new()
    ///     .push(conv2d(16, 3, Activation::Linear).padding(Padding::Same).without_bias())
    ///     .push(batch_norm().activation(Activation::Relu));
    /// let model: Model = Model::new(net, &[8, 8, 3], 0)?;
    /// let x = Array::ones((2, 8, 8, 3)).into_dyn();
    /// let plain = model.predict(&x.view())?;
    /// let fused = model.fuse().predict(&x.view())?;
    /// assert!(plain.iter().zip(&fused).all(|(a, b)| (a - b).abs() < 1e-5));
    /// # Ok::<(), backstitch_core::Error>(())
    /// ```
    #[must_use]
    pub fn fuse(mut self) -> FusedModel<F> {
        let input = self.input_shape();
        // Kernels in tiles of 6x6 are four times those of 3x3. A model whose parameters were given other shapes refuses to predict.
        let forms = memory::bytes::<F>(self.parameter_count().saturating_mul(5), 0);
        if self.check_parameters().is_ok() && memory::is_there(forms) {
            fuse_chain(self.net_mut().children_mut(), &input);
        }
        FusedModel { model: self }
    }
}

impl<F: Scalar> FusedModel<F> {
    /// As [`Model::predict`].
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs.
    pub fn predict(&self, x: &ArrayViewD<'_, F>) -> Result<ArrayD<F>, Error> {
        self.model.predict(x)
    }

    /// As [`Model::predict_proba`].
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, or its outputs are not `[classes]`.
    pub fn predict_proba(&self, x: &ArrayViewD<'_, F>) -> Result<Array2<F>, Error> {
        self.model.predict_proba(x)
    }

    /// The outputs for a batch, in `trace.y`, in memory that is used again from call to call.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs.
    pub fn forward(&self, x: &Tensor<F>, trace: &mut Trace<F>) -> Result<(), Error> {
        self.model.forward(x, trace, &Context::evaluate())
    }

    /// Shape of one input sample.
    pub fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    /// Shape of one output.
    pub fn output_shape(&self) -> Shape {
        self.model.output_shape()
    }

    /// The layers, those that were fused among them.
    pub fn net(&self) -> &Sequential<F> {
        self.model.net()
    }
}

/// Fuses layers one after another, the first of which takes inputs of this shape.
fn fuse_chain<F: Scalar>(children: &mut Vec<Child<F>>, input: &[usize]) {
    let mut shape = Shape::of(input);
    let mut rest = std::mem::take(children).into_iter().peekable();
    while let Some(Child { name, layer }) = rest.next() {
        let output = layer.output_shape(&shape).expect("checked when the model was built");
        let layer = match owned::<F, Conv2d<F>>(layer) {
            Ok(conv) => {
                let norm = rest.next_if(|next| is::<F, BatchNorm<F>>(next.layer.as_ref()));
                let norm = norm.and_then(|child| owned(child.layer).ok()).map(|norm| *norm);
                Box::new(FusedConv2d::new(*conv, norm, &shape))
            }
            Err(mut layer) => {
                fuse_inside(layer.as_mut(), &shape);
                layer
            }
        };
        children.push(Child { name, layer });
        shape = output;
    }
}

/// Fuses the layers inside a container.
fn fuse_inside<F: Scalar>(layer: &mut dyn Layer<F>, input: &[usize]) {
    let layer: &mut dyn Any = layer;
    if let Some(chain) = layer.downcast_mut::<Sequential<F>>() {
        return fuse_chain(chain.children_mut(), input);
    }
    let branches = if layer.is::<Residual<F>>() {
        layer.downcast_mut::<Residual<F>>().map(Residual::children_mut)
    } else {
        layer.downcast_mut::<Concat<F>>().map(Concat::children_mut)
    };
    for branch in branches.into_iter().flatten() {
        fuse_inside(branch.layer.as_mut(), input);
    }
}

fn is<F: Scalar, L: Layer<F>>(layer: &dyn Layer<F>) -> bool {
    (layer as &dyn Any).is::<L>()
}

/// The layer as what it is, or as it was where it is something else.
fn owned<F: Scalar, L: Layer<F>>(layer: Box<dyn Layer<F>>) -> Result<Box<L>, Box<dyn Layer<F>>> {
    if !is::<F, L>(layer.as_ref()) {
        return Err(layer);
    }
    let layer: Box<dyn Any> = layer;
    Ok(layer.downcast().expect("looked at above"))
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::layer::walk;
    use crate::layers::{
        Activation, Padding, batch_norm, concat, conv2d, flatten, global_avg_pool, max_pool, residual,
    };
    use crate::rng::{Purpose, stream};
    use crate::zoo;

    /// A model whose statistics are not those it began with.
    fn model<F: Scalar>(net: fn() -> Sequential<F>, input: &[usize]) -> Model<F> {
        let mut model = Model::new(net(), input, 3).unwrap();
        let mut rng = stream(5, Purpose::GradientCheck, 0, 0);
        model.visit_mut(&mut |mut slot| {
            if slot.name().contains("norm") {
                let lowest = if slot.name().ends_with("running_var") { 0.5 } else { -0.5 };
                let values = slot.value_mut().data_mut().iter_mut();
                values.for_each(|v| *v = F::from_f64(rng.random_range(lowest..1.5)));
            }
        });
        model
    }

    fn check<F: Scalar>(net: fn() -> Sequential<F>, input: &[usize], convolutions: usize, tolerance: f64) {
        let (plain, fused) = (model(net, input), model(net, input).fuse());
        let mut rng = stream(6, Purpose::GradientCheck, 0, 0);
        for batch in [1, 9] {
            let shape = Shape::of(input).batched(batch).unwrap();
            let x = ArrayD::from_shape_fn(&shape[..], |_| F::from_f64(rng.random_range(-1.0..1.0)));
            let (expected, got) = (plain.predict(&x.view()).unwrap(), fused.predict(&x.view()).unwrap());
            let largest = expected.iter().fold(0.0_f64, |most, v| most.max(v.as_f64().abs()));
            for (a, b) in expected.iter().zip(&got) {
                assert!((a.as_f64() - b.as_f64()).abs() <= tolerance * largest, "{a} {b} of {largest}");
            }
        }
        let mut found = 0;
        walk(fused.net(), "", Shape::of(input), &mut |_, layer, _| {
            found += usize::from(is::<F, FusedConv2d<F>>(layer));
            assert!(!is::<F, Conv2d<F>>(layer));
        });
        assert_eq!(found, convolutions);
    }

    #[test]
    fn outputs_stay_what_they_were() {
        check::<f32>(|| zoo::resnet18(10), &[32, 32, 3], 20, 1e-5);
        check::<f32>(zoo::model4, &[28, 28, 1], 5, 1e-5);
        check::<f64>(zoo::model4, &[28, 28, 1], 5, 1e-12);
        check::<f32>(zoo::vgg16_batch_norm_features, &[32, 32, 3], 13, 1e-5);
    }

    #[test]
    fn layers_in_every_container_are_found_and_a_norm_elsewhere_stays() {
        fn net() -> Sequential<f64> {
            let branch = |filters, kernel| {
                let conv = conv2d(filters, kernel, Activation::Tanh).padding(Padding::Same);
                Sequential::new().push(conv).push(batch_norm().activation(Activation::Sigmoid))
            };
            let block = residual(branch(6, 5), branch(6, 1), Activation::Relu);
            Sequential::new()
                .push(batch_norm())
                .push(concat([branch(2, 3), branch(4, 5)]))
                .push(batch_norm())
                .push(max_pool(2))
                .push(batch_norm())
                .push(block)
                .push(conv2d(5, 3, Activation::Softmax))
                .push(batch_norm())
                .push(global_avg_pool())
                .push(flatten())
        }
        check(net, &[9, 11, 3], 5, 1e-12);
        let model = model(net, &[9, 11, 3]).fuse();
        assert!(model.predict(&ArrayD::zeros(vec![1, 9, 11, 2]).view()).is_err());
        assert!(model.net().paths().contains(&"batchnorm3".to_owned()));
        assert!(!model.net().paths().contains(&"batchnorm4".to_owned()));
    }
}
