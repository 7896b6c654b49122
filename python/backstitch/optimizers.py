"""Optimizers, schedules of the learning rate, and the other settings of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from . import _core
from ._settings import Settings

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "Augment",
    "Cosine",
    "EarlyStopping",
    "OnPlateau",
    "OneCycle",
    "Optimizer",
    "Penalty",
    "RMSprop",
    "SGD",
    "Schedule",
    "StepDecay",
    "WarmUp",
]


@dataclass(frozen=True, repr=False)
class Optimizer(Settings):
    """What all optimizers are. Use one of its subclasses."""

    def _check(self) -> None:
        if self._kind:
            _core.check_optimizer(*self._spec())


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, as PyTorch's.

    Parameters
    ----------
    learning_rate : float
        Usually between 0.01 and 0.5.
    momentum : float
        The share of the velocity that is kept from step to step, in [0, 1).
    weight_decay : float
        This times the parameter is added to its gradient.
    nesterov : bool
        Uses Nesterov's momentum.
    """

    _kind: ClassVar[str] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as PyTorch's.

    Parameters
    ----------
    learning_rate : float
        Usually between 1e-4 and 1e-2.
    betas : (float, float)
        The shares of both moments that are kept from step to step.
    epsilon : float
        Is added to the root of the second moment.
    weight_decay : float
        This times the parameter is added to its gradient.
    """

    _kind: ClassVar[str] = "adam"
    learning_rate: float = 1e-3
    betas: Sequence[float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True, repr=False)
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).

    Parameters
    ----------
    learning_rate, betas, epsilon
        As those of :class:`Adam`.
    weight_decay : float
        Usually between 0.01 and 0.1.
    """

    _kind: ClassVar[str] = "adamw"
    learning_rate: float = 1e-3
    betas: Sequence[float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.01


@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop, as PyTorch's.

    Parameters
    ----------
    learning_rate : float
        Usually between 1e-4 and 1e-2.
    alpha : float
        The share of the mean square that is kept from step to step.
    epsilon : float
        Is added to the root of the mean square.
    weight_decay : float
        This times the parameter is added to its gradient.
    """

    _kind: ClassVar[str] = "rmsprop"
    learning_rate: float = 1e-3
    alpha: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad, as PyTorch's.

    Parameters
    ----------
    learning_rate : float
        Usually between 0.01 and 0.1.
    weight_decay : float
        This times the parameter is added to its gradient.
    """

    _kind: ClassVar[str] = "adagrad"
    learning_rate: float = 0.01
    weight_decay: float = 0.0


@dataclass(frozen=True, repr=False)
class Schedule(Settings):
    """What all schedules are. Each has a number of steps over which the rate rises to the schedule's, ``warm_up``."""

    def _check(self) -> None:
        if self._kind:
            _core.check_schedule(*self._spec())


@dataclass(frozen=True, repr=False)
class WarmUp(Schedule):
    """A linear rise to the optimizer's learning rate over the first ``warm_up`` steps; after that it is constant."""

    _kind: ClassVar[str] = "constant"
    warm_up: int = 0


@dataclass(frozen=True, repr=False)
class StepDecay(Schedule):
    """Multiplies the learning rate by ``factor`` after every ``epochs`` epochs."""

    _kind: ClassVar[str] = "step"
    epochs: int
    factor: float
    warm_up: int = 0


@dataclass(frozen=True, repr=False)
class Cosine(Schedule):
    """Half a cosine from 1 to ``end``, times the learning rate, over ``steps`` steps."""

    _kind: ClassVar[str] = "cosine"
    steps: int
    end: float = 0.0
    warm_up: int = 0


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Rises from 1/25 to 1 over the first 30 per cent of ``steps`` steps, then falls to almost 0 (Smith and Topin 2018)."""

    _kind: ClassVar[str] = "one_cycle"
    steps: int
    warm_up: int = 0


@dataclass(frozen=True, repr=False)
class OnPlateau(Schedule):
    """Multiplies the rate by ``factor`` when the validation loss has not fallen for more than ``patience`` epochs."""

    _kind: ClassVar[str] = "on_plateau"
    patience: int
    factor: float
    warm_up: int = 0


@dataclass(frozen=True, repr=False)
class EarlyStopping(Settings):
    """Ends training when a figure has not improved for a number of epochs, and restores the weights of the best one.

    Parameters
    ----------
    patience : int
        The number of epochs in a row without an improvement.
    figure : str
        The loss or metric, as the history names it.
    maximize : bool
        Whether higher is better.
    min_delta : float
        An improvement is more than this.
    """

    _kind: ClassVar[str] = "early_stopping"
    patience: int
    figure: str = "validation_loss"
    maximize: bool = False
    min_delta: float = 0.0


@dataclass(frozen=True, repr=False)
class Penalty(Settings):
    """A penalty on the weights: ``l1`` times the sum of their magnitudes, and ``l2`` times that of their squares."""

    _kind: ClassVar[str] = "penalty"
    l1: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True, repr=False)
class Augment(Settings):
    """Random changes of every training map ``[height, width, channels]``, and a normalization of all maps.

    Parameters
    ----------
    horizontal_flip : bool
        Mirrors a map left to right with probability 1/2.
    random_crop : int, optional
        Shifts a map by up to this number of pixels. The gap is filled with zeros.
    reflected : bool
        Fills the gap with the map's reflection instead.
    random_resized_crop : float, optional
        Enlarges a random part of a map to its size. The sides of the part are a share from this to 1 of the map's.
    mean, deviation : sequence of float, optional
        Are subtracted from each channel, and divide it.
    """

    _kind: ClassVar[str] = "augment"
    horizontal_flip: bool = False
    random_crop: int | None = None
    reflected: bool = False
    random_resized_crop: float | None = None
    mean: Sequence[float] | None = None
    deviation: Sequence[float] | None = None
