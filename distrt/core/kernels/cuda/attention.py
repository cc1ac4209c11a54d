"""Attention on GPUs: in half precision by kernels that have no scores in memory (`fused_attention`), else by products.

Products are cuBLAS's, and between them one launch does what happens to a block of scores. These lie in memory while the
block is worked on, and nothing of them is kept: backward makes them again from the logarithms of their sums, as
FlashAttention does. Source: Dao et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, address_of, is_on_gpu, row_major
from distrt.core.kernels.attention.plan import Plan, padded
from distrt.core.kernels.cublas.product import multiply
from distrt.core.kernels.cuda import fused_attention
from distrt.core.kernels.cuda.draws import moving
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel
from distrt.core.kernels.cuda.rows import computed

__all__ = ["attend", "attend_back", "suits"]

_THREADS = 256

#: Of rows up to some width: how many threads share one, how many a block has, and how many fours each one keeps.
_SHAPES = ((128, 32, _THREADS, 1), (512, 32, _THREADS, 4), (4096, 256, 256, 4), (8192, 512, 512, 4))
_LONG = (512, 512, 0)

_TILE = np.dtype(
    [
        *(
            (name, np.int64)
            for name in (
                "matrices",
                "first_matrix",
                "rows",
                "first_row",
                "columns",
                "length",
                "width",
                "fours",
            )
        ),
        ("is_causal", np.int32),
    ],
    align=True,
)
_DROPOUT = np.dtype([("p", np.float64), ("factor", np.float64), ("key", np.uint64), ("more", np.uint64)])


def suits(query: Array, key: Array, value: Array, plan: Plan) -> bool:
    """Whether these kernels do an attention: on a GPU, floating, with something in every matrix."""
    mask = plan.given_mask
    return (
        is_on_gpu(query)
        and query.dtype in C_TYPES
        and all(each.size > 0 for each in (query, key, value))
        and (mask is None or mask.dtype == np.bool_ or mask.dtype in C_TYPES)
    )


def attend(
    query: Array, key: Array, value: Array, plan: Plan, scale: float, out: Array, log_total: Array
) -> None:
    """Writes the result, and for each query the logarithm of the sum of its scores' exponentials, or +inf for no key.

    Shape: (…, L, E), (…, S, E), (…, S, V) -> (…, L, V), (…, L, 1).
    """
    if fused_attention.suits(query, key, value, plan, scale):
        return fused_attention.attend(query, key, value, plan, scale, out, log_total)
    call = _Call(query, plan, scale)
    queries, keys, values = (_Matrices(each, plan.batch) for each in (query, key, value))
    lay = _layout(out, plan.batch)
    wide = value.shape[-1]
    for block in call.blocks():
        numbers, rows, seen = block.numbers, block.rows, slice(block.columns)
        scores = block.scores(call.computed)
        multiply(queries[numbers, rows], keys[numbers, seen].swapaxes(-1, -2), scores[..., seen])
        weights = scores if call.computed == query.dtype else block.scores(query.dtype)
        totals = np.empty(scores.shape[:2], call.computed, like=query)
        call.weigh(block, scores, weights, totals, log_total)
        sums = np.empty((*totals.shape, wide), call.computed, like=query)
        multiply(weights[..., seen], values[numbers, seen], sums)
        call.divide(block, sums, totals, out, lay)


def attend_back(
    query: Array, key: Array, value: Array, plan: Plan, scale: float, out: Array, g: Array, log_total: Array
) -> list[Array]:
    """The gradients of query, key and value, for every matrix of the batch, in float32 (float64 beside such inputs).

    In the inputs' dtype, where no kernel has anything left to add.
    """
    if fused_attention.suits(query, key, value, plan, scale):
        return fused_attention.attend_back(query, key, value, plan, scale, out, g, log_total)
    call = _Call(query, plan, scale)
    queries, keys, values = (_Matrices(each, plan.batch) for each in (query, key, value))
    g_rows, out_rows = (row_major(each).reshape(-1, plan.length, value.shape[-1]) for each in (g, out))
    pulls = call.pulls(g_rows, out_rows)
    count = math.prod(plan.batch)
    found = [np.zeros((count, *each.shape[-2:]), call.computed, like=query) for each in (query, key, value)]
    g_query, g_key, g_value = found
    for block in call.blocks():
        numbers, rows, seen = block.numbers, block.rows, slice(block.columns)
        own, g_own = queries[numbers, rows], g_rows[numbers, rows]
        scores, pushes = (block.scores(call.computed) for _ in range(2))
        multiply(own, keys[numbers, seen].swapaxes(-1, -2), scores[..., seen])
        multiply(g_own, values[numbers, seen].swapaxes(-1, -2), pushes[..., seen])
        is_in_place = call.computed == query.dtype
        weights, slopes = (each if is_in_place else block.scores(query.dtype) for each in (scores, pushes))
        call.slopes(block, scores, pushes, weights, slopes, log_total, pulls)
        weights, slopes = weights[..., seen], slopes[..., seen]
        multiply(weights.swapaxes(-1, -2), g_own, g_value[numbers, seen], onto=True)
        multiply(slopes.swapaxes(-1, -2), own, g_key[numbers, seen], scale, onto=True)
        multiply(slopes, keys[numbers, seen], g_query[numbers, rows], scale)
    return [each.reshape(*plan.batch[plan.added :], *each.shape[-2:]) for each in found]


class _Block(NamedTuple):
    """Some rows of some matrices' scores, and how many keys they see.

    Attributes:
        like: an array on the GPU.
    """

    numbers: slice
    rows: slice
    columns: int
    like: Array

    def scores(self, dtype: Any) -> Array:
        """Room for as many numbers, and a few more in each row."""
        matrices, rows = (each.stop - each.start for each in (self.numbers, self.rows))
        return np.empty((matrices, rows, padded(self.columns)), dtype, like=self.like)


class _Matrices:
    """The matrices of an array by their numbers in the batch; one for all, where there is but one."""

    def __init__(self, array: Array, batch: tuple[int, ...]) -> None:
        self._is_one = math.prod(array.shape[:-2]) == 1
        if not self._is_one and array.shape[:-2] != batch:
            array = np.broadcast_to(array, (*batch, *array.shape[-2:]))
        self._array = row_major(array).reshape(-1, *array.shape[-2:])

    def __getitem__(self, wanted: tuple[slice, slice]) -> Array:
        numbers, rows = wanted
        return self._array[0, rows] if self._is_one else self._array[numbers, rows]


class _Call:
    """What the launches of one direction have in common."""

    def __init__(self, query: Array, plan: Plan, scale: float) -> None:
        self._query, self._plan = query, plan
        self.computed = np.dtype(computed(query))
        self._scale = self.computed.type(scale)
        self._mask = None
        if plan.given_mask is not None:
            shape = (*plan.batch, plan.length, plan.source)
            self._mask = np.broadcast_to(plan.given_mask, shape)
        self._lay = _layout(self._mask, plan.batch)
        self._dropout = np.zeros(1, _DROPOUT)
        more = 0 if moving.by is None else address_of(moving.by)
        if plan.dropout_p:
            self._dropout[0] = (plan.dropout_p, plan.factor, plan.dropout_key, more)

    def blocks(self) -> Iterator[_Block]:
        """As the plan has them."""
        plan = self._plan
        for group in plan.groups():
            for rows, columns in plan.blocks():
                yield _Block(group.numbers, rows, columns, self._query)

    def weigh(self, block: _Block, scores: Array, weights: Array, totals: Array, log_total: Array) -> None:
        """Scores become weights, which their sums are still to divide."""
        self._launch("weigh", block, scores, weights, totals, log_total)

    def slopes(
        self,
        block: _Block,
        scores: Array,
        pushes: Array,
        weights: Array,
        slopes: Array,
        log_total: Array,
        pulls: Array,
    ) -> None:
        """Scores become weights after dropout, and gradients of those become gradients of scores."""
        self._launch("slopes", block, scores, pushes, weights, slopes, log_total, pulls)

    def divide(self, block: _Block, sums: Array, totals: Array, out: Array, lay: tuple[int, Array]) -> None:
        """The result of a block, from sums of values and of weights."""
        dims, layout = lay
        code = self._code("divide", dims, 32, 1, "u8")
        blocks = min(MOST_BLOCKS, -(-sums.size // _THREADS))
        given = (sums, totals, out, layout, self._tile(block), np.int64(sums.shape[-1]))
        code((blocks,), (_THREADS,), given)

    def pulls(self, g: Array, out: Array) -> Array:
        """For each query the sum of ``g * out``. Shape: (matrices, L, V) twice -> (matrices, L)."""
        found = np.empty(g.shape[:2], self.computed, like=g)
        blocks = min(MOST_BLOCKS, -(-found.size * 32 // _THREADS))
        sizes = (np.int64(found.size), np.int64(g.shape[-1]))
        self._code("pull", 1, 32, 1, "u8")((blocks,), (_THREADS,), (g, out, found, *sizes))
        return found

    def _launch(self, name: str, block: _Block, scores: Array, *arrays: Array) -> None:
        rows, width = scores.shape[0] * scores.shape[1], scores.shape[2]
        lanes, threads, held = next((each[1:] for each in _SHAPES if width <= each[0]), _LONG)
        dims, layout = self._lay
        kind = "u8" if self._mask is None or self._mask.dtype == np.bool_ else C_TYPES[self._mask.dtype]
        code = self._code(name, dims, lanes, held, kind)
        blocks = min(MOST_BLOCKS, -(-rows * lanes // threads))
        given = (scores, *arrays, self._mask, layout, self._tile(block), self._scale, self._dropout)
        code((blocks,), (threads,), given)

    def _code(self, name: str, dims: int, lanes: int, held: int, mask: str) -> Any:
        stored = C_TYPES[self._query.dtype]
        return kernel("attention", name, T=stored, M=mask, DIMS=dims, LANES=lanes, HELD=held)

    def _tile(self, block: _Block) -> Array:
        made, numbers, rows = np.zeros(1, _TILE), block.numbers, block.rows
        made[0] = (
            *(numbers.stop - numbers.start, numbers.start, rows.stop - rows.start, rows.start),
            *(block.columns, self._plan.length, padded(block.columns), padded(self._plan.source) // 4),
            self._plan.is_causal,
        )
        return made


def _layout(array: Array | None, batch: tuple[int, ...]) -> tuple[int, Array]:
    """How many dims the batch of an array has, as far as it does not lie evenly, and what the kernels know of it."""
    if array is None:
        lines, ends = [(1, 0)], (0, 0)
    else:
        steps = [each // array.itemsize for each in array.strides]
        front = (
            steps[:-2] if array.ndim - 2 == len(batch) else [0] * (len(batch) - array.ndim + 2) + steps[:-2]
        )
        lines, ends = _merged(list(zip(batch, front, strict=True))), (steps[-2], steps[-1])
    kind = [("sizes", np.int64, (len(lines),)), ("steps", np.int64, (len(lines),))]
    made = np.zeros(1, np.dtype([*kind, ("row", np.int64), ("column", np.int64)]))
    made["sizes"][0], made["steps"][0] = zip(*lines, strict=True)
    made["row"], made["column"] = ends
    return len(lines), made


def _merged(lines: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sizes and steps of dims, those in one that lie as one."""
    found: list[tuple[int, int]] = []
    for size, step in lines:
        if found and found[-1][1] == size * step:
            found[-1] = (found[-1][0] * size, step)
        elif size != 1:
            found.append((size, step))
    return found or [(1, 0)]
