//! Seeing inside a network: what a class or a filter responds to, and where.
//!
//! Everything here works on any model, in one pass over a batch, and leaves the model as it is: it is borrowed mutably
//! because a backward pass could add to gradients, which these passes are told not to do.

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

use ndarray::{Array4, ArrayViewD};

use crate::error::Error;
use crate::layer::{Context, Layer, ReluRule};
use crate::model::Model;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::trace::{Keep, Trace};

/// The most passes that a method makes because its caller says how many: more would never end.
const MOST_PASSES: usize = 1_000_000;

/// The output of a layer for a batch of inputs, `[n, height, width, channels]`.
///
/// # Errors
/// If `x` is not a batch of the model's inputs, there is no such layer, or its output is no map.
pub fn activations<F: Scalar>(
    model: &Model<F>,
    x: &ArrayViewD<'_, F>,
    layer: &str,
) -> Result<Array4<F>, Error> {
    let mut trace = Trace::new(Keep::All);
    model.forward(&Tensor::from_array(x)?, &mut trace, &Context::evaluate())?;
    let (y, _) = trace.get(model.net(), layer)?;
    as_maps(y, layer)
}

/// The filters of a convolution, `[filters, kernel height, kernel width, channels]`.
///
/// ```
/// use backstitch_core::{Model, explain::filters, zoo};
/// let model: Model = Model::new(zoo::model2(), &[28, 28, 1], 0)?;
/// assert_eq!(filters(&model, "conv1")?.dim(), (16, 7, 7, 1));
/// # Ok::<(), backstitch_core::Error>(())
/// ```
///
/// # Errors
/// If there is no such layer, or it is no convolution.
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

/// Whether maps `[height, width, channels]` go into a model, which methods with a result for every pixel need.
fn check_maps<F: Scalar>(model: &Model<F>) -> Result<[usize; 3], Error> {
    match *model.input_shape() {
        [height, width, channels] => Ok([height, width, channels]),
        _ => Err(Error::argument("model input", "[height, width, channels]", model.input_shape())),
    }
}

/// A pass forward and back, from the logit of one class for each sample; its memory serves the next one.
struct Look<F: Scalar> {
    trace: Trace<F>,
    dx: Tensor<F>,
}

impl<F: Scalar> Look<F> {
    fn new() -> Self {
        Self { trace: Trace::new(Keep::All), dx: Tensor::default() }
    }

    fn at(
        model: &mut Model<F>,
        x: &ArrayViewD<'_, F>,
        classes: &[usize],
        rule: ReluRule,
    ) -> Result<Self, Error> {
        let mut look = Self::new();
        look.again(model, x, classes, rule)?;
        Ok(look)
    }

    fn again(
        &mut self,
        model: &mut Model<F>,
        x: &ArrayViewD<'_, F>,
        classes: &[usize],
        rule: ReluRule,
    ) -> Result<(), Error> {
        let (x, trace) = (Tensor::from_array(x)?, &mut self.trace);
        let ctx = Context { relu: rule, ..Context::evaluate() };
        let outputs = check_classes(model, x.batch(), classes)?;
        model.forward(&x, trace, &ctx)?;
        trace.dy.resize(&[x.batch(), outputs]);
        trace.dy.fill(F::zero());
        for (row, &class) in trace.dy.data_mut().chunks_exact_mut(outputs).zip(classes) {
            row[class] = F::one();
        }
        model.backward(&x, trace, Some(&mut self.dx), &ctx)
    }
}

/// The number of classes, if there is one wanted for each sample and all of them are classes.
fn check_classes<F: Scalar>(model: &Model<F>, samples: usize, classes: &[usize]) -> Result<usize, Error> {
    let [outputs] = *model.output_shape() else {
        return Err(Error::argument("model output", "[classes]", model.output_shape()));
    };
    if classes.len() != samples {
        return Err(Error::argument("classes", format!("{samples}, one a sample"), classes.len()));
    }
    match classes.iter().find(|&&class| class >= outputs) {
        Some(class) => Err(Error::argument("classes", format!("classes from 0 to {}", outputs - 1), class)),
        None => Ok(outputs),
    }
}

/// The top-level layer of this name, counted from 0.
fn position<F: Scalar>(model: &Model<F>, layer: &str) -> Result<usize, Error> {
    let children = model.net().children().list();
    let position = children.iter().position(|child| child.name == layer);
    position.ok_or_else(|| Error::unknown("layer", layer, children.iter().map(|child| child.name.as_str())))
}
