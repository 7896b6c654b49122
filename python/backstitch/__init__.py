"""backstitch: neural networks on the CPU, in which every derivative is written by hand.

>>> from backstitch import Adam, Dense, Sequential
>>> net = Sequential([Dense(32, "relu"), Dense(3)])
>>> model = net.build((2,), seed=0)
>>> model.parameter_count
195
"""

from . import layers as _layers
from . import losses as _losses
from . import nets as _nets
from . import optimizers as _optimizers
from ._core import __version__
from ._gradcheck import Compared, GradientError, GradientReport, gradcheck
from .history import Callback, Epoch, History, Progress, Step, StopTraining
from .layers import *  # noqa: F403
from .losses import *  # noqa: F403
from .model import Model
from .nets import *  # noqa: F403
from .optimizers import *  # noqa: F403

__all__ = [
    "Callback",
    "Compared",
    "Epoch",
    "GradientError",
    "GradientReport",
    "History",
    "Model",
    "Progress",
    "Step",
    "StopTraining",
    "__version__",
    "gradcheck",
]
__all__ += _layers.__all__ + _nets.__all__ + _optimizers.__all__ + _losses.__all__
