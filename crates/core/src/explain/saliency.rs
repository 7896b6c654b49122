//! The gradient of a class with respect to the pixels, in its variants.

use ndarray::{Array3, ArrayD};
use ndarray_rand::rand_distr::{Distribution, Normal};

use crate::error::{Error, above_zero, in_range};
use crate::explain::{Look, MOST_PASSES, check_classes, check_maps, found};
use crate::layer::ReluRule;
use crate::net::model::Model;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::memory;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// dS/dx of the logit S of one class for each sample, in the shape of `x`; with [`ReluRule::Guided`] by guided
/// backpropagation, with [`ReluRule::Deconvnet`] by a deconvnet's rule.
///
/// # Errors
/// If `x` is not a batch of the model's inputs, there is not one class for each sample, a class does not exist, or an input, an output or
/// the gradient is not finite: the message says where.
pub fn class_gradient<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
    rule: ReluRule,
) -> Result<ArrayD<F>, Error> {
    let x = &x.as_view();
    Ok(Look::at(model, x, classes, rule)?.dx.to_array())
}

/// How much each pixel matters: the largest of its channels' |dS/dx|, `[n, height, width]` (K. Simonyan, A. Vedaldi and
/// A. Zisserman, "Deep inside convolutional networks", 2014, section 3.1).
///
/// ```
/// use backstitch::{Model, ReluRule, explain::saliency, zoo};
/// let model: Model = Model::new(zoo::lenet_fashion(10), &[28, 28, 1], 0)?;
/// let x = backstitch::ndarray::Array::from_elem((1, 28, 28, 1), 0.5).into_dyn();
/// assert_eq!(saliency(&model, &x.view(), &[3], ReluRule::Plain)?.dim(), (1, 28, 28));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// As [`class_gradient`]; and if the inputs are not maps.
pub fn saliency<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
    rule: ReluRule,
) -> Result<Array3<F>, Error> {
    let x = &x.as_view();
    check_maps(model)?;
    Ok(largest_channel(&class_gradient(model, x, classes, rule)?))
}

/// x dS/dx: what each number adds to the logit, to first order.
///
/// # Errors
/// As [`class_gradient`].
pub fn gradient_times_input<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
) -> Result<ArrayD<F>, Error> {
    let x = &x.as_view();
    found("gradient times input", class_gradient(model, x, classes, ReluRule::Plain)? * x)
}

/// SmoothGrad: the mean of dS/dx over noisy copies of the input, then the largest of the channels (D. Smilkov et al. 2017). The noise is
/// normal with this deviation, in the units of `x`; the paper takes 10 to 20 per cent of the range of `x`, and 50 samples.
///
/// # Errors
/// As [`saliency`]; and if there are no samples or more than a million, or the deviation is not above 0 and finite.
pub fn smooth_grad<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
    samples: usize,
    deviation: f64,
    seed: u64,
) -> Result<Array3<F>, Error> {
    let x = &x.as_view();
    check_maps(model)?;
    above_zero("deviation", deviation)?;
    check_classes(model, x.shape().first().copied().unwrap_or(0), classes)?;
    in_range("samples", samples, MOST_PASSES)?;
    let noise =
        Normal::new(0.0, deviation).map_err(|error| Error::argument("deviation", "a width", error))?;
    memory::check_tensor::<f64>("x", &Shape::new(x.shape())?)?;
    let mut sum = ArrayD::<f64>::zeros(x.raw_dim());
    for sample in 0..samples {
        let mut rng = stream(seed, Purpose::Noise, sample as u64, 0);
        let noisy = x.mapv(|value| value + F::from_f64(noise.sample(&mut rng)));
        sum += &class_gradient(model, noisy.view(), classes, ReluRule::Plain)?.mapv(Scalar::as_f64);
    }
    let mean = found("mean gradient", sum.mapv(|sum| F::from_f64(sum / samples as f64)))?;
    Ok(largest_channel(&mean))
}

fn largest_channel<F: Scalar>(gradient: &ArrayD<F>) -> Array3<F> {
    let last = ndarray::Axis(gradient.ndim() - 1);
    let most = gradient.map_axis(last, |pixel| pixel.iter().fold(F::zero(), |most, g| most.max(g.abs())));
    most.into_dimensionality().expect("one axis less than [n, height, width, channels]")
}
