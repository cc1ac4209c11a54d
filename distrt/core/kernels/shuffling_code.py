"""The code of ``shuffling.py``, in LLVM's language."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from distrt.core.kernels.loop_code import INDEX, POINTER, counted, new_function

__all__ = ["exchange_code"]


def exchange_code() -> str:
    """``run(order, steps, count)``."""
    function = new_function(ir.VoidType(), [POINTER, POINTER, INDEX])
    order, steps, count = function.args
    builder = ir.IRBuilder(function.append_basic_block())

    def one(at: Any, _: list[Any]) -> list[Any]:
        step = builder.load(builder.gep(steps, [at], source_etype=INDEX), typ=INDEX)
        here, there = (
            builder.gep(order, [place], source_etype=INDEX) for place in (at, builder.add(at, step))
        )
        first, second = builder.load(here, typ=INDEX), builder.load(there, typ=INDEX)
        builder.store(second, here)
        builder.store(first, there)
        return []

    counted(builder, INDEX(0), count, 1, [], one)
    builder.ret_void()
    return str(function.module)
