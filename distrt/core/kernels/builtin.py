"""Machine code that Python calls like a function of its own.

To call through ctypes costs 0.15 us for each argument, which is much beside an all-reduce of 5 us. A builtin function
gets the arguments as they are, and takes them apart itself.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.kernels.loops import address

__all__ = ["array_data_offset", "builtin", "make_known"]

_FASTCALL = 0x0080  # METH_FASTCALL: f(self, arguments, how many)


class _MethodDef(ctypes.Structure):
    """``PyMethodDef`` of Python's stable interface."""

    _fields_ = (
        ("ml_name", ctypes.c_char_p),
        ("ml_meth", ctypes.c_void_p),
        ("ml_flags", ctypes.c_int),
        ("ml_doc", ctypes.c_char_p),
    )


def builtin(code: int, bound: object) -> Callable[..., Any]:
    """A function of Python's with machine code as its body. It keeps the interpreter while it runs.

    Args:
        code: the address of a function ``object *run(object *bound, object **arguments, ssize_t count)``.
        bound: what that gets first.
    """
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = (
        [ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.c_void_p],
        ctypes.py_object,
    )
    made: Callable[..., Any] = make(ctypes.byref(_definition(code)), bound, None)
    return made


@functools.cache  # functions point to it as long as they live; code stays for ever, too
def _definition(code: int) -> _MethodDef:
    return _MethodDef(b"run", code, _FASTCALL, None)


def make_known(name: str) -> str:
    """Let machine code call a function of Python's stable C interface by its name, which is given back."""
    import llvmlite.binding

    llvmlite.binding.add_symbol(name, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    return name


@functools.cache
def array_data_offset() -> int | None:
    """Where in an array's object the address of its first element is, as ``PyArray_DATA`` has it.

    None where the object looks otherwise, in some build of Python to come.
    """
    offset = object.__basicsize__
    array = np.zeros(1)
    found = ctypes.c_void_p.from_address(id(array) + offset).value
    return offset if found == address(array) else None
