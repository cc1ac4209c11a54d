"""Sums, means, extremes and their like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.table import Call, dim_of, dims_of, rule
from distrt.tracing import Value, values_in


@rule("sum", "prod", "mean", "amax", "amin", "logsumexp")
def _reduce(g: Drawing, call: Call) -> Any:
    kind = {
        "sum": "ReduceSum",
        "prod": "ReduceProd",
        "mean": "ReduceMean",
        "amax": "ReduceMax",
        "amin": "ReduceMin",
        "logsumexp": "ReduceLogSumExp",
    }[call.target]
    dims = dims_of(call.input, call.get("dim"))
    if not call.input.shape:
        return g.cast(call.input, call.result.dtype)
    return g.reduce(kind, g.cast(call.input, call.result.dtype), dims, bool(call.get("keepdim", False)))


@rule("max", "min")
def _extreme(g: Drawing, call: Call) -> Any:
    large = call.target == "max"
    if isinstance(call.get("other"), Value) or isinstance(call.get("dim"), Value):
        other = call.other if isinstance(call.get("other"), Value) else call.dim
        dtype = call.result.dtype
        return g.node("Max" if large else "Min", g.number(call.input, dtype), g.number(other, dtype))
    if call.get("dim") is None:
        return g.reduce("ReduceMax" if large else "ReduceMin", call.input, None)
    if not call.input.shape:
        return [call.input, g.scalar(0, dt.int64)]
    dim, keepdim = dim_of(call.input, call.dim), bool(call.keepdim)
    best = g.reduce("ReduceMax" if large else "ReduceMin", call.input, [dim], keepdim)
    where = g.node("ArgMax" if large else "ArgMin", call.input, axis=dim, keepdims=int(keepdim))
    return [best, where]


@rule("argmax", "argmin")
def _argmax(g: Drawing, call: Call) -> Any:
    kind = "ArgMax" if call.target == "argmax" else "ArgMin"
    if not call.input.shape:
        return g.scalar(0, dt.int64)
    if call.dim is None:
        if call.keepdim:
            raise g.unsupported(f"{call.target} of all elements with keepdim")
        return g.node(kind, g.reshape(call.input, [-1]), axis=0, keepdims=0)
    return g.node(kind, call.input, axis=dim_of(call.input, call.dim), keepdims=int(call.keepdim))


@rule("any", "all")
def _any(g: Drawing, call: Call) -> Any:
    given = g.cast(call.input, dt.bool_)
    if not call.input.shape:
        return given
    numbers = g.node("Cast", given, to=dt.int32)
    dims = dims_of(call.input, call.get("dim"))
    kind = "ReduceMax" if call.target == "any" else "ReduceMin"
    return g.node("Cast", g.reduce(kind, numbers, dims, bool(call.get("keepdim"))), to=dt.bool_)


@rule("cumsum")
def _cumsum(g: Drawing, call: Call) -> Any:
    given = g.cast(call.input, call.result.dtype)
    if not call.input.shape:
        return given
    return g.node("CumSum", given, g.scalar(dim_of(call.input, call.dim), dt.int64))


@rule("var", "std", "var_mean", "std_mean")
def _var(g: Drawing, call: Call) -> Any:
    dims = dims_of(call.input, call.get("dim"))
    keepdim = bool(call.get("keepdim", False))
    correction = call.get("correction")
    if isinstance(call.get("dim"), bool):  # `var(x, False)` is about the correction
        dims, correction = None, int(call.dim)
    if correction is None:
        correction = 1 if call.get("unbiased") in (None, True) else 0
    axes = list(range(len(call.input.shape))) if dims is None else dims
    dtype = next(values_in(call.result)).dtype
    mean, var = mean_and_var(g, call.input, axes, dtype)
    if correction:
        count = element_count(g, call.input, axes, dtype)
        var = g.node("Div", g.node("Mul", var, count), g.node("Sub", count, g.scalar(correction, dtype)))
    if "std" in call.target:
        var = g.node("Sqrt", var)
    if not keepdim:
        var = g.squeeze(var, *axes) if axes else var
        mean = g.squeeze(mean, *axes) if axes and "mean" in call.target else mean
    return [var, mean] if "mean" in call.target else var


def mean_and_var(g: Drawing, value: Any, dims: Sequence[int], dtype: dt.dtype) -> tuple[str, str]:
    """The mean and the mean squared deviation over dims, which stay as 1."""
    mean = g.reduce("ReduceMean", value, dims, True)
    away = g.node("Sub", value, mean)
    return mean, g.reduce("ReduceMean", g.node("Mul", away, away), dims, True)


def element_count(g: Drawing, value: Value, dims: Sequence[int], dtype: dt.dtype) -> str:
    """How many elements there are along dims, as a number of a dtype."""
    sizes = [g.dims(value)[dim] for dim in dims]
    known = 1
    for each in sizes:
        known *= 1 if each is None else each
    count = g.scalar(known, dtype)
    for dim, each in zip(dims, sizes, strict=True):
        if each is None:
            count = g.node("Mul", count, g.node("Cast", g.squeeze(g.size(value, dim), 0), to=dtype))
    return count


@rule("norm", "linalg_norm", "linalg_vector_norm", "_vector_norm")
def _norm(g: Drawing, call: Call) -> Any:
    order, dtype = call.get("p", call.get("ord", 2)), call.result.dtype
    order = 2 if order is None or order == "fro" else order
    dims, keepdim = dims_of(call.first, call.get("dim")), bool(call.get("keepdim", False))
    value = g.cast(call.first, dtype)
    if call.target == "linalg_norm" and call.get("ord") is not None and len(dims or call.first.shape) > 1:
        raise g.unsupported("a norm of matrices")
    if not isinstance(order, int | float) or order == 0 or (order < 0 and order != -math.inf):
        raise g.unsupported(f"a norm of order {order!r}")
    if not call.first.shape:
        return g.node("Abs", value)
    if order in (1, 2):
        return g.reduce(f"ReduceL{int(order)}", value, dims, keepdim)
    size = g.node("Abs", value)
    if math.isinf(order):
        return g.reduce("ReduceMax" if order > 0 else "ReduceMin", size, dims, keepdim)
    total = g.reduce("ReduceSum", g.node("Pow", size, g.scalar(order, dtype)), dims, keepdim)
    return g.node("Pow", total, g.scalar(1 / order, dtype))


@rule("cosine_similarity", "nn.functional.cosine_similarity")
def _cosine_similarity(g: Drawing, call: Call) -> Any:
    dtype, rank = call.result.dtype, max(len(call.x1.shape), len(call.x2.shape))
    pair = [g.cast(each, dtype) for each in (call.x1, call.x2)]
    if call.x1.shape != call.x2.shape:
        whole = g.node("Shape", g.node("Add", *pair))
        pair = [g.node("Expand", each, whole) for each in pair]
    dim, bound = call.dim % rank if rank else 0, g.scalar(call.eps, dtype)
    lengths = [g.node("Max", g.reduce("ReduceL2", each, [dim], True), bound) for each in pair]
    parts = [g.node("Div", each, length) for each, length in zip(pair, lengths, strict=True)]
    return g.reduce("ReduceSum", g.node("Mul", *parts), [dim])


@rule("pairwise_distance", "nn.functional.pairwise_distance")
def _pairwise_distance(g: Drawing, call: Call) -> Any:
    return distance(g, call.x1, call.x2, float(call.p), call.eps, call.keepdim, call.result.dtype)


def distance(
    g: Drawing, first: Any, second: Any, order: float, eps: float, keepdim: bool, dtype: dt.dtype
) -> str:
    """The length of differences along the last dim."""
    away = g.node("Abs", g.node("Add", g.node("Sub", first, second), g.scalar(eps, dtype)))
    if order == float("inf"):
        return g.reduce("ReduceMax", away, [-1], keepdim)
    if order in (1, 2):
        return g.reduce(f"ReduceL{int(order)}", away, [-1], keepdim)
    total = g.reduce("ReduceSum", g.node("Pow", away, g.scalar(order, dtype)), [-1], keepdim)
    return g.node("Pow", total, g.scalar(1 / order, dtype))
