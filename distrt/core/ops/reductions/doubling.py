"""Running products and linear recurrences, composed of other operations: log2(n) rounds of shift and multiply.

They divide by nothing, so zeros and any order of derivative are no special case. The derivatives of products call
them where an element is 0.
"""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.arrays import filled


def products_before(input: Any, dim: int) -> Any:
    """The product of all elements before each one along ``dim``; 1 for the first."""
    return _products(_later(input, 1, dim, 1), dim, _later)


def products_after(input: Any, dim: int) -> Any:
    """The product of all elements after each one along ``dim``; 1 for the last."""
    return _products(_earlier(input, 1, dim, 1), dim, _earlier)


def _products(moved: Any, dim: int, shift: Any) -> Any:
    step = 1
    while step < moved.shape[dim]:
        moved = ops.mul(moved, shift(moved, step, dim, 1))
        step *= 2
    return moved


def backward_recurrence(factors: Any, terms: Any, dim: int) -> Any:
    """``s`` with ``s[i] = terms[i] + factors[i] * s[i + 1]`` along ``dim``; after the end it is 0."""
    step = 1
    while step < terms.shape[dim]:
        terms = ops.add(terms, ops.mul(factors, _earlier(terms, step, dim, 0)))
        factors = ops.mul(factors, _earlier(factors, step, dim, 0))
        step *= 2
    return terms


def next_one(input: Any, dim: int, fill: float) -> Any:
    """At each place the element after it along ``dim``; ``fill`` at the end."""
    return _earlier(input, 1, dim, fill)


def _later(input: Any, step: int, dim: int, fill: float) -> Any:
    """Every element moved ``step`` places towards the end."""
    size = input.shape[dim]
    kept = ops.index(input, (*[slice(None)] * dim, slice(0, max(size - step, 0))))
    return ops.cat([_filled(input, min(step, size), dim, fill), kept], dim)


def _earlier(input: Any, step: int, dim: int, fill: float) -> Any:
    """Every element moved ``step`` places towards the start."""
    size = input.shape[dim]
    kept = ops.index(input, (*[slice(None)] * dim, slice(min(step, size), size)))
    return ops.cat([kept, _filled(input, min(step, size), dim, fill)], dim)


def _filled(like: Any, size: int, dim: int, fill: float) -> Any:
    array = getattr(like, "_array", like)
    return filled((*array.shape[:dim], size, *array.shape[dim + 1 :]), fill, array.dtype, array)
