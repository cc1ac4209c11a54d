"""Normalisation of rows, compiled: layer norm and the root mean square, forward and backward.

NumPy goes over the rows seven times forward and some fifteen times backward; these kernels once, since a row stays in
the first-level cache.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.kernels.threads import in_parts

__all__ = ["normalise", "slopes", "suits"]

# Elements. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 16

_HALF = dt.bfloat16.numpy
_DTYPES = (dt.float32.numpy, _HALF)

# Rows whose share in the gradients of weight and bias is summed in float32; these sums are, in float64.
_RUN = 64


def suits(input: Array) -> bool:
    """Whether these kernels do some rows: float32 or bfloat16, (rows, width), in whole pairs of vectors."""
    if input.size < _LEAST or input.__class__ is not np.ndarray:
        return False
    if input.ndim != 2 or input.dtype not in _DTYPES:
        return False
    lanes = vector_floats()
    return bool(lanes) and input.shape[1] % (2 * lanes) == 0


def normalise(
    input: Array, weight: Array | None, bias: Array | None, eps: float, is_centred: bool
) -> tuple[Array, Array, Array]:
    """The rows with mean 0 (where they are to be centred) and variance 1, times ``weight`` plus ``bias``.

    Shape: (rows, width) -> (rows, width), and the means and variances as (rows, 1); without centring, the mean is 0.
    """
    count, width = input.shape
    input, out = np.ascontiguousarray(input), np.empty(input.shape, input.dtype)
    averages = np.empty((count, 1), np.float32) if is_centred else np.zeros((), np.float32)
    variances = np.empty((count, 1), np.float32)
    given = [input, _row(weight, width, 1), _row(bias, width, 0), _number(eps), out, averages, variances]
    pointers = [*map(address, given)]
    code = _normalise(is_centred, input.dtype == _HALF)
    in_parts(count, 1, lambda _, begin, end: code(*pointers, begin, end, width))
    return out, averages, variances


def slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    averages: Array,
    variances: Array,
    eps: float,
    is_centred: bool,
) -> tuple[Array, Array, Array]:
    """The gradients of the input, in its shape and dtype, which is that of ``g``, and of weight and bias: (width,)."""
    count, width = input.shape
    g, input, g_input = (
        np.ascontiguousarray(g),
        np.ascontiguousarray(input),
        np.empty(input.shape, input.dtype),
    )
    parts = np.zeros((2, -(-count // _RUN), width), np.float32)
    given = [g, input, _row(weight, width, 1), _number(eps), averages, variances, g_input]
    pointers = [*map(address, given)]
    code = _slopes(is_centred, input.dtype == _HALF)

    def some(_: int, begin: int, end: int) -> None:
        for first in range(begin, end, _RUN):
            sums = [address(each) for each in parts[:, first // _RUN]]
            code(*pointers, *sums, first, min(first + _RUN, end), width)

    in_parts(count, _RUN, some)
    g_weight, g_bias = parts.sum(axis=1, dtype=np.float64).astype(np.float32)
    return g_input, g_weight, g_bias


def _row(values: Array | None, width: int, otherwise: float) -> Array:
    if values is None:
        return np.full(width, otherwise, np.float32)
    return np.ascontiguousarray(values, np.float32)


def _number(value: float) -> Array:
    return np.full(1, value, np.float32)


@functools.cache
def _normalise(is_centred: bool, is_half: bool) -> Any:
    from distrt.core.kernels.rows_code import normalise_code

    return function_of(normalise_code(vector_floats(), is_centred, is_half), 7, 3)


@functools.cache
def _slopes(is_centred: bool, is_half: bool) -> Any:
    from distrt.core.kernels.rows_code import slopes_code

    return function_of(slopes_code(vector_floats(), is_centred, is_half), 9, 3)
