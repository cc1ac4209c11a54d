"""Going along a line of floats of any length, in LLVM's language: whole vectors first, then one number after another.

A body is written once. It reads and writes through the `Access` that it is given, and computes on vectors either way: a
single number is then in all lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.loop_code import INDEX

__all__ = ["Access", "each_along", "first_lane", "fold_along"]

Value = Any  # of llvmlite.ir


class Access(NamedTuple):
    """How a body reads from an address, and writes (value, address)."""

    load: Callable[[Value], Value]
    store: Callable[[Value, Value], None]


def each_along(emit: Emitter, count: Value, body: Callable[[Access, Value], None]) -> None:
    """Calls ``body(access, at)`` for every place along the line."""
    whole, vectors, singles = _parts(emit, count)
    emit.each(0, whole, emit.lanes, lambda at: body(vectors, at))
    emit.each(whole, count, 1, lambda at: body(singles, at))


def fold_along(
    emit: Emitter,
    count: Value,
    values: Sequence[Value],
    verbs: Sequence[Callable[[Value, Value], Value]],
    body: Callable[[Access, Value, list[Value]], list[Value]],
) -> list[Value]:
    """The same with values that each turn hands to the next; in the end each is in all lanes.

    ``verbs`` say what is made of the lanes of each value where the whole vectors end.
    """
    whole, vectors, singles = _parts(emit, count)
    parts = emit.fold(0, whole, emit.lanes, values, lambda at, known: body(vectors, at, known))
    joined = [emit.across(verb, part) for verb, part in zip(verbs, parts, strict=True)]
    return emit.fold(whole, count, 1, joined, lambda at, known: body(singles, at, known))


def first_lane(emit: Emitter, vector: Value) -> Value:
    """Its first number."""
    return emit.builder.extract_element(vector, ir.IntType(32)(0))


def _parts(emit: Emitter, count: Value) -> tuple[Value, Access, Access]:
    whole = emit.builder.and_(count, INDEX(-emit.lanes))
    singles = Access(
        lambda place: emit.splat(emit.number(place)),
        lambda value, place: emit.store(first_lane(emit, value), place),
    )
    return whole, Access(emit.load, emit.store), singles
