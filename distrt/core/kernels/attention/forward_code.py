"""Attention forward, in LLVM's language."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from distrt.core.kernels.attention.call import ROWS
from distrt.core.kernels.attention.shared_code import Heads, Matrix, Row, rounded
from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.exponentials import exponential_or_zero
from distrt.core.kernels.tile_code import multiply_tile

__all__ = ["forward_code"]

Value = Any  # of llvmlite.ir


def forward_code(lanes: int, has_mask: bool) -> str:
    """``run(query, key, value, mask, out, peaks, totals, scale, room, …)``; see `Heads` for the rest.

    ``peaks`` and ``totals`` get a float for each query: its largest score, and the sum of its weights before they are
    divided by that.
    """
    emit = Emitter(9, 12, lanes)
    _Forward(emit, Heads(emit, 5, has_mask)).write()
    return emit.text()


class _Forward:
    """Keys, turned, and values in panels; then a few queries at a time."""

    def __init__(self, emit: Emitter, heads: Heads) -> None:
        self._emit, self._heads = emit, heads
        self._peaks, self._totals, scale, room = heads.others
        self._scale = emit.splat(emit.number(scale))
        # Of the room. A limit is a vector: of each row its peak, and then its total.
        self._keys = room
        self._values = emit.at(room, emit.mul(heads.padded, heads.width))
        self._weights = emit.at(
            self._values, emit.mul(heads.source, rounded(emit, heads.out_width, heads.wide))
        )
        self._limits = emit.at(self._weights, emit.mul(heads.padded, ROWS))
        self._spare = emit.at(self._limits, 2 * ROWS * emit.lanes)

    def write(self) -> None:
        self._emit.each(self._heads.begin, self._heads.end, 1, self._matrix)

    def _matrix(self, number: Value) -> None:
        emit, heads = self._emit, self._heads
        query, key, value, mask, out = heads.matrices(number)
        heads.pack_turned(key, heads.source, heads.width, self._keys, self._scale)
        heads.pack(value, heads.source, heads.out_width, self._values, None)
        start = emit.mul(number, heads.length)

        def block(first: Value) -> None:
            rows = heads.rows(first)
            self._scores(query, mask, rows)
            self._exponentials(rows[-1].seen)
            for n, row in enumerate(rows):
                for place, which in ((self._peaks, 0), (self._totals, 1)):
                    emit.store(emit.number(self._limit(n, which)), emit.at(place, start, row.number))
            self._results(rows, out)

        emit.each(0, heads.length, ROWS, block)

    def _limit(self, row: Value | int, which: int) -> Value:
        lanes = self._emit.lanes
        return self._emit.at(self._limits, self._emit.mul(row, 2 * lanes), which * lanes)

    def _line(self, row: Value | int) -> Value:
        return self._emit.at(self._weights, self._emit.mul(row, self._heads.padded))

    def _scores(self, query: Matrix, mask: Matrix, rows: list[Row]) -> None:
        """The scores of the keys that any of the rows sees, and each row's peak: 0 where it sees none."""
        emit, heads = self._emit, self._heads
        factors = [partial(emit.at, query.line(emit, row.number)) for row in rows]
        zeros, none = [emit.constant(0.0)] * (2 * ROWS), emit.constant(-math.inf)

        def larger(first: Value, second: Value) -> Value:
            return emit.builder.select(emit.builder.fcmp_ordered(">", second, first), second, first)

        def panel(keys: Value, peaks: list[Value]) -> list[Value]:
            place = emit.at(self._keys, emit.mul(keys, heads.width))
            products = multiply_tile(emit, heads.width, factors, place, zeros)
            found = list(peaks)
            for n, product in enumerate(products):
                at = emit.add(keys, n % 2 * emit.lanes)
                score = heads.score(product, mask, rows[n // 2], at)
                emit.store(score, emit.at(self._line(n // 2), at))
                found[n // 2] = larger(found[n // 2], score)
            return found

        for n, peak in enumerate(emit.fold(0, rows[-1].seen, heads.wide, [none] * ROWS, panel)):
            most = emit.across(larger, peak)
            sees_none = emit.builder.fcmp_ordered("==", most, none)
            emit.store(emit.builder.select(sees_none, emit.constant(0.0), most), self._limit(n, 0))

    def _exponentials(self, seen: Value) -> None:
        """Makes weights of the scores, and each row's total."""
        emit = self._emit

        def row(n: Value) -> None:
            peak, line = emit.load(self._limit(n, 0)), self._line(n)

            def vectors(at: Value, sums: list[Value]) -> list[Value]:
                made = []
                for half in range(2):
                    place = emit.at(line, at, half * emit.lanes)
                    weight = exponential_or_zero(emit, emit.sums("+", emit.load(place), "-", peak))
                    emit.store(weight, place)
                    made.append(emit.sums("+", sums[half], "+", weight))
                return made

            first, second = emit.fold(0, seen, self._heads.wide, [emit.constant(0.0)] * 2, vectors)
            total = emit.across(emit.builder.fadd, emit.sums("+", first, "+", second))
            emit.store(total, self._limit(n, 1))

        emit.each(0, ROWS, 1, row)

    def _results(self, rows: list[Row], out: Matrix) -> None:
        """The weights' products with the values, divided by the totals; 0 where no key is seen."""
        emit, heads, one = self._emit, self._heads, self._emit.constant(1.0)
        totals = [emit.load(self._limit(n, 1)) for n in range(ROWS)]
        is_zero = [emit.builder.fcmp_ordered("==", each, emit.constant(0.0)) for each in totals]
        divisors = [emit.builder.select(each, one, n) for each, n in zip(is_zero, totals, strict=True)]
        heads.write_product(
            [self._line(n) for n in range(ROWS)],
            rows[-1].seen,
            self._values,
            heads.out_width,
            [out.line(emit, row.number) for row in rows],
            self._spare,
            lambda n, value: emit.builder.fdiv(value, divisors[n]),
        )
