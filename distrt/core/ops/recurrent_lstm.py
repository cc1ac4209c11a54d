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
from distrt.core.op import op
from distrt.core.ops.half import readable, wide
from distrt.core.ops.recurrent import (
    Sizes,
    carried_from,
    plain_walk,
    project,
    rounded_once,
    states_before,
    steps,
    weight_gradients,
)

__all__ = ["lstm_layer"]


@op(dtype="same", autocast="lower", aux=("gates", "earlier_cells", "squashed"))
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
) -> Any:
    """``c = f c + i g; h = o tanh(c)``, projected by ``weight_hr`` where there is one.

    Shape: (rows, in), (batch, P), (batch, H) -> (rows, P), (batch, P), (batch, H); P is H without a projection.
    Kept for backward, per row: the four gates, the cell before the step, the tanh of the cell after it.
    Source: Hochreiter and Schmidhuber 1997; Sak et al. 2014 (the projection).
    """
    size = cell.shape[1]
    state, memory = wide(hidden).copy(), wide(cell).copy()
    gates = project(input, weight_ih, bias_ih, bias_hh)
    if weight_hr is None and kernel.suits(gates, state, sizes):
        output, *kept = kernel.walk(gates, readable(weight_hh), state, memory, reverse)
        last = output[: len(state)] if reverse else output[len(output) - len(state) :]
        results = [each.astype(input.dtype, copy=False) for each in (output, last.copy(), memory)]
        return *results, gates, *kept
    scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], gates.dtype), size)
    shift = 1 - scale
    shift[2 * size : 3 * size] = 0
    gates *= scale
    matrix = (wide(weight_hh) * scale[:, None]).T
    projection = None if weight_hr is None else wide(weight_hr).T
    output = np.empty((len(gates), state.shape[1]), gates.dtype)
    earlier_cells = np.empty((len(gates), size), gates.dtype)
    squashed = np.empty_like(earlier_cells)
    for rows, count in steps(sizes, reverse):
        now = gates[rows]
        now += state[:count] @ matrix
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
            np.matmul(let_out * bounded, projection, out=output[rows])
        state[:count] = output[rows]
    kind = input.dtype
    results = [each.astype(kind, copy=False) for each in (output, state, memory)]
    return *results, gates, earlier_cells, squashed


lstm_layer.outputs("output", "last", "last_cell")


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
    output: Any,
    gates: Any,
    earlier_cells: Any,
    squashed: Any,
    sizes: Sizes,
    reverse: bool,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    carried, carried_cell = carried_from(g_last, hidden), carried_from(g_last_cell, cell)
    if weight_hr is None and kernel.suits(gates, carried, sizes):
        g_rows = np.zeros(output.shape, np.float32) if g_output is None else wide(g_output)
        kept = earlier_cells, squashed
        slopes, sums = kernel.walk_back(
            gates, readable(weight_hh), carried, carried_cell, g_rows, *kept, reverse
        )
        earlier = states_before(wide(output), hidden, sizes, reverse) if needs[4] else None
        found = weight_gradients(slopes, slopes, input, earlier, weight_ih, needs[:7], sums)
        return found[0], carried, carried_cell, *found[1:], None
    size = cell.shape[1]
    slopes, through_output = _slopes(gates, earlier_cells, squashed)
    forget, let_out = gates[:, size : 2 * size], gates[:, 3 * size :]
    matrix = wide(weight_hh)
    g_out = None if g_output is None else wide(g_output)
    g_projected = None if weight_hr is None else np.empty(output.shape, matrix.dtype)
    for rows, count in steps(sizes, not reverse):
        g_state, g_cell = carried[:count], carried_cell[:count]
        if g_out is not None:
            g_state += g_out[rows]
        g_hidden = g_state
        if g_projected is not None:
            g_projected[rows] = g_state
            g_hidden = g_state @ wide(weight_hr)
        g_cell += g_hidden * through_output[rows]
        slope = slopes[rows].reshape(count, 4, size)
        slope[:, :3] *= g_cell[:, None]
        slope[:, 3] *= g_hidden
        g_cell *= forget[rows]
        np.matmul(slopes[rows], matrix, out=g_state)
    earlier = states_before(wide(output), hidden, sizes, reverse) if needs[4] else None
    g_input, *g_weights = weight_gradients(slopes, slopes, input, earlier, weight_ih, needs[:7])
    g_projection = g_projected.T @ (let_out * squashed) if needs[7] and g_projected is not None else None
    return g_input, carried, carried_cell, *g_weights, g_projection


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
) -> tuple[Any, ...]:
    def step(projected: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        gates = ops.add(projected, ops.linear(state[0], weight_hh, bias_hh))
        let_in, forget, candidate, let_out = ops.chunk(gates, 4, 1)
        kept = ops.mul(ops.sigmoid(forget), state[1])
        cell = ops.add(kept, ops.mul(ops.sigmoid(let_in), ops.tanh(candidate)))
        hidden = ops.mul(ops.sigmoid(let_out), ops.tanh(cell))
        return hidden if weight_hr is None else ops.linear(hidden, weight_hr), cell

    return plain_walk(step, ops.linear(input, weight_ih, bias_ih), (hidden, cell), sizes, reverse)


lstm_layer.composite = _plain_lstm
