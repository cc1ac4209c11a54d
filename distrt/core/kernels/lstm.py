"""An LSTM's walk through time, compiled: products with the state, gates and cells of all steps in one call.

A matrix library puts the recurrent weight in order anew at each step, which for a batch of 32 takes as long as the
product; here it is done once for all steps. In bfloat16 these products are the processor's own, where it has them.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import loops
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.kernels.onednn.product import multiplies_bfloat16

__all__ = ["Order", "suits", "walk", "walk_back"]

# Multiplications with the state, over all steps. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 22

# Rows of a product that are made at once: with two vectors each, as many as the registers hold, or the fewest.
_ROWS = {8: 4, 16: 8}
_FEWEST = 4

_HALF = dt.bfloat16.numpy


class Order(NamedTuple):
    """How the rows of a layer lie, and in which direction it goes through them.

    Attributes:
        steps: of each sequence.
        batch: how many sequences there are.
        batch_first: whether the rows of a sequence lie together, or those of a step.
        reverse: whether the last step is the first.
    """

    steps: int
    batch: int
    batch_first: bool
    reverse: bool


def suits(hidden: Array, sizes: tuple[int, ...]) -> bool:
    """Whether these kernels do a layer: float32, all sequences equally long, a batch and a width in whole pieces."""
    batch, size = hidden.shape
    if hidden.__class__ is not np.ndarray or hidden.dtype != np.float32:
        return False
    if batch % _FEWEST or len(sizes) * batch * 4 * size * size < _LEAST:
        return False
    lanes = vector_floats()
    return bool(lanes) and size % (2 * lanes) == 0 and all(each == batch for each in sizes)


def walk(
    projected: Array, places: Array | None, weight: Array, hidden: Array, cell: Array, order: Order
) -> tuple[Array, ...]:
    """Moves ``hidden`` and ``cell``, which are float32, from the first state to the last.

    Args:
        projected: the projected input, float32, a row for each row of the walk, or for each place.
        places: the row's place in it, where that is not its own; else the gates are written over the projected input.
        weight: float32 or bfloat16, which is read as it is.
        hidden: the first state.
        cell: the first cell.
        order: of the rows.

    Returns:
        The gates, the output, the state before each step, the cell before it and the tanh of the cell after it; each
        (rows, size), in float32, but for output and states, which are in the weight's dtype.
    """
    batch, size = cell.shape
    rows, is_half, is_paired = order.steps * batch, weight.dtype == _HALF, _is_paired(weight)
    gates = projected if places is None else np.empty((rows, 4 * size), np.float32)
    output, earlier = (np.empty((rows, size), weight.dtype) for _ in range(2))
    earlier_cells, squashed = (np.empty((rows, size), np.float32) for _ in range(2))
    fresh = np.empty((batch, 4 * size), np.float32)
    where = np.arange(rows) if places is None else places
    state = hidden.astype(weight.dtype) if is_paired else hidden
    made = (gates, output, earlier, earlier_cells, squashed)
    arrays = (projected, where, _panels(weight.T, is_paired), state, cell, fresh, *made)
    _forward(_rows_of(batch), is_half, is_paired)(*map(address, arrays), *_integers(order, size))
    if is_paired:
        hidden[...] = state
    return made


def walk_back(
    gates: Array,
    places: tuple[Array, int] | None,
    weight: Array,
    g_hidden: Array,
    g_cell: Array,
    g_output: Array,
    earlier_cells: Array,
    squashed: Array,
    order: Order,
    weight_ih: Array | None = None,
) -> tuple[Array, Array, Array | None, Array | None]:
    """The gradient of the projected input; moves ``g_hidden`` and ``g_cell`` from the last state to the first.

    Args:
        gates: and ``earlier_cells`` and ``squashed``: what ``walk`` has returned.
        places: for each row a number, and how many there are of these; None for no sums.
        weight: float32 or bfloat16.
        g_hidden: the gradient of the last state, float32.
        g_cell: the gradient of the last cell, float32.
        g_output: the gradient of the output, float32.
        order: of the rows in the walk forward.
        weight_ih: the input's weight, where its gradient is wanted; in the other weight's dtype.

    Returns:
        (rows, 4 * size), in bfloat16 where products of the weight's dtype are; the sum of the rows: (4 * size,); the
        sum of the rows of each number: (numbers, 4 * size); the gradient of the input: (rows, in), in float32. The
        latter two are None where they are not made.
    """
    batch, size = g_cell.shape
    is_half, is_paired = weight.dtype == _HALF, _is_paired(weight)
    slopes, fresh = (
        np.empty(shape, _HALF if is_paired else np.float32) for shape in (gates.shape, (batch, 4 * size))
    )
    sums = np.zeros(4 * size, np.float32)
    where, summed = sums, None  # which are not looked at
    if places is not None:
        where, summed = places[0], np.zeros((places[1], 4 * size), np.float32)
    panels, g_output = _panels(weight, is_paired), np.ascontiguousarray(g_output)
    input_panels, g_input = panels, None  # which are not looked at
    if weight_ih is not None and _makes_inputs(weight_ih):
        input_panels = _panels(weight_ih, False)
        g_input = np.empty((len(gates), weight_ih.shape[1]), np.float32)
    arrays = (gates, panels, input_panels, g_hidden, g_cell, g_output, earlier_cells, squashed)
    made = (
        *(slopes, fresh, sums, where),
        *(sums if each is None else each for each in (summed, g_input)),
    )
    code = _backward(_rows_of(batch), is_half, is_paired, summed is not None)
    width = 0 if g_input is None else g_input.shape[1]
    walked = _integers(order._replace(reverse=not order.reverse), size)
    code(*map(address, (*arrays, *made)), width, *walked)
    return slopes, sums, summed, g_input


def _makes_inputs(weight_ih: Array) -> bool:
    """Whether the input's gradient is made step by step, while the slopes are in the caches.

    Measured where vectors have 16 numbers: in float32. In bfloat16 a matrix library is faster.
    """
    lanes = vector_floats()
    return lanes == 16 and weight_ih.dtype == np.float32 and weight_ih.shape[1] % (2 * lanes) == 0


def _rows_of(batch: int) -> int:
    most = _ROWS[vector_floats()]
    return most if batch % most == 0 else _FEWEST


def _is_paired(weight: Array) -> bool:
    """Whether products with it are the processor's own of bfloat16, which take two terms at a time."""
    return weight.dtype == _HALF and multiplies_bfloat16() and loops.multiplies_bfloat16()


def _panels(matrix: Array, is_paired: bool) -> Array:
    """(inner, columns) as panels of two vectors of columns: (columns / width, inner, width).

    Or of pairs of two rows' numbers: (columns / width, inner / 2, width).
    """
    if is_paired:
        matrix = _pairs(matrix.view(np.uint16))
    elif matrix.dtype == _HALF:  # as integers, which NumPy copies faster
        matrix = matrix.view(np.uint16)
    inner, columns = matrix.shape
    width = 2 * vector_floats()
    return np.ascontiguousarray(matrix.reshape(inner, columns // width, width).transpose(1, 0, 2))


def _pairs(matrix: Array) -> Array:
    """Two rows in one of 32-bit integers, the first one's numbers in the lower halves."""
    if matrix.T.flags.c_contiguous and sys.byteorder == "little":
        return matrix.T.view(np.uint32).T
    made = matrix[1::2].astype(np.uint32)
    made <<= 16
    made |= matrix[0::2]
    return made


def _integers(order: Order, size: int) -> tuple[int, ...]:
    """What the code takes behind the addresses."""
    steps, batch = order.steps, order.batch
    walked = (steps - 1, -1) if order.reverse else (0, 1)
    return steps, *walked, batch, size, *((1, steps) if order.batch_first else (batch, 1))


@functools.cache
def _forward(rows: int, is_half: bool, is_paired: bool) -> Any:
    from distrt.core.kernels.lstm_code import forward_code

    return function_of(forward_code(vector_floats(), rows, is_half, is_paired), 11, 7)


@functools.cache
def _backward(rows: int, is_half: bool, is_paired: bool, sums_up: bool) -> Any:
    from distrt.core.kernels.lstm_code import backward_code

    return function_of(backward_code(vector_floats(), rows, is_half, is_paired, sums_up), 14, 8)
