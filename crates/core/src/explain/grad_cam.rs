//! Grad-CAM: which positions of a layer's feature maps support a class.

use ndarray::{Array3, Array4, ArrayD, Axis, Zip, s};

use crate::error::Error;
use crate::explain::{Look, as_maps, check_maps, class_gradient, found, upsample};
use crate::layer::ReluRule;
use crate::net::model::Model;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::scalar::Scalar;

/// How the weight of a channel is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cam {
    /// From the mean gradient: R. Selvaraju et al., "Grad-CAM", 2017, section 3.
    GradCam,
    /// From positive gradients, weighted position by position, so that several objects of a class show: A. Chattopadhay et al., "Grad-CAM++",
    /// 2018, equation 19, with the derivatives of exp(logit) as there.
    PlusPlus,
}

/// Maps of importance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CamMaps<F> {
    /// In the size of the layer's feature maps, `[n, height, width]`, with no number below 0.
    pub coarse: Array3<F>,
    /// The same, bilinearly enlarged to the size of the input.
    pub maps: Array3<F>,
    /// Whether a sample's map is zero everywhere: nothing in this layer supports the class.
    pub empty: Vec<bool>,
}

/// The map of every sample, for one class for each sample, at the layer with this path.
///
/// With A_k the layer's k-th feature map and S the logit of the class: a_k = mean over positions of dS/dA_k, map = max(0, Σ_k a_k A_k).
///
/// ```
/// use backstitch::{Model, explain::{Cam, grad_cam}, zoo};
/// let model: Model = Model::new(zoo::lenet_fashion(10), &[28, 28, 1], 0)?;
/// let x = backstitch::ndarray::Array::from_elem((2, 28, 28, 1), 0.5).into_dyn();
/// let cam = grad_cam(&model, &x.view(), &[3, 7], "conv2", Cam::GradCam)?;
/// assert_eq!(cam.coarse.dim(), (2, 10, 10));
/// assert_eq!(cam.maps.dim(), (2, 28, 28));
/// # Ok::<(), backstitch::Error>(())
/// ```
///
/// # Errors
/// If `x` is not a batch of the model's inputs, there is not one class for each sample, a class or a layer does not exist,
/// the layer's output is not a map, or an input, an output or a map is not finite: such a map would look empty.
pub fn grad_cam<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
    layer: &str,
    cam: Cam,
) -> Result<CamMaps<F>, Error> {
    let x = &x.as_view();
    let [height, width, _] = check_maps(model)?;
    let look = Look::at(model, x, classes, ReluRule::Plain)?;
    let (y, dy) = look.trace.get(layer)?;
    let dy = dy.expect("everything is kept, and the pass went back");
    let (y, dy) = (as_maps(y, layer)?, as_maps(dy, layer)?);
    let weights = match cam {
        Cam::GradCam => dy,
        Cam::PlusPlus => plus_plus(&y, &dy),
    };
    let places = (y.dim().1 * y.dim().2) as f64;
    let mut coarse = Array3::zeros((y.dim().0, y.dim().1, y.dim().2));
    for ((mut map, y), weights) in coarse.outer_iter_mut().zip(y.outer_iter()).zip(weights.outer_iter()) {
        let sums = weights.mapv(Scalar::as_f64).sum_axis(Axis(0)).sum_axis(Axis(0));
        let scale = if cam == Cam::GradCam { places } else { 1.0 };
        Zip::from(&mut map).and(y.lanes(Axis(2))).for_each(|map, y| {
            let sum: f64 = y.iter().zip(&sums).map(|(y, weight)| y.as_f64() * weight).sum();
            *map = F::from_f64(sum / scale);
        });
    }
    // Checked before the comparison with 0, which would hide NaN.
    let coarse = found("map", coarse)?.mapv_into(|value| value.max(F::zero()));
    let empty = coarse.outer_iter().map(|map| map.iter().all(|&value| value == F::zero())).collect();
    Ok(CamMaps { maps: upsample(coarse.view(), height, width)?, coarse, empty })
}

/// Σ over positions of w g+, at each position: with g the gradient, w = g² / (2 g² + g³ Σ over positions of A).
fn plus_plus<F: Scalar>(y: &Array4<F>, dy: &Array4<F>) -> Array4<F> {
    let mut weights = dy.clone();
    for sample in 0..y.dim().0 {
        for channel in 0..y.dim().3 {
            let total = F::from_f64(y.slice(s![sample, .., .., channel]).iter().map(|y| y.as_f64()).sum());
            weights.slice_mut(s![sample, .., .., channel]).mapv_inplace(|g| {
                let divisor = (g + g) * g + g * g * g * total;
                let weight = if divisor == F::zero() { F::zero() } else { g * g / divisor };
                weight * g.max(F::zero())
            });
        }
    }
    weights
}

/// Guided Grad-CAM: the gradient with respect to the input by guided backpropagation, times the map of
/// [`grad_cam`]: with the detail of the first, and specific to the class as the second (Selvaraju et al. 2017, section 3.2). Shape of `x`.
///
/// # Errors
/// As [`grad_cam`].
pub fn guided_grad_cam<F: Scalar>(
    model: &Model<F>,
    x: impl IntoTensor<F>,
    classes: &[usize],
    layer: &str,
) -> Result<ArrayD<F>, Error> {
    let x = &x.as_view();
    let maps = grad_cam(model, x, classes, layer, Cam::GradCam)?.maps;
    let gradient = class_gradient(model, x, classes, ReluRule::Guided)?;
    found("guided map", gradient * maps.insert_axis(Axis(3)).into_dyn())
}
