"""The code of ``sparse_products.py``, in LLVM's language."""

from __future__ import annotations

from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.line_code import first_lane, fold_along
from distrt.core.kernels.loop_code import INDEX

__all__ = ["multiply_code", "sample_code"]

Value = Any  # of llvmlite.ir

#: Vectors of a row of the result that are added up in registers, side by side.
_WIDE = 8


def multiply_code(lanes: int) -> str:
    """``run(starts, columns, values, dense, made, begin, end, width)``: rows ``begin`` to ``end`` of the product."""
    emit = Emitter(5, 3, lanes)
    starts, columns, values, dense, made, begin, end, width = emit.arguments

    def row(at: Value) -> None:
        first = emit.integer(starts, at)
        last = emit.integer(starts, emit.add(at, 1))
        done: Value = INDEX(0)
        for vectors in (_WIDE, 4, 1):
            done = _stripes(done, vectors, at, first, last)

        def single(column: Value) -> None:
            def one(k: Value, total: list[Value]) -> list[Value]:
                place = emit.at(dense, emit.mul(emit.integer(columns, k), width), column)
                factors = emit.splat(emit.number(emit.at(values, k))), emit.splat(emit.number(place))
                return [emit.fma(*factors, total[0])]

            (total,) = emit.fold(first, last, 1, [emit.constant(0.0)], one)
            emit.store(first_lane(emit, total), emit.at(made, emit.mul(at, width), column))

        emit.each(done, width, 1, single)

    def _stripes(done: Value, vectors: int, at: Value, first: Value, last: Value) -> Value:
        """Goes along the row in stripes of so many vectors, as far as these fit; where that ends."""
        stripe = vectors * lanes
        left = emit.builder.sub(width, done)
        stop = emit.add(done, emit.builder.and_(left, INDEX(-stripe)))

        def body(column: Value) -> None:
            def one(k: Value, totals: list[Value]) -> list[Value]:
                factor = emit.splat(emit.number(emit.at(values, k)))
                place = emit.at(dense, emit.mul(emit.integer(columns, k), width), column)
                return [
                    emit.fma(factor, emit.load(emit.at(place, number * lanes)), total)
                    for number, total in enumerate(totals)
                ]

            totals = emit.fold(first, last, 1, [emit.constant(0.0)] * vectors, one)
            place = emit.at(made, emit.mul(at, width), column)
            for number, total in enumerate(totals):
                emit.store(total, emit.at(place, number * lanes))

        emit.each(done, stop, stripe, body)
        return stop

    emit.each(begin, end, 1, row)
    return emit.text()


def sample_code(lanes: int) -> str:
    """``run(rows, columns, left, right, made, begin, end, width)``: products of rows, ``begin`` to ``end``."""
    emit = Emitter(5, 3, lanes)
    rows, columns, left, right, made, begin, end, width = emit.arguments

    def one(at: Value) -> None:
        here = emit.at(left, emit.mul(emit.integer(rows, at), width))
        there = emit.at(right, emit.mul(emit.integer(columns, at), width))

        def add(access: Any, column: Value, total: list[Value]) -> list[Value]:
            pair = access.load(emit.at(here, column)), access.load(emit.at(there, column))
            return [emit.fma(*pair, total[0])]

        (total,) = fold_along(emit, width, [emit.constant(0.0)], [emit.builder.fadd], add)
        emit.store(first_lane(emit, total), emit.at(made, at))

    emit.each(begin, end, 1, one)
    return emit.text()
