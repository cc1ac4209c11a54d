"""Integers as bits and as multiples: and, or, shifts, greatest common divisors."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar
from distrt.core.op import op
from distrt.core.ops.pointwise.half import refuse

__all__ = [
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "gcd",
    "invert",
    "lcm",
]


@op()
def bitwise_not(input: Array) -> Array:
    """Every bit turned over; of bools, the other one."""
    refuse("bitwise_not", input, "fVc")
    return np.invert(input)


def invert(input: Any) -> Any:
    """``~input``.

    Raises:
        TypeError: for a tensor that is neither of integers nor of bools.
    """
    if getattr(input, "_array", input).dtype.kind not in "biu":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return bitwise_not(input)


@op(dtype="promote")
def bitwise_and(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input & other``. Shape: broadcasts."""
    refuse("bitwise_and", input, "fVc")
    return np.bitwise_and(input, other)


@op(dtype="promote")
def bitwise_or(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input | other``. Shape: broadcasts."""
    refuse("bitwise_or", input, "fVc")
    return np.bitwise_or(input, other)


@op(dtype="promote")
def bitwise_xor(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input ^ other``. Shape: broadcasts."""
    refuse("bitwise_xor", input, "fVc")
    return np.bitwise_xor(input, other)


@op(dtype="promote")
def bitwise_left_shift(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input << other``: 0 where nothing is left, as for a negative ``other``. Shape: broadcasts."""
    refuse("lshift", input, "bfVc")
    return np.left_shift(input, other)


@op(dtype="promote")
def bitwise_right_shift(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input >> other``: 0 or -1 where nothing is left, as for a negative ``other``. Shape: broadcasts."""
    refuse("rshift", input, "bfVc")
    return np.right_shift(input, other)


@op(dtype="promote")
def gcd(input: Array, other: Array) -> Array:
    """The greatest common divisor; of 0 and 0 it is 0. Shape: broadcasts."""
    refuse("gcd", input, "bfVc")
    return np.gcd(input, other)


@op(dtype="promote")
def lcm(input: Array, other: Array) -> Array:
    """The least common multiple. Shape: broadcasts."""
    refuse("lcm", input, "bfVc")
    return np.lcm(input, other)
