"""Winograd's convolution on arrays: the same three functions as oneDNN's."""

from __future__ import annotations

import functools
from ctypes import CFUNCTYPE, c_int64, c_void_p
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, can_compile, load, vector_floats
from distrt.core.kernels.onednn.convolution import Geometry, channels_last, empty_channels_last
from distrt.core.kernels.rooms import Rooms
from distrt.core.kernels.threads import in_parts
from distrt.core.settings import get_num_threads

__all__ = ["Winograd", "winograd_of"]

_PLANES = 16

# Tiles that are transformed at a time. With few channels, their 16 planes and the weight stay in the second-level
# cache; with many the weight does not, and is better read for more tiles at once.
_FEW_CHANNELS, _FEW_TILES, _MANY_TILES = 128, 24, 48


@functools.lru_cache(maxsize=512)
def winograd_of(geometry: Geometry) -> Winograd | None:
    """The float32 convolution of these sizes; None where this is not the way, or there is no compiler."""
    lanes = vector_floats()
    if not lanes or not can_compile("float32") or not _fits(geometry, 2 * lanes):
        return None
    return Winograd(geometry, lanes)


def _fits(geometry: Geometry, multiple: int) -> bool:
    channels, outs = geometry.input[1], geometry.output[1]
    return (
        len(geometry.input) == 4
        and geometry.groups == 1
        and geometry.weight[2:] == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and max(geometry.padding) <= 2
        and channels % multiple == 0
        and outs % multiple == 0
    )


class Winograd:
    """One convolution in float32: forward, and what the output's gradient gives for input and weight."""

    dtype = dt.float32.numpy

    def __init__(self, geometry: Geometry, lanes: int) -> None:
        self._geometry = geometry
        self._lanes = lanes
        is_narrow = max(geometry.input[1], geometry.output[1]) <= _FEW_CHANNELS
        self._block = _FEW_TILES if is_narrow else _MANY_TILES

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        """The output, its channels last in memory."""
        geometry = self._geometry
        channels, outs = geometry.input[1], geometry.output[1]
        # Tap after tap of (outs, channels, 3, 3): 9 floats from one channel to the next.
        steps = (channels, outs, 9, 9 * channels, 0, 1)
        return self._run(channels_last(input), weight, bias, geometry.output, geometry.padding, steps)

    def input_gradient(self, g: Array, weight: Array) -> Array:
        """What the output's gradient gives for the input: a convolution with the kernels turned round."""
        geometry = self._geometry
        channels, outs = geometry.input[1], geometry.output[1]
        steps = (outs, channels, 9 * channels, 9, 8, -1)
        padding = (2 - geometry.padding[0], 2 - geometry.padding[1])
        return self._run(channels_last(g), weight, None, geometry.input, padding, steps)

    def _run(
        self,
        image: Array,
        weight: Array,
        bias: Array | None,
        shape: tuple[int, ...],
        padding: tuple[int, ...],
        steps: tuple[int, ...],
    ) -> Array:
        code = _functions(self._lanes)
        inner, columns = steps[:2]
        made = empty_channels_last(shape)
        panels = _room.at("weight", _PLANES * inner * columns)
        weight = np.ascontiguousarray(weight)
        code.weight(address(weight), panels, *steps)
        more = np.zeros(columns, np.float32) if bias is None else np.ascontiguousarray(bias)
        start, sizes = address(image), (*_sizes(image.shape, shape, padding), self._block)

        def some(begin: int, end: int) -> None:
            rooms = (
                _room.at("tiles", _PLANES * self._block * inner),
                _room.at("products", _PLANES * self._block * columns),
            )
            arrays = (start, panels, address(made), address(more), *rooms, address(_zeros(inner)))
            code.forward(*arrays, begin, end, *sizes)

        in_parts(image.shape[0] * sizes[0] * sizes[1], self._block, lambda _, begin, end: some(begin, end))
        return made

    def weight_gradient(self, input: Array, g: Array) -> Array:
        """What the output's gradient gives for the weight, in row-major order."""
        geometry, code = self._geometry, _functions(self._lanes)
        channels, outs = geometry.input[1], geometry.output[1]
        image, slope = channels_last(input), channels_last(g)
        found = np.empty(geometry.weight, np.float32)
        sizes = (*_sizes(image.shape, slope.shape, geometry.padding), self._block)
        # A sum for each thread: which tiles are in it does not depend on who is faster.
        totals = np.zeros((get_num_threads(), _PLANES * channels * outs), np.float32)

        def some(number: int, begin: int, end: int) -> None:
            rooms = (
                _room.at("tiles", _PLANES * self._block * channels),
                _room.at("products", _PLANES * self._block * outs),
            )
            arrays = (address(image), address(slope), address(totals[number]), *rooms)
            code.weight_gradient(*arrays, address(_zeros(max(channels, outs))), begin, end, *sizes)

        in_parts(image.shape[0] * sizes[0] * sizes[1], self._block, some)
        for other in totals[1:]:
            totals[0] += other
        code.weight_gradient_end(address(totals), address(found), channels, outs)
        return found


def _sizes(image: tuple[int, ...], made: tuple[int, ...], padding: tuple[int, ...]) -> tuple[int, ...]:
    """What the code is told besides the tiles to do, and how many at a time."""
    down, across = -(-made[2] // 2), -(-made[3] // 2)
    return (
        *(down, across),
        *(image[2], image[3], image[1], made[2], made[3], made[1]),
        *padding,
    )


@functools.cache
def _zeros(count: int) -> Array:
    return np.zeros(count, np.float32)


# Zeros are multiplied in rows of tiles that no tile fills.
_room = Rooms()


class _Functions:
    """The code, each function compiled when it is first needed."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes

    def _compiled(self, name: str, pointers: int, integers: int) -> Any:
        from distrt.core.kernels.winograd import code

        text = getattr(code, f"{name}_code")(self._lanes)
        return CFUNCTYPE(None, *[c_void_p] * pointers, *[c_int64] * integers)(load(text))

    @functools.cached_property
    def weight(self) -> Any:
        return self._compiled("weight", 2, 6)

    @functools.cached_property
    def forward(self) -> Any:
        return self._compiled("forward", 7, 13)

    @functools.cached_property
    def weight_gradient(self) -> Any:
        return self._compiled("weight_gradient", 6, 13)

    @functools.cached_property
    def weight_gradient_end(self) -> Any:
        return self._compiled("weight_gradient_end", 2, 2)


@functools.cache
def _functions(lanes: int) -> _Functions:
    return _Functions(lanes)
