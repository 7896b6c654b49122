//! Multi-layer perceptrons with the interface of scikit-learn and of the assignment.

use std::sync::Arc;

use ndarray::{Array2, Ix2};

use crate::data::Dataset;
use crate::error::Error;
use crate::layer::init::Init;
use crate::layers::{Activation, dense};
use crate::metrics::argmax_rows;
use crate::net::Net;
use crate::net::model::Model;
use crate::optim::{Optimizer, Sgd};
use crate::tensor::arrays::IntoTensor;
use crate::tensor::memory::check_size;
use crate::train::{History, Trainer, evaluate};

/// The settings of an [`MlpClassifier`] or an [`MlpRegressor`]. The default is the assignment's network.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpParameters {
    /// Number of layers of nodes, input and output included: the length of `layer_sizes`.
    pub n_layers: usize,
    /// Nodes in each layer: inputs, hidden ..., classes or values.
    pub layer_sizes: Vec<usize>,
    /// Activation of the hidden layers; `"relu".parse()?` gives it by name.
    pub activation: Activation,
    /// Factor of the gradient in each step of stochastic gradient descent; another optimizer has its own.
    pub learning_rate: f64,
    /// How the initial weights are drawn; biases start at zero.
    pub weight_init: Init,
    /// Samples in a step.
    pub batch_size: usize,
    /// Passes over the training data.
    pub num_epochs: usize,
    /// The seed of the initial weights and of the order of samples.
    pub seed: u64,
}

impl Default for MlpParameters {
    fn default() -> Self {
        Self {
            n_layers: 5,
            layer_sizes: vec![784, 256, 128, 64, 10],
            activation: Activation::Relu,
            learning_rate: 0.1,
            weight_init: Init::Normal,
            batch_size: 32,
            num_epochs: 100,
            seed: 0,
        }
    }
}

/// Parameters, network and optimizer.
#[derive(Debug)]
struct Mlp {
    parameters: MlpParameters,
    optimizer: Option<Arc<dyn Optimizer<f32>>>,
    model: Model,
}

impl Mlp {
    fn new(parameters: MlpParameters) -> Result<Self, Error> {
        let sizes = &parameters.layer_sizes;
        if parameters.n_layers != sizes.len() {
            let expected = format!("{}, the length of layer_sizes {sizes:?}", sizes.len());
            return Err(Error::argument("n_layers", expected, parameters.n_layers));
        }
        if sizes.len() < 2 || sizes.contains(&0) {
            let expected = "at least an input and an output size, all above 0";
            return Err(Error::argument("layer_sizes", expected, format!("{sizes:?}")));
        }
        for pair in sizes.windows(2) {
            check_size("layer_sizes", pair[0].max(pair[1]), pair, size_of::<f32>())?;
        }
        Optimizer::<f32>::check(&Sgd::new(parameters.learning_rate))?;
        for (name, value) in [("batch_size", parameters.batch_size), ("num_epochs", parameters.num_epochs)] {
            if value == 0 {
                return Err(Error::argument(name, "at least 1", 0));
            }
        }
        let model = initial_model(&parameters)?;
        Ok(Self { parameters, optimizer: None, model })
    }

    /// Trains a new model. `settings` may change the trainer before.
    fn fit<'c>(
        &mut self,
        data: &Dataset,
        settings: impl FnOnce(Trainer<'c>) -> Trainer<'c>,
    ) -> Result<History, Error> {
        let MlpParameters { num_epochs, batch_size, seed, learning_rate, .. } = self.parameters;
        self.model = initial_model(&self.parameters)?;
        let trainer = match &self.optimizer {
            Some(optimizer) => Trainer::with(Arc::clone(optimizer)),
            None => Trainer::new(Sgd::new(learning_rate)),
        };
        let trainer = trainer.epochs(num_epochs).batch_size(batch_size).seed(seed);
        settings(trainer).fit(&mut self.model, data)
    }

    /// Outputs `[n, units]`.
    fn outputs(&self, inputs: impl IntoTensor<f32>) -> Result<Array2<f32>, Error> {
        let outputs = self.model.predict(inputs)?;
        let shape = format!("{:?}", outputs.shape());
        let rows = outputs.into_dimensionality::<Ix2>();
        rows.map_err(|_| Error::argument("model output", "[samples, units]", shape))
    }
}

fn initial_model(parameters: &MlpParameters) -> Result<Model, Error> {
    let last = parameters.layer_sizes.len() - 2;
    let mut net = Net::new();
    for (i, &units) in parameters.layer_sizes[1..].iter().enumerate() {
        let activation = if i == last { Activation::Linear } else { parameters.activation };
        net = net.push(dense(units).activation(activation).init(parameters.weight_init));
    }
    Model::new(net, &parameters.layer_sizes[..1], parameters.seed)
}

/// A classifier of dense layers, trained with cross-entropy and, by default, stochastic gradient descent.
///
/// ```
/// use backstitch::mlp::{MlpClassifier, MlpParameters};
/// use backstitch::Init;
/// use backstitch::ndarray::array;
/// let inputs = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
/// let labels = [0, 1, 1, 0];
/// let mut classifier = MlpClassifier::new(MlpParameters {
///     n_layers: 3,
///     layer_sizes: vec![2, 8, 2],
///     activation: "tanh".parse()?,
///     learning_rate: 0.5,
///     weight_init: Init::GlorotUniform,
///     batch_size: 4,
///     num_epochs: 500,
///     seed: 1,
/// })?;
/// classifier.fit(&inputs, &labels)?;
/// assert_eq!(classifier.predict(&inputs)?, labels);
/// assert_eq!(classifier.score(&inputs, &labels)?, 1.0);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct MlpClassifier {
    mlp: Mlp,
}

impl MlpClassifier {
    /// A classifier with initial weights.
    ///
    /// # Errors
    /// If the parameters contradict each other or one of them is impossible: the message says
    /// which, and what is allowed.
    pub fn new(parameters: MlpParameters) -> Result<Self, Error> {
        Ok(Self { mlp: Mlp::new(parameters)? })
    }

    /// Sets another optimizer.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer<f32>) -> Self {
        self.mlp.optimizer = Some(Arc::new(optimizer));
        self
    }

    /// Trains a new model on inputs `[n, features]` and their n classes.
    ///
    /// # Errors
    /// See [`Trainer::fit`].
    pub fn fit(&mut self, inputs: impl IntoTensor<f32>, labels: &[usize]) -> Result<History, Error> {
        self.fit_with(inputs, labels, |trainer| trainer)
    }

    /// As [`fit`](Self::fit), with more settings: validation data, callbacks, a checkpoint to resume from.
    ///
    /// # Errors
    /// See [`Trainer::fit`].
    pub fn fit_with<'c>(
        &mut self,
        inputs: impl IntoTensor<f32>,
        labels: &[usize],
        settings: impl FnOnce(Trainer<'c>) -> Trainer<'c>,
    ) -> Result<History, Error> {
        self.mlp.fit(&Dataset::classes(inputs, labels)?, settings)
    }

    /// The probability of every class, `[n, classes]`.
    ///
    /// # Errors
    /// If the inputs have another number of features, or a probability is NaN: the message says of which sample.
    pub fn predict_proba(&self, inputs: impl IntoTensor<f32>) -> Result<Array2<f32>, Error> {
        self.mlp.model.predict_proba(inputs)
    }

    /// The most probable class of every sample.
    ///
    /// # Errors
    /// If the inputs have another number of features, or an output is not finite: the message says for which sample, and whether
    /// inputs or weights are the reason.
    pub fn predict(&self, inputs: impl IntoTensor<f32>) -> Result<Vec<usize>, Error> {
        argmax_rows(self.mlp.outputs(inputs)?.view())
    }

    /// Accuracy: the share of samples whose most probable class is their label.
    ///
    /// # Errors
    /// If inputs and labels do not fit each other or the model, or an output is not finite.
    pub fn score(&self, inputs: impl IntoTensor<f32>, labels: &[usize]) -> Result<f64, Error> {
        let figures = evaluate(&self.mlp.model, &Dataset::classes(inputs, labels)?)?;
        Ok(figures.get("accuracy").unwrap_or(f64::NAN))
    }

    /// The settings it was created with.
    pub fn parameters(&self) -> &MlpParameters {
        &self.mlp.parameters
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.mlp.model
    }

    /// The network, to load saved weights into.
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.mlp.model
    }
}

/// A regressor of dense layers, trained with the mean squared error and, by default, stochastic gradient descent.
///
/// ```
/// use backstitch::mlp::{MlpParameters, MlpRegressor};
/// use backstitch::{Init, optim::Adam};
/// use backstitch::ndarray::Array2;
/// let x = Array2::from_shape_fn((100, 1), |(i, _)| i as f32 / 50.0 - 1.0);
/// let y = x.mapv(|x| (3.0 * x).sin());
/// let parameters = MlpParameters {
///     n_layers: 3,
///     layer_sizes: vec![1, 16, 1],
///     activation: "tanh".parse()?,
///     weight_init: Init::GlorotUniform,
///     num_epochs: 200,
///     ..MlpParameters::default()
/// };
/// let mut regressor = MlpRegressor::new(parameters)?.optimizer(Adam::new(0.02));
/// regressor.fit(&x, &y)?;
/// assert!(regressor.score(&x, &y)? > 0.95);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug)]
pub struct MlpRegressor {
    mlp: Mlp,
}

impl MlpRegressor {
    /// A regressor with initial weights.
    ///
    /// # Errors
    /// If the parameters contradict each other or one of them is impossible: the message says
    /// which, and what is allowed.
    pub fn new(parameters: MlpParameters) -> Result<Self, Error> {
        Ok(Self { mlp: Mlp::new(parameters)? })
    }

    /// Sets another optimizer.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer<f32>) -> Self {
        self.mlp.optimizer = Some(Arc::new(optimizer));
        self
    }

    /// Trains a new model on inputs `[n, features]` and values `[n, outputs]`.
    ///
    /// # Errors
    /// See [`Trainer::fit`].
    pub fn fit(
        &mut self,
        inputs: impl IntoTensor<f32>,
        values: impl IntoTensor<f32>,
    ) -> Result<History, Error> {
        self.fit_with(inputs, values, |trainer| trainer)
    }

    /// As [`fit`](Self::fit), with more settings: validation data, callbacks, a checkpoint to resume from.
    ///
    /// # Errors
    /// See [`Trainer::fit`].
    pub fn fit_with<'c>(
        &mut self,
        inputs: impl IntoTensor<f32>,
        values: impl IntoTensor<f32>,
        settings: impl FnOnce(Trainer<'c>) -> Trainer<'c>,
    ) -> Result<History, Error> {
        self.mlp.fit(&Dataset::values(inputs, values)?, settings)
    }

    /// The values of every sample, `[n, outputs]`.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&self, inputs: impl IntoTensor<f32>) -> Result<Array2<f32>, Error> {
        self.mlp.outputs(inputs)
    }

    /// The coefficient of determination R²: 1 if every prediction is exact, 0 for a model that always predicts the mean.
    ///
    /// # Errors
    /// If inputs and values do not fit each other or the model, or an output is not finite.
    pub fn score(&self, inputs: impl IntoTensor<f32>, values: impl IntoTensor<f32>) -> Result<f64, Error> {
        let figures = evaluate(&self.mlp.model, &Dataset::values(inputs, values)?)?;
        Ok(figures.get("r2").unwrap_or(f64::NAN))
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.mlp.model
    }

    /// The network, to load saved weights into.
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.mlp.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn message(change: impl FnOnce(&mut MlpParameters)) -> String {
        let mut parameters = MlpParameters::default();
        change(&mut parameters);
        MlpClassifier::new(parameters).unwrap_err().to_string()
    }

    #[test]
    fn contradictions_and_impossible_values_are_named() {
        assert_eq!(
            message(|p| p.n_layers = 4),
            "n_layers: expected 5, the length of layer_sizes [784, 256, 128, 64, 10], got 4"
        );
        assert_eq!(
            message(|p| (p.n_layers, p.layer_sizes) = (3, vec![784, 0, 10])),
            "layer_sizes: expected at least an input and an output size, all above 0, got [784, 0, 10]"
        );
        for size in [1 << 40, usize::MAX] {
            for sizes in [vec![size, 10], vec![4, size], vec![size, size]] {
                let error = message(|p| (p.n_layers, p.layer_sizes) = (2, sizes));
                assert!(error.starts_with("layer_sizes: expected few enough for 4 GiB"), "{error}");
            }
        }
        assert_eq!(message(|p| p.batch_size = 0), "batch_size: expected at least 1, got 0");
        assert_eq!(message(|p| p.num_epochs = 0), "num_epochs: expected at least 1, got 0");
        for rate in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(
                message(|p| p.learning_rate = rate),
                format!("learning_rate: expected a finite number above 0, got {rate}")
            );
        }
    }

    fn small() -> MlpClassifier {
        MlpClassifier::new(MlpParameters {
            n_layers: 2,
            layer_sizes: vec![3, 2],
            batch_size: 4,
            num_epochs: 2,
            ..MlpParameters::default()
        })
        .unwrap()
    }

    #[test]
    fn data_that_does_not_fit_is_named() {
        let inputs = Array2::<f32>::zeros((4, 3));
        let fit = |inputs: &Array2<f32>, labels: &[usize]| {
            small().fit(inputs.view(), labels).unwrap_err().to_string()
        };
        assert_eq!(fit(&inputs, &[0, 1]), "labels: expected 4, one for each sample, got 2");
        assert_eq!(fit(&inputs, &[0, 1, 2, 0]), "label of sample 2: expected a class from 0 to 1, got 2");
        assert_eq!(fit(&Array2::zeros((4, 5)), &[0; 4]), "inputs: expected samples of [3], got [5]");
        assert_eq!(fit(&Array2::zeros((0, 3)), &[]), "inputs: expected at least one sample, got [0, 3]");
        assert_eq!(
            fit(&Array2::zeros((3, 3)), &[0; 3]),
            "batch_size: expected from 1 to 3, the number of samples, got 4"
        );
        let wrong = small().predict(Array2::zeros((1, 4)).view()).unwrap_err().to_string();
        assert_eq!(wrong, "input: expected [samples, 3], got [1, 4]");
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_training() {
        // Finite itself, but not times the weights that it makes.
        let inputs = Array2::<f32>::from_elem((4, 3), f32::MAX);
        let error = small().fit(inputs.view(), &[0, 1, 0, 1]).unwrap_err().to_string();
        assert!(error.starts_with("epoch 2, step 1: expected a finite training loss, got "), "{error}");
        assert!(error.contains("a smaller learning rate"), "{error}");
    }

    #[test]
    fn an_input_that_is_not_finite_is_named() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut inputs = Array2::<f32>::zeros((4, 3));
            inputs[[2, 1]] = wrong;
            let error = small().fit(inputs.view(), &[0, 1, 0, 1]).unwrap_err().to_string();
            assert_eq!(error, format!("inputs of sample 2: expected finite numbers, got {wrong} at [1]"));
            assert_eq!(small().score(inputs.view(), &[0, 1, 0, 1]).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_model_of_nan_predicts_nothing() {
        let mut classifier = small();
        let slots = classifier.model_mut().slots_mut();
        slots.into_iter().find(|slot| slot.name() == "dense1.bias").unwrap().data_mut()[1] = f32::NAN;
        let inputs = Array2::<f32>::zeros((4, 3));
        let errors = [
            classifier.predict(inputs.view()).unwrap_err(),
            classifier.predict_proba(inputs.view()).unwrap_err(),
            classifier.score(inputs.view(), &[0; 4]).unwrap_err(),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(
                error.starts_with("outputs for sample 0: expected finite numbers, got NaN at ["),
                "{error}"
            );
            assert!(error.ends_with(", because dense1.bias holds NaN"), "{error}");
        }
    }

    #[test]
    fn a_model_that_was_put_in_its_place_cannot_make_it_panic() {
        let mut classifier = small();
        let net = Net::new().push(crate::layers::flatten());
        *classifier.model_mut() = Model::new(net, &[3], 0).unwrap();
        assert_eq!(classifier.predict(Array2::zeros((2, 3)).view()).unwrap(), [0, 0]);
        *classifier.model_mut() = Model::new(crate::layers::dropout(0.0), &[2, 2, 1], 0).unwrap();
        assert!(classifier.predict(Array2::zeros((2, 4)).view()).is_err());
    }

    #[test]
    fn probabilities_sum_to_one_and_agree_with_predictions() {
        let classifier = small();
        let inputs = Array2::from_shape_fn((300, 3), |(i, j)| (i * 7 + j * 3) as f32 % 5.0 - 2.0);
        let probabilities = classifier.predict_proba(inputs.view()).unwrap();
        for (row, class) in probabilities.outer_iter().zip(classifier.predict(inputs.view()).unwrap()) {
            assert!((row.sum() - 1.0).abs() < 1e-6);
            assert!(row[class] >= row[1 - class]);
        }
    }
}
