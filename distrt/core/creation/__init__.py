"""Functions that make tensors: from data, filled, counted, random. Each file lists its own names."""

from distrt.core.creation import constant, counted, data, random
from distrt.core.creation.constant import *
from distrt.core.creation.counted import *
from distrt.core.creation.data import *
from distrt.core.creation.random import *

_PARTS = (constant, counted, data, random)

__all__ = sorted({name for part in _PARTS for name in part.__all__})  # noqa: PLE0605 - one list, not two

#: Methods of ``Tensor`` that make others.
METHODS = {**constant.METHODS, **data.METHODS}
