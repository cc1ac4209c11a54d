"""bfloat16 in LLVM's language: the upper half of a float32, which is what everything is computed in."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

__all__ = ["SHORT", "narrowed", "widened"]

SHORT = ir.IntType(16)
_BITS = ir.IntType(32)

Value = Any  # of llvmlite.ir


def widened(builder: ir.IRBuilder, value: Value) -> Value:
    """The float32 of a bfloat16's 16 bits; of a number or a vector."""
    bits = builder.shl(builder.zext(value, _like(_BITS, value)), _all(_BITS, value, 16))
    return builder.bitcast(bits, _like(ir.FloatType(), value))


def narrowed(builder: ir.IRBuilder, value: Value) -> Value:
    """The 16 bits of the bfloat16 that is nearest to a float32, the even one where two are.

    The processor's own instruction would take what is below the smallest normal number for 0.
    """
    bits = builder.bitcast(value, _like(_BITS, value))
    sixteen = _all(_BITS, value, 16)
    odd = builder.and_(builder.lshr(bits, sixteen), _all(_BITS, value, 1))
    rounded = builder.add(bits, builder.add(odd, _all(_BITS, value, 0x7FFF)))
    sign = builder.and_(bits, _all(_BITS, value, 0x80000000))
    nan = builder.or_(sign, _all(_BITS, value, 0x7FC00000))
    chosen = builder.select(builder.fcmp_unordered("uno", value, value), nan, rounded)
    return builder.trunc(builder.lshr(chosen, sixteen), _like(SHORT, value))


def _like(kind: Any, value: Value) -> Any:
    """The type of as many numbers of a kind as the value has."""
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def _all(kind: Any, value: Value, number: int) -> Value:
    """The same number as often as the value has numbers."""
    shape = _like(kind, value)
    return ir.Constant(shape, [number] * shape.count if isinstance(shape, ir.VectorType) else number)
