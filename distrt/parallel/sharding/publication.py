"""How the parameters that a rank has updated reach the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from distrt.comm.process_group import ProcessGroup, Work
from distrt.core.arrays import Array, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.versions import note_change

__all__ = ["BucketViews", "InPlace", "Publication"]

Shards = Sequence[Sequence[Tensor]]  # per rank its parameters

_SMALL_BYTES = 64 * 1024  # up to here, an operation for each parameter would cost more than copying it


class Publication(Protocol):
    """Gives every rank the parameters of all ranks."""

    @property
    def buckets(self) -> list[list[Tensor]]:
        """Per buffer and rank, its part of the buffer."""

    def publish(self) -> None:
        """After each rank has updated its own; a collective."""

    def close(self) -> None:
        """Give back the memory that parameters have moved to; a collective."""


class InPlace:
    """Parameters stay where they are: large ones are broadcast from there, small ones travel together.

    Args:
        shards: per rank its parameters.
        group: the ranks.
    """

    def __init__(self, shards: Shards, group: ProcessGroup) -> None:
        self._group = group
        self._shards = [list(shard) for shard in shards]

    def publish(self) -> None:  # noqa: D102 - as the protocol says
        works = [
            self._group.broadcast(param._array, rank, async_op=True)
            for rank, shard in enumerate(self._shards)
            for param in shard
            if param._array.nbytes > _SMALL_BYTES
        ]
        small = [[param for param in shard if param._array.nbytes <= _SMALL_BYTES] for shard in self._shards]
        for dtype in _dtypes(small):
            self._exchange(_of_dtype(small, dtype), dtype)
        _wait(works)
        _note_changes(self._shards, self._group.rank())

    def _exchange(self, shards: Shards, dtype: np.dtype[np.generic]) -> None:
        """Give every rank all parameters of these shards, which are of one dtype, in one operation."""
        mine = self._group.rank()
        like = next(param._array for shard in shards for param in shard)
        flats = [np.empty(sum(param.numel() for param in shard), dtype, like=like) for shard in shards]
        own = [param._array.reshape(-1) for param in shards[mine]]
        self._group.all_gather(flats, np.concatenate(own) if own else flats[mine].copy())
        for rank, (flat, shard) in enumerate(zip(flats, shards, strict=True)):
            if rank != mine:
                for param, part in zip(shard, _parts_of(flat, shard), strict=True):
                    param._array[...] = part

    @property
    def buckets(self) -> list[list[Tensor]]:
        """There are none."""
        return []

    def close(self) -> None:
        """Nothing has moved."""


class BucketViews:
    """Parameters become views of buffers that the ranks of a machine have mapped: nothing is packed to be sent.

    Each rank keeps its own copy of all, so that a rank that changes a parameter (to evaluate with averaged values, for
    instance) does not change it under the others.

    Args:
        shards: per rank its parameters. What needs no gradient gets memory of its own, and is not sent.
        group: the ranks; all of them make this at the same time.
    """

    def __init__(self, shards: Shards, group: ProcessGroup) -> None:
        self._group = group
        self._shards = [[param for param in shard if param.requires_grad] for shard in shards]
        for param in (param for shard in shards for param in shard if not param.requires_grad):
            param.data = wrap(param._array.copy())
        self._buffers: list[Array] = []
        self._parts: list[list[Array]] = []  # per buffer and rank
        self._places: list[tuple[Tensor, Array]] = []
        for dtype in _dtypes(self._shards):
            self._allocate(dtype)
        self._move_in()

    def _allocate(self, dtype: np.dtype[np.generic]) -> None:
        shards = _of_dtype(self._shards, dtype)
        bounds = [0, *np.cumsum([sum(param.numel() for param in shard) for shard in shards]).tolist()]
        like = next(param._array for shard in shards for param in shard)
        on_gpu = is_on_gpu(like)  # each rank's own, in any event
        buffer = np.zeros(bounds[-1], dtype, like=like) if on_gpu else self._group.allocate(bounds[-1], dtype)
        parts = [buffer[low:high] for low, high in pairwise(bounds)]
        for part, shard in zip(parts, shards, strict=True):
            self._places += zip(shard, _parts_of(part, shard), strict=True)
        self._buffers.append(buffer)
        self._parts.append(parts)

    def _move_in(self) -> None:
        """Have the parameters lie in the buffers, also those to which a script has assigned other data since."""
        for param, place in self._places:
            if param._array is not place:
                place[...] = param._array
                param.data = wrap(place)

    def publish(self) -> None:  # noqa: D102 - as the protocol says
        self._move_in()
        works = [
            self._group.broadcast(part, rank, async_op=True)
            for parts in self._parts
            for rank, part in enumerate(parts)
            if part.size
        ]
        _wait(works)
        _note_changes(self._shards, self._group.rank())

    @property
    def buckets(self) -> list[list[Tensor]]:
        """Per buffer and rank, its part of the buffer; one element where there is none, as PyTorch has it."""
        return [
            [wrap(part if part.size else np.zeros(1, dt.default.floating.numpy)) for part in parts]
            for parts in self._parts
        ]

    def close(self) -> None:
        """Give parameters memory of their own, and the buffers back; a collective."""
        for param, place in self._places:
            if param._array is place:
                param.data = wrap(place.copy())
        self._places.clear()
        self._parts.clear()
        while self._buffers:
            buffer = self._buffers.pop()
            if not is_on_gpu(buffer):
                self._group.free(buffer)


def _dtypes(shards: Shards) -> list[np.dtype[np.generic]]:
    """Each dtype once, in an order that all ranks share."""
    return list(dict.fromkeys(param._array.dtype for shard in shards for param in shard))


def _of_dtype(shards: Shards, dtype: np.dtype[np.generic]) -> list[list[Tensor]]:
    return [[param for param in shard if param._array.dtype == dtype] for shard in shards]


def _parts_of(flat: Array, params: Iterable[Tensor]) -> list[Array]:
    """A flat array's views in the parameters' shapes, back to back."""
    parts, start = [], 0
    for param in params:
        parts.append(flat[start : start + param.numel()].reshape(param._array.shape))
        start += param.numel()
    return parts


def _wait(works: Sequence[Work]) -> None:
    for work in works:
        work.wait()


def _note_changes(shards: Shards, mine: int) -> None:
    """Count the change of the others' parameters; the optimizer has counted that of this rank's own."""
    for rank, shard in enumerate(shards):
        if rank != mine:
            for param in shard:
                note_change(param._counter)
