"""The code of ``lstm.py``, in LLVM's language: all steps of a layer in one call, forward and backward."""

from __future__ import annotations

from functools import partial
from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.exponentials import sigmoid, tanh
from distrt.core.kernels.tile_code import load_tile, multiply_tile, store_tile

__all__ = ["backward_code", "forward_code"]

Value = Any  # of llvmlite.ir


def forward_code(lanes: int, rows: int, is_half: bool) -> str:
    """``run(gates, panels, hidden, cell, output, earlier_cells, squashed, steps, first, stride, batch, size)``.

    A product makes so many ``rows`` at once.

    ``gates`` holds the projected input, and then the four gates; ``panels`` is the transposed recurrent weight. Steps
    begin with ``first`` and go on by ``stride``. ``hidden`` is where the walk starts; ``cell`` is left as it ends.
    """
    emit = Emitter(7, 5, lanes, halves=(1,) if is_half else ())
    gates, panels, hidden, cell, output, earlier_cells, squashed, steps, first, stride, batch, size = (
        emit.arguments
    )
    width = emit.mul(size, 4)

    def step(number: Value, states: list[Value]) -> list[Value]:
        start = emit.mul(emit.add(first, emit.mul(number, stride)), batch)
        now = emit.at(gates, emit.mul(start, width))
        _add_product(emit, rows, states[0], panels, now, batch, size, width)
        made = emit.at(output, emit.mul(start, size))

        def row(line: Value) -> None:
            own = emit.at(now, emit.mul(line, width))

            def unit(at: Value) -> None:
                places = [emit.at(own, emit.mul(size, gate), at) for gate in range(4)]
                let_in, forget, let_out = (sigmoid(emit, emit.load(places[gate])) for gate in (0, 1, 3))
                candidate = tanh(emit, emit.load(places[2]))
                place = emit.add(emit.mul(line, size), at)
                before = emit.load(emit.at(cell, place))
                after = emit.fma(forget, before, emit.builder.fmul(let_in, candidate))
                bounded = tanh(emit, after)
                for value, target in zip((let_in, forget, candidate, let_out), places, strict=True):
                    emit.store(value, target)
                kept = emit.add(emit.mul(start, size), place)
                emit.store(before, emit.at(earlier_cells, kept))
                emit.store(bounded, emit.at(squashed, kept))
                emit.store(after, emit.at(cell, place))
                emit.store(emit.builder.fmul(let_out, bounded), emit.at(made, place))

            emit.each(0, size, lanes, unit)

        emit.each(0, batch, 1, row)
        return [made]

    emit.fold(0, steps, 1, [hidden], step)
    return emit.text()


def backward_code(lanes: int, rows: int, is_half: bool) -> str:
    """``run(gates, panels, g_hidden, g_cell, g_output, earlier_cells, squashed, slopes, sums, steps, first, …)``.

    ``g_hidden`` and ``g_cell`` hold the gradients of the last state, and then those of the first; ``slopes`` becomes
    the gradient of the projected input, whose rows are added to ``sums``; ``panels`` is the recurrent weight. The rest
    is as in ``forward_code``.
    """
    emit = Emitter(9, 5, lanes, halves=(1,) if is_half else ())
    *pointers, steps, first, stride, batch, size = emit.arguments
    gates, panels, g_hidden, g_cell, g_output, earlier_cells, squashed, slopes, sums = pointers
    width, one, multiply = emit.mul(size, 4), emit.constant(1.0), emit.builder.fmul

    def rest(value: Value) -> Value:
        """``1 - value``."""
        return emit.sums("+", one, "-", value)

    def step(number: Value) -> None:
        start = emit.mul(emit.add(first, emit.mul(number, stride)), batch)
        made = emit.at(slopes, emit.mul(start, width))

        def row(line: Value) -> None:
            offset = emit.mul(emit.add(start, line), width)

            def unit(at: Value) -> None:
                known = [emit.load(emit.at(gates, offset, emit.mul(size, gate), at)) for gate in range(4)]
                let_in, forget, candidate, let_out = known
                place = emit.add(emit.mul(line, size), at)
                kept = emit.add(emit.mul(start, size), place)
                bounded, before = emit.load(emit.at(squashed, kept)), emit.load(emit.at(earlier_cells, kept))
                g = emit.sums(
                    "+", emit.load(emit.at(g_hidden, place)), "+", emit.load(emit.at(g_output, kept))
                )
                through = multiply(let_out, rest(multiply(bounded, bounded)))
                pull = emit.fma(g, through, emit.load(emit.at(g_cell, place)))
                found = (
                    multiply(multiply(pull, candidate), multiply(let_in, rest(let_in))),
                    multiply(multiply(pull, before), multiply(forget, rest(forget))),
                    multiply(multiply(pull, let_in), rest(multiply(candidate, candidate))),
                    multiply(multiply(g, bounded), multiply(let_out, rest(let_out))),
                )
                for gate, value in enumerate(found):
                    emit.store(value, emit.at(slopes, offset, emit.mul(size, gate), at))
                    total = emit.at(sums, emit.mul(size, gate), at)
                    emit.store(emit.sums("+", emit.load(total), "+", value), total)
                emit.store(multiply(pull, forget), emit.at(g_cell, place))
                emit.store(emit.constant(0.0), emit.at(g_hidden, place))

            emit.each(0, size, lanes, unit)

        emit.each(0, batch, 1, row)
        _add_product(emit, rows, made, panels, g_hidden, batch, width, size)

    emit.each(0, steps, 1, step)
    return emit.text()


def _add_product(
    emit: Emitter,
    at_once: int,
    left: Value,
    right: Value,
    totals: Value,
    rows: Value,
    inner: Value,
    columns: Value,
) -> None:
    """``totals += left @ right``: (rows, inner) @ (inner, columns), ``right`` in panels of two vectors."""
    wide = 2 * emit.lanes

    def panel(column: Value) -> None:
        own = emit.at(right, emit.mul(column, inner))

        def some(row: Value) -> None:
            lines = [emit.add(row, n) for n in range(at_once)]
            factors = [partial(emit.at, emit.at(left, emit.mul(each, inner))) for each in lines]
            targets = [emit.at(totals, emit.mul(each, columns), column) for each in lines]
            sums = multiply_tile(emit, inner, factors, own, load_tile(emit, targets))
            store_tile(emit, sums, targets)

        emit.each(0, rows, at_once, some)

    emit.each(0, columns, wide, panel)
