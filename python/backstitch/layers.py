"""Layers. Each class holds settings only: ``build`` gives a network shapes and numbers.

Shapes are those of NumPy arrays: the batch is the first axis, ``n``, and channels or features are the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Union

from .model import Layer

__all__ = [
    "Activation",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Dense",
    "DepthwiseConv2d",
    "Dropout",
    "ELU",
    "Flatten",
    "GELU",
    "GlobalAvgPool2d",
    "GroupNorm",
    "HardSwish",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool2d",
    "NormalOf",
    "PReLU",
    "Pad2d",
    "RMSNorm",
    "SiLU",
    "Standardize",
    "TransposedConv2d",
    "UniformWithin",
    "Upsample2d",
]

#: A whole number, or one for the height and one for the width.
Pair = Union[int, tuple[int, int]]


@dataclass(frozen=True)
class LeakyReLU:
    """The activation that is z above 0 and ``slope`` z below: ``Dense(8, activation=LeakyReLU(0.2))``."""

    slope: float = 0.01

    def _plain(self) -> tuple[str, float]:
        return "leaky_relu", self.slope


@dataclass(frozen=True)
class ELU:
    """The activation that is z above 0 and ``alpha`` (e^z - 1) below: ``Dense(8, activation=ELU(0.5))``."""

    alpha: float = 1.0

    def _plain(self) -> tuple[str, float]:
        return "elu", self.alpha


@dataclass(frozen=True)
class UniformWithin:
    """Initial weights drawn uniformly from -``bound`` to ``bound``: ``Dense(8, init=UniformWithin(0.1))``."""

    bound: float

    def _plain(self) -> tuple[str, float]:
        return "uniform_within", self.bound


@dataclass(frozen=True)
class NormalOf:
    """Initial weights drawn from a normal distribution with this ``deviation``: ``Dense(8, init=NormalOf(0.02))``."""

    deviation: float

    def _plain(self) -> tuple[str, float]:
        return "normal_of", self.deviation


#: "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "selu", "softplus", "hard_sigmoid", "hard_tanh", "relu6",
#: "log_softmax", "linear", or one with a number of its own.
ActivationLike = Union[str, LeakyReLU, ELU, None]
#: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal", "random", "zero", or one with a number.
InitLike = Union[str, UniformWithin, NormalOf, None]


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """A fully connected layer: y = activation(x W + b).

    Parameters
    ----------
    units : int
        The number of outputs.
    activation : str, optional
        ``"relu"``, ``"tanh"``, ...
    init : str, optional
        How initial weights are drawn. The default is ``"glorot_uniform"``. Biases start at zero.
    bias : bool
        Whether there is a bias.
    transposed : bool
        Stores the weight as ``[units, inputs]``, so that it can be tied to that of an embedding, and has no bias.

    Notes
    -----
    x ``[n, inputs]`` gives y ``[n, units]``; a sequence ``[n, time, inputs]`` gives ``[n, time, units]``. Weights are
    ``weight [inputs, units]`` and ``bias [units]``.
    """

    _kind: ClassVar[str] = "dense"
    units: int
    activation: ActivationLike = None
    init: InitLike = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)
    transposed: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class Conv2d(Layer):
    """A convolution over maps.

    Parameters
    ----------
    filters : int
        The number of output channels.
    kernel_size : int or (int, int)
        Height and width of the kernel.
    stride : int or (int, int)
        The distance between neighbouring windows.
    padding : "valid", "same", int or (int, int)
        The zeros around a map: none, as many as keep its size with stride 1, or a number for each side.
    dilation : int or (int, int)
        The distance between neighbouring numbers of a window.
    groups : int
        The number of groups of channels that are convolved apart from each other.
    activation, init, bias
        As those of :class:`Dense`.

    Notes
    -----
    x ``[n, height, width, channels]`` gives y ``[n, out height, out width, filters]``. Weights are ``weight [kernel
    height, kernel width, channels / groups, filters]`` and ``bias [filters]``.
    """

    _kind: ClassVar[str] = "conv2d"
    filters: int
    kernel_size: Pair
    stride: Pair = field(default=1, kw_only=True)
    padding: str | Pair = field(default="valid", kw_only=True)
    dilation: Pair = field(default=1, kw_only=True)
    groups: int = field(default=1, kw_only=True)
    activation: ActivationLike = field(default=None, kw_only=True)
    init: InitLike = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False)
class Conv1d(Layer):
    """A convolution over sequences.

    Parameters
    ----------
    filters, kernel_size, stride, dilation, groups, activation, init, bias
        As those of :class:`Conv2d`, along one axis.
    padding : "valid", "same", "causal" or int
        With ``"causal"`` an output depends on its own step and the steps before it alone.

    Notes
    -----
    x ``[n, time, channels]`` gives y ``[n, out time, filters]``.
    """

    _kind: ClassVar[str] = "conv1d"
    filters: int
    kernel_size: int
    stride: int = field(default=1, kw_only=True)
    padding: str | int = field(default="valid", kw_only=True)
    dilation: int = field(default=1, kw_only=True)
    groups: int = field(default=1, kw_only=True)
    activation: ActivationLike = field(default=None, kw_only=True)
    init: InitLike = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False)
class DepthwiseConv2d(Layer):
    """A convolution of each channel for itself, with ``multiplier`` filters.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, activation, init, bias
        As those of :class:`Conv2d`.
    multiplier : int
        The number of filters of a channel.

    Notes
    -----
    x ``[n, height, width, channels]`` gives y ``[n, out height, out width, channels * multiplier]``.
    """

    _kind: ClassVar[str] = "depthwise_conv2d"
    kernel_size: Pair
    multiplier: int = field(default=1, kw_only=True)
    stride: Pair = field(default=1, kw_only=True)
    padding: str | Pair = field(default="valid", kw_only=True)
    dilation: Pair = field(default=1, kw_only=True)
    activation: ActivationLike = field(default=None, kw_only=True)
    init: InitLike = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False)
class TransposedConv2d(Layer):
    """A transposed convolution: the adjoint of a convolution, which enlarges maps.

    Parameters
    ----------
    filters, kernel_size, activation, init, bias
        As those of :class:`Conv2d`.
    stride : int or (int, int)
        The distance in y between the results of neighbouring numbers of x.
    padding : int or (int, int)
        The number of rows and columns that are left out on every side of y.
    output_padding : int or (int, int)
        The number of rows and columns that are added below and to the right, less than the stride.
    dilation : int or (int, int)
        The distance in y between neighbouring numbers of the kernel.

    Notes
    -----
    x ``[n, height, width, channels]`` gives y ``[n, out height, out width, filters]``.
    """

    _kind: ClassVar[str] = "transposed_conv2d"
    filters: int
    kernel_size: Pair
    stride: Pair = field(default=1, kw_only=True)
    padding: Pair = field(default=0, kw_only=True)
    output_padding: Pair = field(default=0, kw_only=True)
    dilation: Pair = field(default=1, kw_only=True)
    activation: ActivationLike = field(default=None, kw_only=True)
    init: InitLike = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False)
class MaxPool2d(Layer):
    """The largest number of each window of a map.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the windows.
    stride : int or (int, int), optional
        The distance between windows. The default is their size.
    padding : "valid", "same", int or (int, int)
        At most half the window.
    dilation : int or (int, int)
        The distance between neighbouring numbers of a window.
    ceil_mode : bool
        Whether a last window may reach beyond the map.

    Notes
    -----
    x ``[n, height, width, channels]`` gives y ``[n, out height, out width, channels]``.
    """

    _kind: ClassVar[str] = "max_pool"
    kernel_size: Pair
    stride: Pair | None = field(default=None, kw_only=True)
    padding: str | Pair = field(default="valid", kw_only=True)
    dilation: Pair = field(default=1, kw_only=True)
    ceil_mode: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class AvgPool2d(Layer):
    """The mean of each window of a map. Parameters and shapes are those of :class:`MaxPool2d`."""

    _kind: ClassVar[str] = "avg_pool"
    kernel_size: Pair
    stride: Pair | None = field(default=None, kw_only=True)
    padding: str | Pair = field(default="valid", kw_only=True)
    ceil_mode: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class AdaptiveAvgPool2d(Layer):
    """Average pooling to maps of this size: ``[n, height, width, channels]`` gives ``[n, *output_size, channels]``."""

    _kind: ClassVar[str] = "adaptive_avg_pool"
    output_size: Pair


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2d(Layer):
    """The mean of every channel over its map: ``[n, height, width, channels]`` gives ``[n, channels]``."""

    _kind: ClassVar[str] = "global_avg_pool"


@dataclass(frozen=True, repr=False)
class Upsample2d(Layer):
    """Maps enlarged by a factor, with the nearest number, or between the four nearest ones (``bilinear``)."""

    _kind: ClassVar[str] = "upsample"
    factor: Pair
    bilinear: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class Pad2d(Layer):
    """Rows and columns around every map.

    Parameters
    ----------
    sides : int, (int, int) or ((int, int), (int, int))
        The number on every side; above and below, and left and right; or ((above, below), (left, right)).
    mode : "constant", "reflect" or "replicate"
        What is there: a constant, the map's reflection, or its edge repeated.
    value : float
        The constant.
    """

    _kind: ClassVar[str] = "pad"
    sides: Pair | tuple[tuple[int, int], tuple[int, int]]
    mode: str = field(default="constant", kw_only=True)
    value: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """Each sample as one row: ``[n, ..]`` gives ``[n, features]``."""

    _kind: ClassVar[str] = "flatten"


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Sets each number to zero with probability ``rate``, in [0, 1), in training, and scales the others by 1 / (1 - rate)."""

    _kind: ClassVar[str] = "dropout"
    rate: float


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """An activation as a layer of its own: ``Activation("tanh")``. Shapes stay as they are."""

    _kind: ClassVar[str] = "activation"
    activation: ActivationLike


@dataclass(frozen=True, repr=False)
class GELU(Layer):
    """The Gaussian error linear unit, exact, or approximated as GPT-2 does (``tanh_approximation``)."""

    _kind: ClassVar[str] = "gelu"
    tanh_approximation: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class SiLU(Layer):
    """z times the sigmoid of z, also called swish."""

    _kind: ClassVar[str] = "silu"


@dataclass(frozen=True, repr=False)
class HardSwish(Layer):
    """Straight lines for :class:`SiLU`, as in MobileNetV3."""

    _kind: ClassVar[str] = "hard_swish"


@dataclass(frozen=True, repr=False)
class PReLU(Layer):
    """z above 0 and a z below, with one learned slope a, or one for each channel (``per_channel``)."""

    _kind: ClassVar[str] = "prelu"
    per_channel: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalization of the last axis.

    Parameters
    ----------
    epsilon : float
        Is added to the variance.
    momentum : float
        The share of a batch's statistics in the running ones, as in PyTorch.
    activation : str, optional
        Is applied to the result.

    Notes
    -----
    Weights are ``weight`` and ``bias``, statistics ``running_mean`` and ``running_variance``, ``[channels]`` each.
    """

    _kind: ClassVar[str] = "batch_norm"
    epsilon: float = field(default=1e-5, kw_only=True)
    momentum: float = field(default=0.1, kw_only=True)
    activation: ActivationLike = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Layer normalization of the last axis, with a learned weight and, unless ``bias`` is False, a learned bias."""

    _kind: ClassVar[str] = "layer_norm"
    epsilon: float = field(default=1e-5, kw_only=True)
    bias: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Normalization of each sample over ``groups`` groups of channels."""

    _kind: ClassVar[str] = "group_norm"
    groups: int
    epsilon: float = field(default=1e-5, kw_only=True)


@dataclass(frozen=True, repr=False)
class InstanceNorm(Layer):
    """Normalization of each channel of each sample, without learned weights unless ``affine``."""

    _kind: ClassVar[str] = "instance_norm"
    epsilon: float = field(default=1e-5, kw_only=True)
    affine: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, repr=False)
class RMSNorm(Layer):
    """Division of the last axis by its root mean square. The default ``epsilon`` is that of ``float32``, as in PyTorch."""

    _kind: ClassVar[str] = "rms_norm"
    epsilon: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class Standardize(Layer):
    """(x - mean) / deviation along the last axis, with constants that are saved with the weights.

    Parameters
    ----------
    mean, deviation : sequence of float, optional
        One for each index of the last axis. Without them they have to be loaded from a file.
    inverse : bool
        Computes x * deviation + mean instead.
    """

    _kind: ClassVar[str] = "standardize"
    mean: Sequence[float] | None = None
    deviation: Sequence[float] | None = None
    inverse: bool = field(default=False, kw_only=True)
