"""Attention on arrays, forward and backward, by compiled code: which arrays it can do, and what it is told of them."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, dense_like
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.casting import cast, cast_into
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.kernels.rooms import Rooms
from distrt.core.kernels.threads import in_parts

__all__ = ["BLOCK_ROWS", "ROWS", "attend", "attend_back", "suits"]

# Multiplications for scores and results. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 23

#: Queries that are multiplied at once: with two vectors of keys each, they fill the registers.
ROWS = 6

#: Queries whose share in the gradients of keys and values is summed at once; a multiple of the former.
BLOCK_ROWS = 24

_rooms = Rooms()


def suits(query: Array, key: Array, value: Array) -> bool:
    """Whether these kernels do an attention: all in one precision below float64, a query for each key and value."""
    if query.__class__ is not np.ndarray:
        return False
    batch, (length, width), (source, out_width) = query.shape[:-2], query.shape[-2:], value.shape[-2:]
    products = math.prod(batch) * length * source * (width + out_width)
    if products < _LEAST or not batch == key.shape[:-2] == value.shape[:-2]:
        return False
    return query.dtype.itemsize <= 4 and query.dtype.kind in "fV" and bool(vector_floats())


def attend(
    query: Array, key: Array, value: Array, mask: Array | None, is_causal: bool, scale: float, out: Array
) -> Array:
    """Writes the result into ``out``; returns each query's logarithm of the sum of its scores' exponentials.

    That is +inf for a query that sees no key, whose result is 0. ``mask`` is added to the scores.

    Shape: (…, L, E), (…, S, E), (…, S, V), a mask that broadcasts to (…, L, S), (…, L, V) -> (…, L, 1).
    """
    heads = _heads(query, key, value, is_causal)
    made = _plain(out) if out.dtype == np.float32 else dense_like(out, dt.float32.numpy)
    matrices = [_plain(each) for each in (query, key, value)]
    tables = [*map(_Table.of, matrices), _mask_table(mask, query, heads), _Table.of(made)]
    peaks, totals = (np.empty((*query.shape[:-1], 1), np.float32) for _ in range(2))
    run = _forward(mask is not None)
    wide_source, wide_out = _wide(heads.source), _wide(heads.out_width)
    room = wide_source * (heads.width + ROWS) + heads.source * wide_out + ROWS * 4 * vector_floats()
    _run(run, tables, [peaks, totals], scale, room, heads)
    if made is not out:
        cast_into(out, made)
    with np.errstate(divide="ignore"):
        found: Array = np.where(totals == 0, np.float32(np.inf), np.log(totals) + peaks)
    return found


def attend_back(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    is_causal: bool,
    scale: float,
    out: Array,
    g: Array,
    log_totals: Array,
) -> list[Array]:
    """The gradients of query, key and value, in float32, each with its dims in memory as its own has."""
    heads = _heads(query, key, value, is_causal)
    found = [np.empty_like(each, np.float32) for each in (query, key, value)]
    matrices = [_plain(each) for each in (query, key, value)]
    made = [_plain(each) for each in found]
    tables = [*map(_Table.of, matrices), _mask_table(mask, query, heads)]
    others = [_plain(each) for each in (out, g)]
    tables += [_Table.of(each) for each in (*others, *made)]
    wide_source, wide_width, wide_out = map(_wide, (heads.source, heads.width, heads.out_width))
    room = wide_source * (heads.width + heads.out_width + wide_width + wide_out + 2 * BLOCK_ROWS)
    room += heads.source * wide_width + heads.length * (wide_width + wide_out) + ROWS * 2 * vector_floats()
    _run(_backward(mask is not None), tables, [np.ascontiguousarray(log_totals)], scale, room, heads)
    for target, each in zip(found, made, strict=True):
        if each is not target:
            target[...] = each
    return found


class _Heads(NamedTuple):
    """Matrices, queries, keys, numbers in each of them and in a value; 1 where a query sees no later key."""

    matrices: int
    length: int
    source: int
    width: int
    out_width: int
    is_causal: int


def _heads(query: Array, key: Array, value: Array, is_causal: bool) -> _Heads:
    length, (source, width), out_width = query.shape[-2], key.shape[-2:], value.shape[-1]
    return _Heads(math.prod(query.shape[:-2]), length, source, width, out_width, int(is_causal))


class _Table(NamedTuple):
    """Where the matrices of an array begin, how many floats it is between rows; and the array, which is kept."""

    addresses: Array
    step: int
    array: Array

    @staticmethod
    def of(array: Array) -> _Table:
        places = np.full((), address(array), np.int64)
        for size, step in zip(array.shape[:-2], array.strides[:-2], strict=True):
            places = places[..., None] + np.arange(size) * step
        return _Table(np.ascontiguousarray(places.reshape(-1)), array.strides[-2] // 4, array)


def _plain(array: Array) -> Array:
    """The array in float32, each of its rows in one piece; itself where it is so."""
    wide = array if array.dtype == np.float32 else cast(array, np.float32)
    in_pieces = wide.strides[-1] == 4 and not any(step % 4 for step in wide.strides)
    return wide if in_pieces else np.ascontiguousarray(wide)


def _mask_table(mask: Array | None, query: Array, heads: _Heads) -> _Table:
    """The mask of each matrix, its rows filled up to whole panels; anything where there is none."""
    if mask is None:
        return _Table(np.zeros(heads.matrices, np.int64), 0, query)
    rows = np.zeros((*mask.shape[:-1], _wide(heads.source)), np.float32)
    rows[..., : heads.source] = mask
    return _Table.of(np.broadcast_to(rows, (*query.shape[:-1], rows.shape[-1])))


def _wide(count: int) -> int:
    """So many numbers in whole panels."""
    width = 2 * vector_floats()
    return -(-count // width) * width


def _run(
    code: Any, tables: list[_Table], others: list[Array], scale: float, room: int, heads: _Heads
) -> None:
    given = [*(table.addresses for table in tables), *others, np.full(1, scale, np.float32)]
    pointers, steps = [*map(address, given)], [table.step for table in tables]

    def some(_: int, begin: int, end: int) -> None:
        code(*pointers, _rooms.at("panels", room), begin, end, *heads[1:], *steps)

    in_parts(heads.matrices, 1, some)


@functools.cache
def _forward(has_mask: bool) -> Any:
    from distrt.core.kernels.attention.forward_code import forward_code

    return function_of(forward_code(vector_floats(), has_mask), 9, 12)


@functools.cache
def _backward(has_mask: bool) -> Any:
    from distrt.core.kernels.attention.backward_code import backward_code

    return function_of(backward_code(vector_floats(), has_mask), 12, 16)
