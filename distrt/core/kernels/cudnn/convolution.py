"""Convolutions over one, two and three spatial dims, grouped ones too, and their gradients, by cuDNN.

Half precision is summed up in float32. Images lie with their channels last where one of them is given so, or where
tensor cores want it; else as they come. Which algorithm runs follows from the sizes by cuDNN's own rules, or with
``backends.cudnn.benchmark`` from a trial of all of them.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from ctypes import byref, c_double, c_float, c_int, c_void_p
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, address_of
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library as gpus
from distrt.core.gpu.switches import is_deterministic, switches
from distrt.core.kernels.cudnn.library import CuDNN, CuDNNError, Found, library
from distrt.core.kernels.onednn.convolution import Geometry
from distrt.core.layouts import empty_lying, is_channels_last, lying

__all__ = ["COMPUTED", "DTYPES", "CuDNNConvolution", "convolution_of", "ints", "math_of"]

Sizes = tuple[int, ...]

#: cuDNN's numbers of the dtypes of arrays, and of those that are computed in.
DTYPES = {dt.float32.numpy: 0, dt.float64.numpy: 1, dt.float16.numpy: 2, dt.bfloat16.numpy: 9}
COMPUTED = {0: 0, 1: 1, 2: 0, 9: 0}
_ROWS, _CHANNELS_LAST = 0, 1  # a filter's formats
_CROSS_CORRELATION = 1
_DEFAULT_MATH, _TENSOR_CORES, _NO_TENSOR_CORES = 0, 1, 3
_ALGORITHMS = 8  # as many as there are of any kind
_DETERMINISTIC = 1

#: Algorithms that need more are left out; a trial of all has so much room.
_MOST_ROOM_BYTES = 1 << 30


class _Way(NamedTuple):
    """One of the three functions: what cuDNN calls it, and which of its arrays is the filter."""

    name: str
    filter: int


_FORWARD, _TO_INPUT, _TO_WEIGHT = (
    _Way("Forward", 1),  # (input, weight) -> output
    _Way("BackwardData", 0),  # (weight, output) -> input
    _Way("BackwardFilter", 2),  # (input, output) -> weight
)


def convolution_of(geometry: Geometry, dtype: Any) -> CuDNNConvolution | None:
    """The convolution of these sizes; None where there is no cuDNN, it is switched off, or cannot do it."""
    if dtype not in DTYPES or len(geometry.input) > 5 or not switches.cudnn.enabled:
        return None
    if 0 in geometry.input or 0 in geometry.weight or 0 in geometry.output:
        return None
    if geometry.output[2:] != _sizes_after(geometry):  # more at the end of a transposed one than a stride
        return None
    cudnn = library()
    return None if cudnn is None else CuDNNConvolution(cudnn, geometry, dtype)


def _sizes_after(geometry: Geometry) -> Sizes:
    """The output's sizes as cuDNN reckons them."""
    sizes = zip(
        geometry.input[2:],
        geometry.weight[2:],
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        strict=True,
    )
    return tuple(
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, padding, dilation in sizes
    )


class CuDNNConvolution:
    """One convolution: forward, and what the output's gradient gives for input and weight.

    Attributes:
        dtype: of all arrays.
    """

    def __init__(self, cudnn: CuDNN, geometry: Geometry, dtype: Any) -> None:
        self._cudnn, self._geometry, self.dtype = cudnn, geometry, np.dtype(dtype)

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        """The output."""
        made = self._run(_FORWARD, input, weight, self._geometry.output)
        if bias is not None:
            made += bias.reshape(-1, *[1] * (made.ndim - 2))
        return made

    def input_gradient(self, g: Array, weight: Array) -> Array:
        """The input's gradient from the output's."""
        return self._run(_TO_INPUT, weight, g, self._geometry.input)

    def weight_gradient(self, input: Array, g: Array) -> Array:
        """The weight's gradient from the output's."""
        return self._run(_TO_WEIGHT, input, g, self._geometry.weight)

    def _run(self, way: _Way, first: Array, second: Array, shape: Sizes) -> Array:
        is_last = self._wants_channels_last(first, second)
        given = [lying(each, is_last) for each in (first, second)]
        made = empty_lying(shape, self.dtype, is_last, first)
        cudnn = self._cudnn
        plan = _plan_of(cudnn, self._geometry, self.dtype, way, is_last, _wish(), gpus.current())
        number = c_double if self.dtype == np.float64 else c_float
        one, zero = number(1), number(0)
        pointers = [c_void_p(address_of(each)) for each in (*given, made)]
        described = list(zip(plan.descriptors, pointers, strict=True))
        algorithm, bytes_needed = plan.algorithm(described, first)
        room = np.empty(bytes_needed, np.uint8, like=first)
        cudnn.call(
            f"cudnnConvolution{way.name}",
            *(cudnn.handle(), byref(one), *described[0], *described[1], plan.convolution, algorithm),
            *(c_void_p(address_of(room)), bytes_needed, byref(zero), *described[2]),
        )
        return made

    def _wants_channels_last(self, *arrays: Array) -> bool:
        if self.dtype == np.float64 or len(self._geometry.input) != 4:
            return False
        return self.dtype.itemsize == 2 or any(map(is_channels_last, arrays))


class _Wish(NamedTuple):
    """What users have set."""

    tf32: bool
    benchmark: bool
    deterministic: bool


def _wish() -> _Wish:
    return _Wish(bool(switches.cudnn.allow_tf32), bool(switches.cudnn.benchmark), is_deterministic())


class _Plan:
    """The descriptors of one function at one geometry, and its algorithm once that is known."""

    def __init__(
        self, cudnn: CuDNN, geometry: Geometry, dtype: Any, way: _Way, is_last: bool, wish: _Wish
    ) -> None:
        self._cudnn, self._way, self._dtype = cudnn, way, DTYPES[dtype]
        self._wish = wish
        sizes = {
            _FORWARD: (geometry.input, geometry.weight, geometry.output),
            _TO_INPUT: (geometry.weight, geometry.output, geometry.input),
            _TO_WEIGHT: (geometry.input, geometry.output, geometry.weight),
        }[way]
        describe = [self._tensor, self._tensor, self._tensor]
        describe[way.filter] = self._filter
        self.descriptors = [one(_flat(each), is_last) for one, each in zip(describe, sizes, strict=True)]
        self.convolution = self._convolution(geometry)
        self._chosen: tuple[int, int] | None = None

    def _tensor(self, shape: Sizes, is_last: bool) -> c_void_p:
        made = self._cudnn.made("Tensor")
        steps = _steps(shape, is_last)
        self._cudnn.call(
            "cudnnSetTensorNdDescriptor", made, self._dtype, len(shape), ints(shape), ints(steps)
        )
        return made

    def _filter(self, shape: Sizes, is_last: bool) -> c_void_p:
        made = self._cudnn.made("Filter")
        form = _CHANNELS_LAST if is_last else _ROWS
        self._cudnn.call("cudnnSetFilterNdDescriptor", made, self._dtype, form, len(shape), ints(shape))
        return made

    def _convolution(self, geometry: Geometry) -> c_void_p:
        made = self._cudnn.made("Convolution")
        padding, stride, dilation = geometry.padding, geometry.stride, geometry.dilation
        if len(geometry.input) == 3:  # a line is an image of one row
            padding, stride, dilation = (0, *padding), (1, *stride), (1, *dilation)
        self._cudnn.call(
            "cudnnSetConvolutionNdDescriptor",
            *(made, len(padding), ints(padding), ints(stride), ints(dilation)),
            *(_CROSS_CORRELATION, COMPUTED[self._dtype]),
        )
        self._cudnn.call("cudnnSetConvolutionGroupCount", made, geometry.groups)
        self._cudnn.call("cudnnSetConvolutionMathType", made, self._math())
        return made

    def _math(self) -> int:
        return math_of(self._dtype, self._wish.tf32)

    def algorithm(self, described: Sequence[tuple[c_void_p, c_void_p]], like: Array) -> tuple[int, int]:
        """The algorithm's number, and the bytes that it needs to work in."""
        if self._chosen is None:
            found = self._tried(described, like) if self._wish.benchmark else self._proposed()
            for each in found:
                suits = not self._wish.deterministic or each.determinism == _DETERMINISTIC
                if not each.status and each.memory <= _MOST_ROOM_BYTES and suits:
                    break
            else:
                raise CuDNNError(
                    f"cuDNN {self._cudnn.version} has no algorithm for this convolution"
                    f"{' that is deterministic' if self._wish.deterministic else ''}"
                )
            math_type = each.math if self._wish.tf32 or self._math() == _TENSOR_CORES else self._math()
            self._cudnn.call("cudnnSetConvolutionMathType", self.convolution, math_type)
            self._chosen = each.algo, each.memory
        return self._chosen

    def _proposed(self) -> list[Found]:
        room, count = (Found * _ALGORITHMS)(), c_int()
        first, second, third = self.descriptors
        self._cudnn.call(
            f"cudnnGetConvolution{self._way.name}Algorithm_v7",
            *(self._cudnn.handle(), first, second, self.convolution, third),
            *(_ALGORITHMS, byref(count), room),
        )
        return list(room[: count.value])

    def _tried(self, described: Sequence[tuple[c_void_p, c_void_p]], like: Array) -> list[Found]:
        room, count = (Found * _ALGORITHMS)(), c_int()
        work = np.empty(_MOST_ROOM_BYTES, np.uint8, like=like)
        self._cudnn.call(
            f"cudnnFindConvolution{self._way.name}AlgorithmEx",
            *(self._cudnn.handle(), *described[0], *described[1], self.convolution, *described[2]),
            *(_ALGORITHMS, byref(count), room, c_void_p(address_of(work)), _MOST_ROOM_BYTES),
        )
        return list(room[: count.value])


@functools.lru_cache(maxsize=1024)
def _plan_of(
    cudnn: CuDNN, geometry: Geometry, dtype: Any, way: _Way, is_last: bool, wish: _Wish, gpu: int
) -> _Plan:
    return _Plan(cudnn, geometry, dtype, way, is_last, wish)


def _flat(shape: Sizes) -> Sizes:
    """A line as an image of one row: cuDNN has no convolutions over one dim."""
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape


def _steps(shape: Sizes, is_last: bool) -> Sizes:
    """In elements."""
    if not is_last:
        return tuple(math.prod(shape[dim + 1 :]) for dim in range(len(shape)))
    lying = (shape[0], *shape[2:], shape[1])
    steps = [math.prod(lying[dim + 1 :]) for dim in range(len(lying))]
    return (steps[0], steps[-1], *steps[1:-1])


def math_of(kind: int, tf32: bool) -> int:
    """cuDNN's number of how products of a dtype, which is cuDNN's, are made."""
    if kind in (DTYPES[dt.float16.numpy], DTYPES[dt.bfloat16.numpy]):
        return _TENSOR_CORES
    return _DEFAULT_MATH if tf32 else _NO_TENSOR_CORES


def ints(values: Sequence[int]) -> ctypes.Array[c_int]:
    """An array of C's."""
    return (c_int * len(values))(*values)
