"""Networks without shapes, which are layers, and with shapes and numbers, which are models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _core
from ._predictor import Predictor, dataset, spec
from ._settings import Settings
from .history import CallbackLike, History, Listener
from .losses import Loss, LossLike, find_loss
from .optimizers import Adam, Augment, EarlyStopping, Optimizer, Penalty, Schedule

__all__ = ["Layer", "Model"]


class Model(Predictor):
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
        data = dataset(x, y, found, sample_weight, inputs, "")
        held_out = None
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
                raise TypeError("validation: expected (x, y) or (x, y, sample_weight)")
            weight = validation[2] if len(validation) == 3 else None
            held_out = dataset(validation[0], validation[1], found, weight, None, "validation ")
        if isinstance(early_stopping, int) and not isinstance(early_stopping, bool):
            early_stopping = EarlyStopping(early_stopping)
        settings = {
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": _seed(seed),
            "optimizer": spec("optimizer", optimizer or Adam(), Optimizer),
            "loss": spec("loss", found, Loss),
            "schedule": spec("schedule", schedule, Schedule),
            "early_stopping": spec("early_stopping", early_stopping, EarlyStopping),
            "penalty": spec("penalty", penalty, Penalty),
            "augment": spec("augment", augment, Augment),
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


#: What a network has only when it was built.
_OF_MODELS = frozenset({"fit", "predict", "predict_proba", "predict_classes", "evaluate", "summary", "save", "load"})


@dataclass(frozen=True, repr=False)
class Layer(Settings):
    """What all layers are. Use one of its subclasses.

    Parameters
    ----------
    name : str, optional
        What a network calls it: its weights are then ``name.weight``. By default its kind and a number: ``dense1``.
    """

    name: str | None = field(default=None, kw_only=True)

    def _check(self) -> None:
        if self._kind:
            self._plain()

    def _plain(self) -> Any:
        return _core.net(*self._spec())

    def __getattr__(self, name: str) -> Any:
        if name in _OF_MODELS:
            raise AttributeError(f"{name}: expected a model, got a network without shapes: build(input_shape) makes a model")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def build(
        self, input_shape: Sequence[int], *, seed: int = 0, inputs: Mapping[str, Sequence[int]] | None = None
    ) -> Model:
        """A model: this network with shapes, and with initial weights.

        Parameters
        ----------
        input_shape : sequence of int
            The shape of one sample, without the batch: ``(28, 28, 1)``.
        seed : int
            The seed of the initial weights.
        inputs : mapping of str to sequence of int, optional
            The names and shapes of further inputs (:class:`Input`).

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            If a layer cannot take its input: the message names the layer, what it expects and what it got.
        """
        return Model(self, input_shape, seed=seed, inputs=inputs)
