"""Attention as one operation: scores, masks, softmax, dropout and the weighted sum, a block of scores at a time.

Neither direction ever holds all scores. Forward keeps its output and, for each query, the logarithm of its softmax's
denominator; backward computes each block of weights again from these. Source: Dao et al. 2022 (FlashAttention).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu, largest
from distrt.core.kernels import on_gpu
from distrt.core.kernels.attention import call as kernel
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.half_rules import widened

__all__ = ["attention"]

#: How many scores there are at a time: few enough to stay near the processor, enough to keep it busy.
BLOCK = 1 << 20

#: On a GPU, where each block takes several launches: as many as half a gigabyte holds with what is made of them.
GPU_BLOCK = 1 << 26

#: How many queries of a causal product are handled at a time: what lies wholly beyond the diagonal is left out.
CAUSAL_ROWS = 128


@op(node="ScaledDotProductFlashAttentionForCpu", aux=("log_total",))
def attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float,
    dropout_p: float,
    seed: int,
) -> Any:
    """``softmax(query @ key.T * scale + mask) @ value``, over the last two dims; the dims in front broadcast.

    A mask of bools says which keys a query sees, one of numbers is added to the scores; ``is_causal`` hides the keys
    that come after a query. A query that sees no key gives zeros. Each weight is zeroed with probability ``dropout_p``;
    ``seed`` says which ones, so that backward finds the same.

    Shape: (…, L, E), (…, S, E), (…, S, V), and a mask that broadcasts to (…, L, S) -> (…, L, V).
    """
    plan = _Plan(query, key, value, attn_mask, is_causal, dropout_p, seed)
    out = _result_like(query, value, plan)
    if not dropout_p and kernel.suits(query, key, value):
        found = kernel.attend(query, key, value, plan.mask, is_causal, scale, out)
        return out, found.reshape(*plan.batch, plan.length, 1)
    work = np.result_type(wide(query[..., :0]), np.float32)
    log_total = np.empty((*plan.batch, plan.length, 1), work, like=query)
    rows_of_out = out[None] if plan.added else out
    for group in plan.groups():
        queries = group.take(query) * work.type(scale)
        keys, values = group.take(key), group.take(value)
        for tile in plan.tiles(group):
            weights = np.matmul(queries[:, tile.rows], keys[:, : tile.columns].swapaxes(-1, -2))
            tile.hide(weights)
            peak = largest(weights, -1)
            # A query without keys: its weights shall be 0, not NaN.
            np.copyto(peak, 0, where=np.isneginf(peak))
            weights -= peak
            np.exp(weights, out=weights)
            total = np.add.reduce(weights, axis=-1, keepdims=True)
            log_total[(*group.places, tile.rows)] = np.where(total == 0, np.inf, np.log(total) + peak)
            if tile.kept is not None:
                weights *= tile.kept
            found = np.matmul(weights, values[:, : tile.columns])
            found /= np.where(total == 0, 1, total)
            rows_of_out[(*group.places, tile.rows)] = found
    return out, log_total


def _result_like(query: Array, value: Array, plan: _Plan) -> Array:
    """Room for the result, with the strides of the query where PyTorch's fused kernel gives it those.

    So ``out.transpose(1, 2).view(batch, length, -1)`` works where heads were made by ``view`` and ``transpose``.
    """
    shape = (*plan.batch[plan.added :], plan.length, value.shape[-1])
    if query.ndim == 4 and query.shape == shape and not plan.dropout_p:
        return np.empty_like(query)
    return np.empty(shape, query.dtype, like=query)


@attention.gradients
def _attention_gradients(
    g: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any,
    is_causal: bool,
    scale: float,
    dropout_p: float,
    seed: int,
    out: Any,
    log_total: Any,
    needs: Any,
) -> tuple[Any, ...]:
    """Source: Dao et al. 2022, section 3.1: the softmax's derivative needs but the row sums of g * out."""
    plan = _Plan(query, key, value, attn_mask, is_causal, dropout_p, seed)
    if not dropout_p and not needs[3] and kernel.suits(query, key, value):
        found = kernel.attend_back(query, key, value, plan.mask, is_causal, scale, out, g, log_total)
        return (*found, None)
    work = log_total.dtype
    totals = [_Total(each, plan.batch, work) for each in (query, key, value)]
    g_mask = _Total(attn_mask, plan.batch, work) if needs[3] else None
    g = g.reshape(*plan.batch, *g.shape[-2:])
    out = out.reshape(g.shape)
    for group in plan.groups():
        queries = group.take(query) * work.type(scale)
        keys, values, g_out = group.take(key), group.take(value), group.take(g)
        row_sums = np.add.reduce(g_out * group.take(out), axis=-1, keepdims=True)
        g_queries = np.zeros_like(queries)
        g_keys, g_values = np.zeros_like(keys), np.zeros_like(values)
        for tile in plan.tiles(group):
            rows, seen = tile.rows, slice(tile.columns)
            weights = np.matmul(queries[:, rows], keys[:, seen].swapaxes(-1, -2))
            tile.hide(weights)
            weights -= log_total[(*group.places, rows)]
            np.exp(weights, out=weights)
            slopes = np.matmul(g_out[:, rows], values[:, seen].swapaxes(-1, -2))
            used = weights
            if tile.kept is not None:
                slopes *= tile.kept
                used = weights * tile.kept
            g_values[:, seen] += np.matmul(used.swapaxes(-1, -2), g_out[:, rows])
            slopes -= row_sums[:, rows]
            slopes *= weights
            g_queries[:, rows] = np.matmul(slopes, keys[:, seen])
            g_keys[:, seen] += np.matmul(slopes.swapaxes(-1, -2), queries[:, rows])
            if g_mask is not None:
                g_mask.add(group, slopes, rows, seen)
        g_queries *= work.type(scale)
        for total, part in zip(totals, (g_queries, g_keys, g_values), strict=True):
            total.add(group, part)
    arrays = [total.array if needed else None for total, needed in zip(totals, needs, strict=False)]
    return (*arrays, g_mask.array if g_mask is not None else None)


# The order in which both directions go through the scores


class _Group(NamedTuple):
    """Some of the matrices of the batch: their numbers, and their index in each of the batch's dims."""

    numbers: slice
    places: tuple[Array, ...]
    batch: tuple[int, ...]

    def take(self, array: Array) -> Array:
        """The matrices of these places, in a row; half precision as float32. Shape: (…, n, m) -> (places, n, m)."""
        return wide(np.broadcast_to(array, (*self.batch, *array.shape[-2:]))[self.places])


class _Tile(NamedTuple):
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
            np.copyto(corner, -np.inf, where=_later(corner.shape[-2], corner.shape[-1], corner))


def _later(queries: int, keys: int, like: Array) -> Array:
    """True where a key comes after a query."""
    return np.arange(keys, like=like) > np.arange(queries, like=like)[:, None]


class _Plan:
    """Which blocks of scores there are, and what hides some of them. Both directions follow the same plan."""

    def __init__(
        self,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        is_causal: bool,
        dropout_p: float,
        seed: int,
    ) -> None:
        own = np.broadcast_shapes(*[each.shape[:-2] for each in (query, key, value)])
        self.added = 0 if own else 1  # a single matrix is a batch of one
        self.batch = own or (1,)
        self.length, self.source = query.shape[-2], key.shape[-2]
        self.is_causal, self.dropout_p = is_causal, dropout_p
        self.mask = mask
        if mask is not None and mask.dtype == np.bool_:
            self.mask = np.where(mask, np.float32(0), np.float32(-np.inf))
        self._like = query
        self.dtype = np.float64 if query.dtype == np.float64 else np.float32
        self._draws = np.random.default_rng(seed) if dropout_p else None

    def groups(self) -> Iterator[_Group]:
        """The matrices of the batch, as many at a time as one block of scores holds."""
        count = math.prod(self.batch)
        together = max(1, self._block() // max(1, self._rows() * self.source))
        for start in range(0, count, together):
            numbers = slice(start, min(start + together, count))
            places = np.unravel_index(np.arange(numbers.start, numbers.stop), self.batch)
            yield _Group(numbers, places, self.batch)

    def _rows(self) -> int:
        fitting: int = max(1, min(self.length, self._block() // max(1, self.source)))
        return min(fitting, CAUSAL_ROWS) if self.is_causal and not is_on_gpu(self._like) else fitting

    def _block(self) -> int:
        return GPU_BLOCK if is_on_gpu(self._like) else BLOCK

    def tiles(self, group: _Group) -> Iterator[_Tile]:
        """The scores of a group, some rows at a time."""
        mask = self._mask_of(group)
        for start in range(0, self.length, self._rows()):
            rows = slice(start, min(start + self._rows(), self.length))
            columns = min(rows.stop, self.source) if self.is_causal else self.source
            part = None
            if mask is not None:
                part = mask[..., rows if mask.shape[-2] > 1 else slice(None), :]
                part = part[..., :columns] if mask.shape[-1] > 1 else part
            shape = (group.numbers.stop - group.numbers.start, rows.stop - rows.start, columns)
            yield _Tile(rows, columns, part, self.is_causal, self._kept(shape))

    def _mask_of(self, group: _Group) -> Array | None:
        if self.mask is None:
            return None
        if math.prod(self.mask.shape[:-2]) == 1:  # one for all: no copies
            return wide(self.mask.reshape(self.mask.shape[-2:]))
        return group.take(self.mask)

    def _kept(self, shape: tuple[int, ...]) -> Array | None:
        if self._draws is None:
            return None
        factor = 0.0 if self.dropout_p == 1 else 1 / (1 - self.dropout_p)
        if is_on_gpu(self._like):
            key = int(self._draws.integers(2**63))
            return on_gpu.draws.kept(shape, self.dropout_p, factor, key, self.dtype, self._like)
        drawn = self._draws.random(shape, np.float32) >= self.dropout_p
        return np.asarray(np.multiply(drawn, self.dtype(factor), dtype=self.dtype), like=self._like)


class _Total:
    """The gradient of an input, summed over the places to which the input was broadcast."""

    def __init__(self, input: Array, batch: tuple[int, ...], dtype: Any) -> None:
        self.array = np.zeros(input.shape, dtype, like=input)
        own = input.shape[:-2]
        self._matrices = self.array.reshape(math.prod(own), *input.shape[-2:])
        numbers = np.arange(math.prod(own)).reshape(own)
        self._numbers = np.broadcast_to(numbers, batch).reshape(-1)
        self._broadcasts = math.prod(own) != math.prod(batch)

    def add(
        self, group: _Group, part: Array, rows: slice = slice(None), columns: slice = slice(None)
    ) -> None:
        """Adds what a group gives to some rows and columns (to all, where the input has but one)."""
        axes = []
        if self.array.shape[-2] == 1:
            rows, axes = slice(None), [-2]
        if self.array.shape[-1] == 1:
            columns, axes = slice(None), [*axes, -1]
        if axes:
            part = part.sum(axis=tuple(axes), keepdims=True)
        numbers = self._numbers[group.numbers]
        if not self._broadcasts:
            self._matrices[group.numbers, rows, columns] += part
        elif len(self._matrices) == 1:
            self._matrices[0, rows, columns] += part.sum(axis=0)
        else:
            for number, each in zip(numbers, part, strict=True):
                self._matrices[number, rows, columns] += each


# The same in plain operations


def _plain_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: float = 1.0,
    dropout_p: float = 0.0,
    seed: int = 0,
) -> Any:
    """All scores at once: what the fused operation computes, and how it is differentiated twice."""
    plan = _Plan(query._array, key._array, value._array, None, is_causal, dropout_p, seed)
    dtype = query._array.dtype
    query, key, value = (widened(each) for each in (query, key, value))
    scores = ops.matmul(ops.mul(query, scale), ops.transpose(key, -1, -2))
    if attn_mask is not None and attn_mask._array.dtype == np.bool_:
        scores = ops.masked_fill(scores, ops.logical_not(attn_mask), -math.inf)
    elif attn_mask is not None:
        scores = ops.add(scores, ops.to_dtype(attn_mask, scores._array.dtype))
    if is_causal:
        scores = ops.masked_fill(scores, _later(plan.length, plan.source, scores._array), -math.inf)
    unseeing = np.isneginf(scores._array).all(axis=-1, keepdims=True)
    weights = ops.softmax(ops.masked_fill(scores, unseeing, 0.0), -1)
    weights = ops.masked_fill(weights, unseeing, 0.0)
    if dropout_p:
        weights = ops.mul(weights, _all_kept(plan, weights._array))
    return ops.to_dtype(ops.matmul(weights, value), dtype)


def _all_kept(plan: _Plan, weights: Array) -> Array:
    """What dropout multiplies each weight with, drawn in the fused operation's order."""
    kept = np.zeros((math.prod(plan.batch), plan.length, plan.source), weights.dtype, like=weights)
    for group in plan.groups():
        for tile in plan.tiles(group):
            kept[group.numbers, tile.rows, : tile.columns] = tile.kept
    return kept.reshape(*plan.batch[plan.added :], plan.length, plan.source)


attention.composite = _plain_attention
