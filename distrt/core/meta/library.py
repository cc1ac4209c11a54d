"""The array library by its own name, for callers that pick NumPy, CuPy or this one (``array_module``)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray
from distrt.core.meta.functions import call

__all__ = ["add", "broadcast_to", "concatenate", "eye", "lib", "ndarray", "reshape", "stack", "zeros"]

ndarray = MetaArray
add = np.add


def _named(function: Any) -> Any:
    return lambda *args, **kwargs: call(function, args, kwargs)


broadcast_to = _named(np.broadcast_to)
concatenate = _named(np.concatenate)
eye = _named(np.eye)
reshape = _named(np.reshape)
stack = _named(np.stack)
zeros = _named(np.zeros)
lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_named(np.lib.stride_tricks.as_strided)))
