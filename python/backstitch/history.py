"""What training reports: epochs, steps, and the history of both."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from ._predictor import Predictor

__all__ = ["Callback", "CallbackLike", "Epoch", "History", "Listener", "Progress", "Step", "StopTraining"]


class StopTraining(Exception):
    """Raised by a callback, it ends training. The model keeps what it has learned, and ``fit`` returns."""


@dataclass(frozen=True)
class Step:
    """A training step: its epoch and number, both counted from 1, how many of both there are, and the loss of its batch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Epoch(Mapping[str, float]):
    """An epoch: its losses and metrics by name, as a mapping, ``epoch["train_loss"]``.

    Attributes
    ----------
    epoch, epochs : int
        Its number, counted from 1, and the number of epochs.
    figures : dict of str to float
        ``train_loss``, ``train_accuracy``, ``validation_loss``, ...
    model : Model
        A copy of the model after the epoch.
    """

    epoch: int
    epochs: int
    figures: dict[str, float]
    model: Predictor = field(repr=False)

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __str__(self) -> str:
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.figures.items())
        return f"epoch {self.epoch}: {figures}"


class History(Mapping[str, list[float]]):
    """Losses and metrics of all epochs: ``history["train_loss"]`` is a list with one number for each epoch.

    Attributes
    ----------
    epochs : list of dict
        The figures of each epoch.
    restored : int, optional
        With early stopping, the epoch whose weights the model has, counted from 1.
    """

    def __init__(self, epochs: list[dict[str, float]], restored: int | None, table: str) -> None:
        self.epochs = epochs
        self.restored = restored
        self._table = table

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for epoch in self.epochs for name in epoch))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._names():
            raise KeyError(f"{name}: expected one of {', '.join(self._names())}")
        return [epoch[name] for epoch in self.epochs if name in epoch]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def last(self, name: str) -> float:
        """A loss or metric of the last epoch, or of the one whose weights were restored."""
        epoch = self.epochs[(self.restored or len(self.epochs)) - 1]
        return epoch[name]

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        return f"<History of {len(self.epochs)} epochs: {', '.join(self._names())}>"


class Callback:
    """Is called during training. Override what you need; a plain function is called after each epoch.

    An exception ends training and arrives where ``fit`` was called; :class:`StopTraining` ends it without one. The model
    keeps what it has learned.
    """

    def on_step_end(self, step: Step) -> None:
        """Is called after each step."""

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Is called after each epoch."""


CallbackLike = Union[Callback, Callable[[Epoch], Any]]


class Progress(Callback):
    """A line that shows the progress of training, and a line for each epoch that is done. ``fit(progress=True)`` has it."""

    #: Seconds between two changes of the line.
    EVERY = 0.1

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._width = 0

    def on_step_end(self, step: Step) -> None:
        """Changes the line, where the output can show a changing line."""
        if _changes(sys.stdout):
            done = int(20 * step.step / step.steps)
            bar = "#" * done + "-" * (20 - done)
            self._show(f"epoch {step.epoch}/{step.epochs} [{bar}] {step.step}/{step.steps}, loss {step.loss:.4g}", "")

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Writes the line of the epoch."""
        seconds = time.perf_counter() - self._begin
        self._begin = time.perf_counter()
        self._show(f"{epoch} ({seconds:.1f} s)", "\n")

    def _show(self, line: str, end: str) -> None:
        again = "\r" if self._width else ""
        print(f"{again}{line:<{self._width}}", end=end, flush=True)
        self._width = 0 if end else len(line)


def _changes(output: Any) -> bool:
    """Whether this output can change its last line: a terminal or a notebook."""
    return output.isatty() or type(output).__module__.startswith("ipykernel")


class Listener:
    """Calls callbacks with the reports of the compiled part."""

    def __init__(self, callbacks: list[CallbackLike], progress: bool, model_of: Callable[[Any], Predictor]) -> None:
        self._model_of = model_of
        self._steps: list[Callable[[Step], Any]] = []
        self._epochs: list[Callable[[Epoch], Any]] = []
        for i, callback in enumerate(callbacks):
            if isinstance(callback, Callback):
                if type(callback).on_step_end is not Callback.on_step_end:
                    self._steps.append(callback.on_step_end)
                if type(callback).on_epoch_end is not Callback.on_epoch_end:
                    self._epochs.append(callback.on_epoch_end)
            elif callable(callback) and not isinstance(callback, type):
                self._epochs.append(callback)
            else:
                raise TypeError(f"callback {i}: expected a Callback or a function of an Epoch, got {callback!r}")
        #: Seconds between two steps that are reported, or None.
        self.step_seconds: float | None = 0.0 if self._steps else None
        if progress:
            shown = Progress()
            self._epochs.insert(0, shown.on_epoch_end)
            self._steps.append(shown.on_step_end)
            self.step_seconds = Progress.EVERY if self.step_seconds is None else 0.0

    @property
    def wants_epochs(self) -> bool:
        """Whether it wants to hear of epochs."""
        return bool(self._epochs)

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: float) -> bool:
        """Calls the callbacks of a step. Gives whether to go on."""
        return self._call(self._steps, Step(epoch, epochs, step, steps, loss))

    def epoch(self, epoch: int, epochs: int, figures: dict[str, float], model: Any) -> bool:
        """Calls the callbacks of an epoch. Gives whether to go on."""
        return self._call(self._epochs, Epoch(epoch, epochs, figures, self._model_of(model)))

    @staticmethod
    def _call(callbacks: list[Callable[[Any], Any]], at: Any) -> bool:
        go_on = True
        # Every callback is called, also after one of them has stopped training.
        for callback in callbacks:
            try:
                callback(at)
            except StopTraining:
                go_on = False
        return go_on
