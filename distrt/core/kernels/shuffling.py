"""Exchanging elements one after the other, compiled: each exchange depends on the one before, so NumPy cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable

from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, function_of, vector_floats

__all__ = ["exchange", "suits"]

# Elements from which it is worth compiling: Python takes as long for so many.
_LEAST = 1 << 17


def suits(count: int) -> bool:
    """Whether so many elements are exchanged here."""
    return count >= _LEAST and bool(vector_floats())


def exchange(order: Array, steps: Array) -> None:
    """Exchanges element i with the one ``steps[i]`` places after it, for each i in turn. Both int64, contiguous."""
    _compiled()(address(order), address(steps), len(steps))


@functools.cache
def _compiled() -> Callable[..., None]:
    from distrt.core.kernels.shuffling_code import exchange_code  # llvmlite loads with it

    return function_of(exchange_code(), 2, 1)
