"""A linear layer and the cross entropy of its outputs, a part of the rows at a time.

With very many classes the logits take more memory than anything else. Here they exist for one part of the rows only,
and once more, part by part, in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, filled
from distrt.core.op import IndexArray, op
from distrt.core.ops.linalg.matrix import multiplied
from distrt.core.ops.nn.class_losses import cross_entropy_slope, softmax_losses
from distrt.core.ops.pointwise.half import wide

__all__ = ["linear_cross_entropy"]


@op(aux=("scale",))
def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    linear_bias: Array | None,
    target: IndexArray,
    weight: IndexArray,
    ignore_index: int,
    reduction: str,
    rows_at_a_time: int,
) -> Any:
    """``cross_entropy(input @ linear_weight.T + linear_bias, target)``, ``rows_at_a_time`` rows at a time.

    Shape: (N, D), (C, D), (C), (N) -> () or (N). ``scale`` is what each row's gradient is multiplied with.
    """
    ops.linear(input[:0], linear_weight, linear_bias)  # its checks of shapes and dtypes
    work = np.float32 if input.dtype.itemsize == 2 else input.dtype
    losses, scale = np.zeros(input.shape[0], work, like=input), np.zeros(input.shape[0], work, like=input)
    class_weight = None if weight is None else wide(weight)
    for rows, logits in _parts(input, linear_weight, linear_bias, rows_at_a_time):
        found = softmax_losses(logits, target[rows], class_weight, ignore_index, "none")
        losses[rows], scale[rows] = found[0], found[2]
    if reduction == "none":
        return losses.astype(input.dtype, copy=False), scale
    result = np.add.reduce(losses)
    if reduction == "mean":
        total = np.add.reduce(scale)
        result = result / total
        # A mean over nothing is nan.
        scale = np.where((target == ignore_index) & (total != 0), 0, scale / total)
    return as_array(result).astype(input.dtype, copy=False), scale


def _parts(
    input: Array, linear_weight: Array, linear_bias: Array | None, rows_at_a_time: int
) -> Iterator[tuple[slice, Array]]:
    """The logits of each part of the rows, in float32 for half precision."""
    transposed, bias = wide(linear_weight).T, None if linear_bias is None else wide(linear_bias)
    for start in range(0, input.shape[0], rows_at_a_time):
        rows = slice(start, start + rows_at_a_time)
        yield rows, multiplied(wide(input[rows]), transposed, bias)


@linear_cross_entropy.gradients
def _linear_cross_entropy_gradients(
    g: Any,
    input: Any,
    linear_weight: Any,
    linear_bias: Any,
    target: Any,
    weight: Any,
    scale: Any,
    ignore_index: int,
    rows_at_a_time: int,
    needs: Any,
) -> tuple[Any, ...]:
    """Each part's logits come to life once more, and turn into their gradient."""
    factor = np.multiply(wide(g), scale)
    one_each = filled(1, 1, factor.dtype, factor)
    matrix = wide(linear_weight)
    g_input = np.empty(input.shape, matrix.dtype, like=matrix) if needs[0] else None
    g_weight = np.zeros(matrix.shape, matrix.dtype, like=matrix) if needs[1] else None
    g_bias = np.zeros(matrix.shape[:1], matrix.dtype, like=matrix) if needs[2] else None
    for rows, logits in _parts(input, linear_weight, linear_bias, rows_at_a_time):
        places = target[rows]
        _, probabilities, _ = softmax_losses(logits, places, None, ignore_index, "none")
        slope = cross_entropy_slope(factor[rows], probabilities, places, one_each, ignore_index)
        if g_input is not None:
            multiplied(slope, matrix, out=g_input[rows])
        if g_weight is not None:
            g_weight += multiplied(slope.T, wide(input[rows]))
        if g_bias is not None:
            g_bias += slope.sum(axis=0)
    return g_input, g_weight, g_bias


def _plain_linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    linear_bias: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    rows_at_a_time: int = 0,
) -> Any:
    """All rows at once, whatever ``rows_at_a_time`` says."""
    logits = ops.linear(input, linear_weight, linear_bias)
    return ops.cross_entropy(logits, target, weight, ignore_index, reduction)[0]


linear_cross_entropy.composite = _plain_linear_cross_entropy
