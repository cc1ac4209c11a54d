"""An LSTM's walk through time, compiled: products with the state, gates and cells of all steps in one call.

A matrix library puts the recurrent weight in order anew at each step, which for a batch of 32 takes as long as the
product; here it is done once for all steps.
"""

from __future__ import annotations

import functools
from ctypes import CFUNCTYPE, c_int64, c_void_p
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, load, vector_floats

__all__ = ["suits", "walk", "walk_back"]

# Multiplications with the state, over all steps. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 22

# Rows of a product that are made at once: with two vectors each, as many as the registers hold, or the fewest.
_ROWS = {8: 4, 16: 8}
_FEWEST = 4

_HALF = dt.bfloat16.numpy


def suits(gates: Array, hidden: Array, sizes: tuple[int, ...]) -> bool:
    """Whether these kernels do a layer: float32, all sequences equally long, a batch and a width in whole pieces."""
    batch, size = hidden.shape
    if gates.dtype != np.float32 or batch % _FEWEST or len(sizes) * batch * 4 * size * size < _LEAST:
        return False
    lanes = vector_floats()
    return bool(lanes) and size % (2 * lanes) == 0 and all(each == batch for each in sizes)


def walk(
    gates: Array, weight: Array, hidden: Array, cell: Array, reverse: bool
) -> tuple[Array, Array, Array]:
    """Turns the projected input into the gates, in place, and moves ``cell`` to the end.

    ``weight`` is float32 or bfloat16, which is read as it is; all else is float32. Returns the output, the cell before
    each step and the tanh of the cell after it; each (rows, size).
    """
    batch, size = cell.shape
    output, earlier_cells, squashed = (np.empty((len(gates), size), np.float32) for _ in range(3))
    panels, start = _panels(weight.T), np.ascontiguousarray(hidden)
    arrays = (gates, panels, start, cell, output, earlier_cells, squashed)
    _forward(_rows_of(batch), weight.dtype == _HALF)(
        *map(address, arrays), *_order(len(gates) // batch, reverse), batch, size
    )
    return output, earlier_cells, squashed


def walk_back(
    gates: Array,
    weight: Array,
    g_hidden: Array,
    g_cell: Array,
    g_output: Array,
    earlier_cells: Array,
    squashed: Array,
    reverse: bool,
) -> tuple[Array, Array]:
    """The gradient of the projected input; moves ``g_hidden`` and ``g_cell`` from the last state to the first.

    Returns (rows, 4 * size), and the sum of the rows: (4 * size,).
    """
    batch, size = g_cell.shape
    slopes, panels, g_output = np.empty_like(gates), _panels(weight), np.ascontiguousarray(g_output)
    sums = np.zeros(4 * size, np.float32)
    arrays = (gates, panels, g_hidden, g_cell, g_output, earlier_cells, squashed, slopes, sums)
    _backward(_rows_of(batch), weight.dtype == _HALF)(
        *map(address, arrays), *_order(len(gates) // batch, not reverse), batch, size
    )
    return slopes, sums


def _rows_of(batch: int) -> int:
    most = _ROWS[vector_floats()]
    return most if batch % most == 0 else _FEWEST


def _panels(matrix: Array) -> Array:
    """(inner, columns) as panels of two vectors of columns: (columns / width, inner, width)."""
    inner, columns = matrix.shape
    width = 2 * vector_floats()
    if matrix.dtype == _HALF:  # as integers, which NumPy copies faster
        matrix = matrix.view(np.uint16)
    return np.ascontiguousarray(matrix.reshape(inner, columns // width, width).transpose(1, 0, 2))


def _order(steps: int, reverse: bool) -> tuple[int, int, int]:
    """How many steps there are, the first, and what comes after each."""
    return (steps, steps - 1, -1) if reverse else (steps, 0, 1)


@functools.cache
def _forward(rows: int, is_half: bool) -> Any:
    from distrt.core.kernels.lstm_code import forward_code

    return _compiled(forward_code(vector_floats(), rows, is_half), 7)


@functools.cache
def _backward(rows: int, is_half: bool) -> Any:
    from distrt.core.kernels.lstm_code import backward_code

    return _compiled(backward_code(vector_floats(), rows, is_half), 9)


def _compiled(text: str, pointers: int) -> Any:
    return CFUNCTYPE(None, *[c_void_p] * pointers, *[c_int64] * 5)(load(text))
