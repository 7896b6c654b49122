"""The gradient check for functions that are written in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from ._arrays import floats, is_whole, numbers

__all__ = ["Compared", "GradientError", "GradientReport", "gradcheck"]


class GradientError(AssertionError):
    """A derivative is wrong. The message names the worst one.

    Attributes
    ----------
    worst : Compared
        The derivative with the largest error.
    """

    def __init__(self, message: str, worst: Compared) -> None:
        super().__init__(message)
        self.worst = worst


@dataclass(frozen=True)
class Compared:
    """One derivative, by hand and by differences.

    Attributes
    ----------
    argument : int
        Which of the arrays, counted from 0.
    index : tuple of int
        The index in it.
    by_hand, by_differences : float
        Both values. At a kink, ``by_differences`` is the nearest that the two sides allow.
    kink : (float, float), optional
        Where the function has a kink, such as a ReLU at 0: the least and the greatest derivative of the two sides.
    error : float
        The difference relative to the larger of the two.
    """

    argument: int
    index: tuple[int, ...]
    by_hand: float
    by_differences: float
    kink: tuple[float, float] | None
    error: float

    def __str__(self) -> str:
        place = f"argument {self.argument}{list(self.index)}: by hand {self.by_hand:.10g}, by differences "
        if self.kink is None:
            return f"{place}{self.by_differences:.10g}, relative error {self.error:.1e}, no kink there"
        least, greatest = self.kink
        return f"{place}from {least:.10g} to {greatest:.10g} (there is a kink), relative error {self.error:.1e}"


@dataclass(frozen=True)
class GradientReport:
    """A check that passed.

    Attributes
    ----------
    compared, total : int
        How many derivatives were compared, and how many there are: of more than 4,000 for one array, a sample is compared.
    worst : Compared
        The one with the largest error.
    kinks : tuple of Compared
        Those where the function has a kink. There, any derivative between those of the two sides is right.
    """

    compared: int
    total: int
    worst: Compared
    kinks: tuple[Compared, ...]

    def __str__(self) -> str:
        sample = "" if self.compared == self.total else f" (a random sample of {self.total})"
        kinks = f", {len(self.kinks)} of them at kinks" if self.kinks else ""
        return f"{self.compared} derivatives agree{sample}, relative error {self.worst.error:.1e} at most{kinks}"


def gradcheck(forward: Callable[..., Any], backward: Callable[..., Any], *arrays: Any, seed: int = 0) -> GradientReport:
    """Compares a derivative that was written by hand with differences of the function alone, in ``float64``.

    Parameters
    ----------
    forward : callable
        ``y = forward(*arrays)``: a number or an array.
    backward : callable
        ``backward(dy, *arrays)`` gives the derivative of the sum of ``dy * y`` with respect to each array: an array of the
        same shape for each, in a tuple where there are several, and ``None`` for those that have no derivative.
    *arrays : array_like
        Where to check. Arrays of whole numbers, such as labels, are passed on as they are: their derivative is ``None``.
    seed : int
        The seed of ``dy``, which is drawn at random.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientError
        If a derivative is wrong. The message names the worst index with both values, and says whether there is a kink.
    TypeError, ValueError
        If arrays, outputs or gradients are not arrays of numbers, or not of the right shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from backstitch import gradcheck
    >>> print(gradcheck(np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), np.array([0.5, -1.0])))
    2 derivatives agree, relative error ... at most
    """
    if not arrays:
        raise TypeError("gradcheck: expected at least one array to check at, got none")
    at = [_argument(i, array) for i, array in enumerate(arrays)]
    y = floats("output of forward", forward(*(array.copy() for array in at)), np.float64)
    rng = np.random.default_rng(seed)
    dy = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
    gradients = backward(dy.copy(), *(array.copy() for array in at))
    if not isinstance(gradients, (tuple, list)):
        gradients = (gradients,)
    if len(gradients) != len(at):
        raise ValueError(f"backward: expected {len(at)} gradients, one for each array, got {len(gradients)}")

    wrong, compared, total = 0, 0, 0
    worst: list[Compared] = []
    kinks: list[Compared] = []
    for i, (array, gradient) in enumerate(zip(at, gradients)):
        if gradient is None:
            continue
        if is_whole(array):
            raise ValueError(f"gradient {i}: expected None, for argument {i} holds whole numbers (make it floats)")
        by_hand = floats(f"gradient {i}", gradient, np.float64)
        if by_hand.shape != array.shape:
            raise ValueError(f"gradient {i}: expected shape {list(array.shape)}, got {list(by_hand.shape)}")

        def value(x: np.ndarray, i: int = i) -> float:
            moved = [x if j == i else other.copy() for j, other in enumerate(at)]
            output = floats("output of forward", forward(*moved), np.float64)
            if output.shape != dy.shape:
                raise ValueError(f"output of forward: expected shape {list(dy.shape)}, got {list(output.shape)}")
            return float(np.sum(dy * output))

        report = _core.gradcheck(value, array, by_hand)
        wrong, compared, total = wrong + report[0], compared + report[1], total + report[2]
        worst.append(_compared(i, array.shape, report[3]))
        kinks.extend(_compared(i, array.shape, kink) for kink in report[4])
    if not worst:
        raise ValueError("backward: expected at least one gradient, got None for each array")
    most = max(worst, key=lambda one: one.error)
    if wrong:
        raise GradientError(
            f"expected derivatives to agree within 1e-6, got {wrong} of {compared} that do not; the worst is {most}", most
        )
    return GradientReport(compared, total, most, tuple(kinks))


def _argument(i: int, array: Any) -> np.ndarray:
    array = numbers(f"argument {i}", array)
    return np.array(array) if is_whole(array) else floats(f"argument {i}", array, np.float64).copy()


def _compared(argument: int, shape: tuple[int, ...], one: tuple[Any, ...]) -> Compared:
    position, by_hand, by_differences, kink, error = one
    index = tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()
    return Compared(argument, index, by_hand, by_differences, kink, error)
