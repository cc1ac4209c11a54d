"""The exponential and what is made of it, on vectors, in LLVM's language."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter

__all__ = ["exponential", "exponential_or_zero", "sigmoid", "tanh"]

# exp(r) - 1 - r = r² p(r) for |r| <= log(2) / 2. Source: Cephes, expf.
_FACTORS = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
_LOWEST, _HIGHEST = -87.3, 88.3
_LOG2_HIGH, _LOG2_LOW = 0.693359375, -2.12194440e-4

Value = Any  # of llvmlite.ir


def exponential(emit: Emitter, x: Value) -> Value:
    """``exp(x)`` where that is a normal number; at the ends of those, it stays. NaN stays, too."""
    builder, lanes = emit.builder, emit.lanes
    x = _limited(emit, x)
    turns = builder.fmul(x, emit.constant(1 / math.log(2)))
    rounded = builder.call(emit.intrinsic("llvm.rint", 1), [turns])
    rest = emit.fma(rounded, emit.constant(-_LOG2_HIGH), x)
    rest = emit.fma(rounded, emit.constant(-_LOG2_LOW), rest)
    curve = emit.constant(_FACTORS[0])
    for factor in _FACTORS[1:]:
        curve = emit.fma(curve, rest, emit.constant(factor))
    near = emit.sums("+", emit.fma(builder.fmul(rest, rest), curve, rest), "+", emit.constant(1.0))
    integers = ir.VectorType(ir.IntType(32), lanes)
    power = builder.add(builder.fptosi(rounded, integers), ir.Constant(integers, [127] * lanes))
    power = builder.shl(power, ir.Constant(integers, [23] * lanes))
    return builder.fmul(near, builder.bitcast(power, emit.vector))


def exponential_or_zero(emit: Emitter, x: Value) -> Value:
    """The same, but 0 where ``exp(x)`` is below all normal numbers."""
    is_low = emit.builder.fcmp_ordered("<", x, emit.constant(_LOWEST))
    return emit.builder.select(is_low, emit.constant(0.0), exponential(emit, x))


def _limited(emit: Emitter, x: Value) -> Value:
    builder, lowest, highest = emit.builder, emit.constant(_LOWEST), emit.constant(_HIGHEST)
    high = builder.select(builder.fcmp_ordered(">", x, highest), highest, x)
    return builder.select(builder.fcmp_ordered("<", high, lowest), lowest, high)


def sigmoid(emit: Emitter, x: Value) -> Value:
    """``1 / (1 + exp(-x))``."""
    one = emit.constant(1.0)
    return emit.builder.fdiv(one, emit.sums("+", one, "+", exponential(emit, emit.builder.fneg(x))))


def tanh(emit: Emitter, x: Value) -> Value:
    """The hyperbolic tangent, to 1e-7 of 1: it is for what is added to numbers of that size."""
    twice = sigmoid(emit, emit.sums("+", x, "+", x))
    return emit.fma(emit.constant(2.0), twice, emit.constant(-1.0))
