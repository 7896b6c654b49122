"""Models as they are used: shapes, predictions, evaluation and weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core
from ._arrays import floats, integers, is_whole, numbers
from ._settings import Settings
from .losses import Loss, LossLike, find_loss

__all__ = ["Predictor", "dataset", "spec"]


class Predictor:
    """What a :class:`Model` does, but training. Reports of training hold models, and need to know no more than this."""

    _core: Any

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

    def predict(self, x: Any, *, inputs: Mapping[str, Any] | None = None) -> np.ndarray:
        """The outputs ``[n, ..]`` for inputs ``[n, ..]``, as at evaluation.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is no batch of inputs, or an output is not finite: the message says for which sample, and why.
        """
        return self._core.predict(floats("x", x), named(inputs))

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
        data = dataset(x, y, found, sample_weight, inputs, "")
        return self._core.evaluate(data, spec("loss", found, Loss))

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


def spec(name: str, value: Any, kind: type[Settings]) -> tuple[str, dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, kind):
        what = f"the class {value.__name__} (with parentheses it is one)" if isinstance(value, type) else repr(value)
        raise TypeError(f"{name}: expected a backstitch.{kind.__name__}, got {what}")
    return value._spec()


def named(inputs: Mapping[str, Any] | None) -> list[tuple[str, np.ndarray]]:
    return [(name, floats(f"input {name!r}", values)) for name, values in (inputs or {}).items()]


def dataset(
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
    for name, values in named(inputs):
        data = data.with_input(name, values)
    return data
