"""The functions behind the layers, for direct use: ``import distrt.nn.functional as F``.

Each family lists what it gives in its own ``__all__``.
"""

import sys

from distrt.core.definitions.wording import as_users_get
from distrt.nn.functional.activation import *
from distrt.nn.functional.adaptive_pooling import *
from distrt.nn.functional.attention import *
from distrt.nn.functional.bags import *
from distrt.nn.functional.classification import *
from distrt.nn.functional.convolution import *
from distrt.nn.functional.ctc import *
from distrt.nn.functional.distance import *
from distrt.nn.functional.dropout import *
from distrt.nn.functional.embedding import *
from distrt.nn.functional.folding import *
from distrt.nn.functional.likelihood import *
from distrt.nn.functional.linear import *
from distrt.nn.functional.linear_cross_entropy import *
from distrt.nn.functional.margins import *
from distrt.nn.functional.multi_head_attention import *
from distrt.nn.functional.normalisation import *
from distrt.nn.functional.padding import *
from distrt.nn.functional.pooling import *
from distrt.nn.functional.regression import *
from distrt.nn.functional.resampling import *
from distrt.nn.functional.shuffling import *
from distrt.nn.functional.vision import *

from distrt.nn import grad as grad  # isort: skip - it reads the convolutions; users say F.grad.conv2d_input, too

_FAMILIES = [
    each for name, each in sys.modules.items() if name.startswith(f"{__name__}.") and hasattr(each, "__all__")
]

__all__ = sorted({name for family in _FAMILIES for name in family.__all__})  # noqa: PLE0605 - one list, not two

for _name in __all__:
    globals()[_name] = as_users_get(globals()[_name], __name__, _name)
