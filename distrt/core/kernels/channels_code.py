"""The code of ``channels.py``, in LLVM's language; ``is_half`` is for images in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.half_code import SHORT

__all__ = ["affine_code", "nonzero_code", "sums_code"]

#: Pixels whose float32 sum is taken before it goes into a float64.
_RUN = 64

#: Vectors of channels that are summed side by side, so that one addition need not wait for another.
_ABREAST = 4

Value = Any  # of llvmlite.ir


def sums_code(lanes: int, is_of_products: bool, is_half: bool) -> str:
    """``run(values, others, means, sums, products, pixels, channels)``: float64 sums over the pixels, by channel.

    Of (others - means), and of its squares; with ``is_of_products`` of ``values``, and of values * (others - means).
    """
    emit = Emitter(5, 2, lanes, halves=(0, 1) if is_half else ())
    values, others, means, sums, products, pixels, channels = emit.arguments
    width = _ABREAST * lanes

    def panel(count: int) -> Callable[[Value], None]:
        def add(channel: Value) -> None:
            around = [emit.load(emit.at(means, channel, n * lanes)) for n in range(count)]
            zeros = [_double(emit, 0.0)] * (2 * count)

            def run(number: Value, totals: list[Value]) -> list[Value]:
                first = emit.mul(number, _RUN)
                end = emit.smaller(emit.add(first, _RUN), pixels)

                def pixel(at: Value, parts: list[Value]) -> list[Value]:
                    start = emit.add(emit.mul(at, channels), channel)
                    made = []
                    for n in range(count):
                        apart = emit.builder.fsub(emit.load(emit.at(others, start, n * lanes)), around[n])
                        factor = emit.load(emit.at(values, start, n * lanes)) if is_of_products else apart
                        made.append(emit.builder.fadd(parts[2 * n], factor))
                        made.append(emit.fma(factor, apart, parts[2 * n + 1]))
                    return made

                parts = emit.fold(first, end, 1, [emit.constant(0.0)] * (2 * count), pixel)
                return [
                    emit.builder.fadd(total, emit.builder.fpext(part, total.type))
                    for total, part in zip(totals, parts, strict=True)
                ]

            runs = emit.builder.sdiv(emit.add(pixels, _RUN - 1), ir.IntType(64)(_RUN))
            totals = emit.fold(0, runs, 1, zeros, run)
            for n in range(count):
                for room, total in ((sums, totals[2 * n]), (products, totals[2 * n + 1])):
                    place = emit.builder.gep(
                        room, [emit.add(channel, n * lanes)], source_etype=ir.DoubleType()
                    )
                    emit.builder.store(total, place, align=8)

        return add

    whole = emit.mul(emit.builder.sdiv(channels, ir.IntType(64)(width)), width)
    emit.each(0, whole, width, panel(_ABREAST))
    emit.each(whole, channels, lanes, panel(1))
    return emit.text()


def _double(emit: Emitter, value: float) -> Value:
    return ir.Constant(ir.VectorType(ir.DoubleType(), emit.lanes), [value] * emit.lanes)


def affine_code(lanes: int, has_gradient: bool, is_half: bool, is_quick: bool) -> str:
    """``run(values, others, means, scales, factors, more, out, pixels, channels)``, each channel by its own numbers.

    ``out = (others - means) * factors + more``, and with ``has_gradient`` plus ``values * scales``; ``is_quick`` where
    the processor's own instruction rounds it.
    """
    emit = Emitter(7, 2, lanes, halves=(0, 1, 6) if is_half else ())
    values, others, means, scales, factors, more, out, pixels, channels = emit.arguments

    def pixel(at: Value) -> None:
        start = emit.mul(at, channels)

        def vector(channel: Value) -> None:
            place = emit.add(start, channel)
            apart = emit.builder.fsub(emit.load(emit.at(others, place)), emit.load(emit.at(means, channel)))
            made = emit.fma(apart, emit.load(emit.at(factors, channel)), emit.load(emit.at(more, channel)))
            if has_gradient:
                made = emit.fma(emit.load(emit.at(values, place)), emit.load(emit.at(scales, channel)), made)
            (emit.store_quickly if is_quick else emit.store)(made, emit.at(out, place))

        emit.each(0, channels, lanes, vector)

    emit.each(0, pixels, 1, pixel)
    return emit.text()


def nonzero_code(lanes: int, is_half: bool) -> str:
    """``run(values, others, out, count)``: values where others are not 0 (NaN is not), else 0.

    Nothing is computed, so bfloat16 stays as it is: all of its bits but the sign are 0 in zeros.
    """
    emit = Emitter(3, 1, lanes)
    values, others, out, count = emit.arguments
    builder, kind = emit.builder, ir.VectorType(SHORT if is_half else ir.IntType(32), lanes)
    unsigned, zeros = (ir.Constant(kind, [each] * lanes) for each in (0x7FFF if is_half else 0x7FFFFFFF, 0))

    def vector(at: Value) -> None:
        places = [builder.gep(each, [at], source_etype=kind.element) for each in (values, others, out)]
        value, other = (builder.load(each, typ=kind, align=2) for each in places[:2])
        is_there = builder.icmp_unsigned("!=", builder.and_(other, unsigned), zeros)
        builder.store(builder.select(is_there, value, zeros), places[2], align=2)

    emit.each(0, count, lanes, vector)
    return emit.text()
