"""Losses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.nn.functional.reductions import reduction_of
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.elementwise import softmax
from distrt.onnx.rules.linear import affine
from distrt.onnx.rules.reductions import distance
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value


def _reduced(g: Drawing, call: Call, each: str) -> str:
    how = _reduction(call)
    return each if how == "none" else g.reduce("ReduceMean" if how == "mean" else "ReduceSum", each, None)


def _reduction(call: Call) -> str:
    """The reduction, with the older two arguments."""
    if call.get("size_average") is None and call.get("reduce") is None:
        return str(call.reduction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(reduction_of(call.reduction, call.size_average, call.reduce))


def _weighted(g: Drawing, call: Call, each: str) -> str:
    weight = call.get("weight")
    return each if weight is None else g.node("Mul", each, weight)


@rule("nn.functional.mse_loss", "nn.functional.l1_loss")
def _mse(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    away = g.node("Sub", g.cast(call.input, dtype), g.cast(call.target_, dtype))
    each = g.node("Abs", away) if "l1" in call.target else g.node("Mul", away, away)
    if call.get("weight") is not None:
        each = g.node("Mul", each, call.weight)
        if call.reduction == "mean":
            total = g.reduce("ReduceSum", g.node("Expand", call.weight, g.node("Shape", each)), None)
            return g.node("Div", g.reduce("ReduceSum", each, None), total)
    return _reduced(g, call, each)


@rule("nn.functional.smooth_l1_loss", "nn.functional.huber_loss")
def _huber(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    away = g.node("Abs", g.node("Sub", g.cast(call.input, dtype), g.cast(call.target_, dtype)))
    smooth = "smooth" in call.target
    bound = float(call.beta if smooth else call.delta)
    if call.get("weight") is not None:
        raise g.unsupported("huber_loss with weights")
    if not bound:
        return _reduced(g, call, away)
    limit, half = g.scalar(bound, dtype), g.scalar(bound / 2, dtype)
    square = g.node("Mul", g.node("Mul", away, away), g.scalar(0.5, dtype))
    near = g.node("Div", square, limit) if smooth else square
    far = g.node("Sub", away, half)
    far = far if smooth else g.node("Mul", far, limit)
    return _reduced(g, call, g.node("Where", g.node("Less", away, limit), near, far))


@rule("nn.functional.binary_cross_entropy")
def _binary_cross_entropy(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    low, one = g.scalar(-100, dtype), g.scalar(1, dtype)
    logs = [g.node("Max", g.node("Log", each), low) for each in (call.input, g.node("Sub", one, call.input))]
    hit = g.node("Mul", call.target_, logs[0])
    miss = g.node("Mul", g.node("Sub", one, call.target_), logs[1])
    return _reduced(g, call, _weighted(g, call, g.node("Neg", g.node("Add", hit, miss))))


@rule("nn.functional.binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits")
def _with_logits(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    one = g.scalar(1, dtype)
    soft = g.node("Softplus", g.node("Neg", call.input))  # -log(sigmoid)
    if call.get("pos_weight") is not None:
        factor = g.node("Sub", call.pos_weight, one)
        soft = g.node("Mul", soft, g.node("Add", g.node("Mul", factor, call.target_), one))
    each = g.node("Add", g.node("Mul", g.node("Sub", one, call.target_), call.input), soft)
    return _reduced(g, call, _weighted(g, call, each))


@rule("nn.functional.kl_div")
def _kl_div(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    if call.log_target:
        each = g.node("Mul", g.node("Exp", call.target_), g.node("Sub", call.target_, call.input))
    else:
        zero = g.scalar(0, dtype)
        empty = g.node("Equal", call.target_, zero)
        logs = g.node("Log", g.node("Where", empty, g.scalar(1, dtype), call.target_))
        each = g.node("Mul", call.target_, g.node("Sub", logs, call.input))
    if call.reduction != "batchmean":
        return _reduced(g, call, each)
    total = g.reduce("ReduceSum", each, None)
    if not call.input.shape:
        return total
    return g.node("Div", total, g.node("Cast", g.squeeze(g.size(call.input, 0), 0), to=dtype))


@rule("nn.functional.poisson_nll_loss")
def _poisson(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    target = g.cast(call.target_, dtype)
    eps = g.scalar(call.eps, dtype)
    if call.log_input:
        each = g.node("Sub", g.node("Exp", call.input), g.node("Mul", target, call.input))
    else:
        each = g.node("Sub", call.input, g.node("Mul", target, g.node("Log", g.node("Add", call.input, eps))))
    if call.full:
        one = g.scalar(1, dtype)
        is_large = g.node("Greater", target, one)
        safe = g.node("Where", is_large, target, one)
        round_ = g.node(
            "Mul", g.node("Log", g.node("Mul", safe, g.scalar(2 * math.pi, dtype))), g.scalar(0.5, dtype)
        )
        stirling = g.node("Add", g.node("Sub", g.node("Mul", safe, g.node("Log", safe)), safe), round_)
        each = g.node("Add", each, g.node("Where", is_large, stirling, g.scalar(0, dtype)))
    return _reduced(g, call, each)


@rule("nn.functional.soft_margin_loss")
def _soft_margin(g: Drawing, call: Call) -> Any:
    target = g.cast(call.target_, call.result.dtype)
    return _reduced(g, call, g.node("Softplus", g.node("Neg", g.node("Mul", target, call.input))))


@rule("nn.functional.hinge_embedding_loss")
def _hinge(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    target, zero = g.cast(call.target_, dtype), g.scalar(0, dtype)
    margin = g.node("Max", g.node("Sub", g.scalar(call.margin, dtype), call.input), zero)
    apart = g.node("Where", g.node("Equal", target, g.scalar(1, dtype)), zero, margin)
    close = g.node("Where", g.node("Equal", target, g.scalar(-1, dtype)), zero, call.input)
    return _reduced(g, call, g.node("Add", apart, close))


@rule("nn.functional.margin_ranking_loss")
def _margin_ranking(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    target = g.node("Neg", g.cast(call.target_, dtype))
    away = g.node("Mul", target, g.node("Sub", call.input1, call.input2))
    each = g.node("Max", g.node("Add", away, g.scalar(call.margin, dtype)), g.scalar(0, dtype))
    return _reduced(g, call, each)


@rule("nn.functional.cosine_embedding_loss")
def _cosine_embedding(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    near = cosine_of(g, call.input1, call.input2, dtype)
    zero, one = g.scalar(0, dtype), g.scalar(1, dtype)
    target = g.cast(call.target_, dtype)
    same = g.node("Where", g.node("Equal", target, one), g.node("Sub", one, near), zero)
    margin = g.node("Max", g.node("Sub", near, g.scalar(call.margin, dtype)), zero)
    other = g.node("Where", g.node("Equal", target, g.scalar(-1, dtype)), margin, zero)
    return _reduced(g, call, g.node("Add", same, other))


def cosine_of(g: Drawing, first: Value, second: Value, dtype: dt.dtype) -> str:
    """As the loss has it: each square of a length gets a small summand."""
    eps = g.scalar(1e-12, dtype)
    dot = g.reduce("ReduceSum", g.node("Mul", first, second), [-1])
    squares = [
        g.node("Add", g.reduce("ReduceSum", g.node("Mul", each, each), [-1]), eps) for each in (first, second)
    ]
    return g.node("Div", dot, g.node("Sqrt", g.node("Mul", *squares)))


@rule("nn.functional.triplet_margin_loss")
def _triplet(g: Drawing, call: Call) -> Any:
    dtype, order = call.result.dtype, float(call.p)
    positive = distance(g, call.anchor, call.positive, order, call.eps, False, dtype)
    negative = distance(g, call.anchor, call.negative, order, call.eps, False, dtype)
    if call.swap:
        other = distance(g, call.positive, call.negative, order, call.eps, False, dtype)
        negative = g.node("Min", negative, other)
    away = g.node("Add", g.node("Sub", positive, negative), g.scalar(call.margin, dtype))
    return _reduced(g, call, g.node("Max", away, g.scalar(0, dtype)))


# -- classes


@rule("nn.functional.cross_entropy")
def _cross_entropy(g: Drawing, call: Call) -> Any:
    rank = len(call.input.shape)
    dim = 0 if rank == 1 else 1
    logs = softmax(g, "LogSoftmax", g.name_of(call.input), rank, dim)
    return _against_targets(g, call, logs, dim)


def _against_targets(g: Drawing, call: Call, logs: str, dim: int) -> Any:
    if call.target_.dtype.is_floating_point:
        return _soft_targets(g, call, logs, dim)
    if not call.label_smoothing:
        return _picked(g, call, logs, dim)
    return _smoothed(g, call, logs, dim)


@rule("nn.functional.linear_cross_entropy")
def _linear_cross_entropy(g: Drawing, call: Call) -> Any:
    rank = len(call.input.shape)
    if rank > 2 or len(call.linear_weight.shape) > 2:
        raise g.unsupported("linear_cross_entropy of more than two dims")
    scores = affine(g, call.input, call.linear_weight, call.linear_bias)
    return _against_targets(g, call, softmax(g, "LogSoftmax", scores, rank, -1), rank - 1)


@rule("nn.functional.nll_loss")
def _nll(g: Drawing, call: Call) -> Any:
    return _picked(g, call, g.name_of(call.input), 0 if len(call.input.shape) == 1 else 1)


def _soft_targets(g: Drawing, call: Call, logs: str, dim: int) -> Any:
    dtype, target = call.result.dtype, g.name_of(call.target_)
    classes, smoothing = _classes(g, call, dim), call.label_smoothing
    if smoothing:
        target = g.node("Mul", target, g.scalar(1 - smoothing, dtype))
        target = g.node("Add", target, g.scalar(smoothing / classes, dtype))
    each = g.node("Neg", g.node("Mul", logs, target))
    if call.weight is not None:
        each = g.node("Mul", each, _along(g, call.weight, len(call.input.shape), dim))
    each = g.reduce("ReduceSum", each, [dim])
    return _reduced(g, call, each)


def _classes(g: Drawing, call: Call, dim: int) -> int:
    if call.get("linear_weight") is not None:
        return int(call.linear_weight.shape[0])
    return g.fixed(call.input, dim, "cross_entropy")


def _along(g: Drawing, weight: Any, rank: int, dim: int) -> str:
    return g.reshape(weight, [-1 if n == dim else 1 for n in range(rank)])


def _picked(g: Drawing, call: Call, logs: str, dim: int) -> Any:
    """The negative log likelihood of the classes that are named."""
    each, weights = _likelihoods(g, call, logs, dim)
    how = _reduction(call)
    if how == "none":
        return each
    total = g.reduce("ReduceSum", each, None)
    return total if how == "sum" else g.node("Div", total, g.reduce("ReduceSum", weights, None))


def _likelihoods(g: Drawing, call: Call, logs: str, dim: int) -> tuple[str, str]:
    """The weighted negative log likelihood of each target, and the weights; both 0 where it is ignored."""
    dtype = call.result.dtype
    target = g.cast(call.target_, dt.int64)
    ignored = g.node("Equal", target, g.scalar(_ignored(call), dt.int64))
    safe = g.node("Where", ignored, g.scalar(0, dt.int64), target)
    found = g.squeeze(g.node("GatherElements", logs, g.unsqueeze(safe, dim), axis=dim), dim)
    weights = g.node("Expand", g.scalar(1, dtype), g.node("Shape", target))
    if call.weight is not None:
        weights = g.node("Gather", call.weight, safe, axis=0)
    weights = g.node("Where", ignored, g.scalar(0, dtype), weights)
    return g.node("Neg", g.node("Mul", found, weights)), weights


def _ignored(call: Call) -> int:
    return -100 if call.ignore_index is None else int(call.ignore_index)


def _smoothed(g: Drawing, call: Call, logs: str, dim: int) -> Any:
    """Part of the target is spread over all classes."""
    dtype, rank = call.result.dtype, len(call.input.shape)
    classes, smoothing = _classes(g, call, dim), call.label_smoothing
    each, weights = _likelihoods(g, call, logs, dim)
    if call.weight is not None:
        logs = g.node("Mul", logs, _along(g, call.weight, rank, dim))
    spread = g.node("Neg", g.reduce("ReduceSum", logs, [dim]))
    ignored = g.node("Equal", g.cast(call.target_, dt.int64), g.scalar(_ignored(call), dt.int64))
    spread = g.node("Where", ignored, g.scalar(0, dtype), spread)
    how = _reduction(call)
    if how != "none":
        each, spread = (g.reduce("ReduceSum", one, None) for one in (each, spread))
    both = g.node(
        "Add",
        g.node("Mul", each, g.scalar(1 - smoothing, dtype)),
        g.node("Mul", spread, g.scalar(smoothing / classes, dtype)),
    )
    return g.node("Div", both, g.reduce("ReduceSum", weights, None)) if how == "mean" else both


@rule("nn.functional.multi_margin_loss")
def _multi_margin(g: Drawing, call: Call) -> Any:
    dtype, rank = call.result.dtype, len(call.input.shape)
    dim, target = rank - 1, g.cast(call.target_, dt.int64)
    if call.target_.shape == () or (rank == 1 and call.target_.shape == (1,)):
        target = g.reshape(target, [1])
    place = target if rank == 1 else g.unsqueeze(target, dim)
    own = g.node("GatherElements", call.input, place, axis=dim)
    away = g.node("Add", g.node("Sub", call.input, own), g.scalar(call.margin, dtype))
    each = g.node("Max", away, g.scalar(0, dtype))
    if call.p == 2:
        each = g.node("Mul", each, each)
    if call.weight is not None:
        each = g.node("Mul", each, g.node("Gather", call.weight, place, axis=0))
    classes = g.fixed(call.input, dim, "multi_margin_loss")
    numbers = g.constant(np.arange(classes))
    others = g.node("Where", g.node("Equal", numbers, place), g.scalar(0, dtype), each)
    total = g.reduce("ReduceSum", others, [dim], rank == 1 and len(call.target_.shape) == 1)
    return _reduced(g, call, g.node("Div", total, g.scalar(classes, dtype)))
