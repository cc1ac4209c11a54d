"""Normalisation with the statistics of a batch: over every dim but the second."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.op import op
from distrt.core.ops.half import wide

__all__ = [
    "batch_norm",
]


def _channel_view(values: Any, ndim: int) -> Any:
    return ops.reshape(values, (1, -1, *[1] * (ndim - 2)))


def _batch_axes(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


@op(autocast="full", aux=("inverse_std",), node="NativeBatchNorm")
def batch_norm(input: Array, weight: Array | None, bias: Array | None, eps: float) -> Any:
    """Each channel with its batch's mean and (biased) variance taken out, scaled and shifted.

    Returns the output, and the batch's mean and biased variance per channel.
    """
    axes, ndim = _batch_axes(input.ndim), input.ndim
    work = wide(input)
    average = work.mean(axis=axes, keepdims=True)
    centred = work - average
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    inverse_std = 1 / np.sqrt(variance + np.asarray(eps, work.dtype))
    out = np.multiply(centred, inverse_std, out=centred)
    if weight is not None:
        out *= _channel_view(weight, ndim)
    if bias is not None:
        out += _channel_view(bias, ndim)
    return out.astype(input.dtype, copy=False), average.reshape(-1), variance.reshape(-1), inverse_std


batch_norm.outputs("output", "mean", "variance")


@batch_norm.gradients
def _batch_norm_gradients(
    g_output: Any, input: Any, weight: Any, mean: Any, inverse_std: Any, needs: Any
) -> tuple[Any, ...]:
    """Source: Ioffe and Szegedy 2015, section 3 (the mean and variance are functions of the input)."""
    axes, ndim = _batch_axes(input.ndim), input.ndim
    g = wide(g_output)
    normal = (wide(input) - _channel_view(mean, ndim)) * inverse_std
    g_bias = g.sum(axis=axes)
    g_weight = (g * normal).sum(axis=axes)
    g_input = None
    if needs[0]:
        count = input.size // input.shape[1]
        scale = inverse_std if weight is None else inverse_std * _channel_view(wide(weight), ndim)
        g_input = normal
        g_input *= _channel_view(g_weight / -count, ndim)
        g_input += g
        g_input -= _channel_view(g_bias / count, ndim)
        g_input *= scale
    return g_input, g_weight if needs[1] else None, g_bias if needs[2] else None


def _plain_batch_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    axes = _batch_axes(input.ndim)
    centred = ops.sub(input, ops.mean(input, axes, True))
    out = ops.mul(centred, ops.rsqrt(ops.add(ops.mean(ops.mul(centred, centred), axes, True), eps)))
    out = out if weight is None else ops.mul(out, _channel_view(weight, input.ndim))
    return out if bias is None else ops.add(out, _channel_view(bias, input.ndim))


batch_norm.composite = _plain_batch_norm
