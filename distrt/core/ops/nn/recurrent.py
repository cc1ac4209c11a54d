"""One layer of a recurrent network, in one direction, over all its steps; here the plain ``RNN``.

What every kind shares: the rows of all steps lie below one another, (rows, features), those of one step together, and
``sizes`` tells how many rows each step has. Sequences of different lengths are sorted, longest first, so a step's rows
are the first of its predecessor's. The state is one buffer of (batch, features); a step reads and writes its first
rows. A sequence that has ended (or, in reverse, not begun) keeps its last (initial) state there, and its gradient too.

The projection of the input is one matrix product over all rows, and so are the gradients of all weights; only the
product with the state is inside the loop over time.

A layer that says so also takes rows of which those of one sequence lie together (``batch_first``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, filled
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import on_gpu
from distrt.core.kernels.onednn.product import multiplies_bfloat16
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.linalg.matrix import multiplied
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.pointwise.half_rules import widened

__all__ = ["rnn_layer"]

Sizes = tuple[int, ...]


@op(dtype="same", autocast="lower", aux=("walked",))
def rnn_layer(
    input: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    sizes: Sizes,
    reverse: bool,
    nonlinearity: str,
) -> Any:
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu of it.

    Shape: (rows, in), (batch, H) -> (rows, H), (batch, H).
    """
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    walked = walked_by_cudnn(nonlinearity, input, (hidden,), weights, sizes, reverse)
    if walked is not None:
        return walked
    output = project(input, weight_ih, bias_ih, bias_hh)
    if used.gpu and on_gpu.recurrent.suits(hidden):
        state, walk, is_tanh = hidden.copy(), steps(sizes, reverse), nonlinearity == "tanh"
        return on_gpu.recurrent.plain(output, weight_hh, state, walk, is_tanh), state, None
    state, matrix = wide(hidden).copy(), wide(weight_hh).T
    for rows, count in steps(sizes, reverse):
        now = output[rows]
        now += multiplied(state[:count], matrix)
        if nonlinearity == "tanh":
            np.tanh(now, out=now)
        else:
            np.maximum(now, 0, out=now)
        state[:count] = now
    return output.astype(input.dtype, copy=False), state.astype(input.dtype, copy=False), None


rnn_layer.outputs("output", "last")


@rnn_layer.gradients  # the biases are named, and thereby kept, for ``_plain_rnn``
def _rnn_gradients(
    g_output: Any,
    g_last: Any,
    input: Any,
    hidden: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    output: Any,
    walked: Any,
    sizes: Sizes,
    reverse: bool,
    nonlinearity: str,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    if walked is not None:
        return went_back_by_cudnn(walked, (hidden,), g_output, (g_last,), needs)
    carried = carried_from(g_last, hidden)
    if used.gpu and on_gpu.recurrent.suits(hidden):
        slopes, earlier = on_gpu.recurrent.plain_back(
            *(output, hidden, weight_hh, carried, g_output, steps(sizes, not reverse), nonlinearity == "tanh")
        )
        g_input, *g_weights = weight_gradients(slopes, slopes, input, earlier, weight_ih, needs)
        return g_input, carried, *g_weights
    out, matrix = wide(output), wide(weight_hh)
    slopes = 1 - np.square(out) if nonlinearity == "tanh" else (out > 0).astype(out.dtype)
    g_out = None if g_output is None else wide(g_output)
    for rows, count in steps(sizes, not reverse):
        g_state = carried[:count]
        if g_out is not None:
            g_state += g_out[rows]
        slope = slopes[rows]
        slope *= g_state
        multiplied(slope, matrix, out=g_state)
    earlier = states_before(out, hidden, sizes, reverse) if needs[3] else None
    g_input, g_ih, g_hh, g_bias_ih, g_bias_hh = weight_gradients(
        slopes, slopes, input, earlier, weight_ih, needs
    )
    return g_input, carried, g_ih, g_hh, g_bias_ih, g_bias_hh


# -- for every kind, on arrays


def walked_by_cudnn(
    cell: str,
    input: Array,
    states: tuple[Array, ...],
    weights: tuple[Array | None, ...],
    sizes: Sizes,
    reverse: bool,
) -> tuple[Any, ...] | None:
    """Outputs, last states, and what backward needs, by cuDNN where it does that."""
    found = on_gpu.sequences.forward(cell, input, states, weights, sizes, reverse) if used.gpu else None
    if found is None:
        return None
    output, last, walked = found
    return output, *last, walked


def went_back_by_cudnn(
    walked: Any, states: tuple[Array, ...], g_output: Any, g_last: tuple[Any, ...], needs: tuple[bool, ...]
) -> tuple[Any, ...]:
    """The gradients of input, states, and the two weights and biases."""
    first = 1 + len(states)
    needed = needs[first : first + 4]
    g_input, g_states, found = on_gpu.sequences.backward(walked, states, g_output, g_last, needed)
    return g_input, *g_states, *found


def steps(sizes: Sizes, reverse: bool) -> list[tuple[slice, int]]:
    """The rows of each step and their count, in the order of the walk."""
    starts = itertools.accumulate(sizes, initial=0)
    walked = [(slice(start, start + count), count) for start, count in zip(starts, sizes, strict=False)]
    return walked[::-1] if reverse else walked


def project(input: Array, weight: Array, *biases: Array | None) -> Array:
    """``input @ weight.T`` plus the biases, in at least float32."""
    known = [wide(bias) for bias in biases if bias is not None]
    return _product(input, weight.T, sum(known[1:], known[0]) if known else None)


def by_step(rows: Array, sizes: Sizes) -> Array:
    """Rows whose sequences lie together, turned so that those of a step do."""
    return rows.reshape(sizes[0], len(sizes), rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)


def by_sequence(rows: Array, sizes: Sizes) -> Array:
    """The same rows turned back."""
    return rows.reshape(len(sizes), sizes[0], rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)


def carried_from(g_last: Array | None, state: Array) -> Array:
    """The buffer in which a state's gradient travels back through time, as it starts."""
    if g_last is None:
        return np.zeros(state.shape, wide(state[:0]).dtype, like=state)
    return np.array(wide(g_last), order="C", like=state)


def states_before(states: Array, initial: Array, sizes: Sizes, reverse: bool) -> Array:
    """For each row the state that its step began with."""
    earlier, buffer = np.empty_like(states), wide(initial).copy()
    for rows, count in steps(sizes, reverse):
        earlier[rows] = buffer[:count]
        buffer[:count] = states[rows]
    return earlier


def weight_gradients(
    g_projected: Array,
    g_recurrent: Array,
    input: Array,
    earlier: Array | None,
    weight_ih: Array,
    needs: tuple[bool, ...],
    sums: Array | None = None,
    repeated: tuple[Array, Array] | None = None,
    slots: Sequence[Array | None] = (None, None),
) -> tuple[Any, ...]:
    """The gradients of the input, both weights and both biases, from those of the two projections.

    Args:
        g_projected: the gradient of the input's projection.
        g_recurrent: that of the state's projection.
        input: the rows.
        earlier: the state before each row's step; None where weight_hh needs no gradient.
        weight_ih: the input's weight.
        needs: ends with those of weight_ih, weight_hh, bias_ih and bias_hh.
        sums: of both projections' rows, where they are known already.
        repeated: the input's different rows, and for each the sum of ``g_projected`` where it is.
        slots: where the weights' gradients may be written to.
    """
    is_half = weight_ih.dtype == dt.bfloat16.numpy and multiplies_bfloat16()

    def factor(array: Array) -> Array:
        return rounded(array, weight_ih.dtype) if is_half else array

    own = factor(g_projected)
    own_recurrent = own if g_recurrent is g_projected else factor(g_recurrent)
    of_rows, rows = (own, input) if repeated is None else (factor(repeated[1]), repeated[0])
    g_input = _product(own, weight_ih) if needs[0] else None
    g_ih = _product(of_rows.T, rows, out=slots[0]) if needs[-4] else None
    g_hh = None if earlier is None else _product(own_recurrent.T, factor(earlier), out=slots[1])
    return (
        g_input,
        g_ih,
        g_hh,
        (_summed(g_projected) if sums is None else sums) if needs[-2] else None,
        (_summed(g_recurrent) if sums is None else sums.copy()) if needs[-1] else None,
    )


def _summed(rows: Array) -> Array:
    """The sum of the rows, in at least float32: half precision by a product, which sums it up so."""
    if rows.dtype.itemsize > 2:
        return rows.sum(axis=0)
    return _product(filled((1, len(rows)), 1, rows.dtype, rows), rows)[0]


def _product(left: Array, right: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """``left @ right + bias`` in at least float32; ``out``, where it may be written to, is for full precision."""
    if left.dtype == right.dtype and left.dtype.itemsize == 2:
        return multiplied(left, right, bias, np.float32)
    left = wide(left)
    return multiplied(
        left, wide(right), bias, out=out if out is not None and out.dtype == left.dtype else None
    )


# -- for every kind, in single operations, for derivatives of derivatives


def rounded_once(plain: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The same computation, in float32 for half precision, which is rounded at the end."""

    @functools.wraps(plain)
    def rounded(**arguments: Any) -> tuple[Any, ...]:
        dtype = arguments["input"]._array.dtype
        wider = {name: widened(each) if hasattr(each, "_array") else each for name, each in arguments.items()}
        results = plain(**wider)
        return tuple(each if each._array.dtype == dtype else ops.to_dtype(each, dtype) for each in results)

    return rounded


def plain_walk(
    step: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]],
    projected: Any,
    states: tuple[Any, ...],
    sizes: Sizes,
    reverse: bool,
) -> tuple[Any, ...]:
    """The walk through time in single operations: all outputs in the order of the rows, then the last states."""
    outputs = []
    for rows, count in steps(sizes, reverse):
        current = tuple(ops.narrow(state, 0, 0, count) for state in states)
        new = step(ops.narrow(projected, 0, rows.start, count), current)
        outputs.append(new[0])
        states = tuple(
            made
            if count == old.shape[0]
            else ops.cat([made, ops.narrow(old, 0, count, old.shape[0] - count)], 0)
            for made, old in zip(new, states, strict=True)
        )
    return ops.cat(outputs[::-1] if reverse else outputs, 0), *states


@rounded_once
def _plain_rnn(
    input: Any,
    hidden: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    sizes: Sizes,
    reverse: bool,
    nonlinearity: str,
) -> tuple[Any, ...]:
    activate = ops.tanh if nonlinearity == "tanh" else ops.relu

    def step(projected: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return (activate(ops.add(projected, ops.linear(state[0], weight_hh, bias_hh))),)

    return plain_walk(step, ops.linear(input, weight_ih, bias_ih), (hidden,), sizes, reverse)


rnn_layer.composite = _plain_rnn
