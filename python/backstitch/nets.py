"""How layers are put together, and layers of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from . import _core
from .layers import ActivationLike, InitLike, Layer

__all__ = [
    "Attention",
    "Concat",
    "Embedding",
    "GRU",
    "Input",
    "LSTM",
    "LastPosition",
    "LearnedPositions",
    "RNN",
    "Residual",
    "Sequential",
    "SinusoidalPositions",
]


def _checked(name: str, layer: Any) -> Any:
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise TypeError(f"{name}: expected a layer, got the class {layer.__name__} (with parentheses it is a layer)")
    raise TypeError(f"{name}: expected a layer, got {layer!r}")


@dataclass(frozen=True, repr=False)
class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    layers : sequence of Layer
        In their order. None at all is the identity.
    ties : mapping of str to str, optional
        Parameters that use the numbers of another one: ``{"head.weight": "embedding1.weight"}``. Gradients are added up.

    Examples
    --------
    >>> from backstitch import Conv2d, Dense, Flatten, MaxPool2d, Sequential
    >>> net = Sequential([Conv2d(16, 7, padding="same", activation="relu"), MaxPool2d(2), Flatten(), Dense(10)])
    >>> model = net.build((28, 28, 1), seed=0)
    >>> model.output_shape
    (10,)
    """

    layers: Sequence[Layer] = ()
    ties: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.layers, (Layer, str)) or not isinstance(self.layers, Sequence):
            raise TypeError(f"layers of Sequential: expected a list of layers, got {self.layers!r}")
        layers = tuple(_checked(f"layer {i} of Sequential", layer) for i, layer in enumerate(self.layers))
        object.__setattr__(self, "layers", layers)

    def _plain(self) -> Any:
        layers = [(layer.name, layer._plain()) for layer in self.layers]
        return _core.chain(layers, list(self.ties.items()))


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """The sum of two branches, and then an activation: y = activation(main(x) + shortcut(x)).

    Parameters
    ----------
    main : Layer
        A layer, or a :class:`Sequential`.
    shortcut : Layer, optional
        By default the identity.
    activation : str, optional
        Is applied to the sum.
    """

    _kind: ClassVar[str] = "residual"
    main: Layer
    shortcut: Layer | None = None
    activation: ActivationLike = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _checked("main of Residual", self.main)
        if self.shortcut is not None:
            _checked("shortcut of Residual", self.shortcut)
        super().__post_init__()


@dataclass(frozen=True, repr=False)
class Concat(Layer):
    """The outputs of several branches over one input, side by side along the last axis."""

    _kind: ClassVar[str] = "concat"
    branches: Sequence[Layer]

    def __post_init__(self) -> None:
        branches = [_checked(f"branch {i} of Concat", branch) for i, branch in enumerate(self.branches)]
        object.__setattr__(self, "branches", branches)
        super().__post_init__()


@dataclass(frozen=True, repr=False)
class Input(Layer):
    """A further input of the model, by name. What comes before it in a :class:`Sequential` is not used.

    Examples
    --------
    >>> from backstitch import Concat, Dense, Input, Sequential
    >>> net = Sequential([Concat([Sequential(), Input("age")]), Dense(2)])
    >>> model = net.build((3,), inputs={"age": (1,)})
    """

    _kind: ClassVar[str] = "input"
    input: str


@dataclass(frozen=True, repr=False)
class Embedding(Layer):
    """A learned vector of ``width`` numbers for each of ``ids`` ids: ``[n, time]`` gives ``[n, time, width]``.

    Parameters
    ----------
    ids : int
        The number of ids: they are whole numbers from 0 to ids - 1.
    width : int
        The length of the vectors.
    init : str, optional
        The default is the standard normal distribution.
    """

    _kind: ClassVar[str] = "embedding"
    ids: int
    width: int
    init: InitLike = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class LearnedPositions(Layer):
    """Adds a learned vector for each of ``longest`` positions to ``[n, time, width]``."""

    _kind: ClassVar[str] = "learned_positions"
    longest: int
    init: InitLike = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class SinusoidalPositions(Layer):
    """Adds sines and cosines of the position to ``[n, time, width]`` (Vaswani et al. 2017, section 3.5)."""

    _kind: ClassVar[str] = "sinusoidal_positions"


@dataclass(frozen=True, repr=False)
class LastPosition(Layer):
    """The last position of each sequence: ``[n, time, features]`` gives ``[n, features]``."""

    _kind: ClassVar[str] = "last_position"


_RECURRENT = """

Parameters
----------
units : int
    The length of the state.
layers : int
    The number of layers above each other.
bidirectional : bool
    Adds to every layer another that reads the sequence from its end.
dropout : float
    The rate of a dropout between the layers.
mask : str, optional
    The name of the input ``[n, time]`` that is 1 where a sequence has a position, and 0 where it is filled up.

Notes
-----
x ``[n, time, features]`` gives y ``[n, time, units]``, or twice as many with both directions.
"""


@dataclass(frozen=True, repr=False)
class _Recurrent(Layer):
    """What recurrent layers have in common."""

    units: int
    layers: int = field(default=1, kw_only=True)
    bidirectional: bool = field(default=False, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    mask: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class LSTM(_Recurrent):
    __doc__ = f"""Long short-term memory, as PyTorch's.{_RECURRENT}"""
    _kind: ClassVar[str] = "lstm"


@dataclass(frozen=True, repr=False)
class GRU(_Recurrent):
    __doc__ = f"""A gated recurrent unit, as PyTorch's.{_RECURRENT}"""
    _kind: ClassVar[str] = "gru"


@dataclass(frozen=True, repr=False)
class RNN(_Recurrent):
    __doc__ = f"""A plain recurrent layer with tanh, as PyTorch's.{_RECURRENT}"""
    _kind: ClassVar[str] = "rnn"


@dataclass(frozen=True, repr=False)
class Attention(Layer):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2). It has no parameters.

    Parameters
    ----------
    heads : int
        The number of heads, which divides the width.
    causal : bool
        Lets each position see itself and those before it alone.
    mask : str, optional
        The name of the input ``[n, keys]`` that is 1 for each key that may be seen.
    over : Layer, optional
        Takes keys and values ``[n, keys, 2 width]`` from another net (cross-attention).

    Notes
    -----
    x ``[n, time, 3 width]`` holds queries, keys and values side by side, and y is ``[n, time, width]``. With ``over``, x
    ``[n, time, width]`` holds queries alone.
    """

    _kind: ClassVar[str] = "attention"
    heads: int
    causal: bool = field(default=False, kw_only=True)
    mask: str | None = field(default=None, kw_only=True)
    over: Layer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.over is not None:
            _checked("over of Attention", self.over)
        super().__post_init__()
