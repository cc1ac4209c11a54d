"""One layer of a ``GRU``, in one direction, over all its steps; ``recurrent.py`` explains how rows and states lie.

Gates stand in PyTorch's order: reset, update, new. The hidden bias of the new gate is inside the reset, as in cuDNN:
``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.linalg.matrix import multiplied
from distrt.core.ops.nn.recurrent import (
    Sizes,
    carried_from,
    plain_walk,
    project,
    rounded_once,
    states_before,
    steps,
    walked_by_cudnn,
    weight_gradients,
    went_back_by_cudnn,
)
from distrt.core.ops.pointwise.half import wide

__all__ = ["gru_layer"]


@op(dtype="same", autocast="lower", aux=("gates", "recurrent_new", "walked"))
def gru_layer(
    input: Array,
    hidden: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    sizes: Sizes,
    reverse: bool,
) -> Any:
    """``h = (1 - z) n + z h``. Shape: (rows, in), (batch, H) -> (rows, H), (batch, H).

    Kept for backward, per row: the three gates, and the part of the new gate that the reset multiplies.
    Source: Cho et al. 2014; https://pytorch.org/docs/stable/generated/torch.nn.GRU.html for the place of the bias.
    """
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    walked = walked_by_cudnn("gru", input, (hidden,), weights, sizes, reverse)
    if walked is not None:
        return *walked[:2], None, None, walked[2]
    size = hidden.shape[1]
    gates, state = project(input, weight_ih, bias_ih), wide(hidden).copy()
    kind = input.dtype
    if used.gpu and on_gpu.recurrent.suits(hidden):
        walk = steps(sizes, reverse)
        output, recurrent_new = on_gpu.recurrent.gru(gates, weight_hh, bias_hh, state, walk)
        return output, state.astype(kind, copy=False), gates, recurrent_new, None
    matrix = wide(weight_hh).T
    shift = None if bias_hh is None else wide(bias_hh)
    recurrent_new = np.empty((len(gates), size), gates.dtype, like=gates)
    output = np.empty_like(recurrent_new)
    for rows, count in steps(sizes, reverse):
        current = state[:count]
        recurrent = multiplied(current, matrix)
        if shift is not None:
            recurrent += shift
        sigmoids, new = gates[rows, : 2 * size], gates[rows, 2 * size :]
        sigmoids += recurrent[:, : 2 * size]
        sigmoids *= 0.5
        np.tanh(sigmoids, out=sigmoids)
        sigmoids *= 0.5
        sigmoids += 0.5
        recurrent_new[rows] = recurrent[:, 2 * size :]
        new += sigmoids[:, :size] * recurrent_new[rows]
        np.tanh(new, out=new)
        current -= new
        current *= sigmoids[:, size:]
        current += new
        output[rows] = current
    return output.astype(kind, copy=False), state.astype(kind, copy=False), gates, recurrent_new, None


gru_layer.outputs("output", "last")


@gru_layer.gradients  # the biases are named, and thereby kept, for ``_plain_gru``
def _gru_gradients(
    g_output: Any,
    g_last: Any,
    input: Any,
    hidden: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    output: Any,
    gates: Any,
    recurrent_new: Any,
    walked: Any,
    sizes: Sizes,
    reverse: bool,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    if walked is not None:
        return went_back_by_cudnn(walked, (hidden,), g_output, (g_last,), needs)
    size = hidden.shape[1]
    carried = carried_from(g_last, hidden)
    if used.gpu and on_gpu.recurrent.suits(hidden):
        walk = steps(sizes, not reverse)
        g_projected, g_recurrent, earlier = on_gpu.recurrent.gru_back(
            gates, recurrent_new, output, hidden, weight_hh, carried, g_output, walk
        )
        before = earlier if needs[3] else None
        g_input, *g_weights = weight_gradients(g_projected, g_recurrent, input, before, weight_ih, needs)
        return g_input, carried, *g_weights
    earlier = states_before(wide(output), hidden, sizes, reverse)
    g_recurrent, slope_new = _slopes(gates, recurrent_new, earlier)
    update, matrix = gates[:, size : 2 * size], wide(weight_hh)
    g_out = None if g_output is None else wide(g_output)
    for rows, count in steps(sizes, not reverse):
        g_state = carried[:count]
        if g_out is not None:
            g_state += g_out[rows]
        by_gate = g_recurrent[rows].reshape(count, 3, size)
        by_gate *= g_state[:, None]
        slope_new[rows] *= g_state
        g_state *= update[rows]
        g_state += multiplied(g_recurrent[rows], matrix)
    g_projected = np.concatenate([g_recurrent[:, : 2 * size], slope_new], axis=1)
    g_input, *g_weights = weight_gradients(
        g_projected, g_recurrent, input, earlier if needs[3] else None, weight_ih, needs
    )
    return g_input, carried, *g_weights


def _slopes(gates: Array, recurrent_new: Array, earlier: Array) -> tuple[Array, Array]:
    """What the three recurrent projections do to the state, and what the input's projection for the new gate does."""
    size = recurrent_new.shape[1]
    reset, update, new = gates.reshape(len(gates), 3, size).swapaxes(0, 1)
    of_new = (1 - update) * (1 - np.square(new))
    slopes = np.empty_like(gates)
    by_gate = slopes.reshape(len(gates), 3, size)
    by_gate[:, 0] = of_new * recurrent_new * (reset * (1 - reset))
    by_gate[:, 1] = (earlier - new) * (update * (1 - update))
    by_gate[:, 2] = of_new * reset
    return slopes, of_new


@rounded_once
def _plain_gru(
    input: Any,
    hidden: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    sizes: Sizes,
    reverse: bool,
) -> tuple[Any, ...]:
    def step(projected: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        given = ops.chunk(projected, 3, 1)
        recurrent = ops.chunk(ops.linear(state[0], weight_hh, bias_hh), 3, 1)
        reset = ops.sigmoid(ops.add(given[0], recurrent[0]))
        update = ops.sigmoid(ops.add(given[1], recurrent[1]))
        new = ops.tanh(ops.add(given[2], ops.mul(reset, recurrent[2])))
        return (ops.add(new, ops.mul(update, ops.sub(state[0], new))),)

    return plain_walk(step, ops.linear(input, weight_ih, bias_ih), (hidden,), sizes, reverse)


gru_layer.composite = _plain_gru
