"""The code of ``casting.py``, in LLVM's language."""

from __future__ import annotations

from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.line_code import Access, each_along

__all__ = ["cast_code"]

Value = Any  # of llvmlite.ir


def cast_code(lanes: int, is_narrowing: bool, half: str) -> str:
    """``run(input, out, count)``: from float32 to one of half precision, or the other way."""
    emit = Emitter(2, 1, lanes, halves=[1 if is_narrowing else 0], half=half)
    input, out, count = emit.arguments

    def some(access: Access, at: Value) -> None:
        access.store(access.load(emit.at(input, at)), emit.at(out, at))

    each_along(emit, count, some)
    return emit.text()
