"""Models: networks with shapes and numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import floats, integers, is_whole, numbers
from ._settings import Settings
from .history import CallbackLike, History, Listener
from .losses import Loss, LossLike, find_loss
from .optimizers import Adam, Augment, EarlyStopping, Optimizer, Penalty, Schedule

if TYPE_CHECKING:
    from .layers import Layer

__all__ = ["Model"]


class Model:
    """A network with shapes and numbers, in ``float32``. :meth:`Layer.build` makes one.

    Parameters
    ----------
    net : Layer
        Layers, and how they are connected.
    input_shape : sequence of int
        The shape of one sample, without the batch.
    seed : int
        The seed of the initial weights.
    inputs : mapping of str to sequence of int, optional
        The names and shapes of further inputs.

    Attributes
    ----------
    net : Layer
        As given.
    history : History, optional
        That of the last call of :meth:`fit`, also where it was interrupted.
    """

    def __init__(
        self,
        net: Layer,
        input_shape: Sequence[int],
        *,
        seed: int = 0,
        inputs: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.net = net
        self.history: History | None = None
        self._inputs = {name: _shape(f"input {name!r}", shape) for name, shape in (inputs or {}).items()}
        shape = _shape("input_shape", input_shape)
        self._core = _core.Model(net._plain(), shape, list(self._inputs.items()), _seed(seed))

    @classmethod
    def _around(cls, core: Any, net: Layer, inputs: dict[str, tuple[int, ...]]) -> Model:
        model = cls.__new__(cls)
        model.net, model.history, model._inputs, model._core = net, None, inputs, core
        return model

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self._core.input_shape())

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one output."""
        return tuple(self._core.output_shape())

    @property
    def parameter_count(self) -> int:
        """The number of learned numbers."""
        return self._core.parameter_count()

    def summary(self) -> str:
        """A table of the layers: shapes, parameters, multiplications and memory."""
        return self._core.summary()

    def __repr__(self) -> str:
        return f"<Model {self.input_shape} -> {self.output_shape}, {self.parameter_count:,} parameters>"

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        optimizer: Optimizer | None = None,
        loss: LossLike = None,
        validation: Sequence[Any] | None = None,
        callbacks: Iterable[CallbackLike] = (),
        seed: int = 0,
        sample_weight: Any = None,
        inputs: Mapping[str, Any] | None = None,
        schedule: Schedule | None = None,
        early_stopping: EarlyStopping | int | None = None,
        clip_norm: float | None = None,
        penalty: Penalty | None = None,
        augment: Augment | None = None,
        drop_last: bool = False,
        steps_per_epoch: int | None = None,
        progress: bool = False,
    ) -> History:
        """Trains the model: batches in a new order each epoch, one step of the optimizer a batch.

        Ctrl-C ends training after the step: the model keeps what it has learned, and :attr:`history` has the epochs.

        Parameters
        ----------
        x : array_like
            Inputs ``[n, ..]``.
        y : array_like, optional
            Targets. Whole numbers are classes where the loss takes classes (by default they are); other numbers are
            values ``[n, ..]`` of the shape of the outputs. Without targets, inputs are the targets.
        epochs : int
            The number of passes over the samples.
        batch_size : int
            The number of samples in a step.
        optimizer : Optimizer, optional
            The default is ``Adam(1e-3)``.
        loss : Loss or str, optional
            The default is cross-entropy for classes, and the mean squared error for values.
        validation : (x, y) or (x, y, sample_weight), optional
            Samples that are evaluated after each epoch.
        callbacks : iterable of Callback or function
            Are called after each step or epoch. A function is called with an :class:`Epoch` after each epoch.
        seed : int
            The seed of the order of samples, of dropout and of augmentation.
        sample_weight : array_like, optional
            A weight above 0 for each sample.
        inputs : mapping of str to array_like, optional
            Further inputs ``[n, ..]`` by name.
        schedule : Schedule, optional
            Changes the learning rate.
        early_stopping : EarlyStopping or int, optional
            Ends training when the validation loss has not fallen for a number of epochs.
        clip_norm : float, optional
            The largest norm of a step's gradient.
        penalty : Penalty, optional
            On the weights.
        augment : Augment, optional
            Random changes of maps.
        drop_last : bool
            Leaves out the last batch of an epoch where it is smaller than the others.
        steps_per_epoch : int, optional
            Ends an epoch after this number of steps.
        progress : bool
            Prints the progress.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            If an argument is not allowed, or does not fit the model: the message names it.
        FloatingPointError
            If a number became NaN or infinite: the message says which, and at which step.
        RuntimeError
            If another thread uses the model.
        """
        found = find_loss(loss)
        data = _dataset(x, y, found, sample_weight, inputs, "")
        held_out = None
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
                raise TypeError("validation: expected (x, y) or (x, y, sample_weight)")
            weight = validation[2] if len(validation) == 3 else None
            held_out = _dataset(validation[0], validation[1], found, weight, None, "validation ")
        if isinstance(early_stopping, int) and not isinstance(early_stopping, bool):
            early_stopping = EarlyStopping(early_stopping)
        settings = {
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": _seed(seed),
            "optimizer": _spec("optimizer", optimizer or Adam(), Optimizer),
            "loss": _spec("loss", found, Loss),
            "schedule": _spec("schedule", schedule, Schedule),
            "early_stopping": _spec("early_stopping", early_stopping, EarlyStopping),
            "penalty": _spec("penalty", penalty, Penalty),
            "augment": _spec("augment", augment, Augment),
            "clip_norm": clip_norm,
            "drop_last": drop_last,
            "steps_per_epoch": steps_per_epoch,
        }
        listener = Listener(list(callbacks), progress, lambda core: Model._around(core, self.net, self._inputs))
        wishes = (listener.step_seconds, listener.wants_epochs)
        figures, restored, table, error = _core.fit(self._core, data, held_out, settings, listener, wishes)
        self.history = History([epoch for _, epoch in figures], restored, table)
        if error is not None:
            raise error
        return self.history

    def predict(self, x: Any, *, inputs: Mapping[str, Any] | None = None) -> np.ndarray:
        """The outputs ``[n, ..]`` for inputs ``[n, ..]``, as at evaluation.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is no batch of inputs, or an output is not finite: the message says for which sample, and why.
        """
        return self._core.predict(floats("x", x), _named(inputs))

    def predict_proba(self, x: Any) -> np.ndarray:
        """The probability of each class, ``[n, classes]``: the softmax of :meth:`predict`.

        Raises
        ------
        TypeError, ValueError
            As :meth:`predict`; and if the outputs are not logits of two or more classes.
        """
        return self._core.predict_proba(floats("x", x))

    def predict_classes(self, x: Any) -> np.ndarray:
        """The most probable class of each sample, ``[n]`` of ``int64``."""
        return self._core.predict_classes(floats("x", x))

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        loss: LossLike = None,
        sample_weight: Any = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """The loss and the metrics that belong to it, by name: ``{"loss": 0.41, "accuracy": 0.87}``.

        Parameters are those of :meth:`fit`.
        """
        found = find_loss(loss)
        data = _dataset(x, y, found, sample_weight, inputs, "")
        return self._core.evaluate(data, _spec("loss", found, Loss))

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the parameters and running statistics by name, in the order of the layers."""
        return self._core.weights()

    def set_weights(self, weights: Mapping[str, Any], pattern: str = "*") -> None:
        """Takes parameters and statistics by name. If one of them does not fit, nothing is changed.

        Parameters
        ----------
        weights : mapping of str to array_like
            As :meth:`weights` gives them.
        pattern : str
            Only names that match it, in which ``*`` stands for any letters: ``"features.*"``.

        Raises
        ------
        ValueError
            Lists every name that is missing, unexpected or of another shape.
        """
        arrays = [(name, floats(name, value)) for name, value in weights.items()]
        self._core.set_weights(pattern, arrays)

    def freeze(self, pattern: str) -> int:
        """Keeps training from changing what matches a pattern: ``"features.*"``. Gives the number of tensors."""
        return self._core.freeze(pattern)

    def unfreeze(self, pattern: str) -> int:
        """Undoes :meth:`freeze`."""
        return self._core.unfreeze(pattern)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters and statistics to a ``.safetensors`` file, as a whole or not at all.

        Raises
        ------
        ValueError
            If the name has another ending.
        OSError
            If the file cannot be written.
        """
        self._core.save(os.fspath(path))

    def load(self, path: str | os.PathLike[str]) -> None:
        """Loads parameters and statistics. If one of them does not fit, nothing is changed.

        Raises
        ------
        ValueError
            If the file is no ``.safetensors`` file, or names or shapes differ: the message lists them.
        OSError
            If the file cannot be read.
        """
        self._core.load(os.fspath(path))

    def __reduce__(self) -> Any:
        state = (self.net, self.input_shape, self._inputs, self.weights(), self._core.frozen(), self.history)
        return _restored, state


def _restored(
    net: Layer,
    input_shape: tuple[int, ...],
    inputs: dict[str, tuple[int, ...]],
    weights: dict[str, np.ndarray],
    frozen: list[str],
    history: History | None,
) -> Model:
    """The model of a pickle."""
    model = Model(net, input_shape, inputs=inputs)
    model.set_weights(weights)
    for name in frozen:
        model.freeze(name)
    model.history = history
    return model


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    try:
        lengths = tuple(shape)
    except TypeError:
        raise TypeError(f"{name}: expected the lengths of the axes of one sample, such as (28, 28, 1), got {shape!r}") from None
    for length in lengths:
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            raise TypeError(f"{name}: expected whole numbers, got {shape!r}")
        if length < 0:
            raise ValueError(f"{name}: expected numbers of 0 or more, got {shape!r}")
    return tuple(int(length) for length in lengths)


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed: expected a whole number, got {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected a number from 0 to 2**64 - 1, got {seed}")
    return int(seed)


def _spec(name: str, value: Any, kind: type[Settings]) -> tuple[str, dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, kind):
        what = f"the class {value.__name__} (with parentheses it is one)" if isinstance(value, type) else repr(value)
        raise TypeError(f"{name}: expected a backstitch.{kind.__name__}, got {what}")
    return value._spec()


def _named(inputs: Mapping[str, Any] | None) -> list[tuple[str, np.ndarray]]:
    return [(name, floats(f"input {name!r}", values)) for name, values in (inputs or {}).items()]


def _dataset(
    x: Any, y: Any, loss: Loss | None, sample_weight: Any, inputs: Mapping[str, Any] | None, place: str
) -> Any:
    """Samples for the compiled part. ``place`` stands in front of names in messages."""
    x = floats(f"{place}x", x)
    if y is None:
        data = _core.Dataset.autoencoding(x)
    else:
        y = numbers(f"{place}y", y)
        takes_classes = loss is None or loss._takes_classes
        if takes_classes and is_whole(y):
            labels = integers(f"{place}y", y)
            data = _core.Dataset.classes(x, labels, getattr(loss, "ignore_index", None))
        else:
            data = _core.Dataset.values(x, floats(f"{place}y", y))
    if sample_weight is not None:
        data = data.with_weights(floats(f"{place}sample_weight", sample_weight, np.float64).ravel().tolist())
    for name, values in _named(inputs):
        data = data.with_input(name, values)
    return data
