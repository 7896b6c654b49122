"""Estimators for scikit-learn: ``from backstitch.sklearn import MLPClassifier``.

They work in a ``Pipeline``, in ``GridSearchCV`` and ``cross_val_score``, and can be cloned and pickled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .history import Callback, Epoch, StopTraining
from .layers import Dense, Layer
from .losses import CrossEntropy, LossLike
from .model import Model
from .nets import Sequential
from .optimizers import SGD, Adam, EarlyStopping, Optimizer, Penalty, Schedule

__all__ = ["MLPClassifier", "MLPRegressor", "NetClassifier", "NetRegressor"]

#: A network, or a function of the input shape and the number of outputs that makes one.
NetLike = Union[Layer, Callable[[tuple[int, ...], int], Layer], None]


class _NetEstimator(BaseEstimator):
    """What classifiers and regressors have in common."""

    def _inputs(self, X: Any, **checks: Any) -> Any:
        """Inputs, and targets where there are some, as scikit-learn checks them."""
        shaped = getattr(self, "input_shape", None) is not None
        return validate_data(self, X, dtype=np.float32, order="C", allow_nd=shaped, **checks)

    def _shaped(self, X: np.ndarray) -> np.ndarray:
        """Inputs of the shape that the network takes."""
        shape = getattr(self, "input_shape", None)
        if shape is None:
            return X
        if int(np.prod(X.shape[1:])) != int(np.prod(shape)):
            raise ValueError(f"X: expected samples of shape {tuple(shape)}, got {X.shape[1:]}")
        return X.reshape((len(X), *shape))

    def _seeds(self) -> tuple[int, int]:
        """The seed of the initial weights, and that of training."""
        drawn = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=2)
        return int(drawn[0]), int(drawn[1])

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.predict(self._shaped(self._inputs(X, reset=False)))


class _Classifier(ClassifierMixin, _NetEstimator):
    """Classes of any type are encoded as numbers from 0."""

    def _encoded(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._inputs(X, y=y)
        check_classification_targets(y)
        self.classes_, encoded = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least two classes, got 1 class, {self.classes_[0]!r}")
        return self._shaped(X), encoded.astype(np.int64)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample, ``[n]``."""
        outputs = self._outputs(X)
        return self.classes_[np.argmax(outputs, axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, ``[n, classes]``, in the order of ``classes_``."""
        check_is_fitted(self)
        return self.model_.predict_proba(self._shaped(self._inputs(X, reset=False))).astype(np.float64)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class _Regressor(RegressorMixin, _NetEstimator):
    """Targets are ``[n]``, or ``[n, outputs]``."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _values(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._inputs(X, y=y, y_numeric=True, multi_output=True)
        self._one_column = y.ndim == 1
        return self._shaped(X), y.reshape(len(y), -1)

    def predict(self, X: Any) -> np.ndarray:
        """The values of each sample: ``[n]``, or ``[n, outputs]`` as they were given to ``fit``."""
        outputs = self._outputs(X).astype(np.float64)
        return outputs.ravel() if self._one_column else outputs


class _NoProgress(Callback):
    """Ends training when the loss has not fallen by more than ``tol`` for a number of epochs, as scikit-learn does."""

    def __init__(self, tol: float, patience: int) -> None:
        self._tol, self._patience = tol, patience
        self._best, self._count = np.inf, 0
        self.stopped = False

    def on_epoch_end(self, epoch: Epoch) -> None:
        loss = epoch["train_loss"] + epoch.figures.get("penalty", 0.0)
        self._count = self._count + 1 if loss > self._best - self._tol else 0
        self._best = min(self._best, loss)
        if self._count > self._patience:
            self.stopped = True
            raise StopTraining


class _MLP(_NetEstimator):
    """The settings of both perceptrons, by scikit-learn's names."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def _optimizer(self) -> Optimizer:
        if self.solver == "adam":
            return Adam(self.learning_rate_init, (self.beta_1, self.beta_2), self.epsilon)
        if self.solver == "sgd":
            nesterov = bool(self.nesterovs_momentum) and self.momentum > 0
            return SGD(self.learning_rate_init, momentum=self.momentum, nesterov=nesterov)
        raise ValueError(f"solver: expected 'adam' or 'sgd', got {self.solver!r}")

    def _net(self, outputs: int) -> Layer:
        # scikit-learn's names of activations, where they differ.
        activation = {"identity": "linear", "logistic": "sigmoid"}.get(self.activation, self.activation)
        sizes = np.atleast_1d(self.hidden_layer_sizes).tolist()
        return Sequential([*(Dense(units, activation) for units in sizes), Dense(outputs)])

    def _batch(self, samples: int) -> int:
        if isinstance(self.batch_size, str):
            if self.batch_size != "auto":
                raise ValueError(f"batch_size: expected a whole number or 'auto', got {self.batch_size!r}")
            return min(200, samples)
        return min(self.batch_size, samples)

    def _train(self, X: np.ndarray, y: np.ndarray, outputs: int, loss: LossLike, figure: str, stratify: Any) -> None:
        seed, training_seed = self._seeds()
        optimizer, net = self._optimizer(), self._net(outputs)
        validation, stopping = None, None
        if self.early_stopping:
            X, X_held, y, y_held = train_test_split(
                X, y, test_size=self.validation_fraction, random_state=seed, stratify=stratify
            )
            validation = (X_held, y_held)
            stopping = EarlyStopping(self.n_iter_no_change, figure, maximize=True, min_delta=self.tol)
        batch = self._batch(len(X))
        no_progress = _NoProgress(self.tol, self.n_iter_no_change)
        self.model_ = net.build(X.shape[1:], seed=seed)
        history = self.model_.fit(
            X,
            y,
            epochs=self.max_iter,
            batch_size=batch,
            optimizer=optimizer,
            loss=loss,
            # scikit-learn's penalty is alpha / 2 times the sum of squares, divided by the samples of a batch.
            penalty=Penalty(l2=self.alpha / (2 * batch)) if self.alpha else None,
            validation=validation,
            early_stopping=stopping,
            callbacks=[] if self.early_stopping else [no_progress],
            seed=training_seed,
            progress=bool(self.verbose),
        )
        penalty = history["penalty"] if "penalty" in history else [0.0] * len(history.epochs)
        self.loss_curve_ = [loss + more for loss, more in zip(history["train_loss"], penalty)]
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)
        self.n_iter_, self.n_outputs_ = len(history.epochs), outputs
        self.n_layers_ = len(np.atleast_1d(self.hidden_layer_sizes)) + 2
        if self.n_iter_ == self.max_iter and not (self.early_stopping or no_progress.stopped):
            message = f"max_iter ({self.max_iter}) was reached, and the loss was still falling"
            warnings.warn(message, ConvergenceWarning, stacklevel=3)


class MLPClassifier(_Classifier, _MLP):
    """A multi-layer perceptron, with the parameters of scikit-learn's ``MLPClassifier`` that mean the same.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        The units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"} or another of backstitch's
        That of the hidden layers.
    solver : {"adam", "sgd"}
    alpha : float
        The L2 penalty.
    batch_size : int or "auto"
        "auto" is 200, or the number of samples where that is smaller.
    learning_rate_init : float
    max_iter : int
        The most epochs.
    random_state : int, RandomState or None
    tol : float
        Training ends when the loss has not fallen by more than this for ``n_iter_no_change`` epochs.
    verbose : bool
    momentum, nesterovs_momentum
        For "sgd".
    early_stopping : bool
        Whether to set ``validation_fraction`` of the samples aside and to end training by their score; the best weights
        are restored.
    beta_1, beta_2, epsilon : float
        For "adam".

    Attributes
    ----------
    classes_, n_features_in_, n_iter_, loss_, best_loss_, loss_curve_, n_layers_, n_outputs_
        As scikit-learn's.
    model_ : backstitch.Model
    """

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Trains a new model on ``X [n, features]`` and classes ``y [n]``."""
        X, encoded = self._encoded(X, y)
        self._train(X, encoded, len(self.classes_), CrossEntropy(), "validation_accuracy", encoded)
        return self


class MLPRegressor(_Regressor, _MLP):
    """A multi-layer perceptron, with the parameters of scikit-learn's ``MLPRegressor`` that mean the same.

    Parameters and attributes are those of :class:`MLPClassifier`, without ``classes_``. The loss is the mean squared
    error, without scikit-learn's factor 1/2.
    """

    def fit(self, X: Any, y: Any) -> MLPRegressor:
        """Trains a new model on ``X [n, features]`` and values ``y [n]`` or ``[n, outputs]``."""
        X, values = self._values(X, y)
        self._train(X, values, values.shape[1], "mse", "validation_r2", None)
        return self


class _Net(_NetEstimator):
    """The settings of both wrappers."""

    def __init__(
        self,
        net: NetLike = None,
        *,
        input_shape: Sequence[int] | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: Optimizer | None = None,
        loss: LossLike = None,
        schedule: Schedule | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.net = net
        self.input_shape = input_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, X: np.ndarray, y: np.ndarray, outputs: int, usual: str) -> None:
        seed, training_seed = self._seeds()
        shape = X.shape[1:]
        if self.net is None:
            net: Any = Sequential([Dense(100, "relu"), Dense(outputs)])
        else:
            net = self.net if isinstance(self.net, Layer) else self.net(shape, outputs)
        self.model_ = Model(net, shape, seed=seed)
        if self.model_.output_shape != (outputs,):
            got = self.model_.output_shape
            raise ValueError(f"net: expected outputs of shape ({outputs},), one for each class or value, got {got}")
        self.history_ = self.model_.fit(
            X,
            y,
            epochs=self.epochs,
            batch_size=min(self.batch_size, len(X)),
            optimizer=self.optimizer,
            loss=usual if self.loss is None else self.loss,
            schedule=self.schedule,
            seed=training_seed,
            progress=bool(self.verbose),
        )
        self.n_iter_ = len(self.history_.epochs)


class NetClassifier(_Classifier, _Net):
    """A classifier that trains any network.

    Parameters
    ----------
    net : Layer or function, optional
        The network, which ends in a layer with an output for each class and no softmax; or a function of the input shape
        and the number of classes that makes one. The default is one hidden layer of 100 units.
    input_shape : sequence of int, optional
        The shape of a sample: rows of ``X`` are brought to it. The default is ``(features,)``.
    epochs, batch_size, optimizer, loss, schedule
        As in :meth:`backstitch.Model.fit`.
    random_state : int, RandomState or None
    verbose : bool
        Prints the progress.

    Attributes
    ----------
    classes_, n_features_in_, n_iter_
        As scikit-learn's.
    model_ : backstitch.Model
    history_ : backstitch.History
    """

    def fit(self, X: Any, y: Any) -> NetClassifier:
        """Trains a new model on ``X [n, features]`` and classes ``y [n]``."""
        X, encoded = self._encoded(X, y)
        self._train(X, encoded, len(self.classes_), "cross_entropy")
        return self


class NetRegressor(_Regressor, _Net):
    """A regressor that trains any network.

    Parameters and attributes are those of :class:`NetClassifier`, without ``classes_``.
    """

    def fit(self, X: Any, y: Any) -> NetRegressor:
        """Trains a new model on ``X [n, features]`` and values ``y [n]`` or ``[n, outputs]``."""
        X, values = self._values(X, y)
        self._train(X, values, values.shape[1], "mse")
        return self
