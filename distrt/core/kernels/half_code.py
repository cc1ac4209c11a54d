"""Half precision in LLVM's language. Everything is computed in float32.

bfloat16 is the upper half of that, and has no instructions of its own here; float16 has them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

__all__ = ["SHORT", "STORED", "dotted", "narrowed", "paired", "quickly_narrowed", "widened"]

SHORT = ir.IntType(16)

#: What each is in memory.
STORED = {"bfloat16": SHORT, "float16": ir.HalfType()}

_BITS = ir.IntType(32)

Value = Any  # of llvmlite.ir


def widened(builder: ir.IRBuilder, value: Value, dtype: str = "bfloat16") -> Value:
    """The float32 of what was loaded: a number or a vector."""
    if dtype == "float16":
        return builder.fpext(value, _like(ir.FloatType(), value))
    bits = builder.shl(builder.zext(value, _like(_BITS, value)), _all(_BITS, value, 16))
    return builder.bitcast(bits, _like(ir.FloatType(), value))


def narrowed(builder: ir.IRBuilder, value: Value, dtype: str = "bfloat16") -> Value:
    """What is nearest to a float32, the even one where two are, as it is stored.

    For bfloat16, the processor's own instruction would take what is below the smallest normal number for 0.
    """
    if dtype == "float16":
        return builder.fptrunc(value, _like(ir.HalfType(), value))
    bits = builder.bitcast(value, _like(_BITS, value))
    sixteen = _all(_BITS, value, 16)
    odd = builder.and_(builder.lshr(bits, sixteen), _all(_BITS, value, 1))
    rounded = builder.add(bits, builder.add(odd, _all(_BITS, value, 0x7FFF)))
    sign = builder.and_(bits, _all(_BITS, value, 0x80000000))
    nan = builder.or_(sign, _all(_BITS, value, 0x7FC00000))
    chosen = builder.select(builder.fcmp_unordered("uno", value, value), nan, rounded)
    return builder.trunc(builder.lshr(chosen, sixteen), _like(SHORT, value))


def quickly_narrowed(builder: ir.IRBuilder, value: Value) -> Value:
    """The same for 16 numbers by the processor's instruction for bfloat16, which takes the smallest for 0."""
    return builder.call(
        _instruction(builder, "cvtneps2bf16", ir.VectorType(SHORT, 16), [value.type]), [value]
    )


def paired(builder: ir.IRBuilder, first: Value, second: Value) -> Value:
    """16 pairs of bfloat16, each in 32 bits: what `dotted` multiplies."""
    low, high = (
        builder.zext(quickly_narrowed(builder, each), ir.VectorType(_BITS, 16)) for each in (first, second)
    )
    return builder.or_(low, builder.shl(high, _all(_BITS, high, 16)))


def dotted(builder: ir.IRBuilder, total: Value, first: Value, second: Value) -> Value:
    """``total + first * second`` for 16 pairs of bfloat16, both products of a pair."""
    kinds = [total.type, first.type, second.type]
    return builder.call(_instruction(builder, "dpbf16ps", total.type, kinds), [total, first, second])


def _instruction(builder: ir.IRBuilder, name: str, result: Any, arguments: list[Any]) -> Value:
    """One of AVX512_BF16, for vectors of 512 bits."""
    full = f"llvm.x86.avx512bf16.{name}.512"
    known = builder.module.globals.get(full)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), full)


def _like(kind: Any, value: Value) -> Any:
    """The type of as many numbers of a kind as the value has."""
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def _all(kind: Any, value: Value, number: int) -> Value:
    """The same number as often as the value has numbers."""
    shape = _like(kind, value)
    return ir.Constant(shape, [number] * shape.count if isinstance(shape, ir.VectorType) else number)
