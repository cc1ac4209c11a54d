"""Views with strides of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._array import ndarray, view


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    """A view of the memory of an array, which it is not told to be: it has no base."""
    made = view(x, np.lib.stride_tricks.as_strided(x._host, shape, strides))
    made._memory, made.base = getattr(made.base, "_memory", None), None
    return made


def sliding_window_view(
    x: ndarray, window_shape: Any, axis: Any = None, *, writeable: bool = False
) -> ndarray:
    """A view of windows."""
    return view(x, np.lib.stride_tricks.sliding_window_view(x._host, window_shape, axis, writeable=writeable))
