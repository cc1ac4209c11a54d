"""What layers are made of, element by element: relu, sigmoid, logit, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import DtypeError
from distrt.core.op import op
from distrt.core.ops.arithmetic import mul, sub, true_divide
from distrt.core.ops.comparison import ge, gt, le, logical_and, where, zero_unless
from distrt.core.ops.half import refuse, wide

__all__ = ["dropout", "logit", "relu", "sigmoid"]


@op(dtype="float")
def sigmoid(input: Array) -> Array:
    """``1 / (1 + exp(-input))``, by way of tanh so that nothing overflows."""
    wider = wide(input)
    if wider.dtype.kind == "c":
        return np.reciprocal(np.add(np.exp(np.negative(wider)), 1, dtype=wider.dtype))
    half = np.asarray(0.5, wider.dtype)
    squashed = np.add(np.multiply(np.tanh(np.multiply(wider, half)), half), half)
    return squashed.astype(input.dtype, copy=False)


sigmoid.gradient(input=lambda g, out: mul(g, mul(out, sub(1, out))))


@op(dtype="float", autocast="full")
def logit(input: Array, eps: float | None = None) -> Array:
    """``log(input / (1 - input))``, of the input moved into [eps, 1 - eps] where ``eps`` is given."""
    refuse("logit", input, "c")
    wider = wide(input)
    if eps is not None:
        wider = np.clip(wider, np.asarray(eps, wider.dtype), np.asarray(1 - eps, wider.dtype))
    odds = np.true_divide(wider, np.subtract(1, wider, dtype=wider.dtype))
    return np.log(odds).astype(input.dtype, copy=False)


def _logit_slope(g: Array, input: Array, eps: float | None) -> Array:
    low, high = (0.0, 1.0) if eps is None else (eps, 1 - eps)
    inside = logical_and(ge(input, low), le(input, high))
    if eps is None:
        return where(inside, true_divide(g, mul(input, sub(1, input))), float("nan"))
    safe = where(inside, input, 0.5)
    return zero_unless(true_divide(g, mul(safe, sub(1, safe))), inside)


logit.gradient(input=lambda g, input, eps: _logit_slope(g, input, eps))


@op()
def relu(input: Array) -> Array:
    """``max(input, 0)``."""
    if input.dtype.kind in "bc":
        if input.dtype.kind == "b":
            raise DtypeError("Boolean inputs not supported for relu")
        refuse("relu", input, "c")
    return np.maximum(input, np.zeros((), input.dtype))


relu.gradient(input=lambda g, out: zero_unless(g, gt(out, 0)))


@op(aux=("mask",))
def dropout(input: Array, p: float, generator: np.random.Generator) -> Any:
    """Zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``."""
    if p == 1:
        return np.zeros_like(input), np.zeros_like(input)
    draw_dtype = np.float64 if input.dtype == np.float64 else np.float32
    kept = generator.random(input.shape, draw_dtype) >= p
    mask = np.multiply(kept, np.asarray(1 / (1 - p), input.dtype), dtype=input.dtype)
    return np.multiply(input, mask), mask


dropout.gradient(input=lambda g, mask: mul(g, mask))
