"""The methods of Winograd's convolution, and their transforms in LLVM's language, of vectors of channels.

A method says how a square of the output is made of one of the input. Each of its transforms is said for one direction,
as from a list of vectors to another, and done to all columns of a square and then to all rows. A kernel has 4 × 4
planes in any of them; where the input has more, the last kernel plane in a direction serves twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from distrt.core.kernels.emitter import Emitter

__all__ = [
    "KERNEL",
    "KERNEL_PLANES",
    "METHODS",
    "Along",
    "Method",
    "Methods",
    "Square",
    "transformed",
]

#: Weights of a kernel in each direction, and the planes that they become.
KERNEL, KERNEL_PLANES = 3, 4

Value = Any  # of llvmlite.ir
Square = list[list[Value]]
Along = Callable[[Emitter, list[Value]], list[Value]]


class Method(NamedTuple):
    """One way to convolve; all numbers are for each direction.

    Attributes:
        size: pixels of the input that go into a tile.
        step: pixels from a tile to the next in the input.
        output: pixels that come out of a tile; in the output, tiles lie side by side.
        planes: products of a tile.
        input: pixels to planes.
        made: planes to output.
        kernel: weights to planes.
        is_turned: whether kernels are turned round before.
    """

    size: int
    step: int
    output: int
    planes: int
    input: Along
    made: Along
    kernel: Along
    is_turned: bool = False


class Methods(NamedTuple):
    """What a convolution of some stride takes.

    Attributes:
        forward: the convolution's own.
        back: the one of its input's gradient.
        gradient: for the weight's gradient the transpose of ``forward.made``.
        kernel_gradient: and of ``forward.kernel``.
    """

    forward: Method
    back: Method
    gradient: Along
    kernel_gradient: Along


def transformed(emit: Emitter, square: Square, along: Along) -> Square:
    """A square after a transform in both directions."""
    return [along(emit, line) for line in _turned([along(emit, column) for column in _turned(square)])]


def _turned(square: Square) -> Square:
    return [list(line) for line in zip(*square, strict=True)]


# F(2×2, 3×3) at stride 1: 16 products for 36. Source: Lavin and Gray 2016.


def _input(emit: Emitter, d: list[Value]) -> list[Value]:
    return [
        emit.sums("+", d[0], "-", d[2]),
        emit.sums("+", d[1], "+", d[2]),
        emit.sums("+", d[2], "-", d[1]),
        emit.sums("+", d[1], "-", d[3]),
    ]


def _made(emit: Emitter, m: list[Value]) -> list[Value]:
    return [emit.sums("+", m[0], "+", m[1], "+", m[2]), emit.sums("+", m[1], "-", m[2], "-", m[3])]


def _gradient(emit: Emitter, d: list[Value]) -> list[Value]:
    return [d[0], emit.sums("+", d[0], "+", d[1]), emit.sums("+", d[0], "-", d[1]), emit.sums("-", d[1])]


def _kernel(emit: Emitter, g: list[Value]) -> list[Value]:
    half = emit.constant(0.5)
    outer = emit.sums("+", g[0], "+", g[2])
    middle = emit.builder.fmul(half, g[1])
    return [g[0], emit.fma(half, outer, middle), emit.fma(half, outer, emit.sums("-", middle)), g[2]]


def _kernel_gradient(emit: Emitter, m: list[Value]) -> list[Value]:
    half = emit.constant(0.5)
    both = emit.sums("+", m[1], "+", m[2])
    apart = emit.sums("+", m[1], "-", m[2])
    return [emit.fma(half, both, m[0]), emit.builder.fmul(half, apart), emit.fma(half, both, m[3])]


_USUAL = Method(4, 2, 2, 4, _input, _made, _kernel)
_TURNED = _USUAL._replace(is_turned=True)


# At stride 2 (with a padding of 1), two outputs of a line are a kernel's outer weights on three pixels, every other
# one, and its middle weight on the two between. The former is F(2, 2): 3 products for 4. So 25 products for 36.


def _strided_input(emit: Emitter, d: list[Value]) -> list[Value]:
    return [emit.sums("+", d[0], "-", d[2]), d[2], emit.sums("+", d[2], "-", d[4]), d[1], d[3]]


def _strided_made(emit: Emitter, m: list[Value]) -> list[Value]:
    return [emit.sums("+", m[0], "+", m[1], "+", m[3]), emit.sums("+", m[1], "-", m[2], "+", m[4])]


def _strided_gradient(emit: Emitter, d: list[Value]) -> list[Value]:
    return [d[0], emit.sums("+", d[0], "+", d[1]), emit.sums("-", d[1]), d[0], d[1]]


def _strided_kernel(emit: Emitter, g: list[Value]) -> list[Value]:
    return [g[0], emit.sums("+", g[0], "+", g[2]), g[2], g[1]]


def _strided_kernel_gradient(emit: Emitter, m: list[Value]) -> list[Value]:
    return [emit.sums("+", m[0], "+", m[1]), m[3], emit.sums("+", m[1], "+", m[2])]


_STRIDED = Method(5, 4, 2, 5, _strided_input, _strided_made, _strided_kernel)


# The way back: of a line's four pixels, two have the middle weight with one output's gradient each, and the two between
# have the outer weights with two of three.


def _spread_input(emit: Emitter, d: list[Value]) -> list[Value]:
    return [emit.sums("+", d[2], "-", d[1]), d[1], emit.sums("+", d[0], "-", d[1]), d[0], d[1]]


def _spread_made(emit: Emitter, m: list[Value]) -> list[Value]:
    return [m[3], emit.sums("+", m[1], "+", m[2]), m[4], emit.sums("+", m[1], "+", m[0])]


_SPREAD = Method(3, 2, 4, 5, _spread_input, _spread_made, _strided_kernel)


#: By stride.
METHODS = {
    1: Methods(_USUAL, _TURNED, _gradient, _kernel_gradient),
    2: Methods(_STRIDED, _SPREAD, _strided_gradient, _strided_kernel_gradient),
}
