"""What both directions of attention consist of, in LLVM's language.

Right factors of products lie in panels of two vectors of columns (``tile_code.py``), left ones as the caller has them.
What a panel has beyond a matrix's end is whatever was there before, and never gets into a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from distrt.core.kernels.attention.call import ROWS
from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.line_code import Access, each_along
from distrt.core.kernels.loop_code import INDEX, POINTER
from distrt.core.kernels.tile_code import load_tile, multiply_tile, store_tile

__all__ = ["Heads", "Matrix", "Row", "rounded"]

# Rows of a transposed product that are made at once.
_LINES = 4

Value = Any  # of llvmlite.ir


class Matrix(NamedTuple):
    """A matrix: its address, and how many floats it is from one row to the next."""

    start: Value
    step: Value

    def line(self, emit: Emitter, row: Value) -> Value:
        """Where a row begins."""
        return emit.at(self.start, emit.mul(row, self.step))


class Row(NamedTuple):
    """A query: its number, and how many keys it sees."""

    number: Value
    seen: Value


class Heads:
    """What a function is told: matrices of queries, keys, values and others, and their sizes.

    Args:
        emit: the function; it takes tables of addresses, pointers to floats, and integers: the first matrix and the
            end, the sizes, and for each table the steps of its matrices.
        tables: how many of these there are.
        has_mask: whether the fourth is a mask, which is added to the scores.
    """

    def __init__(self, emit: Emitter, tables: int, has_mask: bool) -> None:
        self.emit, self._has_mask = emit, has_mask
        self.wide = 2 * emit.lanes
        pointers = len(emit.arguments) - (7 + tables)
        self._tables, self.others = emit.arguments[:tables], emit.arguments[tables:pointers]
        self.begin, self.end, self.length, self.source, self.width, self.out_width, causal, *self._steps = (
            emit.arguments[pointers:]
        )
        self._is_causal = emit.builder.icmp_signed("!=", causal, INDEX(0))
        self.padded = rounded(emit, self.source, self.wide)

    def matrices(self, number: Value) -> list[Matrix]:
        """Those of one number, from all tables."""
        builder = self.emit.builder
        return [
            Matrix(builder.load(builder.gep(table, [number], source_etype=POINTER), typ=POINTER), step)
            for table, step in zip(self._tables, self._steps, strict=True)
        ]

    def seen(self, row: Value) -> Value:
        """How many keys a query sees."""
        emit = self.emit
        earlier = emit.smaller(emit.add(row, 1), self.source)
        return emit.builder.select(self._is_causal, earlier, self.source)

    def rows(self, first: Value) -> list[Row]:
        """The queries that are done at once; at the end, the last one takes the places that are left."""
        emit = self.emit
        last = emit.add(self.length, -1)
        numbers = [emit.smaller(emit.add(first, n), last) for n in range(ROWS)]
        return [Row(each, self.seen(each)) for each in numbers]

    def score(self, product: Value, mask: Matrix, row: Row, key: Value) -> Value:
        """The scores of a vector of keys, -inf for those that are not seen."""
        emit = self.emit
        if self._has_mask:
            more = emit.load(emit.at(mask.line(emit, row.number), key))
            product = emit.sums("+", product, "+", more)
        return emit.keep(product, emit.builder.sub(row.seen, key), emit.constant(-math.inf))

    # -- packing

    def pack(self, matrix: Matrix, rows: Value, columns: Value, panels: Value, factor: Value | None) -> None:
        """A matrix, times a factor, as panels: (columns / wide, rows, wide)."""
        emit = self.emit

        def panel(column: Value) -> None:
            own = emit.at(panels, emit.mul(column, rows))
            count = emit.smaller(emit.builder.sub(columns, column), INDEX(self.wide))

            def row(number: Value) -> None:
                start = emit.at(matrix.line(emit, number), column)
                self._copy(start, emit.at(own, emit.mul(number, self.wide)), count, factor)

            emit.each(0, rows, 1, row)

        emit.each(0, columns, self.wide, panel)

    def pack_turned(
        self, matrix: Matrix, rows: Value, columns: Value, panels: Value, factor: Value | None
    ) -> None:
        """Its transpose: (rows / wide, columns, wide). Beyond the rows, the last one is there again."""
        emit, last = self.emit, self.emit.add(rows, -1)

        def panel(row: Value) -> None:
            own = emit.at(panels, emit.mul(row, columns))
            numbers = [emit.smaller(emit.add(row, n), last) for n in range(self.wide)]
            starts = [matrix.line(emit, each) for each in numbers]

            def column(at: Value) -> None:
                for half in range(2):
                    places = [emit.at(each, at) for each in starts[half * emit.lanes :][: emit.lanes]]
                    value = emit.gathered(places)
                    value = value if factor is None else emit.builder.fmul(value, factor)
                    emit.store(value, emit.at(own, emit.mul(at, self.wide), half * emit.lanes))

            emit.each(0, columns, 1, column)

        emit.each(0, rows, self.wide, panel)

    def unpack(self, panels: Value, height: Value, rows: Value, columns: Value, matrix: Matrix) -> None:
        """Panels of so many rows, of which the first are a matrix, into its place."""
        emit = self.emit

        def panel(column: Value) -> None:
            own = emit.at(panels, emit.mul(column, height))
            count = emit.smaller(emit.builder.sub(columns, column), INDEX(self.wide))

            def row(number: Value) -> None:
                target = emit.at(matrix.line(emit, number), column)
                self._copy(emit.at(own, emit.mul(number, self.wide)), target, count, None)

            emit.each(0, rows, 1, row)

        emit.each(0, columns, self.wide, panel)

    def _copy(self, source: Value, target: Value, count: Value, factor: Value | None) -> None:
        """Up to two vectors, times a factor."""
        emit = self.emit

        def some(access: Access, at: Value) -> None:
            value = access.load(emit.at(source, at))
            access.store(value if factor is None else emit.builder.fmul(value, factor), emit.at(target, at))

        each_along(emit, count, some)

    # -- products

    def write_product(
        self,
        lines: Sequence[Value],
        count: Value,
        panels: Value,
        columns: Value,
        rows: Sequence[Value],
        spare: Value,
        change: Callable[[int, Value], Value] = lambda _, value: value,
    ) -> None:
        """``lines @ panels``, of ``count`` terms, into the rows at some addresses, after ``change(row, vector)``.

        The panels are as high as there are keys; ``spare`` is room for a panel of these rows.
        """
        emit = self.emit
        zeros = [emit.constant(0.0)] * (2 * ROWS)
        factors = [partial(emit.at, each) for each in lines]

        def panel(column: Value) -> list[Value]:
            place = emit.at(panels, emit.mul(column, self.source))
            made = multiply_tile(emit, count, factors, place, zeros)
            return [change(n // 2, value) for n, value in enumerate(made)]

        def full(column: Value) -> None:
            store_tile(emit, panel(column), [emit.at(each, column) for each in rows])

        def rest(column: Value) -> None:
            places = [emit.at(spare, n * self.wide) for n in range(ROWS)]
            store_tile(emit, panel(column), places)
            for place, row in zip(places, rows, strict=True):
                self._copy(place, emit.at(row, column), emit.builder.sub(columns, column), None)

        whole = emit.builder.and_(columns, INDEX(-self.wide))
        emit.each(0, whole, self.wide, full)
        emit.each(whole, columns, self.wide, rest)

    def add_turned_product(
        self, left: Value, lines: Value, count: Value, panels: Value, columns: Value, totals: Value
    ) -> None:
        """``totals += left.T @ panels`` over ``count`` rows, for the first ``lines`` rows of the result.

        ``left`` and the panels of ``totals`` are as many numbers wide, or high, as there are keys, in whole panels; the
        given panels are as high as there are queries.
        """
        emit = self.emit

        def panel(column: Value) -> None:
            own, place = (
                emit.at(start, emit.mul(column, height))
                for start, height in ((totals, self.padded), (panels, self.length))
            )

            def some(line: Value) -> None:
                def factor(n: int, k: Value) -> Value:
                    return emit.at(left, emit.mul(k, self.padded), line, n)

                targets = [emit.at(own, emit.mul(emit.add(line, n), self.wide)) for n in range(_LINES)]
                rows = [partial(factor, n) for n in range(_LINES)]
                store_tile(emit, multiply_tile(emit, count, rows, place, load_tile(emit, targets)), targets)

            emit.each(0, lines, _LINES, some)

        emit.each(0, columns, self.wide, panel)


def rounded(emit: Emitter, value: Value, multiple: int) -> Value:
    """The next multiple of a power of two."""
    return emit.builder.and_(emit.add(value, multiple - 1), INDEX(-multiple))
