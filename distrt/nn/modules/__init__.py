"""The layers, one family a file, at the paths that PyTorch has them: ``distrt.nn.modules.conv.Conv2d``.

Each family lists what it gives in its own ``__all__``.
"""

import sys
from typing import Any

from distrt.nn.modules import batchnorm, utils  # noqa: F401 - there as soon as its package is, as in PyTorch
from distrt.nn.modules.activation import *
from distrt.nn.modules.adaptive import *
from distrt.nn.modules.attention import *
from distrt.nn.modules.batchnorm import *
from distrt.nn.modules.channelshuffle import *
from distrt.nn.modules.container import *
from distrt.nn.modules.conv import *
from distrt.nn.modules.distance import *
from distrt.nn.modules.dropout import *
from distrt.nn.modules.flatten import *
from distrt.nn.modules.fold import *
from distrt.nn.modules.instancenorm import *
from distrt.nn.modules.lazy_layers import *
from distrt.nn.modules.linear import *
from distrt.nn.modules.linear_cross_entropy_options import *
from distrt.nn.modules.loss import *
from distrt.nn.modules.module import *
from distrt.nn.modules.normalization import *
from distrt.nn.modules.padding import *
from distrt.nn.modules.pixelshuffle import *
from distrt.nn.modules.pooling import *
from distrt.nn.modules.rnn import *
from distrt.nn.modules.sparse import *
from distrt.nn.modules.transformer import *
from distrt.nn.modules.upsampling import *

_FAMILIES = [
    each for name, each in sys.modules.items() if name.startswith(f"{__name__}.") and hasattr(each, "__all__")
]

__all__ = sorted({name for family in _FAMILIES for name in family.__all__})  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name == "SyncBatchNorm":
        return batchnorm.SyncBatchNorm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
