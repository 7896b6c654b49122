//! Interpretability methods: what a class or a filter responds to, and where.
//!
//! Every method works on any model, in one pass over a batch, and does not change the model.

mod grad_cam;
mod maximize;
mod occlusion;
mod resize;
mod saliency;

pub use grad_cam::{Cam, CamMaps, grad_cam, guided_grad_cam};
pub use maximize::{Goal, Maximized, Maximizer};
pub use occlusion::occlusion;
pub use resize::{gaussian_blur, upsample};
pub use saliency::{class_gradient, gradient_times_input, saliency, smooth_grad};

use ndarray::{Array, Array4, ArrayViewD, Dimension};

use crate::error::Error;
use crate::layer::{Context, ReluRule};
use crate::net::model::Model;
use crate::net::not_finite;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::tensor::Tensor;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::finite;
use crate::tensor::scalar::Scalar;

/// The largest number of passes that a caller may ask for. More would never end.
const MOST_PASSES: usize = 1_000_000;

/// The output of a layer for a batch of inputs, `[n, height, width, channels]`.
///
/// # Errors
/// If `x` is not a batch of the model's inputs or holds a number that is not finite, there is no such layer, or its output is not a map.
pub fn activations<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    layer: &str,
) -> Result<Array4<F>, Error> {
    let x = &x.as_view();
    let mut trace = Trace::new(Keep::All);
    model.forward(&checked(x)?, &mut trace, &Context::evaluate())?;
    let (y, _) = trace.get(layer)?;
    as_maps(y, layer)
}

/// The filters of a convolution, `[filters, kernel height, kernel width, channels]`.
///
/// ```
/// use backstitch::{Model, explain::filters, zoo};
/// let model: Model = Model::new(zoo::lenet_fashion(10), &[28, 28, 1], 0)?;
/// assert_eq!(filters(&model, "conv1")?.dim(), (6, 5, 5, 1));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If there is no such layer, or it is not a convolution.
pub fn filters<F: Scalar>(model: &Model<F>, layer: &str) -> Result<Array4<F>, Error> {
    let state = model.state();
    let kernel = state.get(format!("{layer}.weight").as_str()).filter(|weight| weight.shape().len() == 4);
    let Some(kernel) = kernel else {
        let is_kernel = |tensor: &Tensor<F>| tensor.shape().len() == 4;
        let known = state.iter().filter(|(_, tensor)| is_kernel(tensor));
        let known: Vec<&str> = known.map(|(name, _)| name.trim_end_matches(".weight")).collect();
        return Err(Error::unknown("convolution", layer, known));
    };
    let kernel = kernel.to_array().permuted_axes(vec![3, 0, 1, 2]);
    Ok(kernel.as_standard_layout().into_owned().into_dimensionality().expect("four axes"))
}

/// Checks that all inputs are finite: a NaN would look like a position that does not matter.
fn checked<F: Scalar>(x: &ArrayViewD<'_, F>) -> Result<Tensor<F>, Error> {
    let x = Tensor::from_array(x)?;
    finite::check_samples("x", x.data(), &x.shape())?;
    Ok(x)
}

/// The result of a method, if all of it is finite.
fn found<F: Scalar, D: Dimension>(what: &str, array: Array<F, D>) -> Result<Array<F, D>, Error> {
    let array = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
    let values = array.as_slice().expect("in standard layout");
    finite::check_samples(what, values, array.shape())?;
    Ok(array)
}

/// A tensor as maps.
fn as_maps<F: Scalar>(y: &Tensor<F>, layer: &str) -> Result<Array4<F>, Error> {
    let shape = y.shape();
    let &[n, height, width, channels] = &*shape else {
        let got = format!("outputs of {:?}", shape.get(1..).unwrap_or_default());
        return Err(Error::argument(format!("layer {layer}"), "outputs of [height, width, channels]", got));
    };
    Ok(Array4::from_shape_vec((n, height, width, channels), y.data().to_vec())
        .expect("as many as its shape says"))
}

/// Checks that a model takes maps `[height, width, channels]`. Methods with a result for every pixel need them.
fn check_maps<F: Scalar>(model: &Model<F>) -> Result<[usize; 3], Error> {
    match *model.input_shape() {
        [height, width, channels] => Ok([height, width, channels]),
        _ => Err(Error::argument("model input", "[height, width, channels]", model.input_shape())),
    }
}

/// A forward and a backward pass, from the logit of one class for each sample. The next pass uses its memory again.
struct Look<F: Scalar> {
    trace: Trace<F>,
    dx: Tensor<F>,
}

impl<F: Scalar> Look<F> {
    fn new() -> Self {
        Self { trace: Trace::new(Keep::All), dx: Tensor::default() }
    }

    fn at(model: &Model<F>, x: &ArrayViewD<'_, F>, classes: &[usize], rule: ReluRule) -> Result<Self, Error> {
        let mut look = Self::new();
        look.again(model, x, classes, rule)?;
        Ok(look)
    }

    fn again(
        &mut self,
        model: &Model<F>,
        x: &ArrayViewD<'_, F>,
        classes: &[usize],
        rule: ReluRule,
    ) -> Result<(), Error> {
        let (x, trace) = (checked(x)?, &mut self.trace);
        let ctx = Context { relu: rule, ..Context::evaluate() };
        let outputs = check_classes(model, x.batch(), classes)?;
        model.forward(&x, trace, &ctx)?;
        not_finite::check_outputs(model, trace.output().data(), &trace.output().shape(), 0)?;
        let (_, dy) = trace.output_and_gradient();
        dy.resize(&[x.batch(), outputs]);
        dy.fill(F::zero());
        for (row, &class) in dy.data_mut().chunks_exact_mut(outputs).zip(classes) {
            row[class] = F::one();
        }
        model.backward(&x, trace, Some(&mut self.dx), None, &ctx)?;
        finite::check_samples("gradient", self.dx.data(), &self.dx.shape())
    }
}

/// The number of classes, if there is one wanted for each sample and all of them are classes.
fn check_classes<F: Scalar>(model: &Model<F>, samples: usize, classes: &[usize]) -> Result<usize, Error> {
    let [outputs] = *model.output_shape() else {
        return Err(Error::argument("model output", "[classes]", model.output_shape()));
    };
    if classes.len() != samples {
        return Err(Error::argument("classes", format!("{samples}, one for each sample"), classes.len()));
    }
    match classes.iter().find(|&&class| class >= outputs) {
        Some(class) => Err(Error::argument("classes", format!("classes from 0 to {}", outputs - 1), class)),
        None => Ok(outputs),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array3, ArrayD};

    use super::*;
    use crate::layers::{conv2d, dense, flatten};
    use crate::net::Net;

    fn model() -> Model {
        let net = Net::new().push(conv2d(3, 3).same().relu()).push(flatten()).push(dense(2));
        Model::new(net, &[4, 5, 1], 0).unwrap()
    }

    /// What everything that looks inside says of two pictures, the second of which is that of the methods for one.
    fn errors(model: &mut Model, x: &ArrayD<f32>) -> Vec<String> {
        let (one, classes) = (x.slice(ndarray::s![1..2, .., .., ..]).into_dyn(), &[0, 1]);
        let start: Array3<f32> = x.index_axis(ndarray::Axis(0), 1).to_owned().into_dimensionality().unwrap();
        let x = x.view();
        let maximizer = Maximizer::new(2, 0.1).unwrap();
        let filter = Goal::Filter { layer: "conv1".to_owned(), channel: 1 };
        let plain = ReluRule::Plain;
        [
            grad_cam(model, &x, classes, "conv1", Cam::GradCam).map(drop),
            grad_cam(model, &x, classes, "conv1", Cam::PlusPlus).map(drop),
            guided_grad_cam(model, &x, classes, "conv1").map(drop),
            class_gradient(model, &x, classes, plain).map(drop),
            saliency(model, &x, classes, plain).map(drop),
            gradient_times_input(model, &x, classes).map(drop),
            smooth_grad(model, &x, classes, 2, 0.1, 0).map(drop),
            occlusion(model, &one, 1, 2, 2, 0.0).map(drop),
            maximizer.run(model, &Goal::Class(0), start.view()).map(drop),
            maximizer.run(model, &filter, start.view()).map(drop),
        ]
        .into_iter()
        .map(|result| result.err().map_or("no error".to_owned(), |error| error.to_string()))
        .collect()
    }

    #[test]
    fn a_picture_that_is_not_finite_is_named_and_not_empty() {
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = Array::from_elem((2, 4, 5, 1), 0.5_f32).into_dyn();
            x[[1, 2, 3, 0]] = wrong;
            let model = &mut model();
            let all = errors(model, &x);
            for (i, error) in all.iter().enumerate() {
                assert!(error.starts_with("x of sample "), "{i}: {error}");
                assert!(
                    error.ends_with(&format!("expected finite numbers, got {wrong} at [2, 3, 0]")),
                    "{i}: {error}"
                );
            }
            assert!(all[0].starts_with("x of sample 1:"), "{}", all[0]);
            assert!(activations(model, x.view(), "conv1").is_err());
        }
    }

    #[test]
    fn a_model_that_is_not_finite_shows_nothing() {
        let x = Array::from_elem((2, 4, 5, 1), 0.5_f32).into_dyn();
        for (name, value) in
            [("conv1.weight", f32::NAN), ("conv1.bias", f32::INFINITY), ("dense1.weight", f32::NAN)]
        {
            let mut model = model();
            model.slots_mut().find(|slot| slot.name() == name).unwrap().data_mut().fill(value);
            let all = errors(&mut model, &x);
            // The last looks at a layer before the dense one, whatever that holds.
            let seeing = if name.starts_with("dense1") { all.len() - 1 } else { all.len() };
            for (i, error) in all.iter().take(seeing).enumerate() {
                assert!(error.contains("expected finite numbers, got "), "{name}, {i}: {error}");
            }
            assert!(all[0].ends_with(&format!("because {name} holds {value}")), "{}", all[0]);
        }
        let mut model = model();
        assert!(
            occlusion(&model, x.slice(ndarray::s![..1, .., .., ..]).into_dyn(), 1, 2, 2, f32::NAN).is_err()
        );
        assert!(Maximizer::new(1, 0.1).unwrap().noise(&model, f64::NAN, 1.0).is_err());
        assert!(Maximizer::new(1, 0.1).unwrap().noise(&model, 0.0, f64::INFINITY).is_err());
        assert!(errors(&mut model, &x).iter().all(|error| error == "no error"));
    }
}
