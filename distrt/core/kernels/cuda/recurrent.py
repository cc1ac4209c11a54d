"""Recurrent layers on GPUs: at each step one product with the state and one launch for all else, in both directions.

The products of all inputs, and those of all weights' gradients, are one each (``core/ops/nn/recurrent.py``). Half
precision is multiplied as it is; gates, cells and gradients of states are float32 beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cublas.product import multiply
from distrt.core.kernels.cuda.launching import C_TYPES, kernel

__all__ = ["gru", "gru_back", "lstm", "lstm_back", "plain", "plain_back", "suits"]

_THREADS = 128
_MOST_ROWS = 65535  # of a grid in its second dim

#: The rows of each step and their count, in the order of the walk.
Steps = Sequence[tuple[slice, int]]


def suits(hidden: Array) -> bool:
    """Whether these kernels do a layer: floating, on a GPU, at least one unit and one sequence."""
    return is_on_gpu(hidden) and hidden.dtype in C_TYPES and hidden.size > 0


def lstm(
    gates: Array, weight: Array, projection: Array | None, state: Array, cell: Array, steps: Steps
) -> tuple[Array, ...]:
    """Makes the gates of the projected input, in place, and moves state and cell to the last ones.

    Args:
        gates: the projected input with all biases, float32 (float64 beside such weights). Shape: (rows, 4 * H).
        weight: the state's. Shape: (4 * H, P).
        projection: from output gate to state, (P, H); None where P is H.
        state: in the weight's dtype. Shape: (batch, P).
        cell: as the gates. Shape: (batch, H).
        steps: see `Steps`.

    Returns:
        Per row: the output and the state before the step, in the weight's dtype; the cell before it, and the tanh of
        the cell after it, as the gates.
    """
    size, across = cell.shape[1], weight.T
    output, earlier = (np.empty((len(gates), state.shape[1]), weight.dtype, like=gates) for _ in range(2))
    earlier_cells, squashed = (np.empty((len(gates), size), gates.dtype, like=gates) for _ in range(2))
    hidden = None if projection is None else np.empty((len(state), size), weight.dtype, like=gates)
    run = _launcher("lstm", weight.dtype, size)
    for rows, count in steps:
        multiply(state[:count], across, gates[rows], onto=True)
        kept = earlier_cells[rows], squashed[rows]
        if projection is None or hidden is None:
            run(count, gates[rows], cell, state, output[rows], earlier[rows], *kept)
            continue
        earlier[rows] = state[:count]
        run(count, gates[rows], cell, None, hidden, None, *kept)
        multiply(hidden[:count], projection.T, output[rows])
        state[:count] = output[rows]
    return output, earlier, earlier_cells, squashed


def lstm_back(
    gates: Array,
    weight: Array,
    projection: Array | None,
    g_state: Array,
    g_cell: Array,
    g_output: Array | None,
    earlier_cells: Array,
    squashed: Array,
    steps: Steps,
) -> tuple[Array, Array | None]:
    """The gradients of the projected input, and of what is projected to a state; moves those of state and cell back.

    Both are in the weight's dtype; ``g_state`` and ``g_cell`` are as the gates. ``steps`` go backwards.
    """
    size, width = g_cell.shape[1], g_state.shape[1]
    slopes = np.empty(gates.shape, weight.dtype, like=gates)
    g_projected = None if projection is None else np.empty((len(gates), width), weight.dtype, like=gates)
    g_hidden = None if projection is None else np.empty((len(g_state), size), gates.dtype, like=gates)
    g_output = None if g_output is None else row_major(g_output)
    run, join = _launcher("lstm_back", weight.dtype, size), _launcher("joined", weight.dtype, width)
    for rows, count in steps:
        given, g_out = g_state, None if g_output is None else g_output[rows]
        if projection is not None and g_projected is not None and g_hidden is not None:
            join(count, g_state, g_out, g_projected[rows])
            multiply(g_projected[rows], projection, g_hidden[:count])
            given, g_out = g_hidden, None
        run(count, gates[rows], earlier_cells[rows], squashed[rows], given, g_out, g_cell, slopes[rows])
        multiply(slopes[rows], weight, g_state[:count])
    return slopes, g_projected


def gru(gates: Array, weight: Array, bias: Array | None, state: Array, steps: Steps) -> tuple[Array, Array]:
    """Makes the gates of the projected input, in place, and moves the state to the last one.

    Args:
        gates: the projected input with its bias, float32 (float64 beside such weights). Shape: (rows, 3 * H).
        weight: the state's. Shape: (3 * H, H).
        bias: of the state's projection.
        state: as the gates. Shape: (batch, H).
        steps: see `Steps`.

    Returns:
        Per row: the output, in the weight's dtype, and the part of the new gate that the reset multiplies.
    """
    size, across = state.shape[1], weight.T
    output = np.empty((len(gates), size), weight.dtype, like=gates)
    recurrent_new = np.empty((len(gates), size), gates.dtype, like=gates)
    recurrent = np.empty((len(state), gates.shape[1]), gates.dtype, like=gates)
    narrow = state.astype(weight.dtype, copy=False)
    bias = None if bias is None else row_major(bias)
    run = _launcher("gru", weight.dtype, size)
    for rows, count in steps:
        multiply(narrow[:count], across, recurrent[:count])
        run(count, gates[rows], recurrent, bias, recurrent_new[rows], state, narrow, output[rows])
    return output, recurrent_new


def gru_back(
    gates: Array,
    recurrent_new: Array,
    output: Array,
    first: Array,
    weight: Array,
    g_state: Array,
    g_output: Array | None,
    steps: Steps,
) -> tuple[Array, Array, Array]:
    """The gradients of both projections, and the state before each row's step, all in the weight's dtype.

    Moves ``g_state``, which is as the gates, to the first state. ``steps`` go backwards.
    """
    size = output.shape[1]
    g_projected, g_recurrent = (np.empty(gates.shape, weight.dtype, like=gates) for _ in range(2))
    earlier = np.empty(output.shape, weight.dtype, like=gates)
    output, first = row_major(output), row_major(first)
    g_output = None if g_output is None else row_major(g_output)
    run = _launcher("gru_back", weight.dtype, size)
    for (rows, count), before in zip(steps, _before(steps), strict=True):
        past = (output[before], _count(before), first, earlier[rows])
        g_out = None if g_output is None else g_output[rows]
        run(
            *(count, gates[rows], recurrent_new[rows], *past, g_state, g_out),
            *(g_projected[rows], g_recurrent[rows]),
        )
        multiply(g_recurrent[rows], weight, g_state[:count], onto=True)
    return g_projected, g_recurrent, earlier


def plain(sums: Array, weight: Array, state: Array, steps: Steps, is_tanh: bool) -> Array:
    """The output, of the projected input with all biases, over which it writes; moves the state to the last one.

    Shape: (rows, H), (H, H), (batch, H) -> (rows, H); output and state are in the weight's dtype.
    """
    across = weight.T
    output = np.empty(sums.shape, weight.dtype, like=sums)
    run = _launcher("plain", weight.dtype, sums.shape[1], np.int32(is_tanh))
    for rows, count in steps:
        multiply(state[:count], across, sums[rows], onto=True)
        run(count, sums[rows], state, output[rows])
    return output


def plain_back(
    output: Array,
    first: Array,
    weight: Array,
    g_state: Array,
    g_output: Array | None,
    steps: Steps,
    is_tanh: bool,
) -> tuple[Array, Array]:
    """The gradient of the projections, and the state before each row's step, both in the weight's dtype.

    Moves ``g_state``, which is float32 (float64 beside such weights), to the first state. ``steps`` go backwards.
    """
    slopes, earlier = (np.empty(output.shape, weight.dtype, like=output) for _ in range(2))
    output, first = row_major(output), row_major(first)
    g_output = None if g_output is None else row_major(g_output)
    run = _launcher("plain_back", weight.dtype, output.shape[1], np.int32(is_tanh))
    for (rows, count), before in zip(steps, _before(steps), strict=True):
        g_out = None if g_output is None else g_output[rows]
        past = (output[before], _count(before), first, earlier[rows])
        run(count, output[rows], *past, g_state, g_out, slopes[rows])
        multiply(slopes[rows], weight, g_state[:count])
    return slopes, earlier


def _before(steps: Steps) -> list[slice]:
    """For each step of a walk backwards the rows of the step before it in time: those of the next in the walk."""
    return [rows for rows, _ in steps[1:]] + [slice(0, 0)]


def _count(rows: slice) -> Any:
    return np.int64(rows.stop - rows.start)


def _launcher(name: str, dtype: Any, size: int, *last: Any) -> Callable[..., None]:
    """A kernel on rows of so many units, called with how many rows there are and its arrays."""
    code = kernel("recurrent", name, T=C_TYPES[np.dtype(dtype)])
    wide, across = np.int64(size), -(-size // _THREADS)

    def run(count: int, *arrays: Any) -> None:
        code((across, min(count, _MOST_ROWS)), (_THREADS,), (*arrays, np.int64(count), wide, *last))

    return run
