"""The heart of every product of matrices, in LLVM's language: a few rows of two vectors, held in registers.

``rows`` and ``panel`` say where the factors are. A panel is what two vectors of columns have in all rows of a matrix,
one row after another, so that it is read from front to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.half_code import dotted
from distrt.core.kernels.loop_code import INDEX

__all__ = ["load_pairs", "load_tile", "multiply_pairs", "multiply_panels", "multiply_tile", "store_tile"]

_PAIR = ir.IntType(32)

Value = Any  # of llvmlite.ir


def multiply_panels(
    emit: Emitter,
    at_once: Sequence[int],
    left: Value,
    right: Value,
    product: Callable[[Value], Value],
    rows: Value,
    inner: Value,
    columns: Value,
) -> None:
    """``product = left @ right``: (rows, inner) @ (inner, columns), ``right`` in panels.

    A left factor in half precision is multiplied by pairs, as which the panels must lie.

    Args:
        emit: where it is written.
        at_once: how many rows are made together: so many while there are, then what follows. Up to one less than the
            last are made beyond the end.
        left: the address of the left factor.
        right: that of the panels.
        product: from a row's number to the address of its product.
        rows: how many.
        inner: the terms.
        columns: in whole panels.
    """
    wide = 2 * emit.lanes
    multiply = multiply_pairs if isinstance(left, Half) else multiply_tile

    def panel(column: Value) -> None:
        own = emit.at(right, emit.mul(column, inner))

        def some(many: int, row: Value) -> None:
            lines = [emit.add(row, n) for n in range(many)]
            factors = [partial(emit.at, emit.at(left, emit.mul(each, inner))) for each in lines]
            sums = multiply(emit, inner, factors, own, [emit.constant(0.0)] * (2 * many))
            store_tile(emit, sums, [emit.at(product(each), column) for each in lines])

        first: Value | int = 0
        for many in at_once[:-1]:
            end = emit.builder.sub(
                rows, emit.builder.srem(emit.builder.sub(rows, emit.add(first)), INDEX(many))
            )
            emit.each(first, end, many, partial(some, many))
            first = end
        emit.each(first, rows, at_once[-1], partial(some, at_once[-1]))

    emit.each(0, columns, wide, panel)


def multiply_tile(
    emit: Emitter,
    count: Value,
    rows: Sequence[Callable[[Value], Value]],
    panel: Value,
    totals: Sequence[Value],
) -> list[Value]:
    """``totals[n] += rows[n] @ panel``, over ``count`` terms, one after another.

    Args:
        emit: where it is written.
        count: of the terms.
        rows: from a term's number to the address of a row's factor; for each row.
        panel: the address of the panel.
        totals: two vectors for each row.
    """

    def term(k: Value, sums: list[Value]) -> list[Value]:
        place = emit.at(panel, emit.mul(k, 2 * emit.lanes))
        halves = [emit.load(place), emit.load(emit.at(place, emit.lanes))]
        added = []
        for n, row in enumerate(rows):
            factor = emit.splat(emit.number(row(k)))
            added += [emit.fma(factor, half, sums[2 * n + h]) for h, half in enumerate(halves)]
        return added

    return emit.fold(0, count, 1, totals, term)


def multiply_pairs(
    emit: Emitter,
    count: Value,
    rows: Sequence[Callable[[Value], Half]],
    panel: Half,
    totals: Sequence[Value],
) -> list[Value]:
    """The same by the processor's instruction for bfloat16, which takes two terms at a time: of an even count.

    A row has them side by side, and so has the panel: its rows lie two by two, number by number in turns.
    """

    def terms(k: Value, sums: list[Value]) -> list[Value]:
        place = emit.at(panel, emit.mul(k, 2 * emit.lanes))
        halves = [load_pairs(emit, place), load_pairs(emit, emit.at(place, 2 * emit.lanes))]
        added = []
        for n, row in enumerate(rows):
            factor = emit.splat(emit.builder.load(row(k).pointer, typ=_PAIR, align=4))
            added += [dotted(emit.builder, sums[2 * n + h], factor, half) for h, half in enumerate(halves)]
        return added

    return emit.fold(0, count, 2, totals, terms)


def load_pairs(emit: Emitter, place: Half) -> Value:
    """As many pairs as a vector has numbers."""
    return emit.builder.load(place.pointer, typ=ir.VectorType(_PAIR, emit.lanes), align=4)


def load_tile(emit: Emitter, places: Sequence[Value]) -> list[Value]:
    """Two vectors from each address."""
    return [emit.load(emit.at(each, half * emit.lanes)) for each in places for half in range(2)]


def store_tile(emit: Emitter, values: Sequence[Value], places: Sequence[Value]) -> None:
    """Two vectors to each address."""
    for n, place in enumerate(places):
        for half in range(2):
            emit.store(values[2 * n + half], emit.at(place, half * emit.lanes))
