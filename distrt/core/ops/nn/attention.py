"""Attention as one operation: scores, masks, softmax, dropout and the weighted sum, a block of scores at a time.

Neither direction ever holds all scores. Forward keeps its output and, for each query, the logarithm of its softmax's
denominator; backward computes each block of weights again from these. Source: Dao et al. 2022 (FlashAttention).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, largest
from distrt.core.kernels import on_gpu
from distrt.core.kernels.attention import call as kernel
from distrt.core.kernels.attention.plan import Group, Plan, later
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.random.draws import Replay

__all__ = ["attention"]


@op(node="ScaledDotProductFlashAttentionForCpu", aux=("log_total",))
def attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float,
    dropout_p: float,
    draws: Replay | None,
) -> Any:
    """``softmax(query @ key.T * scale + mask) @ value``, over the last two dims; the dims in front broadcast.

    A mask of bools says which keys a query sees, one of numbers is added to the scores; ``is_causal`` hides the keys
    that come after a query. A query that sees no key gives zeros. Each weight is zeroed with probability ``dropout_p``;
    ``draws`` says which ones, so that backward finds the same.

    Shape: (…, L, E), (…, S, E), (…, S, V), and a mask that broadcasts to (…, L, S) -> (…, L, V).
    """
    plan = Plan(query, key, value, attn_mask, is_causal, dropout_p, draws and draws.again())
    out = _result_like(query, value, plan)
    if not dropout_p and kernel.suits(query, key, value):
        found = kernel.attend(query, key, value, plan.mask, is_causal, scale, out)
        return out, found.reshape(*plan.batch, plan.length, 1)
    work = np.result_type(wide(query[..., :0]), np.float32)
    log_total = np.empty((*plan.batch, plan.length, 1), work, like=query)
    if used.gpu and on_gpu.attention.suits(query, key, value, plan):
        on_gpu.attention.attend(query, key, value, plan, scale, out, log_total)
        return out, log_total
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


def _result_like(query: Array, value: Array, plan: Plan) -> Array:
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
    draws: Replay | None,
    out: Any,
    log_total: Any,
    needs: Any,
) -> tuple[Any, ...]:
    """Source: Dao et al. 2022, section 3.1: the softmax's derivative needs but the row sums of g * out."""
    plan = Plan(query, key, value, attn_mask, is_causal, dropout_p, draws and draws.again())
    if not dropout_p and not needs[3] and kernel.suits(query, key, value):
        found = kernel.attend_back(query, key, value, plan.mask, is_causal, scale, out, g, log_total)
        return (*found, None)
    if used.gpu and not needs[3] and on_gpu.attention.suits(query, key, value, plan):
        return (*on_gpu.attention.attend_back(query, key, value, plan, scale, out, g, log_total), None)
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
            dropped = weights
            if tile.kept is not None:
                slopes *= tile.kept
                dropped = weights * tile.kept
            g_values[:, seen] += np.matmul(dropped.swapaxes(-1, -2), g_out[:, rows])
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


# Sums of gradients


class _Total:
    """The gradient of an input, summed over the places to which the input was broadcast."""

    def __init__(self, input: Array, batch: tuple[int, ...], dtype: Any) -> None:
        self.array = np.zeros(input.shape, dtype, like=input)
        own = input.shape[:-2]
        self._matrices = self.array.reshape(math.prod(own), *input.shape[-2:])
        numbers = np.arange(math.prod(own)).reshape(own)
        self._numbers = np.broadcast_to(numbers, batch).reshape(-1)
        self._broadcasts = math.prod(own) != math.prod(batch)

    def add(self, group: Group, part: Array, rows: slice = slice(None), columns: slice = slice(None)) -> None:
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
    draws: Replay | None = None,
) -> Any:
    """All scores at once: what the fused operation computes, and how it is differentiated twice."""
    plan = Plan(query._array, key._array, value._array, None, is_causal, dropout_p, draws and draws.again())
    dtype = query._array.dtype
    query, key, value = (widened(each) for each in (query, key, value))
    scores = ops.matmul(ops.mul(query, scale), ops.transpose(key, -1, -2))
    if attn_mask is not None and attn_mask._array.dtype == np.bool_:
        scores = ops.masked_fill(scores, ops.logical_not(attn_mask), -math.inf)
    elif attn_mask is not None:
        scores = ops.add(scores, ops.to_dtype(attn_mask, scores._array.dtype))
    if is_causal:
        scores = ops.masked_fill(scores, later(plan.length, plan.source, scores._array), -math.inf)
    unseeing = np.isneginf(scores._array).all(axis=-1, keepdims=True)
    weights = ops.softmax(ops.masked_fill(scores, unseeing, 0.0), -1)
    weights = ops.masked_fill(weights, unseeing, 0.0)
    if dropout_p:
        weights = ops.mul(weights, _all_kept(plan, weights._array))
    return ops.to_dtype(ops.matmul(weights, value), dtype)


def _all_kept(plan: Plan, weights: Array) -> Array:
    """What dropout multiplies each weight with, drawn in the fused operation's order."""
    kept = np.zeros((math.prod(plan.batch), plan.length, plan.source), weights.dtype, like=weights)
    for group in plan.groups():
        for tile in plan.tiles(group):
            kept[group.numbers, tile.rows, : tile.columns] = tile.kept
    return kept.reshape(*plan.batch[plan.added :], plan.length, plan.source)


attention.composite = _plain_attention
