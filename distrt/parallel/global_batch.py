"""Batch normalisation by the statistics of all ranks' batches together: what ``SyncBatchNorm`` computes.

Every rank sends how many values it has, their mean and the sum of their squared deviations, and combines what it gets
in rank order: so all ranks have the same statistics to the last bit, however unevenly the batch is divided.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.autograd.function import Function, once_differentiable
from distrt.core.ops.half import wide
from distrt.core.tensor import Tensor, wrap

__all__ = ["Statistics", "SyncBatchNorm", "global_statistics"]


class Statistics(NamedTuple):
    """Of each channel, over all ranks, in float64."""

    size: int  # values a channel
    mean: Array
    squares: Array  # the sum of the squared deviations from the mean

    def variance(self, correction: int = 0) -> Array:
        """The squares over ``size - correction``."""
        result: Array = self.squares / (self.size - correction)
        return result


def global_statistics(input: Array, group: ProcessGroup) -> Statistics:
    """The statistics of all ranks' inputs (N, C, ...); a collective. N may differ between ranks, and be 0."""
    values = _by_channel(input)
    count, channels = values.shape[0] * values.shape[2], values.shape[1]
    mine = np.zeros(1 + 2 * channels)
    if count:
        mean = _sums(values) / count
        deviations = values - mean.astype(values.dtype)[:, None]
        mine[:] = [count, *mean, *_sums(np.square(deviations, out=deviations))]
    everyone = np.empty((group.size(), mine.size))
    group.all_gather(everyone, mine)
    return _combined(everyone)


def _by_channel(input: Array) -> Array:
    """As (N, C, everything else), in float32 at least."""
    samples, channels = input.shape[:2]
    rest = int(np.prod(input.shape[2:]))  # -1 would not do: N may be 0
    return wide(input).reshape(samples, channels, rest)


def _sums(values: Array) -> Array:
    """Of each channel, in float64; along the last dim NumPy sums pairwise, which is exact enough in float32."""
    total: Array = np.add.reduce(np.add.reduce(values, axis=2), axis=0, dtype=np.float64)
    return total


def _combined(everyone: Array) -> Statistics:
    """Source: Chan, Golub and LeVeque 1979, for one rank after another."""
    channels = everyone.shape[1] // 2
    total, mean, squares = 0.0, np.zeros(channels), np.zeros(channels)
    for row in everyone:
        count, its_mean, its_squares = row[0], row[1 : channels + 1], row[channels + 1 :]
        if count:
            before, total = total, total + count
            apart = its_mean - mean
            mean = mean + apart * (count / total)
            squares = squares + its_squares + np.square(apart) * (before * count / total)
    return Statistics(int(total), mean, squares)


class SyncBatchNorm(Function):
    """Takes the statistics out, scales and shifts; backward adds up over the ranks what the statistics pass on.

    Source: Ioffe and Szegedy 2015, section 3, where the sums go over the whole batch.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        found: Statistics,
        eps: float,
        group: ProcessGroup,
    ) -> Tensor:
        """Shape: input (N, C, ...) -> the same."""
        ctx.save_for_backward(input, weight)
        ctx.found, ctx.eps, ctx.group = found, eps, group
        ctx.bias_dtype = None if bias is None else bias._array.dtype
        if not found.size:
            return wrap(input._array.copy())
        values = _by_channel(input._array)
        out = values - found.mean.astype(values.dtype)[:, None]
        out *= _scale(found, eps, weight).astype(values.dtype)[:, None]
        if bias is not None:
            out += wide(bias._array)[:, None]
        return wrap(out.reshape(input._array.shape).astype(input._array.dtype, copy=False))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """The gradient of the input is a collective, of every rank whose input needs one."""
        input, weight = ctx.saved_tensors
        found: Statistics = ctx.found
        array = input._array
        g, values = _by_channel(grad_outputs[0]._array), _by_channel(array)
        if not found.size:
            normal = values
        else:
            normal = values - found.mean.astype(values.dtype)[:, None]
            normal *= _scale(found, ctx.eps).astype(values.dtype)[:, None]
        sums = np.stack([_sums(g), _sums(g * normal)])  # what bias and weight get
        needs_input, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        g_weight = wrap(sums[1].astype(weight._array.dtype)) if needs_weight else None
        g_bias = wrap(sums[0].astype(ctx.bias_dtype)) if needs_bias else None
        g_input = None
        if needs_input:
            ctx.group.all_reduce(sums)
            push, pull = (sums / max(found.size, 1)).astype(values.dtype)
            normal *= -pull[:, None]
            normal += g
            normal -= push[:, None]
            if found.size:
                normal *= _scale(found, ctx.eps, weight).astype(values.dtype)[:, None]
            g_input = wrap(normal.reshape(array.shape).astype(array.dtype, copy=False))
        return g_input, g_weight, g_bias, None, None, None


def _scale(found: Statistics, eps: float, weight: Tensor | None = None) -> Array:
    """One over each channel's standard deviation, times its weight."""
    scale: Array = 1.0 / np.sqrt(found.variance() + eps)
    return scale if weight is None else scale * wide(weight._array)
