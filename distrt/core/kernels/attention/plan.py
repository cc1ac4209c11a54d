"""In which order both directions of attention go through the scores, where no compiled kernel does it all at once."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, is_meta, is_on_gpu
from distrt.core.kernels import on_gpu
from distrt.core.kernels.casting import wide
from distrt.core.modes import used

__all__ = ["BLOCK", "CAUSAL_ROWS", "GPU_BLOCK", "GPU_CAUSAL_ROWS", "Group", "Plan", "Tile", "later", "padded"]

#: How many scores there are at a time: few enough to stay near the processor, enough to keep it busy.
BLOCK = 1 << 20

#: On a GPU, where each block takes several launches: as many as half a gigabyte holds with what is made of them.
GPU_BLOCK = 1 << 25

#: How many queries of a causal product are handled at a time: what lies wholly beyond the diagonal is left out.
CAUSAL_ROWS = 128
GPU_CAUSAL_ROWS = 512


class Group(NamedTuple):
    """Some of the matrices of the batch: their numbers, and their index in each of the batch's dims."""

    numbers: slice
    places: tuple[Array, ...]
    batch: tuple[int, ...]

    def take(self, array: Array) -> Array:
        """The matrices of these places, in a row; half precision as float32. Shape: (…, n, m) -> (places, n, m)."""
        return wide(np.broadcast_to(array, (*self.batch, *array.shape[-2:]))[self.places])


class Tile(NamedTuple):
    """Some rows of a group's scores, up to the last column that any of them sees."""

    rows: slice
    columns: int
    mask: Array | None
    is_causal: bool
    kept: Array | None  # what dropout multiplies the weights with

    def hide(self, scores: Array) -> None:
        """Applies the masks to the scores, in place."""
        if self.mask is not None:
            scores += self.mask
        if self.is_causal:
            corner = scores[..., self.rows.start :]  # every row sees what is left of it
            np.copyto(corner, -np.inf, where=later(corner.shape[-2], corner.shape[-1], corner))


def later(queries: int, keys: int, like: Array) -> Array:
    """True where a key comes after a query."""
    return np.arange(keys, like=like) > np.arange(queries, like=like)[:, None]


def padded(columns: int) -> int:
    """How many numbers a GPU has room for in each row of scores: threads take four at a time."""
    return -(-columns // 8) * 8


class Plan:
    """Which blocks of scores there are, and what hides some of them. Both directions follow the same plan.

    Attributes:
        added: 1 where the batch has a dim more than the inputs.
        batch: what the dims in front broadcast to, at least one.
        length: how many queries a matrix has.
        source: how many keys.

    Args:
        draws: what dropout is decided by (``core/random/draws.py``), None without it.
    """

    def __init__(
        self,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        is_causal: bool,
        dropout_p: float,
        draws: Any,
    ) -> None:
        own = np.broadcast_shapes(*[each.shape[:-2] for each in (query, key, value)])
        self.added = 0 if own else 1  # a single matrix is a batch of one
        self.batch = own or (1,)
        self.length, self.source = query.shape[-2], key.shape[-2]
        self.is_causal, self.dropout_p, self.given_mask = is_causal, dropout_p, mask
        self._like = query
        self._is_on_gpu = used.gpu and is_on_gpu(query)
        self._is_meta = is_meta(query)
        self._dtype = np.float64 if query.dtype == np.float64 else np.float32
        self._draws = draws

    @functools.cached_property
    def mask(self) -> Array | None:
        """What is added to the scores."""
        mask = self.given_mask
        if mask is not None and mask.dtype == np.bool_:
            return np.where(mask, np.float32(0), np.float32(-np.inf))
        return mask

    @property
    def factor(self) -> float:
        """What dropout multiplies the weights with that it keeps."""
        return 0.0 if self.dropout_p == 1 else 1 / (1 - self.dropout_p)

    def groups(self) -> Iterator[Group]:
        """The matrices of the batch, as many at a time as one block of scores holds."""
        count = math.prod(self.batch)
        together = max(1, self._block() // max(1, self._rows() * self.source))
        for start in range(0, count, together):
            numbers = slice(start, min(start + together, count))
            places = np.unravel_index(np.arange(numbers.start, numbers.stop), self.batch)
            yield Group(numbers, places, self.batch)

    def blocks(self) -> Iterator[tuple[slice, int]]:
        """The rows of each of a group's tiles, and how many columns these see."""
        for start in range(0, self.length, self._rows()):
            rows = slice(start, min(start + self._rows(), self.length))
            yield rows, min(rows.stop, self.source) if self.is_causal else self.source

    def tiles(self, group: Group) -> Iterator[Tile]:
        """The scores of a group, some rows at a time."""
        mask = self._mask_of(group)
        for rows, columns in self.blocks():
            part = None
            if mask is not None:
                part = mask[..., rows if mask.shape[-2] > 1 else slice(None), :]
                part = part[..., :columns] if mask.shape[-1] > 1 else part
            shape = (group.numbers.stop - group.numbers.start, rows.stop - rows.start, columns)
            kept = self._kept_on_gpu(group, rows) if self._is_on_gpu else self._kept(shape)
            yield Tile(rows, columns, part, self.is_causal, None if kept is None else kept[..., :columns])

    @functools.cached_property
    def dropout_key(self) -> int:
        """On a GPU, the key from which all numbers are drawn: a weight's is that of its place, whatever the blocks."""
        return int(self._draws.seed())

    def _rows(self) -> int:
        fitting: int = max(1, min(self.length, self._block() // max(1, self.source)))
        if not self.is_causal or self._is_meta or (self._draws is not None and not self._is_on_gpu):
            return fitting
        return min(fitting, GPU_CAUSAL_ROWS if self._is_on_gpu else CAUSAL_ROWS)

    def _block(self) -> int:
        if self._is_meta:  # all at once: nothing is computed
            return sys.maxsize
        return GPU_BLOCK if self._is_on_gpu else BLOCK

    def _mask_of(self, group: Group) -> Array | None:
        if self.mask is None:
            return None
        if math.prod(self.mask.shape[:-2]) == 1:  # one for all: no copies
            return wide(self.mask.reshape(self.mask.shape[-2:]))
        return group.take(self.mask)

    def _kept(self, shape: tuple[int, ...]) -> Array | None:
        if self._draws is None:
            return None
        if self._is_meta:
            return np.empty(shape, self._dtype, like=self._like)
        # For all keys, seen or not: so PyTorch draws.
        drawn = self._draws.chance(1 - self.dropout_p, (*shape[:-1], self.source))[..., : shape[-1]]
        return np.asarray(np.multiply(drawn, self._dtype(self.factor), dtype=self._dtype))

    def _kept_on_gpu(self, group: Group, rows: slice) -> Array | None:
        if self._draws is None:
            return None
        wide, many, count = padded(self.source), rows.stop - rows.start, len(group.places[0])
        # Whole matrices are a single stretch of the numbers, parts of several are one for each.
        together = count if many == self.length else 1
        drawn = [
            on_gpu.draws.kept(
                (together, many, wide),
                *(self.dropout_p, self.factor, self.dropout_key, self._dtype, self._like),
                first=((group.numbers.start + n) * self.length + rows.start) * wide,
            )
            for n in range(0, count, together)
        ]
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)
