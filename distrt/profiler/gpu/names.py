"""What kernels and copies are called, as in Kineto's traces: ``Memcpy HtoD (Pageable -> Device)``."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from typing import Any

__all__ = ["copy_name", "kernel_name", "setting_name"]

_WAYS = {
    1: "HtoD",
    2: "DtoH",
    3: "HtoA",
    4: "AtoH",
    5: "AtoA",
    6: "AtoD",
    7: "DtoA",
    8: "DtoD",
    9: "HtoH",
    10: "PtoP",
}
_PLACES = {
    1: "Pageable",
    2: "Pinned",
    3: "Device",
    4: "Array",
    5: "Managed",
    6: "Device Static",
    7: "Managed Static",
}


def copy_name(way: int, source: int, target: int) -> str:
    """A copy's, by CUPTI's numbers of its way and of what memory it is from and to."""
    return f"Memcpy {_WAYS.get(way, 'Unknown')} ({_place(source)} -> {_place(target)})"


def setting_name(place: int) -> str:
    """That of memory which is set, by CUPTI's number of its kind."""
    return f"Memset ({_place(place)})"


@functools.cache
def kernel_name(symbol: bytes | None) -> str:
    """A kernel's as it stands in its source, where the C++ library can tell; else its symbol."""
    if symbol is None:
        return "unknown kernel"
    demangle = _demangle()
    if demangle is None or not symbol.startswith(b"_Z"):
        return symbol.decode(errors="replace")
    status = c_int()
    found = demangle(symbol, None, None, byref(status))
    if not found:
        return symbol.decode(errors="replace")
    try:
        said: bytes = ctypes.string_at(found)
        return said.decode(errors="replace")
    finally:
        _free()(found)


def _place(kind: int) -> str:
    return _PLACES.get(kind, "Unknown")


@functools.cache
def _demangle() -> Any:
    for file in (None, "libstdc++.so.6"):
        try:
            found = ctypes.CDLL(file).__cxa_demangle
        except (OSError, AttributeError):
            continue
        found.argtypes, found.restype = [c_char_p, c_char_p, POINTER(c_size_t), POINTER(c_int)], c_void_p
        return found
    return None


@functools.cache
def _free() -> Any:
    found = ctypes.CDLL(None).free
    found.argtypes, found.restype = [c_void_p], None
    return found
