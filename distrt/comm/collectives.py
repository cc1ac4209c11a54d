"""PyTorch's collective functions on tensors, over the default group or the one given.

``distrt.distributed`` is their public path. Each function is one line of translation and one call on an array; the
checks are in ``ProcessGroup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm import world
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor


def _of(group: ProcessGroup | None) -> ProcessGroup:
    return world.default_group() if group is None else group


def _array(tensor: Any, name: str) -> Any:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
    return tensor._array


def _changed(tensor: Tensor) -> None:
    tensor._counter[0] += 1


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Every rank's tensor becomes the reduction of all of them, in place."""
    work = _of(group).all_reduce(_array(tensor, "all_reduce"), op, async_op=async_op)
    _changed(tensor)
    return work if async_op else None


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Every rank's tensor becomes that of rank ``src``, in place."""
    root = group_src if src is None else src
    if root is None:
        raise ValueError("broadcast: src or group_src must be given")
    work = _of(group).broadcast(_array(tensor, "broadcast"), root)
    _changed(tensor)
    return work if async_op else None


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Fills ``tensor_list`` with every rank's tensor, in rank order."""
    chosen, mine = _of(group), _array(tensor, "all_gather")
    if len(tensor_list) != chosen.size():
        raise ShapeError(
            f"all_gather: tensor_list must have one tensor per rank ({chosen.size()}), but it has {len(tensor_list)}"
        )
    gathered = np.empty((chosen.size(), *mine.shape), mine.dtype)
    work = chosen.all_gather(gathered, mine)
    for target, row in zip(tensor_list, gathered, strict=True):
        if tuple(target.shape) != tuple(tensor.shape):
            raise ShapeError(
                f"all_gather: a tensor of {list(target.shape)} in tensor_list for tensors of {list(tensor.shape)}"
            )
        target._array[...] = row
        _changed(target)
    return work if async_op else None


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Fills ``output_tensor`` with every rank's tensor, one after another along the first dim (or stacked)."""
    chosen, mine = _of(group), _array(input_tensor, "all_gather_into_tensor")
    out = _array(output_tensor, "all_gather_into_tensor")
    if out.size != chosen.size() * mine.size:
        raise ShapeError(
            f"all_gather_into_tensor: output of {list(out.shape)} must hold {chosen.size()} times the "
            f"input of {list(mine.shape)}"
        )
    stacked = (chosen.size(), *mine.shape)
    is_plain = out.flags.c_contiguous
    gathered = out.reshape(stacked) if is_plain else np.empty(stacked, out.dtype)
    work = chosen.all_gather(gathered, mine)
    if not is_plain:
        out[...] = gathered.reshape(out.shape)
    _changed(output_tensor)
    return work if async_op else None


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes the reduction of every rank's ``input_list[rank]``."""
    chosen = _of(group)
    if len(input_list) != chosen.size():
        raise ShapeError(
            f"reduce_scatter: input_list must have one tensor per rank ({chosen.size()}), but it has {len(input_list)}"
        )
    stacked = np.stack([_array(each, "reduce_scatter") for each in input_list])
    work = chosen.reduce_scatter(_array(output, "reduce_scatter"), stacked, op)
    _changed(output)
    return work if async_op else None


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes this rank's part of the reduction of every rank's ``input``, cut along the first dim."""
    chosen, out = _of(group), _array(output, "reduce_scatter_tensor")
    whole = _array(input, "reduce_scatter_tensor")
    if whole.size != chosen.size() * out.size:
        raise ShapeError(
            f"reduce_scatter_tensor: input of {list(whole.shape)} must hold {chosen.size()} times the "
            f"output of {list(out.shape)}"
        )
    work = chosen.reduce_scatter(out, np.ascontiguousarray(whole).reshape(chosen.size(), *out.shape), op)
    _changed(output)
    return work if async_op else None


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits until every rank has come."""
    _of(group).barrier()
    return None


__all__ = [
    "all_gather",
    "all_gather_into_tensor",
    "all_reduce",
    "barrier",
    "broadcast",
    "reduce_scatter",
    "reduce_scatter_tensor",
]
