//! Standardization by constants.

use std::sync::Arc;

use crate::error::{Error, ShapeError};
use crate::layer::cost::Cost;
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};

/// Subtracts a mean from every feature, or every channel, and divides by a standard deviation; [`inverse`](Self::inverse) does the opposite.
///
/// The constants are tensors of the model, `mean` and `deviation`: saved with its weights, never learned, frozen from the start. So
/// inputs of later predictions are scaled as those in training. [`data::standardize`](crate::data::standardize) and
/// [`data::unstandardize`](crate::data::unstandardize) compute them from a data set.
///
/// # Shapes
/// x `[n, .., features]`, y the same; mean μ and deviation σ `[features]`, one number for each of the last axis.
///
/// # Forward
/// y = (x - μ) / σ; inverse: y = σ x + μ.
///
/// # Backward
/// dL/dx = dL/dy / σ; inverse: dL/dx = σ dL/dy.
///
/// ```
/// use backstitch::{Model, Net, layers::{Standardize, conv2d}};
/// // What torchvision's networks expect of pictures from 0 to 1.
/// let scale = Standardize::new(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])?;
/// let model: Model = Model::new(Net::new().push(scale).push(conv2d(16, 3)), &[32, 32, 3], 0)?;
/// assert_eq!(model.names("standardize1.*"), ["standardize1.deviation", "standardize1.mean"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Standardize {
    /// Mean and deviation; `None` if they will be loaded from a file.
    constants: Option<[Arc<[f64]>; 2]>,
    inverse: bool,
}

impl Standardize {
    /// A layer with these constants, one for each index of the last axis.
    ///
    /// # Errors
    /// If there are not as many means as deviations, or none; a mean is not finite; or a deviation is not finite and above 0: as `f32`.
    pub fn new(mean: &[f64], deviation: &[f64]) -> Result<Self, Error> {
        if mean.is_empty() || mean.len() != deviation.len() {
            let expected = format!("{}, one for each mean, and at least one", mean.len());
            return Err(Error::argument("deviations", expected, deviation.len()));
        }
        if let Some(at) = mean.iter().position(|&mean| !(mean as f32).is_finite()) {
            return Err(Error::argument(format!("mean {at}"), "a finite number of f32", mean[at]));
        }
        let fits = |deviation: f64| deviation as f32 > 0.0 && (deviation as f32).is_finite();
        if let Some(at) = deviation.iter().position(|&deviation| !fits(deviation)) {
            let name = format!("deviation {at}");
            return Err(Error::argument(name, "a finite number of f32 above 0", deviation[at]));
        }
        Ok(Self { constants: Some([mean.into(), deviation.into()]), inverse: false })
    }

    /// A layer whose constants will be loaded from a file, for a program that loads a model and has no data. Until then they are NaN:
    /// prediction and training give an error that names the layer.
    pub fn unfitted() -> Self {
        Self { constants: None, inverse: false }
    }

    /// The inverse: it turns standardized values into the original ones.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { inverse: !self.inverse, ..self }
    }

    fn name(&self) -> String {
        if self.inverse { "Unstandardize".to_owned() } else { "Standardize".to_owned() }
    }
}

/// Calls `f` with every number that is read, the one to write, and the constants of its feature.
fn each<F: Scalar>(from: &[F], to: &mut [F], w: &Weights<'_, F>, f: impl Fn(F, F, F) -> F) {
    let (mean, deviation) = (w["mean"].data(), w["deviation"].data());
    let rows = to.chunks_exact_mut(mean.len()).zip(from.chunks_exact(mean.len()));
    for (to, from) in rows {
        for ((to, &from), (&mean, &deviation)) in to.iter_mut().zip(from).zip(mean.iter().zip(deviation)) {
            *to = f(from, mean, deviation);
        }
    }
}

impl<F: Scalar> Layer<F> for Standardize {
    type Cache = ();

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let Some(&features) = input.last() else {
            return Err(ShapeError::new(self.name(), "at least one axis", "none"));
        };
        match &self.constants {
            Some([mean, _]) if mean.len() != features => {
                let expected = format!("{} numbers in the last axis, one a constant", mean.len());
                Err(ShapeError::new(self.name(), expected, format!("{input:?}")))
            }
            _ => Shape::new(input),
        }
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let unset = || vec![f64::NAN; input[input.len() - 1]].into();
        let [mean, deviation] = self.constants.clone().unwrap_or_else(|| [unset(), unset()]);
        declare.constant("mean", mean);
        declare.constant("deviation", deviation);
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        match self.inverse {
            false => each(x.data(), y.data_mut(), w, |x, mean, deviation| (x - mean) / deviation),
            true => each(x.data(), y.data_mut(), w, |x, mean, deviation| x * deviation + mean),
        }
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Backward { dy, dx: Some(dx), .. } = pass else { return };
        match self.inverse {
            false => each(dy.data(), dx.data_mut(), w, |dy, _, deviation| dy / deviation),
            true => each(dy.data(), dx.data_mut(), w, |dy, _, deviation| dy * deviation),
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { multiply_adds: product(input) as u64, ..Cost::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::check_layer;
    use crate::layers::dense;
    use crate::net::Net;
    use crate::net::model::Model;

    fn scale() -> Standardize {
        Standardize::new(&[1000.0, -3.0], &[0.5, 4.0]).unwrap()
    }

    #[test]
    fn the_contract_of_a_layer_holds_in_both_directions() {
        for layer in [scale(), scale().inverse()] {
            for input in [&[2][..], &[3, 2], &[2, 3, 2]] {
                check_layer(layer.clone(), input, 3, &Context::train(0, 0), 1).unwrap();
            }
        }
    }

    #[test]
    fn undone_it_gives_back_what_came() {
        let net = Net::new().push(scale()).push(scale().inverse());
        let model: Model<f64> = Model::new(net, &[2], 0).unwrap();
        let x = ndarray::array![[1001.0, 5.0], [999.5, -3.0]].into_dyn();
        assert_eq!(model.predict(x.view()).unwrap(), x);
        let first: Model<f64> = Model::new(scale(), &[2], 0).unwrap();
        assert_eq!(first.predict(x.view()).unwrap(), ndarray::array![[2.0, 2.0], [-1.0, 0.0]].into_dyn());
        assert_eq!(model.paths(), ["standardize1", "unstandardize1"]);
    }

    #[test]
    fn constants_are_frozen_not_counted_and_in_the_state() {
        let net = || Net::new().push(scale()).push(dense(3));
        let model: Model = Model::new(net(), &[2], 0).unwrap();
        assert_eq!(model.parameter_count(), 2 * 3 + 3);
        let constants: Vec<_> = model.slots().iter().filter(|slot| slot.is_frozen()).collect();
        assert!(constants.iter().all(|slot| !slot.is_learned() && !slot.is_trainable()));
        assert_eq!(constants.len(), 2);
        assert_eq!(model.state()["standardize1.mean"].data(), [1000.0, -3.0]);
        assert_eq!(model.state()["standardize1.deviation"].data(), [0.5, 4.0]);
        let line = &model.summary().lines[0];
        assert_eq!((line.trainable, line.frozen, line.multiply_adds), (0, 0, 2));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let message =
            |mean: &[f64], deviation: &[f64]| Standardize::new(mean, deviation).unwrap_err().to_string();
        assert_eq!(
            message(&[0.0], &[]),
            "deviations: expected 1, one for each mean, and at least one, got 0"
        );
        assert_eq!(message(&[], &[]), "deviations: expected 0, one for each mean, and at least one, got 0");
        assert_eq!(message(&[0.0, f64::NAN], &[1.0; 2]), "mean 1: expected a finite number of f32, got NaN");
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            let got = message(&[0.0, 0.0], &[1.0, wrong]);
            assert!(got.starts_with("deviation 1: expected a finite number of f32 above 0, got "), "{got}");
        }
        let error = Model::<f32>::new(scale(), &[4, 3], 0).unwrap_err().to_string();
        let expected =
            "standardize1 (Standardize): expected 2 numbers in the last axis, one a constant, got [4, 3]";
        assert_eq!(error, expected);
    }

    #[test]
    fn without_its_constants_it_predicts_nothing() {
        let net = Net::new().named("scale", Standardize::unfitted()).push(dense(1));
        let model: Model = Model::new(net, &[2], 0).unwrap();
        let error = model.predict(ndarray::array![[1.0, 2.0]]).unwrap_err().to_string();
        let expected = "outputs for sample 0: expected finite numbers, got NaN at [0], because scale.mean holds NaN; it comes \
                        with saved weights: load them into the model first";
        assert_eq!(error, expected);
    }
}
