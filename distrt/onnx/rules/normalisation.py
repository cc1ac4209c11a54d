"""Normalisation over the batch, layers, groups and instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.reductions import mean_and_var
from distrt.onnx.rules.table import Call, rule


@rule("nn.functional.batch_norm", "batch_norm")
def _batch_norm(g: Drawing, call: Call) -> Any:
    """With running statistics, or in training those of the batch; the graph does not go on with the running ones."""
    shape, dtype = call.input.shape, call.result.dtype
    if call.training or call.running_mean is None:
        dims = [0, *range(2, len(shape))]
        return _scaled(g, standardised(g, call.input, dims, call.eps, dtype), call, len(shape) - 2)
    return _by_running(g, call)


def _by_running(g: Drawing, call: Call) -> Any:
    channels, dtype = call.running_mean.shape[0], call.result.dtype
    ones = g.constant(np.ones(channels, dtype.numpy)) if call.weight is None else call.weight
    zeros = g.constant(np.zeros(channels, dtype.numpy)) if call.bias is None else call.bias
    return g.node(
        "BatchNormalization",
        call.input,
        ones,
        zeros,
        call.running_mean,
        call.running_var,
        epsilon=float(call.eps),
    )


def standardised(g: Drawing, value: Any, dims: Sequence[int], eps: float, dtype: dt.dtype) -> str:
    """With mean 0 and variance 1 over dims."""
    mean, var = mean_and_var(g, value, dims, dtype)
    return g.node("Div", g.node("Sub", value, mean), g.node("Sqrt", g.node("Add", var, g.scalar(eps, dtype))))


def _scaled(g: Drawing, value: Any, call: Call, behind: int) -> Any:
    """Times the weight, plus the bias, which belong to the dim before the last few."""
    for kind, factor in (("Mul", call.weight), ("Add", call.bias)):
        if factor is not None:
            value = g.node(kind, value, g.reshape(factor, [-1, *[1] * behind]) if behind else factor)
    return value


@rule("nn.functional.instance_norm", "instance_norm")
def _instance_norm(g: Drawing, call: Call) -> Any:
    if not call.use_input_stats:
        if len(call.input.shape) < 3:
            raise g.unsupported("instance_norm by running statistics of an input without a batch")
        return _by_running(g, call)
    spatial = max(len(call.input.shape) - 2, 1)
    dims = list(range(2, len(call.input.shape)))
    return _scaled(g, standardised(g, call.input, dims, call.eps, call.result.dtype), call, spatial)


@rule("nn.functional.layer_norm")
def _layer_norm(g: Drawing, call: Call) -> Any:
    dtype, count = call.result.dtype, len(call.normalized_shape)
    if g.opset >= 17:
        ones = np.ones(tuple(g.plain(each) for each in call.normalized_shape), dtype.numpy)
        weight = g.constant(ones) if call.weight is None else call.weight
        return g.node(
            "LayerNormalization", call.input, weight, call.bias, axis=-count, epsilon=float(call.eps)
        )
    value: Any = standardised(g, call.input, list(range(-count, 0)), call.eps, dtype)
    return _scaled(g, value, call, 0)


@rule("nn.functional.group_norm", "group_norm")
def _group_norm(g: Drawing, call: Call) -> Any:
    rank, dtype = len(call.input.shape), call.result.dtype
    apart = g.reshape(call.input, [0, call.num_groups, -1])
    flat = standardised(g, apart, [2], call.eps, dtype)
    whole = g.reshape(flat, g.rows_of(call.input))
    return _scaled(g, whole, call, rank - 2)


@rule("nn.functional.rms_norm", "rms_norm")
def _rms_norm(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    eps = float(np.finfo(dtype.numpy).eps) if call.eps is None else call.eps
    dims = list(range(-len(call.normalized_shape), 0))
    power = g.reduce("ReduceMean", g.node("Mul", call.input, call.input), dims, True)
    found = g.node("Div", call.input, g.node("Sqrt", g.node("Add", power, g.scalar(eps, dtype))))
    return found if call.weight is None else g.node("Mul", found, call.weight)


@rule("nn.functional.local_response_norm")
def _local_response_norm(g: Drawing, call: Call) -> Any:
    """By hand: ONNX's LRN puts windows of an even size elsewhere, and runtimes have it for images alone."""
    dtype, before = call.result.dtype, call.size // 2
    channels = g.fixed(call.input, 1, "local_response_norm")
    squares = g.reshape(g.node("Mul", call.input, call.input), [0, 1, channels, -1])
    pads = [before, 0, call.size - 1 - before, 0]
    mean = g.node(
        "AveragePool", squares, kernel_shape=[call.size, 1], strides=[1, 1], pads=pads, count_include_pad=1
    )
    power = g.reshape(mean, g.rows_of(call.input))
    base = g.node("Add", g.node("Mul", power, g.scalar(call.alpha, dtype)), g.scalar(call.k, dtype))
    return g.node("Div", call.input, g.node("Pow", base, g.scalar(call.beta, dtype)))
