"""The code of ``softmax.py``, in LLVM's language."""

from __future__ import annotations

import math
from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.exponentials import exponential_or_zero
from distrt.core.kernels.line_code import Access, each_along, first_lane, fold_along

__all__ = ["slopes_code", "spread_code"]

Value = Any  # of llvmlite.ir


def spread_code(lanes: int, is_written: bool) -> str:
    """``run(input, out, peaks, totals, begin, end, width)``; ``out`` is not written where only sums are wanted."""
    emit = Emitter(4, 3, lanes)
    input, out, peaks, totals, begin, end, width = emit.arguments

    def larger(first: Value, second: Value) -> Value:
        return emit.builder.select(emit.builder.fcmp_ordered(">", second, first), second, first)

    def row(number: Value) -> None:
        own, target = (emit.at(each, emit.mul(number, width)) for each in (input, out))

        def most(access: Access, at: Value, known: list[Value]) -> list[Value]:
            return [larger(known[0], access.load(emit.at(own, at)))]

        (peak,) = fold_along(emit, width, [emit.constant(-math.inf)], [larger], most)

        def power(access: Access, at: Value, known: list[Value]) -> list[Value]:
            made = exponential_or_zero(emit, emit.sums("+", access.load(emit.at(own, at)), "-", peak))
            if is_written:
                access.store(made, emit.at(target, at))
            return [emit.sums("+", known[0], "+", made)]

        (total,) = fold_along(emit, width, [emit.constant(0.0)], [emit.builder.fadd], power)
        emit.store(first_lane(emit, peak), emit.at(peaks, number))
        emit.store(first_lane(emit, total), emit.at(totals, number))

        def divide(access: Access, at: Value) -> None:
            place = emit.at(target, at)
            access.store(emit.builder.fdiv(access.load(place), total), place)

        if is_written:
            each_along(emit, width, divide)

    emit.each(begin, end, 1, row)
    return emit.text()


def slopes_code(lanes: int, is_of_log: bool) -> str:
    """``run(g, out, g_input, begin, end, width)``.

    Of softmax it is ``out * (g - sum(g * out))``, of its logarithm ``g - exp(out) * sum(g)``.
    """
    emit = Emitter(3, 3, lanes)
    g, out, g_input, begin, end, width = emit.arguments

    def row(number: Value) -> None:
        own_g, own, target = (emit.at(each, emit.mul(number, width)) for each in (g, out, g_input))

        def add(access: Access, at: Value, known: list[Value]) -> list[Value]:
            slope = access.load(emit.at(own_g, at))
            if is_of_log:
                return [emit.sums("+", known[0], "+", slope)]
            return [emit.fma(slope, access.load(emit.at(own, at)), known[0])]

        (total,) = fold_along(emit, width, [emit.constant(0.0)], [emit.builder.fadd], add)

        def write(access: Access, at: Value) -> None:
            slope, made = access.load(emit.at(own_g, at)), access.load(emit.at(own, at))
            if is_of_log:
                power = exponential_or_zero(emit, made)
                result = emit.fma(power, emit.builder.fneg(total), slope)
            else:
                result = emit.builder.fmul(made, emit.sums("+", slope, "-", total))
            access.store(result, emit.at(target, at))

        each_along(emit, width, write)

    emit.each(begin, end, 1, row)
    return emit.text()
