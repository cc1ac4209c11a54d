"""Activations with exponentials, compiled: NumPy takes tens of passes for an error function.

The error of gelu is below 2e-7 times the input, as PyTorch's.
"""

from __future__ import annotations

import functools
from ctypes import CFUNCTYPE, c_int64, c_void_p
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, load, vector_floats

__all__ = ["gelu", "gelu_slope", "suits"]

# Elements. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 14


def suits(*arrays: Array) -> bool:
    """Whether these kernels do the arrays: float32 in row-major order, in whole vectors."""
    first = arrays[0]
    if first.size < _LEAST or not all(
        each.dtype == np.float32 and each.flags.c_contiguous for each in arrays
    ):
        return False
    lanes = vector_floats()
    return bool(lanes) and first.size % lanes == 0


def gelu(values: Array, is_bent: bool) -> Array:
    """``gelu`` of the values; ``is_bent`` for the approximation "tanh"."""
    return _run(values, values, is_bent, False)


def gelu_slope(values: Array, g: Array, is_bent: bool) -> Array:
    """The gradient of the values, from that of ``gelu``."""
    return _run(values, g, is_bent, True)


def _run(values: Array, g: Array, is_bent: bool, is_slope: bool) -> Array:
    out = np.empty_like(values)
    _gelu(is_bent, is_slope)(address(values), address(g), address(out), values.size)
    return out


@functools.cache
def _gelu(is_bent: bool, is_slope: bool) -> Any:
    from distrt.core.kernels.curves_code import gelu_code

    text = gelu_code(vector_floats(), is_bent, is_slope)
    return CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_int64)(load(text))
