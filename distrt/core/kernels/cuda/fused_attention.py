"""Attention on GPUs without scores in memory: tiles in shared memory, products by tensor cores, in half precision.

Forward is one launch. Backward makes the weights again twice, by blocks of keys and by blocks of queries: seven
products where five would do if blocks added to each other's sums atomically, whose order is by chance.
Source: Dao 2023, "FlashAttention-2".
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, address_of, row_major
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library
from distrt.core.gpu.switches import scaled_dot_products
from distrt.core.kernels.attention.plan import Plan, padded
from distrt.core.kernels.cuda.draws import moving
from distrt.core.kernels.cuda.launching import C_TYPES, kernel

__all__ = ["SHAPES", "Shape", "attend", "attend_back", "built", "shared_bytes", "suits"]

#: Rows are copied 16 bytes at a time; wider ones would leave registers for nothing else.
_AT_ONCE, _WIDEST = 8, 128

#: As many dims of a batch as the kernels count with, and as many bytes of shared memory as all of these GPUs have.
_DIMS, _MOST_SHARED = 6, 99 << 10
_LEAST_CAPABILITY = 80
_THREADS, _WARPS, _FRAGMENT = 128, 4, 16


class Shape(NamedTuple):
    """How a block works: 16 rows in each tile of a warp, kept in registers or not, beside so many of the others'.

    Attributes:
        blocks: how many a multiprocessor shall have registers for.
    """

    tiles: int
    hold: bool
    columns: int
    blocks: int

    @property
    def rows(self) -> int:
        """How many a block has of its own."""
        return _WARPS * self.tiles * _FRAGMENT


#: By the kernel, and by how many there are of mask and dropout, which need registers, too (two are as one where nothing
#: is said); for rows of up to so many numbers. None spills on compute capability 9.0 (``benchmarks/gpu_registers.py``).
SHAPES = {
    ("attend", 0): ((64, Shape(2, True, 64, 2)), (_WIDEST, Shape(2, False, 32, 2))),
    ("attend", 1): ((64, Shape(1, True, 64, 2)), (_WIDEST, Shape(1, False, 64, 2))),
    ("by queries", 0): ((64, Shape(2, True, 32, 2)), (_WIDEST, Shape(1, False, 32, 2))),
    ("by queries", 1): ((64, Shape(1, True, 64, 2)), (_WIDEST, Shape(1, False, 32, 2))),
    ("by keys", 0): ((64, Shape(2, False, 32, 2)), (_WIDEST, Shape(1, False, 32, 2))),
    ("by keys", 1): ((64, Shape(1, True, 64, 2)), (_WIDEST, Shape(1, False, 32, 2))),
    ("by keys", 2): ((64, Shape(1, False, 64, 2)), (_WIDEST, Shape(1, False, 16, 2))),
}

_LAYOUT = np.dtype([("steps", np.int64, (_DIMS,)), ("row", np.int64), ("column", np.int64)])
_SIZES = np.dtype(
    [
        *(("batch", np.int64, (_DIMS,)), ("length", np.int64), ("source", np.int64), ("blocks", np.int64)),
        *(("is_causal", np.int32), ("scale", np.float32)),
    ],
    align=True,
)
_DROPOUT = np.dtype(
    [
        ("key", np.uint64),
        ("more", np.uint64),
        ("fours", np.uint64),
        ("least", np.uint32),
        ("factor", np.float32),
    ]
)


def suits(query: Array, key: Array, value: Array, plan: Plan, scale: float) -> bool:
    """Whether these kernels do an attention that ``attention.suits`` has said yes to."""
    wide = query.shape[-1]
    return (
        scaled_dot_products["flash"]
        and query.dtype in (dt.float16.numpy, dt.bfloat16.numpy)
        and key.dtype == value.dtype == query.dtype
        and wide == value.shape[-1]
        and wide % _AT_ONCE == 0
        and wide <= _WIDEST
        and len(plan.batch) <= _DIMS
        and max(plan.length, plan.source, math.prod(plan.batch)) < 2**31 - 2**10
        and math.isfinite(scale)
        and scale > 0
        and os.environ.get("DISTRT_FUSED_ATTENTION") != "0"
        and _capability(library.current()) >= _LEAST_CAPABILITY
    )


@functools.cache
def _capability(gpu: int) -> int:
    return int(library.find().cuda.Device(gpu).compute_capability)


def attend(
    query: Array, key: Array, value: Array, plan: Plan, scale: float, out: Array, log_total: Array
) -> None:
    """As ``attention.attend``."""
    call = _Call(query, plan, scale)
    inputs = [_fitting(each) for each in (query, key, value)]
    room = out if _fits(out) else np.empty(out.shape, out.dtype, like=query)
    layouts = [call.layout(each) for each in (*inputs, room)]
    call.launch("attend", plan.length, (*inputs, room, log_total), layouts)
    if room is not out:
        out[...] = room


def attend_back(
    query: Array, key: Array, value: Array, plan: Plan, scale: float, out: Array, g: Array, log_total: Array
) -> list[Array]:
    """As ``attention.attend_back``; a gradient that nothing is left to be added to has the dtype of the inputs."""
    call = _Call(query, plan, scale)
    count = math.prod(plan.batch)
    inputs = [_fitting(each) for each in (query, key, value, g)]
    layouts = [call.layout(each) for each in inputs]
    kinds = [
        query.dtype if math.prod(each.shape[:-2]) == count else np.float32 for each in (query, key, value)
    ]
    kinds[1:] = [query.dtype if kinds[1] == kinds[2] == query.dtype else np.float32] * 2
    of_queries, of_keys = (C_TYPES[np.dtype(each)] for each in kinds[:2])
    pulls = call.pulls(inputs[3], _fitting(out), of_queries)
    found = [
        np.empty((count, *each.shape[-2:]), kind, like=query)
        for each, kind in zip((query, key, value), kinds, strict=True)
    ]
    call.launch("by queries", plan.length, (*inputs, found[0], None, log_total, pulls), layouts, of_queries)
    call.launch("by keys", plan.source, (*inputs, *found[1:], log_total, pulls), layouts, of_keys)
    return [each.reshape(*plan.batch[plan.added :], *each.shape[-2:]) for each in found]


def built(
    kind: str,
    wide: int,
    dtype: str,
    is_masked: bool,
    is_dropped: bool,
    mask: str = "u8",
    gradient: str = "float",
) -> tuple[str, tuple[str, ...], dict[str, Any], Shape]:
    """A kernel's name, its files and what they leave open, and how its blocks work.

    Args:
        kind: of `SHAPES`.
        wide: how many numbers a row has.
        dtype: of the inputs, in C.
        is_masked: whether there is a mask.
        is_dropped: whether there is dropout.
        mask: the mask's dtype.
        gradient: the gradients'.
    """
    extras = is_masked + is_dropped
    choices = SHAPES.get((kind, extras)) or SHAPES[kind, 1]
    shape = next(each for widest, each in choices if wide <= widest)
    name, file = (
        ("attend", "fused_attention") if kind == "attend" else ("attend_back", "fused_attention_back")
    )
    defined = {
        **{"T": dtype, "M": mask, "G": gradient, "WIDTH": wide, "THREADS": _THREADS, "TILES": shape.tiles},
        **{"HOLD": int(shape.hold), "COLUMNS": shape.columns, "BLOCKS": shape.blocks},
        **{"BY_KEYS": int(kind == "by keys"), "MASKED": int(is_masked), "DROPPED": int(is_dropped)},
    }
    return name, ("tiles", file), defined, shape


def shared_bytes(kind: str, wide: int, shape: Shape) -> int:
    """Of the block's own rows and of the others', with 16 bytes behind each (``code/tiles.cu``)."""
    pitch = 2 * (-(-wide // _FRAGMENT) * _FRAGMENT + _AT_ONCE)
    if kind == "attend":
        found = (shape.rows + 2 * shape.columns) * pitch
    else:
        floats = 2 * 4 * shape.columns if kind == "by keys" else 0
        found = 2 * shape.rows * pitch + 2 * (2 * shape.columns * pitch + floats)
    assert found <= _MOST_SHARED, (kind, wide)
    return found


def _fits(array: Array) -> bool:
    """Whether rows are in one piece and begin where 16 bytes do."""
    unit = _AT_ONCE * array.itemsize
    places = (step for step, size in zip(array.strides[:-1], array.shape, strict=False) if size > 1)
    return (
        array.strides[-1] == array.itemsize
        and not address_of(array) % unit
        and not any(step % unit for step in places)
    )


def _fitting(array: Array) -> Array:
    if _fits(array):
        return array
    made = row_major(array)
    return made.copy() if made is array else made


class _Call:
    """What the launches of one direction have in common."""

    def __init__(self, query: Array, plan: Plan, scale: float) -> None:
        self._query, self._plan, self._scale = query, plan, scale
        self._wide = query.shape[-1]
        self._mask = None
        if plan.given_mask is not None:
            self._mask = np.broadcast_to(plan.given_mask, (*plan.batch, plan.length, plan.source))
        self._dropout = np.zeros(1, _DROPOUT)
        if plan.dropout_p:
            more = 0 if moving.by is None else address_of(moving.by)
            least = math.ceil(plan.dropout_p * 2**24)
            self._dropout[0] = (plan.dropout_key, more, padded(plan.source) // 4, least, plan.factor)

    def layout(self, array: Array | None) -> Array:
        """How an array's matrices lie in the batch, in elements."""
        made = np.zeros(1, _LAYOUT)
        if array is not None:
            steps = [each // array.itemsize for each in array.strides]
            for back, (size, step) in enumerate(zip(array.shape[-3::-1], steps[-3::-1], strict=True), 1):
                made["steps"][0, -back] = step if size > 1 else 0
            made["row"], made["column"] = steps[-2:]
        return made

    def launch(
        self, kind: str, rows: int, arrays: tuple[Any, ...], layouts: list[Array], gradient: str = "float"
    ) -> None:
        """One block for some of the rows of each matrix."""
        name, files, defined, shape = self._built(kind, gradient)
        code = kernel(files, name, **defined)
        blocks, shared = -(-rows // shape.rows), shared_bytes(kind, self._wide, shape)
        if code.max_dynamic_shared_size_bytes < shared:
            code.max_dynamic_shared_size_bytes = shared
        given = (*arrays, self._mask, *layouts, self.layout(self._mask), self._sizes(blocks), self._dropout)
        code((blocks * math.prod(self._plan.batch),), (_THREADS,), given, shared_mem=shared)

    def pulls(self, g: Array, out: Array, gradient: str) -> Array:
        """For each query the sum of ``g * out``. Shape: (…, L, V) twice -> (matrices, L)."""
        rows = math.prod(self._plan.batch) * self._plan.length
        found = np.empty(rows, np.float32, like=g)
        _, files, defined, _ = self._built("by queries", gradient)  # compiled with that, which comes next
        code = kernel(files, "pull", **defined)
        lanes = next(each for each in (2, 4, 8, 16) if self._wide <= each * _AT_ONCE)
        blocks = -(-rows * lanes // _THREADS)
        given = (g, out, found, self.layout(g), self.layout(out), self._sizes(1), np.int64(rows))
        code((blocks,), (_THREADS,), given)
        return found

    def _built(self, kind: str, gradient: str) -> tuple[str, tuple[str, ...], dict[str, Any], Shape]:
        mask = "u8" if self._mask is None or self._mask.dtype == np.bool_ else C_TYPES[self._mask.dtype]
        has = (self._mask is not None, self._plan.dropout_p > 0)
        return built(kind, self._wide, C_TYPES[self._query.dtype], *has, mask, gradient)

    def _sizes(self, blocks: int) -> Array:
        made, plan = np.zeros(1, _SIZES), self._plan
        made["batch"] = [1] * (_DIMS - len(plan.batch)) + list(plan.batch)
        made["length"], made["source"], made["blocks"] = plan.length, plan.source, blocks
        made["is_causal"], made["scale"] = plan.is_causal, self._scale
        return made
