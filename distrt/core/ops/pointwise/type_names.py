"""Element types as PyTorch's messages name them."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "bool": ("Bool", "bool"),
    "uint8": ("Byte", "unsigned char"),
    "int8": ("Char", "signed char"),
    "int16": ("Short", "short"),
    "int32": ("Int", "int"),
    "int64": ("Long", "long int"),
    "uint16": ("UInt16", "short unsigned int"),
    "uint32": ("UInt32", "unsigned int"),
    "uint64": ("UInt64", "long unsigned int"),
    "float16": ("Half", "c10::Half"),
    "bfloat16": ("BFloat16", "c10::BFloat16"),
    "float32": ("Float", "float"),
    "float64": ("Double", "double"),
    "complex64": ("ComplexFloat", "c10::complex<float>"),
    "complex128": ("ComplexDouble", "c10::complex<double>"),
}


def scalar_type(value: Any) -> str:
    """The element type of a tensor or array: ``Float``, ``Long``, …"""
    return _NAMES[getattr(value, "_array", value).dtype.name][0]


def c_type(value: Any) -> str:
    """The element type of a tensor or array as C++ names it: ``float``, ``long int``, …"""
    return _NAMES[getattr(value, "_array", value).dtype.name][1]
