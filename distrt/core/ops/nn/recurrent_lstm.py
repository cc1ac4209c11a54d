"""One layer of an ``LSTM``, in one direction, over all its steps; ``recurrent.py`` explains how rows and states lie.

Gates stand in PyTorch's order: input, forget, cell, output. Sigmoids are computed as ``tanh(x / 2) / 2 + 1 / 2``, so
that one tanh serves all four gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.kernels import lstm as kernel
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.indexing.repeats import Repeats, repeats_of
from distrt.core.ops.linalg.matrix import multiplied
from distrt.core.ops.nn.recurrent import (
    Sizes,
    by_sequence,
    by_step,
    carried_from,
    plain_walk,
    project,
    rounded_once,
    steps,
    walked_by_cudnn,
    weight_gradients,
    went_back_by_cudnn,
)
from distrt.core.ops.pointwise.half import readable, rounded, wide

__all__ = ["lstm_layer"]


@op(
    dtype="same", autocast="lower", aux=("gates", "earlier", "earlier_cells", "squashed", "repeats", "walked")
)
def lstm_layer(
    input: Array,
    hidden: Array,
    cell: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    weight_hr: Array | None,
    sizes: Sizes,
    reverse: bool,
    batch_first: bool,
) -> Any:
    """``c = f c + i g; h = o tanh(c)``, projected by ``weight_hr`` where there is one.

    Shape: (rows, in), (batch, P), (batch, H) -> (rows, P), (batch, P), (batch, H); P is H without a projection.
    Kept for backward, per row: the four gates, the state and the cell before the step, the tanh of the cell after it.
    Source: Hochreiter and Schmidhuber 1997; Sak et al. 2014 (the projection).
    """
    if used.gpu and weight_hr is None:
        given = by_step(input, sizes) if batch_first else input
        weights = weight_ih, weight_hh, bias_ih, bias_hh
        found = walked_by_cudnn("lstm", given, (hidden, cell), weights, sizes, reverse)
        if found is not None:
            output, *last, walked = found
            return by_sequence(output, sizes) if batch_first else output, *last, *[None] * 5, walked
    state, memory = wide(hidden).copy(), wide(cell).copy()
    repeats = None
    kept: list[Array]
    if weight_hr is None and kernel.suits(state, sizes):
        repeats = repeats_of(input, len(weight_ih))
        rows, places = (input, None) if repeats is None else repeats
        projected = project(rows, weight_ih, bias_ih, bias_hh)
        order = kernel.Order(len(sizes), len(state), batch_first, reverse)
        gates, output, *kept = kernel.walk(projected, places, readable(weight_hh), state, memory, order)
    else:
        given = by_step(input, sizes) if batch_first else input
        gates = project(given, weight_ih, bias_ih, bias_hh)
        if used.gpu and on_gpu.recurrent.suits(hidden):
            state, walked = hidden.copy(), steps(sizes, reverse)
            output, *kept = on_gpu.recurrent.lstm(gates, weight_hh, weight_hr, state, memory, walked)
        else:
            projection = None if weight_hr is None else wide(weight_hr).T
            output, *kept = _walk(gates, wide(weight_hh), projection, state, memory, sizes, reverse)
        if batch_first:
            output = by_sequence(output, sizes)
    kind = input.dtype
    return *(each.astype(kind, copy=False) for each in (output, state, memory)), gates, *kept, repeats, None


lstm_layer.outputs("output", "last", "last_cell")


def _walk(
    gates: Array,
    weight: Array,
    projection: Array | None,
    state: Array,
    memory: Array,
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, ...]:
    """Makes the gates of the projected input, in place, and moves state and cell to the last ones.

    Returns, per row, the output, the state and the cell before the step, and the tanh of the cell after it.
    """
    size = memory.shape[1]
    scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], gates.dtype, like=gates), size)
    shift = 1 - scale
    shift[2 * size : 3 * size] = 0
    gates *= scale
    matrix = (weight * scale[:, None]).T
    output, earlier = (np.empty((len(gates), state.shape[1]), gates.dtype, like=gates) for _ in range(2))
    earlier_cells, squashed = (np.empty((len(gates), size), gates.dtype, like=gates) for _ in range(2))
    for rows, count in steps(sizes, reverse):
        now = gates[rows]
        earlier[rows] = state[:count]
        now += multiplied(state[:count], matrix)
        np.tanh(now, out=now)
        now *= scale
        now += shift
        let_in, forget, candidate, let_out = now.reshape(count, 4, size).swapaxes(0, 1)
        current = memory[:count]
        earlier_cells[rows] = current
        current *= forget
        current += let_in * candidate
        bounded = np.tanh(current, out=squashed[rows])
        if projection is None:
            np.multiply(let_out, bounded, out=output[rows])
        else:
            multiplied(let_out * bounded, projection, out=output[rows])
        state[:count] = output[rows]
    return output, earlier, earlier_cells, squashed


@lstm_layer.gradients  # the biases are named, and thereby kept, for ``_plain_lstm``
def _lstm_gradients(
    g_output: Any,
    g_last: Any,
    g_last_cell: Any,
    input: Any,
    hidden: Any,
    cell: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    weight_hr: Any,
    gates: Any,
    earlier: Any,
    earlier_cells: Any,
    squashed: Any,
    repeats: Repeats | None,
    walked: Any,
    sizes: Sizes,
    reverse: bool,
    batch_first: bool,
    needs: tuple[bool, ...],
    into: Any,
) -> tuple[Any, ...]:
    if walked is not None:
        g_rows = by_step(g_output, sizes) if batch_first and g_output is not None else g_output
        found = went_back_by_cudnn(walked, (hidden, cell), g_rows, (g_last, g_last_cell), needs)
        return by_sequence(found[0], sizes) if batch_first else found[0], *found[1:], None
    carried, carried_cell = carried_from(g_last, hidden), carried_from(g_last_cell, cell)
    before = earlier if needs[4] else None
    slots = (None, None) if into is None else into[3:5]
    if weight_hr is None and kernel.suits(carried, sizes):
        slopes, sums, summed, g_input = kernel.walk_back(
            gates,
            (repeats.places, len(repeats.rows)) if repeats is not None and needs[3] else None,
            readable(weight_hh),
            carried,
            carried_cell,
            np.zeros(earlier.shape, np.float32, like=earlier) if g_output is None else wide(g_output),
            earlier_cells,
            squashed,
            kernel.Order(len(sizes), len(carried), batch_first, reverse),
            readable(weight_ih) if needs[0] else None,
        )
        repeated = None if repeats is None or summed is None else (repeats.rows, summed)
        left = (needs[0] and g_input is None, *needs[1:7])
        found, *g_weights = weight_gradients(
            slopes, slopes, input, before, weight_ih, left, sums, repeated, slots
        )
        return found if g_input is None else g_input, carried, carried_cell, *g_weights, None
    g_out = g_output
    if batch_first:
        input = by_step(input, sizes)
        g_out = None if g_out is None else by_step(g_out, sizes)
    known = (carried, carried_cell, g_out, earlier_cells, squashed)
    slopes, g_projected = _went_back(gates, weight_hh, weight_hr, known, sizes, reverse)
    g_input, *g_weights = weight_gradients(slopes, slopes, input, before, weight_ih, needs[:7], slots=slots)
    if batch_first and g_input is not None:
        g_input = by_sequence(g_input, sizes)
    let_out = gates[:, 3 * cell.shape[1] :]
    g_projection = (
        multiplied(g_projected.T, rounded(let_out * squashed, g_projected.dtype))
        if needs[7] and g_projected is not None
        else None
    )
    return g_input, carried, carried_cell, *g_weights, g_projection


def _went_back(
    gates: Array,
    weight_hh: Array,
    weight_hr: Array | None,
    known: tuple[Any, Any, Any, Any, Any],
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, Array | None]:
    """Gradients of the projected input, and of what was projected: step by step, on a GPU or the CPU."""
    if used.gpu and on_gpu.recurrent.suits(known[0]):
        walked = steps(sizes, not reverse)
        return on_gpu.recurrent.lstm_back(gates, weight_hh, weight_hr, *known, walked)
    carried, carried_cell, g_out, earlier_cells, squashed = known
    return _walk_back(
        gates,
        wide(weight_hh),
        None if weight_hr is None else wide(weight_hr),
        carried,
        carried_cell,
        None if g_out is None else wide(g_out),
        earlier_cells,
        squashed,
        sizes,
        reverse,
    )


def _walk_back(
    gates: Array,
    weight: Array,
    projection: Array | None,
    carried: Array,
    carried_cell: Array,
    g_output: Array | None,
    earlier_cells: Array,
    squashed: Array,
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, Array | None]:
    """The gradients of the projected input, and of what is projected to a state; moves those of state and cell back."""
    size = squashed.shape[1]
    slopes, through_output = _slopes(gates, earlier_cells, squashed)
    forget = gates[:, size : 2 * size]
    g_projected = (
        None if projection is None else np.empty((len(gates), carried.shape[1]), weight.dtype, like=weight)
    )
    for rows, count in steps(sizes, not reverse):
        g_state, g_cell = carried[:count], carried_cell[:count]
        if g_output is not None:
            g_state += g_output[rows]
        g_hidden = g_state
        if projection is not None and g_projected is not None:
            g_projected[rows] = g_state
            g_hidden = multiplied(g_state, projection)
        g_cell += g_hidden * through_output[rows]
        slope = slopes[rows].reshape(count, 4, size)
        slope[:, :3] *= g_cell[:, None]
        slope[:, 3] *= g_hidden
        g_cell *= forget[rows]
        multiplied(slopes[rows], weight, out=g_state)
    return slopes, g_projected


def _slopes(gates: Array, earlier_cells: Array, squashed: Array) -> tuple[Array, Array]:
    """What each gate's input does to the cell (to the output, for the output gate), and the cell to the output."""
    size = squashed.shape[1]
    let_in, _, candidate, let_out = gates.reshape(len(gates), 4, size).swapaxes(0, 1)
    slopes = np.empty_like(gates)
    by_gate = slopes.reshape(len(gates), 4, size)
    bounded = gates * (1 - gates)  # the slope of every sigmoid; the candidate's is written anew below
    by_gate[:] = bounded.reshape(by_gate.shape)
    by_gate[:, 0] *= candidate
    by_gate[:, 1] *= earlier_cells
    by_gate[:, 2] = let_in * (1 - np.square(candidate))
    by_gate[:, 3] *= squashed
    return slopes, let_out * (1 - np.square(squashed))


@rounded_once
def _plain_lstm(
    input: Any,
    hidden: Any,
    cell: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    weight_hr: Any,
    sizes: Sizes,
    reverse: bool,
    batch_first: bool,
) -> tuple[Any, ...]:
    def step(projected: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        gates = ops.add(projected, ops.linear(state[0], weight_hh, bias_hh))
        let_in, forget, candidate, let_out = ops.chunk(gates, 4, 1)
        kept = ops.mul(ops.sigmoid(forget), state[1])
        cell = ops.add(kept, ops.mul(ops.sigmoid(let_in), ops.tanh(candidate)))
        hidden = ops.mul(ops.sigmoid(let_out), ops.tanh(cell))
        return hidden if weight_hr is None else ops.linear(hidden, weight_hr), cell

    def turned(rows: Any, first: int, second: int) -> Any:
        parts = ops.reshape(rows, (first, second, rows.shape[1]))
        return ops.reshape(ops.transpose(parts, 0, 1), (first * second, rows.shape[1]))

    rows = turned(input, sizes[0], len(sizes)) if batch_first else input
    output, *last = plain_walk(step, ops.linear(rows, weight_ih, bias_ih), (hidden, cell), sizes, reverse)
    return turned(output, len(sizes), sizes[0]) if batch_first else output, *last


lstm_layer.composite = _plain_lstm
