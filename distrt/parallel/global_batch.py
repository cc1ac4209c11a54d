"""Batch normalisation by the statistics of all ranks' batches together: what ``SyncBatchNorm`` computes.

Every rank sends how many values it has, their mean and the sum of their squared deviations, and combines what it gets
in rank order: so all ranks have the same statistics to the last bit, however unevenly the batch is divided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import along_tree
from distrt.core.arrays import Array, is_on_gpu
from distrt.core.autograd.function import Function, once_differentiable
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.ops.pointwise.half import wide
from distrt.core.tensor import Tensor, wrap

__all__ = ["Statistics", "SyncBatchNorm", "global_statistics"]

_BATCH = (0, 2)  # the dims of (N, C, everything) that statistics are taken over


class Statistics(NamedTuple):
    """Of each channel, over all ranks, in float64."""

    size: int  # values a channel
    mean: Array
    squares: Array  # the sum of the squared deviations from the mean

    def variance(self, correction: int = 0) -> Array:
        """The squares over ``size - correction``."""
        result: Array = self.squares / (self.size - correction)
        return result


def global_statistics(inputs: Sequence[Array], group: ProcessGroup) -> Statistics:
    """The statistics of all ranks' inputs (N, C, ...); a collective. N may differ between inputs, and be 0.

    All ranks have as many inputs, and what they find does not depend on how the inputs are divided among ranks.
    """
    mine = np.stack([_own_statistics(each) for each in inputs])
    everyone = np.empty((group.size(), *mine.shape), like=mine)
    group.all_gather(everyone, mine)
    rows = everyone.reshape(-1, mine.shape[1])
    return _combined(rows, _counts(inputs, group) if is_on_gpu(rows) else rows[:, 0].tolist())


def _counts(inputs: Sequence[Array], group: ProcessGroup) -> list[float]:
    """How many values a channel has, of every rank's inputs: from CPU to CPU, so that no program waits for its GPU."""
    mine = np.array([math.prod(each.shape) // each.shape[1] for each in inputs], np.float64)
    everyone = np.empty((group.size(), mine.size))
    group.all_gather(everyone, mine)
    counts: list[float] = everyone.reshape(-1).tolist()
    return counts


def _own_statistics(input: Array) -> Array:
    """How many values, their means, and the sums of their squared deviations: (1 + 2 C)."""
    if used.gpu and on_gpu.channels.suits(input, _BATCH):
        return on_gpu.together.own_statistics(input)
    values = _by_channel(input)
    count, channels = values.shape[0] * values.shape[2], values.shape[1]
    found = np.zeros(1 + 2 * channels, like=values)
    if count:
        mean = _sums(values) / count
        deviations = values - mean.astype(values.dtype)[:, None]
        found[0], found[1 : channels + 1] = count, mean
        found[channels + 1 :] = _sums(np.square(deviations, out=deviations))
    return found


def _by_channel(input: Array) -> Array:
    """As (N, C, everything else), in float32 at least."""
    samples, channels = input.shape[:2]
    rest = int(np.prod(input.shape[2:]))  # -1 would not do: N may be 0
    return wide(input).reshape(samples, channels, rest)


def _sums(values: Array) -> Array:
    """Of each channel, in float64; along the last dim NumPy sums pairwise, which is exact enough in float32."""
    total: Array = np.add.reduce(np.add.reduce(values, axis=2), axis=0, dtype=np.float64)
    return total


def _combined(everyone: Array, counts: Sequence[float]) -> Statistics:
    """Source: Chan, Golub and LeVeque 1979, for one rank after another."""
    if is_on_gpu(everyone):
        return Statistics(int(sum(counts)), *on_gpu.together.combined(everyone))
    channels = everyone.shape[1] // 2
    mean, squares = np.zeros((2, channels), like=everyone)
    total = 0.0
    for count, row in zip(counts, everyone, strict=True):
        its_mean, its_squares = row[1 : channels + 1], row[channels + 1 :]
        if count:
            before, total = total, total + count
            apart = its_mean - mean
            mean = mean + apart * (count / total)
            squares = squares + its_squares + np.square(apart) * (before * count / total)
    return Statistics(int(total), mean, squares)


class SyncBatchNorm(Function):
    """Takes the statistics out, scales and shifts; backward adds up over the ranks what the statistics pass on.

    Of one input, or of several (virtual shards) at once: their gradients depend on one another.

    Source: Ioffe and Szegedy 2015, section 3, where the sums go over the whole batch.
    """

    @staticmethod
    def forward(
        ctx: Any, found: Statistics, eps: float, group: ProcessGroup, *operands: Tensor | None
    ) -> Any:
        """Shape: an input (N, C, ...), its weight and its bias, and so on -> tensors like the inputs."""
        ctx.save_for_backward(*operands)
        ctx.found, ctx.eps, ctx.group = found, eps, group
        return tuple(
            _normalised(input, weight, bias, found, eps) for input, weight, bias in _in_threes(operands)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """The gradient of the inputs is a collective, of every rank whose inputs need one."""
        found: Statistics = ctx.found
        threes = list(_in_threes(ctx.saved_tensors))
        needs = list(_in_threes(ctx.needs_input_grad[3:]))
        gradients: list[list[Tensor | None]] = []
        normals, sums = [], []
        for (input, weight, bias), (_, needs_weight, needs_bias), g in zip(
            threes, needs, grad_outputs, strict=True
        ):
            own, normal = _own_slopes(input._array, g._array, found, ctx.eps)
            normals.append(normal)
            sums.append(own)
            g_weight = wrap(own[1].astype(weight._array.dtype)) if needs_weight else None
            g_bias = wrap(own[0].astype(bias._array.dtype)) if needs_bias else None
            gradients.append([None, g_weight, g_bias])
        if any(needs_input for needs_input, _, _ in needs):
            total = along_tree(np.add, sums)
            ctx.group.all_reduce(total)
            for (input, weight, _), own_gradients, normal, g in zip(
                threes, gradients, normals, grad_outputs, strict=True
            ):
                own_gradients[0] = _slope(input, weight, normal, g, total, found, ctx.eps)
        return None, None, None, *(each for own_gradients in gradients for each in own_gradients)


def _in_threes(values: Sequence[Any]) -> zip[tuple[Any, Any, Any]]:
    return zip(values[0::3], values[1::3], values[2::3], strict=True)


def _normalised(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, found: Statistics, eps: float
) -> Tensor:
    if not found.size:
        return wrap(input._array.copy())
    if used.gpu and on_gpu.channels.suits(input._array, _BATCH):
        of_weight, of_bias = (None if each is None else each._array for each in (weight, bias))
        return wrap(
            on_gpu.together.by_statistics(
                input._array, of_weight, of_bias, found.mean, found.squares, found.size, eps
            )
        )
    values = _by_channel(input._array)
    out = values - found.mean.astype(values.dtype)[:, None]
    out *= _scale(found, eps, weight).astype(values.dtype)[:, None]
    if bias is not None:
        out += wide(bias._array)[:, None]
    return wrap(out.reshape(input._array.shape).astype(input._array.dtype, copy=False))


def _own_slopes(input: Array, g: Array, found: Statistics, eps: float) -> tuple[Array, Array | None]:
    """What bias and weight get (2, C), and the normalised input if that is needed again."""
    if used.gpu and g.dtype == input.dtype and on_gpu.channels.suits(input, _BATCH):
        return on_gpu.together.own_slopes(g, input, found.mean, found.squares, found.size, eps), None
    values, slope = _by_channel(input), _by_channel(g)
    normal = values
    if found.size:
        normal = values - found.mean.astype(values.dtype)[:, None]
        normal *= _scale(found, eps).astype(values.dtype)[:, None]
    return np.stack([_sums(slope), _sums(slope * normal)]), normal


def _slope(
    input: Tensor,
    weight: Tensor | None,
    normal: Array | None,
    g: Tensor,
    total: Array,
    found: Statistics,
    eps: float,
) -> Tensor:
    """An input's gradient."""
    if normal is None:
        of_weight = None if weight is None else weight._array
        return wrap(
            on_gpu.together.slopes_by_statistics(
                g._array, input._array, of_weight, total, found.mean, found.squares, found.size, eps
            )
        )
    push, pull = (total / max(found.size, 1)).astype(normal.dtype)
    slope = normal * -pull[:, None]
    slope += _by_channel(g._array)
    slope -= push[:, None]
    if found.size:
        slope *= _scale(found, eps, weight).astype(normal.dtype)[:, None]
    return wrap(slope.reshape(input._array.shape).astype(input._array.dtype, copy=False))


def _scale(found: Statistics, eps: float, weight: Tensor | None = None) -> Array:
    """One over each channel's standard deviation, times its weight."""
    scale: Array = 1.0 / np.sqrt(found.variance() + eps)
    return scale if weight is None else scale * wide(weight._array)
