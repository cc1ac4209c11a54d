"""The code of ``curves.py``, in LLVM's language."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter

__all__ = ["gelu_code"]

# erf(x) = x p(x²) / q(x²) to 2e-7 where |x| is below _ONE, from where on it rounds to 1. Source: Eigen's minimax fit.
_ERF_TOP = (
    2.2905065861350646e-4,
    3.4082910107109506e-3,
    5.0955695062380861e-2,
    1.8520832239976145e-1,
    1.128379143519084,
)
_ERF_BOTTOM = (
    *(-1.1791602954361697e-7, 2.3547966471313185e-5, 1.0179625278914885e-3, 1.4070470171167667e-2),
    *(1.1098505178285362e-1, 4.9746925110067538e-1, 1.0),
)
_ONE = 3.832506856900711

# exp(r) - 1 - r = r² p(r) for |r| <= log(2) / 2. Source: Cephes, expf.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_EXP_LOWEST, _EXP_HIGHEST = -87.3, 88.3
_LOG2_HIGH, _LOG2_LOW = 0.693359375, -2.12194440e-4

_WIDTH, _BEND = math.sqrt(2 / math.pi), 0.044715

Value = Any  # of llvmlite.ir


def gelu_code(lanes: int, is_bent: bool, is_slope: bool) -> str:
    """``run(values, gradients, out, count)``: gelu of the values, or its slope there times the gradients."""
    emit = Emitter(3, 1, lanes)
    values, gradients, out, count = emit.arguments
    curve: Callable[[Emitter, Value], tuple[Value, Value]] = _bent if is_bent else _normal

    def vector(at: Value) -> None:
        x = emit.load(emit.at(values, at))
        chance, density = curve(emit, x)
        if is_slope:
            made = emit.builder.fmul(emit.load(emit.at(gradients, at)), emit.fma(x, density, chance))
        else:
            made = emit.builder.fmul(x, chance)
        emit.store(made, emit.at(out, at))

    emit.each(0, count, lanes, vector)
    return emit.text()


def _normal(emit: Emitter, x: Value) -> tuple[Value, Value]:
    """The normal distribution's function and density."""
    half = emit.constant(0.5)
    chance = emit.fma(half, _erf(emit, _times(emit, x, math.sqrt(0.5))), half)
    square = emit.builder.fmul(x, _times(emit, x, -0.5))
    return chance, _times(emit, _exp(emit, square), 1 / math.sqrt(2 * math.pi))


def _bent(emit: Emitter, x: Value) -> tuple[Value, Value]:
    """A logistic curve that comes close to it, and that curve's slope."""
    multiply, one = emit.builder.fmul, emit.constant(1.0)
    square = multiply(x, x)
    inner = multiply(x, emit.fma(emit.constant(_WIDTH * _BEND), square, emit.constant(_WIDTH)))
    chance = emit.builder.fdiv(one, emit.sums("+", one, "+", _exp(emit, _times(emit, inner, -2.0))))
    steep = emit.fma(emit.constant(6 * _WIDTH * _BEND), square, emit.constant(2 * _WIDTH))
    return chance, multiply(multiply(chance, emit.sums("+", one, "-", chance)), steep)


def _times(emit: Emitter, value: Value, factor: float) -> Value:
    return emit.builder.fmul(value, emit.constant(factor))


def _polynomial(emit: Emitter, x: Value, factors: Sequence[float]) -> Value:
    """Highest power first."""
    total = emit.constant(factors[0])
    for factor in factors[1:]:
        total = emit.fma(total, x, emit.constant(factor))
    return total


def _erf(emit: Emitter, x: Value) -> Value:
    builder = emit.builder
    square = builder.fmul(x, x)
    top = builder.fmul(x, _polynomial(emit, square, _ERF_TOP))
    inside = builder.fdiv(top, _polynomial(emit, square, _ERF_BOTTOM))
    low = builder.select(builder.fcmp_ordered("<=", x, emit.constant(-_ONE)), emit.constant(-1.0), inside)
    return builder.select(builder.fcmp_ordered(">=", x, emit.constant(_ONE)), emit.constant(1.0), low)


def _exp(emit: Emitter, x: Value) -> Value:
    builder, lanes = emit.builder, emit.lanes
    x = _limited(emit, x)
    rounded = builder.call(emit.intrinsic("llvm.rint", 1), [_times(emit, x, 1 / math.log(2))])
    rest = emit.fma(rounded, emit.constant(-_LOG2_HIGH), x)
    rest = emit.fma(rounded, emit.constant(-_LOG2_LOW), rest)
    near = emit.sums(
        "+", emit.fma(builder.fmul(rest, rest), _polynomial(emit, rest, _EXP), rest), "+", emit.constant(1.0)
    )
    integers = ir.VectorType(ir.IntType(32), lanes)
    power = builder.add(builder.fptosi(rounded, integers), ir.Constant(integers, [127] * lanes))
    return builder.fmul(
        near, builder.bitcast(builder.shl(power, ir.Constant(integers, [23] * lanes)), emit.vector)
    )


def _limited(emit: Emitter, x: Value) -> Value:
    """Moved to where the result is a normal number; NaN stays."""
    builder, lowest, highest = emit.builder, emit.constant(_EXP_LOWEST), emit.constant(_EXP_HIGHEST)
    high = builder.select(builder.fcmp_ordered(">", x, highest), highest, x)
    return builder.select(builder.fcmp_ordered("<", high, lowest), lowest, high)
