"""Losses: how wrong outputs are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Union

from . import _core
from ._settings import Settings

__all__ = [
    "BCEWithLogits",
    "CrossEntropy",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MAE",
    "MSE",
    "MultiClassHinge",
]


@dataclass(frozen=True, repr=False)
class Loss(Settings):
    """What all losses are. Use one of its subclasses."""

    #: Whether integer targets are classes.
    _takes_classes: ClassVar[bool] = False

    def _check(self) -> None:
        if self._kind:
            _core.check_loss(*self._spec())


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax of logits, for classes. The network must not end in a softmax: the loss applies it.

    Parameters
    ----------
    label_smoothing : float
        The share of each target's probability that is spread over all classes, in [0, 1).
    class_weights : sequence of float, optional
        A weight above 0 for each class.
    ignore_index : int, optional
        Samples with this label do not count. It may be a number that is no class, such as -1.

    Notes
    -----
    Targets are integers ``[n]`` (or ``[n, ..]`` for a class at each position), or floats ``[n, .., classes]``:
    probabilities that sum to 1.
    """

    _kind: ClassVar[str] = "cross_entropy"
    _takes_classes: ClassVar[bool] = True
    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None
    ignore_index: int | None = None


@dataclass(frozen=True, repr=False)
class MSE(Loss):
    """Mean squared error: the mean of (y - t)²."""

    _kind: ClassVar[str] = "mse"


@dataclass(frozen=True, repr=False)
class MAE(Loss):
    """Mean absolute error: the mean of abs(y - t)."""

    _kind: ClassVar[str] = "mae"


@dataclass(frozen=True, repr=False)
class Hinge(Loss):
    """Hinge loss: the mean of max(0, 1 - t y), with targets of -1 and 1."""

    _kind: ClassVar[str] = "hinge"


@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Huber's loss: (y - t)² / 2 up to a distance ``delta``, and a line beyond it.

    Parameters
    ----------
    delta : float
        The distance where the square becomes a line, above 0.
    """

    _kind: ClassVar[str] = "huber"
    delta: float = 1.0


@dataclass(frozen=True, repr=False)
class BCEWithLogits(Loss):
    """Binary cross-entropy of the sigmoid of logits, number by number: for two classes, or several labels of a sample.

    Parameters
    ----------
    positive_weights : sequence of float, optional
        The weight of positive targets, one for each number of the outputs' last axis.

    Notes
    -----
    Targets are numbers from 0 to 1, of the shape of the outputs.
    """

    _kind: ClassVar[str] = "bce_with_logits"
    positive_weights: Sequence[float] | None = None


@dataclass(frozen=True, repr=False)
class KLDivergence(Loss):
    """Kullback-Leibler divergence of probabilities ``[n, .., classes]`` from the softmax of logits."""

    _kind: ClassVar[str] = "kl_divergence"


@dataclass(frozen=True, repr=False)
class MultiClassHinge(Loss):
    """The multi-class hinge loss of a support vector machine: the sum of max(0, y_j - y_label + 1) over the other classes."""

    _kind: ClassVar[str] = "multi_class_hinge"
    _takes_classes: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
class GaussianNLL(Loss):
    """The negative log-likelihood of targets under normal distributions.

    Notes
    -----
    Of the 2k numbers of an output's last axis, the first k are means, the others logarithms of variances. Targets
    have k numbers.
    """

    _kind: ClassVar[str] = "gaussian_nll"


_NAMES = {
    loss._kind: loss
    for loss in (CrossEntropy, MSE, MAE, Hinge, Huber, BCEWithLogits, KLDivergence, MultiClassHinge, GaussianNLL)
}

LossLike = Union[Loss, str, None]


def find_loss(loss: LossLike) -> Loss | None:
    """The loss of this name, or the loss itself. ``None`` stays: the targets then decide."""
    if loss is None or isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _NAMES:
        return _NAMES[loss]()
    names = ", ".join(_NAMES)
    if isinstance(loss, str):
        raise ValueError(f"loss: expected one of {names}, got {loss!r}")
    raise TypeError(f"loss: expected a Loss or one of {names}, got {loss!r}")
