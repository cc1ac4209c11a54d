"""Softmax along rows, compiled: what cross entropy, softmax, its logarithm and their gradients consist of.

NumPy goes over the rows five times; these kernels once, since a row stays in the first-level cache. Those of GPUs are
in ``cuda/rows.py``.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.kernels.threads import in_parts

__all__ = ["slopes", "spread", "suits", "sums"]

# Elements. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 16


def suits(*arrays: Array) -> bool:
    """Whether these kernels do some arrays, along their last dim: float32, alike in shape."""
    shape = arrays[0].shape
    return (
        math.prod(shape) >= _LEAST
        and all(each.__class__ is np.ndarray for each in arrays)
        and all(each.dtype == np.float32 and each.shape == shape for each in arrays)
        and bool(vector_floats())
    )


def spread(input: Array) -> tuple[Array, Array, Array]:
    """The softmax along the last dim; the largest number, and the sum of the others' exponentials divided by its own.

    Shape: (…, n) -> (…, n), (…, 1), (…, 1).
    """
    out = np.empty(input.shape, np.float32)
    return out, *_spread_into(out, input)


def sums(input: Array) -> tuple[Array, Array]:
    """The last two results of ``spread``."""
    return _spread_into(None, input)


def _spread_into(out: Array | None, input: Array) -> tuple[Array, Array]:
    input = np.ascontiguousarray(input)
    peaks, totals = (np.empty((*input.shape[:-1], 1), np.float32) for _ in range(2))
    made = input if out is None else out  # which is not written
    _run(_spread(out is not None), [input, made, peaks, totals])
    return peaks, totals


def slopes(g: Array, out: Array, is_of_log: bool) -> Array:
    """The gradient of the input of a softmax, or of its logarithm, from those and their gradient."""
    found = np.empty(out.shape, np.float32)
    _run(_slopes(is_of_log), [np.ascontiguousarray(g), np.ascontiguousarray(out), found])
    return found


def _run(code: Any, arrays: list[Array]) -> None:
    pointers, width = [*map(address, arrays)], arrays[0].shape[-1]
    in_parts(arrays[0].size // width, 1, lambda _, begin, end: code(*pointers, begin, end, width))


@functools.cache
def _spread(is_written: bool) -> Any:
    from distrt.core.kernels.softmax_code import spread_code

    return function_of(spread_code(vector_floats(), is_written), 4, 3)


@functools.cache
def _slopes(is_of_log: bool) -> Any:
    from distrt.core.kernels.softmax_code import slopes_code

    return function_of(slopes_code(vector_floats(), is_of_log), 3, 3)
