"""The five transforms of F(2×2, 3×3) in LLVM's language: of squares whose elements are vectors of channels."""

from __future__ import annotations

from typing import Any

from distrt.core.kernels.emitter import Emitter

__all__ = ["Square", "gradient_tile", "input_tile", "kernel_gradient_tile", "kernel_tile", "output_tile"]

Value = Any  # of llvmlite.ir
Square = list[list[Value]]


def input_tile(emit: Emitter, square: Square) -> Square:
    """4×4 pixels of the input."""

    def along(d: list[Value]) -> list[Value]:
        return [
            emit.sums("+", d[0], "-", d[2]),
            emit.sums("+", d[1], "+", d[2]),
            emit.sums("+", d[2], "-", d[1]),
            emit.sums("+", d[1], "-", d[3]),
        ]

    return _both_ways(square, along)


def output_tile(emit: Emitter, square: Square) -> Square:
    """4×4 products to 2×2 pixels of the output."""

    def along(m: list[Value]) -> list[Value]:
        return [emit.sums("+", m[0], "+", m[1], "+", m[2]), emit.sums("+", m[1], "-", m[2], "-", m[3])]

    return _both_ways(square, along)


def gradient_tile(emit: Emitter, square: Square) -> Square:
    """The transpose of ``output_tile``: 2×2 to 4×4."""

    def along(d: list[Value]) -> list[Value]:
        return [d[0], emit.sums("+", d[0], "+", d[1]), emit.sums("+", d[0], "-", d[1]), emit.sums("-", d[1])]

    return _both_ways(square, along)


def kernel_tile(emit: Emitter, square: Square) -> Square:
    """3×3 to 4×4."""
    half = emit.constant(0.5)

    def along(g: list[Value]) -> list[Value]:
        outer = emit.sums("+", g[0], "+", g[2])
        middle = emit.builder.fmul(half, g[1])
        return [g[0], emit.fma(half, outer, middle), emit.fma(half, outer, emit.sums("-", middle)), g[2]]

    return _both_ways(square, along)


def kernel_gradient_tile(emit: Emitter, square: Square) -> Square:
    """The transpose of ``kernel_tile``: 4×4 to 3×3."""
    half = emit.constant(0.5)

    def along(m: list[Value]) -> list[Value]:
        both = emit.sums("+", m[1], "+", m[2])
        apart = emit.sums("+", m[1], "-", m[2])
        return [emit.fma(half, both, m[0]), emit.builder.fmul(half, apart), emit.fma(half, both, m[3])]

    return _both_ways(square, along)


def _turned(square: Square) -> Square:
    return [list(line) for line in zip(*square, strict=True)]


def _both_ways(square: Square, along: Any) -> Square:
    """``along`` maps a list of vectors to another; done to all columns, then to all rows."""
    return [along(line) for line in _turned([along(column) for column in _turned(square)])]
