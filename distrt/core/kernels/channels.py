"""Normalisation of images whose channels lie side by side: sums and straight lines by channel, compiled.

NumPy goes over such an image five times forward and nine times backward; these kernels twice in each direction. Sums
are taken in float32 over some pixels, and over those in float64. Images may be in bfloat16, which is widened as it is
read, and rounded as it is written: by the processor's own instruction, where it has one, which takes results below the
smallest normal number for 0.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.loops import address, function_of, multiplies_bfloat16, vector_floats
from distrt.core.layouts import is_channels_last

__all__ = ["affine", "keep_nonzero", "moments", "products", "suits", "suits_elements", "sums"]

# Elements. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 16

# How many times a variance the squared distance between a pixel and the mean may be: by so much is the variance's
# error larger than float32's, which is still far below bfloat16's.
_AWAY = 16

_HALF = dt.bfloat16.numpy
_DTYPES = (dt.float32.numpy, _HALF)


def suits(input: Array) -> bool:
    """Whether these kernels do an image: float32 or bfloat16, channels last, in whole vectors."""
    if input.__class__ is not np.ndarray or input.dtype not in _DTYPES or input.size < _LEAST:
        return False
    if not is_channels_last(input):
        return False
    lanes = vector_floats()
    return bool(lanes) and input.shape[1] % lanes == 0


def moments(input: Array) -> tuple[Array, Array]:
    """Each channel's mean and (biased) variance."""
    pixels = input.size // input.shape[1]
    if input.dtype == _HALF:
        # Squares are of distances from some pixel, so that one pass gives both, unless that pixel is no usual one.
        near = input[(0, slice(None), *[0] * (input.ndim - 2))].astype(np.float32)
        away, variance = _around(input, near, pixels)
        if (np.square(away) <= _AWAY * variance).all():
            return (near + away).astype(np.float32), variance.astype(np.float32)
    zeros = np.zeros(input.shape[1], np.float32)
    mean = (_sums(input, input, zeros, False)[0] / pixels).astype(np.float32)
    # The mean is rounded: what is left of the sum corrects the squares.
    _, variance = _around(input, mean, pixels)
    return mean, np.maximum(variance, 0).astype(np.float32)


def _around(input: Array, near: Array, pixels: int) -> tuple[Array, Array]:
    """How far the mean of each channel is from ``near``, and its variance."""
    rest, squares = _sums(input, input, near, False)
    away = rest / pixels
    return away, squares / pixels - np.square(away)


def sums(input: Array) -> Array:
    """For each channel the sum over all pixels, in float64."""
    return _sums(input, input, np.zeros(input.shape[1], np.float32), False)[0]


def products(values: Array, others: Array, mean: Array) -> tuple[Array, Array]:
    """For each channel the sums of ``values`` and of ``values * (others - mean)``, in float64."""
    return _sums(values, others, mean, True)


def _sums(values: Array, others: Array, mean: Array, is_of_products: bool) -> tuple[Array, Array]:
    channels = others.shape[1]
    sums, of_products = np.empty(channels), np.empty(channels)
    _functions(others.dtype == _HALF).sums[is_of_products](
        *map(address, (values, others, mean, sums, of_products)), others.size // channels, channels
    )
    return sums, of_products


def affine(
    others: Array,
    mean: Array,
    factor: Array,
    more: Array,
    values: Array | None = None,
    scale: Array | None = None,
) -> Array:
    """``(others - mean) * factor + more``, plus ``values * scale`` where given; each channel by its own numbers."""
    channels = others.shape[1]
    out = np.empty_like(others)
    given = [
        np.ascontiguousarray(each, np.float32)
        for each in (mean, factor if scale is None else scale, factor, more)
    ]
    _functions(others.dtype == _HALF).affine[values is not None](
        address(others if values is None else values),
        address(others),
        *map(address, given),
        *(address(out), others.size // channels, channels),
    )
    return out


def suits_elements(first: Array, second: Array) -> bool:
    """Whether ``keep_nonzero`` does these two: float32 or bfloat16, alike in memory, in whole vectors."""
    lanes = vector_floats() if first.size >= _LEAST and first.dtype in _DTYPES else 0
    return (
        bool(lanes)
        and first.dtype == second.dtype
        and first.size % lanes == 0
        and first.shape == second.shape
        and first.strides == second.strides
        and (first.flags.c_contiguous or is_channels_last(first))
    )


def keep_nonzero(values: Array, others: Array) -> Array:
    """``values`` where ``others`` are not 0 (NaN is not), else 0."""
    out = np.empty_like(values)
    _functions(values.dtype == _HALF).nonzero(
        address(values), address(others), address(out), math.prod(values.shape)
    )
    return out


class _Functions:
    """The compiled code."""

    def __init__(self, lanes: int, is_half: bool) -> None:
        from distrt.core.kernels import channels_code as code

        self.sums = [function_of(code.sums_code(lanes, each, is_half), 5, 2) for each in (False, True)]
        is_quick = is_half and multiplies_bfloat16()
        self.affine = [
            function_of(code.affine_code(lanes, each, is_half, is_quick), 7, 2) for each in (False, True)
        ]
        self.nonzero = function_of(code.nonzero_code(lanes, is_half), 3, 1)


@functools.cache
def _functions(is_half: bool) -> _Functions:
    return _Functions(vector_floats(), is_half)
