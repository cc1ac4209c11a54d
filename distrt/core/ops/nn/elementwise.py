"""What layers are made of, element by element: relu, sigmoid, logit."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import DtypeError
from distrt.core.kernels import channels, elements, on_gpu
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import mul, sub, true_divide
from distrt.core.ops.pointwise.comparison import ge, le, logical_and, ne, where, zero_unless
from distrt.core.ops.pointwise.half import refuse, wide

__all__ = ["logit", "relu", "sigmoid"]


@op(dtype="float", layouts="follows")
def sigmoid(input: Array) -> Array:
    """``1 / (1 + exp(-input))``, of full precision where that is small; where exp overflows it is 0."""
    wider = wide(input)
    squashed = np.exp(np.negative(wider))
    squashed = np.reciprocal(np.add(squashed, 1, dtype=wider.dtype))
    return squashed.astype(input.dtype, copy=False)


sigmoid.gradient(input=lambda g, out: mul(g, mul(out, sub(1, out))))


@op(dtype="float")
def logit(input: Array, eps: float | None = None) -> Array:
    """``log(input / (1 - input))``, of the input moved into [eps, 1 - eps] where ``eps`` is given."""
    refuse("logit", input, "c")
    wider = wide(input)
    if eps is not None:
        wider = np.clip(wider, wider.dtype.type(eps), wider.dtype.type(1 - eps))
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


@op(layouts="follows")
def relu(input: Array) -> Array:
    """``max(input, 0)``."""
    if input.dtype.kind in "bc":
        if input.dtype.kind == "b":
            raise DtypeError("Boolean inputs not supported for relu")
        refuse("relu", input, "c")
    return elements.relu(input)


def _relu_slope(g: Any, out: Any) -> Any:
    if g.__class__ is np.ndarray and channels.suits_elements(g, out):
        return channels.keep_nonzero(g, out)
    if used.gpu and on_gpu.elements.suits(g, out):
        return on_gpu.elements.keep_nonzero(g, out)
    return zero_unless(g, ne(out, 0))  # nan is let through


relu.gradient(input=lambda g, out: _relu_slope(g, out))
relu.overwriting = lambda input: on_gpu.elements.over(np.maximum, input, input.dtype.type(0))
