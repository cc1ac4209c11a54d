"""The code of ``lstm.py``, in LLVM's language: all steps of a layer in one call, forward and backward.

A row is one sequence at one step. The state of all sequences, and what is made of it at a step, lie close together in
memory of their own, so that products find them in the caches; everything else may lie in steps or in sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.exponentials import sigmoid, tanh
from distrt.core.kernels.tile_code import multiply_panels

__all__ = ["backward_code", "forward_code"]

Value = Any  # of llvmlite.ir

_GATES = range(4)


class _Walk:
    """What both directions share: the integers that follow the pointers, and how rows are found.

    The integers: ``steps``; ``first`` and ``stride``, the step that is taken first and what comes after each; ``batch``
    and ``size``, of the state; ``step_rows`` and ``line_rows``, how many rows lie between two steps of a sequence, and
    between two sequences at a step.
    """

    INTEGERS = 7

    def __init__(self, emit: Emitter) -> None:
        self.emit = emit
        self.steps, self.first, self.stride, self.batch, self.size, self.step_rows, self.line_rows = (
            emit.arguments[-self.INTEGERS :]
        )
        self.width = emit.mul(self.size, 4)

    def start(self, number: Value) -> Value:
        """The first sequence's row in a step that is taken so late."""
        emit = self.emit
        return emit.mul(emit.add(self.first, emit.mul(number, self.stride)), self.step_rows)

    def row(self, start: Value, line: Value) -> Value:
        """A sequence's row."""
        return self.emit.add(start, self.emit.mul(line, self.line_rows))

    def gates(self, array: Value, row: Value) -> list[Value]:
        """Where each gate's part of a row begins."""
        own = self.emit.mul(row, self.width)
        return [self.emit.at(array, own, self.emit.mul(self.size, gate)) for gate in _GATES]

    def part(self, array: Value, row: Value, width: Value | None = None) -> Value:
        """Where a row begins that is as wide as the state, or so wide."""
        return self.emit.at(array, self.emit.mul(row, self.size if width is None else width))


def forward_code(lanes: int, rows: int, is_half: bool, is_paired: bool) -> str:
    """A walk from the first state to the last. A product makes so many ``rows`` at once.

    ``run(projected, places, panels, state, cell, fresh, gates, output, earlier, earlier_cells, squashed, …)``: a row's
    projected input is at ``places``, a 64-bit integer; ``panels`` is the transposed recurrent weight; ``state`` and
    ``cell`` are left as they end; ``fresh`` is room for the gates of a step. The rest is written: the gates, the
    output, state and cell before the step, the tanh of the cell after it. ``projected`` may be ``gates`` where each
    row's place is its own. In half precision are the panels, the output and the state before the step; where the
    product ``is_paired``, ``state``, too.
    """
    halves = [
        number for number, is_one in ((2, is_half), (3, is_paired), (7, is_half), (8, is_half)) if is_one
    ]
    emit = Emitter(11, _Walk.INTEGERS, lanes, halves=halves)
    projected, places, panels, state, cell, fresh, gates, output, earlier, earlier_cells, squashed = (
        emit.arguments[:11]
    )
    walk = _Walk(emit)

    def step(number: Value) -> None:
        start = walk.start(number)
        gates_of = partial(walk.part, fresh, width=walk.width)
        multiply_panels(emit, (rows,), state, panels, gates_of, walk.batch, walk.size, walk.width)

        def line(at_line: Value) -> None:
            row = walk.row(start, at_line)
            given = walk.gates(projected, emit.integer(places, row))
            added, made = walk.gates(fresh, at_line), walk.gates(gates, row)
            own_state, own_cell = walk.part(state, at_line), walk.part(cell, at_line)
            kept = [walk.part(each, row) for each in (output, earlier, earlier_cells, squashed)]

            def unit(at: Value) -> None:
                sums = [
                    emit.sums(*("+", emit.load(emit.at(one, at)), "+", emit.load(emit.at(two, at))))
                    for one, two in zip(given, added, strict=True)
                ]
                let_in, forget, let_out = (sigmoid(emit, sums[gate]) for gate in (0, 1, 3))
                candidate = tanh(emit, sums[2])
                state_place, cell_place = emit.at(own_state, at), emit.at(own_cell, at)
                before = emit.load(cell_place)
                after = emit.fma(forget, before, emit.builder.fmul(let_in, candidate))
                bounded = tanh(emit, after)
                for value, target in zip((let_in, forget, candidate, let_out), made, strict=True):
                    emit.store(value, emit.at(target, at))
                result = emit.builder.fmul(let_out, bounded)
                for value, target in zip(
                    (result, emit.load(state_place), before, bounded), kept, strict=True
                ):
                    emit.store(value, emit.at(target, at))
                emit.store(after, cell_place)
                emit.store(result, state_place)

            emit.each(0, walk.size, lanes, unit)

        emit.each(0, walk.batch, 1, line)

    emit.each(0, walk.steps, 1, step)
    return emit.text()


def backward_code(lanes: int, rows: int, is_half: bool, is_paired: bool, sums_up: bool) -> str:
    """The gradients' walk, from the last state to the first.

    ``run(gates, panels, input_panels, g_state, g_cell, g_output, earlier_cells, squashed, slopes, fresh, sums, places,
    summed, g_input, inputs, …)``:
    ``g_state`` and ``g_cell`` hold the gradients of the last state, and then those of the first; ``slopes`` becomes
    the gradient of the projected input, whose rows are added to ``sums`` and, where the code ``sums_up``, to the row
    of ``summed`` that is at ``places``; ``panels`` is the recurrent weight; ``fresh`` is room for the slopes of a step.
    ``g_input`` becomes the product of the slopes and ``input_panels``, as wide as ``inputs`` says: 0 for none.
    The panels may be in half precision; where the product ``is_paired``, so are ``slopes`` and ``fresh``.
    """
    kinds = ((1, is_half), (2, is_half), (8, is_paired), (9, is_paired))
    emit = Emitter(14, 1 + _Walk.INTEGERS, lanes, halves=[number for number, is_one in kinds if is_one])
    gates, panels, input_panels, *g_states, g_output, earlier_cells, squashed, slopes, fresh = emit.arguments[
        :10
    ]
    sums, places, summed, g_input, inputs = emit.arguments[10:15]
    g_state, g_cell = g_states
    walk = _Walk(emit)

    def step(number: Value) -> None:
        start = walk.start(number)

        def line(at_line: Value) -> None:
            row = walk.row(start, at_line)
            known, made, found_at = (
                walk.gates(*each) for each in ((gates, row), (slopes, row), (fresh, at_line))
            )
            totals = [walk.gates(sums, emit.add(0))]
            if sums_up:
                totals.append(walk.gates(summed, emit.integer(places, row)))
            kept = [walk.part(each, row) for each in (g_output, earlier_cells, squashed)]
            own_state, own_cell = walk.part(g_state, at_line), walk.part(g_cell, at_line)

            def unit(at: Value) -> None:
                own_gates = [emit.load(emit.at(each, at)) for each in known]
                g_out, before, bounded = (emit.load(emit.at(each, at)) for each in kept)
                g = emit.sums("+", emit.load(emit.at(own_state, at)), "+", g_out)
                cell_place = emit.at(own_cell, at)
                found, g_before = _slopes(emit, own_gates, g, emit.load(cell_place), before, bounded)
                for gate, value in enumerate(found):
                    for target in (made[gate], found_at[gate]):
                        emit.store(value, emit.at(target, at))
                    for target in totals:
                        place = emit.at(target[gate], at)
                        emit.store(emit.sums("+", emit.load(place), "+", value), place)
                emit.store(g_before, cell_place)

            emit.each(0, walk.size, lanes, unit)

        emit.each(0, walk.batch, 1, line)
        states_of = partial(walk.part, g_state)
        multiply_panels(emit, (rows,), fresh, panels, states_of, walk.batch, walk.width, walk.size)

        def inputs_of(at_line: Value) -> Value:
            return walk.part(g_input, walk.row(start, at_line), inputs)

        multiply_panels(emit, (rows,), fresh, input_panels, inputs_of, walk.batch, walk.width, inputs)

    emit.each(0, walk.steps, 1, step)
    return emit.text()


def _slopes(
    emit: Emitter, gates: Sequence[Value], g: Value, g_cell: Value, before: Value, bounded: Value
) -> tuple[tuple[Value, ...], Value]:
    """The gradients of what the gates are made of, and of the cell before the step.

    Args:
        emit: where it is written.
        gates: as they were.
        g: the output's gradient.
        g_cell: that of the cell after the step, but for what comes by the output.
        before: the cell before the step.
        bounded: the tanh of the cell after it.
    """
    let_in, forget, candidate, let_out = gates
    one, multiply = emit.constant(1.0), emit.builder.fmul

    def rest(value: Value) -> Value:
        """``1 - value``."""
        return emit.sums("+", one, "-", value)

    through = multiply(let_out, rest(multiply(bounded, bounded)))
    pull = emit.fma(g, through, g_cell)
    found = (
        multiply(multiply(pull, candidate), multiply(let_in, rest(let_in))),
        multiply(multiply(pull, before), multiply(forget, rest(forget))),
        multiply(multiply(pull, let_in), rest(multiply(candidate, candidate))),
        multiply(multiply(g, bounded), multiply(let_out, rest(let_out))),
    )
    return found, multiply(pull, forget)
