//! Models made for inference.

use std::sync::Arc;

use ndarray::{Array2, ArrayD};

use crate::error::Error;
use crate::layer::Context;
use crate::layers::{BatchNorm, Conv2d, DepthwiseConv2d, FusedConv2d};
use crate::net::model::Model;
use crate::net::operation::Operation;
use crate::net::program::{Op, OpKind, Program};
use crate::net::trace::Trace;
use crate::tensor::Tensor;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::memory;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A model that can only predict, made by [`Model::fuse`].
#[derive(Debug)]
pub struct FusedModel<F: Scalar = f32> {
    model: Model<F>,
}

impl<F: Scalar> Model<F> {
    /// Makes a model for inference. A batch normalization after a convolution is applied to the outputs while they are in the processor's
    /// cache. Kernels are stored transformed for Winograd's algorithm where it is used, which takes four times their memory
    /// (60 MB become 300 in VGG16's convolutions). Outputs are the same to 1e-5 of the largest.
    ///
    /// Your own layers do not change, and no layer does if there is no memory for the transformed kernels. The parameters can no longer be
    /// changed or saved, so save the model before.
    ///
    /// ```
    /// use backstitch::{Model, Net, layers::{batch_norm, conv2d}};
    /// use backstitch::ndarray::Array;
    /// let net = Net::new().push(conv2d(16, 3).same().without_bias()).push(batch_norm().relu());
    /// let model: Model = Model::new(net, &[8, 8, 3], 0)?;
    /// let x = Array::ones((2, 8, 8, 3));
    /// let plain = model.predict(&x)?;
    /// let fused = model.fuse().predict(&x)?;
    /// assert!(plain.iter().zip(&fused).all(|(a, b)| (a - b).abs() < 1e-5));
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn fuse(self) -> FusedModel<F> {
        // Kernels in tiles of 6x6 are four times those of 3x3.
        if !memory::is_there(memory::bytes::<F>(self.parameter_count().saturating_mul(5))) {
            return FusedModel { model: self };
        }
        let program = fuse(&self);
        FusedModel { model: self.with_program(program) }
    }
}

impl<F: Scalar> FusedModel<F> {
    /// As [`Model::predict`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&self, x: impl IntoTensor<F>) -> Result<ArrayD<F>, Error> {
        self.model.predict(x)
    }

    /// As [`Model::predict_proba`].
    ///
    /// # Errors
    /// As [`Model::predict_proba`].
    pub fn predict_proba(&self, x: impl IntoTensor<F>) -> Result<Array2<F>, Error> {
        self.model.predict_proba(x)
    }

    /// The outputs for a batch, in [`Trace::output`], in memory that every call uses again.
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

    /// The operations it computes, those that were fused among them.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_, F>> {
        self.model.operations()
    }
}

/// The list of operations in which each convolution is made for inference, together with the batch normalization
/// behind it where nothing else reads what is between.
fn fuse<F: Scalar>(model: &Model<F>) -> Program<F> {
    let old = model.program();
    let readers = |value: usize| old.ops.iter().flat_map(|op| &op.inputs).filter(|&&v| v == value).count();
    let (mut ops, mut shapes) = (Vec::new(), vec![old.shapes[0]]);
    // The new number of each value.
    let mut number = vec![0];
    let mut rest = old.ops.iter().enumerate().peekable();
    while let Some((i, op)) = rest.next() {
        let inputs = op.inputs.iter().map(|&value| number[value]).collect();
        let mut kind = op.kind.clone();
        let mut fused = 1;
        let input = &old.shapes[op.inputs[0]];
        let depthwise = op.kind.as_layer::<DepthwiseConv2d>().map(|layer| layer.over(input[2]));
        if let Some(conv) = op.kind.as_layer::<Conv2d>().or(depthwise.as_ref()) {
            let follows = |next: &(usize, &Op<F>)| next.1.inputs == [i + 1] && readers(i + 1) == 1;
            let norm = rest.next_if(|next| follows(next) && next.1.kind.as_layer::<BatchNorm>().is_some());
            let norm =
                norm.and_then(|(_, op)| Some((op.kind.as_layer::<BatchNorm>()?, model.weights(op, &[]))));
            fused += usize::from(norm.is_some());
            let norm = norm.as_ref().map(|(norm, w)| (*norm, w));
            let layer = FusedConv2d::new((conv, &model.weights(op, &[])), norm, input);
            kind = OpKind::Layer(Arc::new(layer));
        }
        ops.push(Op {
            path: op.path.clone(),
            key: op.key,
            kind,
            inputs,
            others: op.others.clone(),
            first: ops.len(),
            places: op.places.clone(),
        });
        shapes.push(old.shapes[i + 1]);
        number.resize(number.len() + fused, ops.len());
    }
    let values = old.values.iter().map(|(path, &value)| (path.clone(), number[value])).collect();
    let ids = old.ids.iter().map(|&(op, count)| (number[op + 1] - 1, count)).collect();
    let (output, ties, sequence) = (number[old.output], old.ties.clone(), old.sequence);
    let masks = old.masks.clone();
    Program { ops, shapes, values, output, ties, sequence, ids, masks }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::layers::{Activation, batch_norm, conv2d, dense, flatten, global_avg_pool, max_pool};
    use crate::net::Net;
    use crate::net::{concat, residual};
    use crate::tensor::rng::{Purpose, stream};
    use crate::zoo;

    /// A model whose running statistics are not the initial ones.
    fn model<F: Scalar>(net: fn() -> Net, input: &[usize]) -> Model<F> {
        let mut model = Model::new(net(), input, 3).unwrap();
        let mut rng = stream(5, Purpose::GradientCheck, 0, 0);
        for mut slot in model.slots_mut().filter(|slot| slot.name().contains("norm")) {
            let lowest = if slot.name().ends_with("running_var") { 0.5 } else { -0.5 };
            slot.data_mut().iter_mut().for_each(|v| *v = F::from_f64(rng.random_range(lowest..1.5)));
        }
        model
    }

    fn check<F: Scalar>(net: fn() -> Net, input: &[usize], convolutions: usize, tolerance: f64) {
        let (plain, fused) = (model(net, input), model(net, input).fuse());
        let mut rng = stream(6, Purpose::GradientCheck, 0, 0);
        for batch in [1, 9] {
            let shape = Shape::of(input).batched(batch).unwrap();
            let x = ArrayD::from_shape_fn(&shape[..], |_| F::from_f64(rng.random_range(-1.0..1.0)));
            let (expected, got) = (plain.predict(x.view()).unwrap(), fused.predict(x.view()).unwrap());
            let largest = expected.iter().fold(0.0_f64, |most, v| most.max(v.as_f64().abs()));
            for (a, b) in expected.iter().zip(&got) {
                assert!((a.as_f64() - b.as_f64()).abs() <= tolerance * largest, "{a} {b} of {largest}");
            }
        }
        let found = fused.operations().filter(|operation| operation.layer::<FusedConv2d<F>>().is_some());
        assert_eq!(found.count(), convolutions);
        assert!(fused.operations().all(|operation| operation.layer::<Conv2d>().is_none()));
    }

    /// Five convolutions, each with a norm of its own; the norms behind poolings belong to none.
    fn norms_behind_poolings() -> Net {
        let normed = |net: Net, filters, kernel: usize| {
            net.push(conv2d(filters, kernel).relu().same()).push(batch_norm())
        };
        let net = normed(Net::new(), 64, 7).push(max_pool(2)).push(batch_norm());
        let net = normed(normed(net, 128, 5), 128, 3).push(max_pool(2)).push(batch_norm());
        let net = normed(normed(net, 256, 3), 256, 3).push(max_pool(2)).push(flatten());
        net.push(dense(64).relu()).push(dense(10))
    }

    #[test]
    fn outputs_stay_what_they_were() {
        check::<f32>(|| zoo::resnet18(10), &[32, 32, 3], 20, 1e-5);
        check::<f32>(norms_behind_poolings, &[28, 28, 1], 5, 1e-5);
        check::<f64>(norms_behind_poolings, &[28, 28, 1], 5, 1e-12);
        check::<f32>(zoo::vgg16_batch_norm_features, &[32, 32, 3], 13, 1e-5);
    }

    #[test]
    fn layers_in_every_container_are_found_and_a_norm_elsewhere_stays() {
        fn net() -> Net {
            let branch = |filters, kernel| {
                let conv = conv2d(filters, kernel).activation(Activation::Tanh).same();
                Net::new().push(conv).push(batch_norm().activation(Activation::Sigmoid))
            };
            let block = residual(branch(6, 5), branch(6, 1)).relu();
            Net::new()
                .push(batch_norm())
                .push(concat([branch(2, 3), branch(4, 5)]))
                .push(batch_norm())
                .push(max_pool(2))
                .push(batch_norm())
                .push(block)
                .push(conv2d(5, 3).activation(Activation::Softmax))
                .push(batch_norm())
                .push(global_avg_pool())
                .push(flatten())
        }
        check::<f64>(net, &[9, 11, 3], 5, 1e-12);
        let model: FusedModel<f64> = model(net, &[9, 11, 3]).fuse();
        assert!(model.predict(ArrayD::zeros(vec![1, 9, 11, 2]).view()).is_err());
        assert!(model.operations().any(|operation| operation.path() == "batchnorm3"));
        assert!(!model.operations().any(|operation| operation.path() == "batchnorm4"));
    }
}
