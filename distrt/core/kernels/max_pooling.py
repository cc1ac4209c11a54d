"""Max pooling of images whose channels lie side by side, and the way back to the largest elements, compiled.

NumPy goes over the image several times for each position of a window; these kernels once.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.casting import cast
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.layouts import channels_last, empty_channels_last, is_channels_last

__all__ = ["largest", "route", "suits"]

# Elements of the image. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 16

_HALF = dt.bfloat16.numpy
_DTYPES = (dt.float32.numpy, _HALF)

Sizes = tuple[int, ...]


def suits(shape: Sizes, lying: Array, dtype: Any, kernel: Sizes, dilation: Sizes) -> bool:
    """Whether these kernels do images of this shape: float32 or bfloat16, channels last, in whole vectors.

    Args:
        shape: of the image.
        lying: it, or its windows' winners, which lie in the same order.
        dtype: of its elements.
        kernel: the window's sizes.
        dilation: between the positions of a window; only 1 is done.
    """
    if math.prod(shape) < _LEAST or lying.__class__ is not np.ndarray:
        return False
    if len(shape) != 4 or dtype not in _DTYPES or not is_channels_last(lying):
        return False
    lanes = vector_floats()
    return bool(lanes) and shape[1] % lanes == 0 and set(dilation) == {1} and math.prod(kernel) <= 127


def largest(input: Array, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> tuple[Array, Array]:
    """Each window's largest element, and the number of its position (int8): the last NaN, else the first of ties.

    ``out`` is how many windows there are in each direction; what they have beyond the image does not count.
    """
    shape = (*input.shape[:2], *out)
    best, winner = empty_channels_last(shape, input.dtype), empty_channels_last(shape, np.int8)
    _largest(input.dtype == _HALF)(
        *map(address, (input, best, winner)), *_sizes(input.shape, out, kernel, stride, padding)
    )
    return best, winner


def route(g: Array, winner: Array, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Array:
    """Zeros of ``shape`` with each element of ``g`` added where its window's winner is."""
    overlaps = any(step < size for step, size in zip(stride, kernel, strict=True))
    # Sums are not to be rounded between their terms.
    given = channels_last(cast(g, np.float32) if overlaps and g.dtype == _HALF else g)
    found = empty_channels_last(shape, given.dtype)
    found.view(f"u{found.itemsize}")[...] = 0  # NumPy fills bfloat16 number by number
    _route(given.dtype == _HALF, overlaps)(
        *map(address, (given, winner, found)), *_sizes(shape, g.shape[2:], kernel, stride, padding)
    )
    return found if found.dtype == g.dtype else cast(found, g.dtype)


def _sizes(image: Sizes, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Sizes:
    samples, channels, height, width = image
    return (samples, channels, height, width, *out, *kernel, *stride, *padding)


@functools.cache
def _largest(is_half: bool) -> Any:
    from distrt.core.kernels.max_pooling_code import largest_code

    return function_of(largest_code(vector_floats(), is_half), 3, 12)


@functools.cache
def _route(is_half: bool, overlaps: bool) -> Any:
    from distrt.core.kernels.max_pooling_code import route_code

    return function_of(route_code(vector_floats(), is_half, overlaps), 3, 12)
