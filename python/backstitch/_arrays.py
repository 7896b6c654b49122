"""Arrays as arguments: what is no array of real numbers is refused, and every other type and order is converted."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["floats", "integers", "is_whole", "numbers"]


def _array(name: str, values: Any, expected: str) -> np.ndarray:
    """The values as an array of a numeric type."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected {expected}, got a masked array (fill it first: its mask would be lost)")
    if _is_sparse(values):
        raise TypeError(f"{name}: expected {expected}, got a sparse {type(values).__name__} (its toarray() is one)")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        if isinstance(values, (list, tuple)):
            raise ValueError(f"{name}: expected {expected}, got rows of unequal lengths") from error
        raise TypeError(f"{name}: expected {expected}, got {type(values).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected {expected}, got {_called(array, values)}")
    return array


def _is_sparse(values: Any) -> bool:
    """Whether it is one of SciPy's sparse arrays. They exist only where SciPy was imported."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and sparse.issparse(values)


def _called(array: np.ndarray, values: Any) -> str:
    kinds = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes", "M": "dates", "m": "time spans"}
    kind = kinds.get(array.dtype.kind, str(array.dtype))
    if array.ndim == 0 and array.dtype.kind == "O":
        return type(values).__name__
    return f"an array of {kind} ({array.dtype})"


def floats(name: str, values: Any, dtype: Any = np.float32) -> np.ndarray:
    """A C-contiguous array of ``dtype``: the array itself where it is one, and else a converted copy.

    Raises
    ------
    TypeError
        If the values are no real numbers.
    ValueError
        If rows have unequal lengths, or a finite number is too large for ``dtype``.
    """
    array = _array(name, values, "an array of real numbers")
    with np.errstate(over="ignore"):
        converted = np.asarray(array, dtype=dtype, order="C")
    if converted is not array and array.dtype.kind == "f" and array.dtype.itemsize > converted.dtype.itemsize:
        lost = np.isinf(converted) & np.isfinite(array)
        if lost.any():
            at = tuple(int(i) for i in np.argwhere(lost)[0])
            raise ValueError(f"{name}: expected numbers that {converted.dtype} can hold, got {array[at]} at {list(at)}")
    return converted


def numbers(name: str, values: Any) -> np.ndarray:
    """An array of whatever real numbers these are."""
    return _array(name, values, "an array of real numbers")


def is_whole(array: np.ndarray) -> bool:
    """Whether these are whole numbers by their type."""
    return array.dtype.kind in "biu"


def integers(name: str, values: Any) -> np.ndarray:
    """A C-contiguous array of ``int64``."""
    array = _array(name, values, "an array of whole numbers")
    if array.dtype.kind == "f":
        raise TypeError(f"{name}: expected an array of whole numbers, got {array.dtype}")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: expected numbers below 2**63, got {array.max()}")
    return np.asarray(array, dtype=np.int64, order="C")
