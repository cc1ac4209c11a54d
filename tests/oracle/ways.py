"""What rows of the op table share: dtypes, and a function called as function, as method and in place."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import ALL, COMPLEX, FLOATS

INTEGERS = ("int64", "int32", "int8", "uint8")
BITS = (*INTEGERS, "bool")
NUMBERS = (*ALL, *COMPLEX)
REAL = (*FLOATS, "float16", "bfloat16")

#: PyTorch has no derivative of these in place.
ONLY_OUT_OF_PLACE = ("asinh", "arcsinh", "atanh", "arctanh", "acosh", "arccosh")


def three_ways(t: Any, a: Any, name: str) -> Any:
    found = (getattr(t, name)(a), getattr(a, name)())
    if name not in ONLY_OUT_OF_PLACE and (a.dtype.is_floating_point or a.dtype.is_complex):
        found += (getattr(a * 1, name + "_")() * a,)
    return found


def both_ways(t: Any, a: Any, b: Any, name: str) -> Any:
    return getattr(t, name)(a, b), getattr(a, name)(b)


def in_place(t: Any, a: Any, b: Any, name: str) -> Any:
    return getattr((a * 1).reshape(a.shape), name + "_")(b) * a
