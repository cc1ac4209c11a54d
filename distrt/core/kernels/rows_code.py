"""The code of ``rows.py``, in LLVM's language. Rows are in whole pairs of vectors; ``is_half``: in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.kernels.emitter import FLOAT, Emitter
from distrt.core.kernels.line_code import first_lane
from distrt.core.kernels.loop_code import INDEX

__all__ = ["normalise_code", "slopes_code"]

Value = Any  # of llvmlite.ir


def normalise_code(lanes: int, is_centred: bool, is_half: bool) -> str:
    """``run(input, weight, bias, eps, out, averages, variances, begin, end, width)``."""
    emit = Emitter(7, 3, lanes, halves=(0, 4) if is_half else ())
    input, weight, bias, eps, out, averages, variances, begin, end, width = emit.arguments
    count, small = _as_float(emit, width), emit.splat(emit.number(eps))

    def row(number: Value) -> None:
        own, target = (emit.at(each, emit.mul(number, width)) for each in (input, out))
        average = emit.constant(0.0)
        if is_centred:
            (total,) = _sums(
                emit, width, 1, lambda at, sums: [emit.sums("+", sums[0], "+", emit.load(emit.at(own, at)))]
            )
            average = emit.builder.fdiv(total, count)
            emit.store(first_lane(emit, average), emit.at(averages, number))

        def square(at: Value, sums: list[Value]) -> list[Value]:
            apart = emit.sums("+", emit.load(emit.at(own, at)), "-", average)
            return [emit.fma(apart, apart, sums[0])]

        (squares,) = _sums(emit, width, 1, square)
        variance = emit.builder.fdiv(squares, count)
        emit.store(first_lane(emit, variance), emit.at(variances, number))
        inverse = _inverse(emit, variance, small)

        def vector(at: Value) -> None:
            apart = emit.sums("+", emit.load(emit.at(own, at)), "-", average)
            normal = emit.builder.fmul(apart, inverse)
            made = emit.fma(normal, emit.load(emit.at(weight, at)), emit.load(emit.at(bias, at)))
            emit.store(made, emit.at(target, at))

        emit.each(0, width, lanes, vector)

    emit.each(begin, end, 1, row)
    return emit.text()


def slopes_code(lanes: int, is_centred: bool, is_half: bool) -> str:
    """``run(g, input, weight, eps, averages, variances, g_input, g_weight, g_bias, begin, end, width)``.

    The gradients of weight and bias are added to what is there.
    """
    emit = Emitter(9, 3, lanes, halves=(0, 1, 6) if is_half else ())
    g, input, weight, eps, averages, variances, g_input, g_weight, g_bias, begin, end, width = emit.arguments
    count, small = _as_float(emit, width), emit.splat(emit.number(eps))

    def row(number: Value) -> None:
        own_g, own, target = (emit.at(each, emit.mul(number, width)) for each in (g, input, g_input))
        average = emit.splat(emit.number(emit.at(averages, number))) if is_centred else emit.constant(0.0)
        inverse = _inverse(emit, emit.splat(emit.number(emit.at(variances, number))), small)

        def normal_at(at: Value) -> Value:
            apart = emit.sums("+", emit.load(emit.at(own, at)), "-", average)
            return emit.builder.fmul(apart, inverse)

        def sums_of(at: Value, sums: list[Value]) -> list[Value]:
            slope, normal = emit.load(emit.at(own_g, at)), normal_at(at)
            for place, more in ((g_weight, emit.builder.fmul(slope, normal)), (g_bias, slope)):
                total = emit.at(place, at)
                emit.store(emit.sums("+", emit.load(total), "+", more), total)
            weighed = emit.builder.fmul(slope, emit.load(emit.at(weight, at)))
            return [emit.fma(weighed, normal, sums[0]), emit.sums("+", sums[1], "+", weighed)]

        pull, push = (emit.builder.fdiv(each, count) for each in _sums(emit, width, 2, sums_of))

        def vector(at: Value) -> None:
            weighed = emit.builder.fmul(emit.load(emit.at(own_g, at)), emit.load(emit.at(weight, at)))
            if is_centred:
                weighed = emit.sums("+", weighed, "-", push)
            change = emit.fma(normal_at(at), emit.builder.fneg(pull), weighed)
            emit.store(emit.builder.fmul(change, inverse), emit.at(target, at))

        emit.each(0, width, lanes, vector)

    emit.each(begin, end, 1, row)
    return emit.text()


def _as_float(emit: Emitter, number: Value) -> Value:
    return emit.splat(emit.builder.sitofp(number, FLOAT))


def _inverse(emit: Emitter, variance: Value, small: Value) -> Value:
    """One over the standard deviation."""
    root = emit.builder.call(emit.intrinsic("llvm.sqrt", 1), [emit.sums("+", variance, "+", small)])
    return emit.builder.fdiv(emit.constant(1.0), root)


def _sums(
    emit: Emitter, width: Value, count: int, more: Callable[[Value, list[Value]], list[Value]]
) -> list[Value]:
    """So many sums along a row, each in all lanes; two vectors abreast, so that one need not wait for the other."""

    def pair(at: Value, sums: list[Value]) -> list[Value]:
        return more(at, sums[:count]) + more(emit.add(at, emit.lanes), sums[count:])

    zeros = [emit.constant(0.0)] * (2 * count)
    parts = emit.fold(INDEX(0), width, 2 * emit.lanes, zeros, pair)
    return [
        emit.across(emit.builder.fadd, emit.sums("+", first, "+", second))
        for first, second in zip(parts[:count], parts[count:], strict=True)
    ]
