"""Winograd's convolution on arrays: the same three functions as oneDNN's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, can_compile, function_of, multiplies_bfloat16, vector_floats
from distrt.core.kernels.onednn.convolution import Geometry
from distrt.core.kernels.onednn.primitive import NUMPY_TYPES
from distrt.core.kernels.rooms import GAP, Rooms
from distrt.core.kernels.threads import in_parts
from distrt.core.layouts import channels_last, empty_channels_last
from distrt.core.process.settings import get_num_threads

if TYPE_CHECKING:
    from distrt.core.kernels.winograd.tiles import Method, Methods

__all__ = ["Winograd", "winograd_of"]

# Planes of a kernel, and pixels in each direction that come out of a tile.
_PLANES, _OUTPUT = 16, 2

# Tiles of bfloat16 whose part of a weight's gradient is made in one go, by one thread: with more of them, their
# transforms would come from beyond the second-level cache again and again.
_AT_ONCE = 256

# Numbers of the totals that are then made at a time, and kernels of a weight that are transformed at a time.
_TOTALS, _KERNELS = 8 * 32, 16 * 16

# Tiles that are transformed at a time. With few channels, their 16 planes and the weight stay in the second-level
# cache; with many the weight does not, and is better read for more tiles at once. In bfloat16 all takes half the room.
_FEW_CHANNELS, _FEW_TILES, _MANY_TILES = 128, 24, 72


@functools.lru_cache(maxsize=512)
def winograd_of(geometry: Geometry, dtype: str = "float32") -> Winograd | None:
    """The convolution of these sizes; None where this is not the way, or there is no compiler.

    In "bfloat16", what is multiplied is rounded to it, and sums are float32; only where the processor multiplies it.
    """
    lanes = vector_floats()
    if not lanes or not can_compile(dtype) or not _fits(geometry, 2 * lanes):
        return None
    if dtype == "bfloat16" and not multiplies_bfloat16():
        return None
    return Winograd(geometry, lanes, dtype)


# By stride.
_PADDINGS: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {
    (1, 1): tuple(np.ndindex(3, 3)),
    (2, 2): ((1, 1),),
}


def _fits(geometry: Geometry, multiple: int) -> bool:
    channels, outs = geometry.input[1], geometry.output[1]
    return (
        len(geometry.input) == 4
        and geometry.groups == 1
        and geometry.weight[2:] == (3, 3)
        and geometry.dilation == (1, 1)
        and geometry.padding in _PADDINGS.get(geometry.stride, ())
        and channels % multiple == 0
        and outs % multiple == 0
    )


class Winograd:
    """One convolution: forward, and what the output's gradient gives for input and weight.

    Attributes:
        dtype: of all arrays.
    """

    def __init__(self, geometry: Geometry, lanes: int, dtype: str) -> None:
        self.dtype = NUMPY_TYPES[dtype]
        self._is_half = dtype == "bfloat16"
        self._stride = geometry.stride[0]
        self._planes = (3 + self._stride) ** 2
        self._code = _functions(lanes, self._is_half, self._stride)
        self._geometry = geometry
        is_narrow = not self._is_half and max(geometry.input[1], geometry.output[1]) <= _FEW_CHANNELS
        self._block = _FEW_TILES if is_narrow else _MANY_TILES

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        """The output, its channels last in memory."""
        geometry, code = self._geometry, self._code
        codes = (code.weight, code.forward)
        return self._run(input, codes, weight, bias, geometry.output, geometry.padding, _OUTPUT)

    def input_gradient(self, g: Array, weight: Array, bias: Array | None = None) -> Array:
        """What the output's gradient gives for the input: a convolution, too, whose tiles become so much larger.

        A transposed convolution has a bias, which is added before anything is rounded.
        """
        geometry, code = self._geometry, self._code
        padding = (0, 0) if self._stride == 2 else (2 - geometry.padding[0], 2 - geometry.padding[1])
        codes = (code.turned_weight, code.back)
        return self._run(g, codes, weight, bias, geometry.input, padding, _OUTPUT * self._stride)

    def _run(
        self,
        input: Array,
        codes: tuple[Any, Any],
        weight: Array,
        bias: Array | None,
        shape: tuple[int, ...],
        padding: tuple[int, ...],
        output: int,
    ) -> Array:
        transform, convolve = codes
        image, inner, columns = channels_last(input), input.shape[1], shape[1]
        made = empty_channels_last(shape, self.dtype)
        panels = self._room("weight", inner * columns)
        weight = np.ascontiguousarray(weight)
        transform(address(weight), panels, self._room("kernels", _KERNELS), *weight.shape[:2])
        more = np.zeros(columns, self.dtype) if bias is None else np.ascontiguousarray(bias)
        start, sizes = address(image), (*_sizes(image.shape, shape, padding, output), self._block)

        def some(begin: int, end: int) -> None:
            rooms = (
                self._room("tiles", self._block * inner, self._planes),
                _room.at("products", _planes_of(self._block * columns, self._planes)),
            )
            arrays = (start, panels, address(made), address(more), *rooms, address(_zeros(inner)))
            convolve(*arrays, begin, end, *sizes)

        in_parts(image.shape[0] * sizes[0] * sizes[1], self._block, lambda _, begin, end: some(begin, end))
        return made

    def weight_gradient(self, input: Array, g: Array) -> Array:
        """What the output's gradient gives for the weight, in row-major order."""
        image, slope = channels_last(input), channels_last(g)
        found = np.empty(self._geometry.weight, self.dtype)
        sizes = _sizes(image.shape, slope.shape, self._geometry.padding, _OUTPUT)
        tiles = image.shape[0] * sizes[0] * sizes[1]
        if self._is_half and tiles <= _AT_ONCE and get_num_threads() == 1:
            self._make_at_once(image, slope, found, sizes, tiles)
        else:
            self._make_in_blocks(image, slope, found, sizes, tiles)
        return found

    def _make_at_once(
        self, image: Array, slope: Array, found: Array, sizes: tuple[int, ...], tiles: int
    ) -> None:
        rooms = self._rooms_for(tiles + tiles % 2, image, slope)
        totals = _room.at("totals", _planes_of(_TOTALS))
        arrays = (address(image), address(slope), address(found), *rooms, _zeros_for(image, slope), totals)
        self._code.weight_gradient_at_once(*arrays, *sizes, tiles)

    def _make_in_blocks(
        self, image: Array, slope: Array, found: Array, sizes: tuple[int, ...], tiles: int
    ) -> None:
        outs, channels = found.shape[:2]
        # A sum for each thread: which tiles are in it does not depend on who is faster.
        totals = np.zeros((get_num_threads(), _planes_of(channels * outs)), np.float32)

        def some(number: int, begin: int, end: int) -> None:
            rooms = self._rooms_for(self._block, image, slope)
            arrays = (address(image), address(slope), address(totals[number]), *rooms)
            self._code.weight_gradient(*arrays, _zeros_for(image, slope), begin, end, *sizes, self._block)

        in_parts(tiles, self._block, some)
        for other in totals[1:]:
            totals[0] += other
        self._code.weight_gradient_end(address(totals), address(found), channels, outs)

    def _rooms_for(self, rows: int, image: Array, slope: Array) -> tuple[int, int]:
        """Where the transforms of so many tiles of both go."""
        return (
            self._room("tiles", rows * image.shape[1], self._planes),
            self._room("slopes", rows * slope.shape[1], self._planes),
        )

    def _room(self, name: str, count: int, planes: int = _PLANES) -> int:
        """The address of room for planes of so many of what is multiplied."""
        count = _planes_of(count, planes)
        return _room.at(name, -(-count // 2) if self._is_half else count)


def _planes_of(count: int, planes: int = _PLANES) -> int:
    """Numbers that planes of so many take."""
    return planes * (count + GAP)


def _sizes(
    image: tuple[int, ...], made: tuple[int, ...], padding: tuple[int, ...], output: int
) -> tuple[int, ...]:
    """What the code is told besides the tiles to do, and how many at a time; a tile makes ``output`` squared pixels."""
    down, across = -(-made[2] // output), -(-made[3] // output)
    return (
        *(down, across),
        *(image[2], image[3], image[1], made[2], made[3], made[1]),
        *padding,
    )


def _zeros_for(image: Array, slope: Array) -> int:
    return address(_zeros(max(image.shape[1], slope.shape[1])))


@functools.cache
def _zeros(count: int) -> Array:
    return np.zeros(count, np.float32)


# Zeros are multiplied in rows of tiles that no tile fills.
_room = Rooms()


class _Functions:
    """The code, each function compiled when it is first needed."""

    def __init__(self, lanes: int, is_half: bool, stride: int) -> None:
        self._lanes = lanes
        self._is_half = is_half
        self._stride = stride

    @functools.cached_property
    def _methods(self) -> Methods:
        from distrt.core.kernels.winograd.tiles import METHODS

        return METHODS[self._stride]

    @functools.cached_property
    def weight(self) -> Any:
        from distrt.core.kernels.winograd import weight_code

        name = "paired_weight_code" if self._is_half else "weight_code"
        return function_of(getattr(weight_code, name)(self._lanes, self._methods.forward), 3, 2)

    @functools.cached_property
    def turned_weight(self) -> Any:
        from distrt.core.kernels.winograd import weight_code

        name = "paired_turned_weight_code" if self._is_half else "turned_weight_code"
        return function_of(getattr(weight_code, name)(self._lanes, self._methods.back), 3, 2)

    @functools.cached_property
    def forward(self) -> Any:
        return self._convolution(self._methods.forward)

    @functools.cached_property
    def back(self) -> Any:
        methods = self._methods
        is_alike = methods.back == methods.forward._replace(is_turned=methods.back.is_turned)
        return self.forward if is_alike else self._convolution(methods.back)

    def _convolution(self, method: Method) -> Any:
        from distrt.core.kernels.winograd.forward_code import forward_code

        return function_of(forward_code(self._lanes, self._is_half, method), 7, 13)

    @functools.cached_property
    def weight_gradient(self) -> Any:
        from distrt.core.kernels.winograd.gradient_code import weight_gradient_code

        return function_of(weight_gradient_code(self._lanes, self._is_half, self._methods), 6, 13)

    @functools.cached_property
    def weight_gradient_end(self) -> Any:
        from distrt.core.kernels.winograd.gradient_code import weight_gradient_end_code

        return function_of(weight_gradient_end_code(self._lanes, self._is_half, self._methods), 2, 2)

    @functools.cached_property
    def weight_gradient_at_once(self) -> Any:
        from distrt.core.kernels.winograd.gradient_code import weight_gradient_at_once_code

        return function_of(weight_gradient_at_once_code(self._lanes, self._methods), 7, 11)


@functools.cache
def _functions(lanes: int, is_half: bool, stride: int) -> _Functions:
    return _Functions(lanes, is_half, stride)
