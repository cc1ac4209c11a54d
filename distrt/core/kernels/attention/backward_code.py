"""Attention backward, in LLVM's language. Source: Dao et al. 2022, section 3.1."""

from __future__ import annotations

from functools import partial
from typing import Any

from distrt.core.kernels.attention.call import BLOCK_ROWS, ROWS
from distrt.core.kernels.attention.shared_code import Heads, Matrix, Row, rounded
from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.exponentials import exponential_or_zero
from distrt.core.kernels.line_code import Access, fold_along
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.tile_code import multiply_tile

__all__ = ["backward_code"]

Value = Any  # of llvmlite.ir


def backward_code(lanes: int, has_mask: bool) -> str:
    """``run(query, key, value, mask, out, g, g_query, g_key, g_value, log_totals, scale, room, …)``.

    See `Heads` for the rest. ``log_totals`` has a float for each query.
    """
    emit = Emitter(12, 16, lanes)
    _Backward(emit, Heads(emit, 9, has_mask)).write()
    return emit.text()


class _Backward:
    """Everything in panels; then a block of queries at a time, whose weights are computed again.

    Two of the gradients have a row for each query, and are done with it; those of keys and values are summed up over
    the blocks, in panels.
    """

    def __init__(self, emit: Emitter, heads: Heads) -> None:
        self._emit, self._heads = emit, heads
        self._log_totals, scale, room = heads.others
        self._scale = emit.splat(emit.number(scale))
        self._wide_width, self._wide_out = (
            rounded(emit, each, heads.wide) for each in (heads.width, heads.out_width)
        )
        sizes = [
            *((heads.padded, heads.width), (heads.padded, heads.out_width)),
            *(
                (heads.source, self._wide_width),
                (heads.length, self._wide_width),
                (heads.length, self._wide_out),
            ),
            *((heads.padded, self._wide_width), (heads.padded, self._wide_out)),
            *((heads.padded, BLOCK_ROWS), (heads.padded, BLOCK_ROWS)),
        ]
        rooms = [room]
        for size in sizes:
            rooms.append(emit.at(rooms[-1], emit.mul(*size)))
        self._turned_keys, self._turned_values, self._keys, self._queries, self._g_outs, *rest = rooms
        self._g_keys, self._g_values, self._weights, self._slopes, self._spare = rest

    def write(self) -> None:
        self._emit.each(self._heads.begin, self._heads.end, 1, self._matrix)

    def _matrix(self, number: Value) -> None:
        emit, heads = self._emit, self._heads
        query, key, value, mask, out, g, g_query, g_key, g_value = heads.matrices(number)
        heads.pack_turned(key, heads.source, heads.width, self._turned_keys, self._scale)
        heads.pack_turned(value, heads.source, heads.out_width, self._turned_values, None)
        heads.pack(key, heads.source, heads.width, self._keys, self._scale)
        heads.pack(query, heads.length, heads.width, self._queries, self._scale)
        heads.pack(g, heads.length, heads.out_width, self._g_outs, None)
        sums = ((self._g_keys, self._wide_width), (self._g_values, self._wide_out))
        for start, columns in sums:
            clear = partial(self._clear, start)
            emit.each(0, emit.mul(heads.padded, columns), emit.lanes, clear)
        log_totals = emit.at(self._log_totals, emit.mul(number, heads.length))

        def block(first: Value) -> None:
            count = emit.smaller(emit.builder.sub(heads.length, first), INDEX(BLOCK_ROWS))
            seen = heads.seen(emit.add(first, count, -1))

            def some(offset: Value) -> None:
                rows = heads.rows(emit.add(first, offset))
                self._slopes_of(query, mask, out, g, log_totals, rows, emit.mul(offset, heads.padded), seen)
                lines = [
                    emit.at(self._slopes, emit.mul(emit.add(offset, n), heads.padded)) for n in range(ROWS)
                ]
                targets = [g_query.line(emit, row.number) for row in rows]
                heads.write_product(lines, seen, self._keys, heads.width, targets, self._spare)

            emit.each(0, count, ROWS, some)
            at = emit.mul(first, heads.wide)
            queries, g_outs = (emit.at(each, at) for each in (self._queries, self._g_outs))
            heads.add_turned_product(self._slopes, seen, count, queries, heads.width, self._g_keys)
            heads.add_turned_product(self._weights, seen, count, g_outs, heads.out_width, self._g_values)

        emit.each(0, heads.length, BLOCK_ROWS, block)
        heads.unpack(self._g_keys, heads.padded, heads.source, heads.width, g_key)
        heads.unpack(self._g_values, heads.padded, heads.source, heads.out_width, g_value)

    def _clear(self, start: Value, at: Value) -> None:
        self._emit.store(self._emit.constant(0.0), self._emit.at(start, at))

    def _slopes_of(
        self,
        query: Matrix,
        mask: Matrix,
        out: Matrix,
        g: Matrix,
        log_totals: Value,
        rows: list[Row],
        offset: Value,
        seen: Value,
    ) -> None:
        """The weights of some rows, and the gradients of their scores: weights * (g @ values.T - g · out)."""
        emit, heads = self._emit, self._heads
        queries, slopes = ([each.line(emit, row.number) for row in rows] for each in (query, g))
        logs = [emit.splat(emit.number(emit.at(log_totals, row.number))) for row in rows]
        pulls = [
            self._dot(slope, out.line(emit, row.number), heads.out_width)
            for row, slope in zip(rows, slopes, strict=True)
        ]
        zeros = [emit.constant(0.0)] * (2 * ROWS)

        def panel(keys: Value) -> None:
            places = [
                emit.at(offset_of, offset, emit.mul(heads.padded, n // 2), keys, n % 2 * emit.lanes)
                for offset_of in (self._weights, self._slopes)
                for n in range(2 * ROWS)
            ]
            turned = emit.at(self._turned_keys, emit.mul(keys, heads.width))
            products = multiply_tile(
                emit, heads.width, [partial(emit.at, each) for each in queries], turned, zeros
            )
            for n, product in enumerate(products):
                score = heads.score(product, mask, rows[n // 2], emit.add(keys, n % 2 * emit.lanes))
                weight = exponential_or_zero(emit, emit.sums("+", score, "-", logs[n // 2]))
                emit.store(weight, places[n])
            turned = emit.at(self._turned_values, emit.mul(keys, heads.out_width))
            products = multiply_tile(
                emit, heads.out_width, [partial(emit.at, each) for each in slopes], turned, zeros
            )
            for n, product in enumerate(products):
                apart = emit.sums("+", product, "-", pulls[n // 2])
                emit.store(emit.builder.fmul(apart, emit.load(places[n])), places[2 * ROWS + n])

        emit.each(0, seen, heads.wide, panel)

    def _dot(self, first: Value, second: Value, count: Value) -> Value:
        """The sum of products of two rows, in all lanes."""
        emit = self._emit

        def add(access: Access, at: Value, total: list[Value]) -> list[Value]:
            return [emit.fma(access.load(emit.at(first, at)), access.load(emit.at(second, at)), total[0])]

        return fold_along(emit, count, [emit.constant(0.0)], [emit.builder.fadd], add)[0]
