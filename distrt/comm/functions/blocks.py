"""PyTorch's collectives in which every rank has one block of a whole: all_gather and reduce_scatter.

``distrt.distributed`` is their public path. The blocks are a list of tensors, or the parts of one tensor along its
first dim; either way the group writes to the tensors themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrt.comm.functions import coalescing
from distrt.comm.functions.arguments import (
    as_pairs,
    handed_back,
    note_changes,
    require_one_dtype,
    require_op,
    require_tensor,
    require_tensors,
    shape_text,
    written,
)
from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, Array, ReduceOp
from distrt.comm.work import Work
from distrt.core.arrays import row_major
from distrt.core.errors import ShapeError
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor

__all__ = ["all_gather", "all_gather_single", "reduce_scatter", "reduce_scatter_single"]


def all_gather(
    tensor_list: list[Tensor],
    tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Fills ``tensor_list`` with every rank's tensor, in rank order.

    Args:
        tensor_list: one tensor a rank, of the shape of that rank's; shapes may differ between ranks.
        tensor: this rank's.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
    """
    require_tensors(tensor_list, "tensor_list")
    require_tensor(tensor, "tensor")
    require_one_dtype([*tensor_list, tensor])
    chosen = resolve(group, "all_gather")
    if chosen is None:
        return None
    array, outputs = as_pairs(tensor._array), [as_pairs(each._array) for each in tensor_list]
    require_fitting("all_gather: tensor_list", outputs, array, chosen)
    outputs = [as_pairs(written(each)) for each in tensor_list]
    return handed_back(chosen.all_gather(outputs, array, async_op), async_op, tensor_list)


def require_fitting(what: str, blocks: Sequence[Array], mine: Array, group: ProcessGroup) -> None:
    """Refuse blocks of which this rank's has another shape; all of them, unless they differ among themselves."""
    if len(blocks) != group.size():
        raise ShapeError(
            f"{what}: expected one tensor for each of the group's {group.size()} ranks (expected length "
            f"{group.size()}, got {len(blocks)})"
        )
    are_alike = len({block.shape for block in blocks}) == 1
    place = 0 if are_alike else group.rank()
    if blocks[place].shape != mine.shape:
        raise ShapeError(
            f"{what}: invalid tensor size at index {place} "
            f"(expected {shape_text(mine)}, got {shape_text(blocks[place])})"
        )


def all_gather_single(
    output_tensor: Tensor,
    input_tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Fills ``output_tensor`` with every rank's tensor, in rank order.

    Args:
        output_tensor: the ranks' tensors one after another along the first dim, or stacked along a new one.
        input_tensor: this rank's; all ranks' have one shape.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
    """
    require_tensor(input_tensor, "input_tensor")
    require_tensor(output_tensor, "output_tensor")
    chosen = resolve(group, "all_gather_single")
    if chosen is None:
        return None
    array, whole = as_pairs(input_tensor._array), as_pairs(written(output_tensor))
    outputs = _parts("all_gather_single: output_tensor", whole, "input_tensor", array, chosen.size())
    if coalescing.is_open(chosen):
        note_changes([output_tensor])
        return coalescing.postpone(chosen, coalescing.Call(all_gather_single, array, outputs), async_op)
    work = chosen.all_gather(outputs, array, async_op)
    result = _chunks(output_tensor, chosen.size()) if async_op else None
    return handed_back(work, async_op, [output_tensor], result)


def _parts(what: str, whole: Array, other: str, like: Array, size: int) -> list[Array]:
    """The ranks' parts of ``whole``, each of the shape of ``like``, in the same memory."""
    if whole.dtype != like.dtype:
        raise ShapeError(f"{what}: its dtype {whole.dtype} is not {other}'s {like.dtype}")
    if whole.shape == (size, *like.shape):
        return [whole[rank, ...] for rank in range(size)]
    if like.ndim and whole.shape == (size * like.shape[0], *like.shape[1:]):
        length = like.shape[0]
        return [whole[rank * length : (rank + 1) * length] for rank in range(size)]
    if whole.size == size * like.size and whole.flags.c_contiguous:
        rows = whole.reshape(size, *like.shape)
        return [rows[rank, ...] for rank in range(size)]
    raise ShapeError(
        f"{what}: invalid tensor size: {shape_text(whole)} cannot hold {size} times {other}'s {shape_text(like)}"
    )


def _chunks(tensor: Tensor, size: int) -> list[Tensor]:
    if tensor._array.ndim == 0 or len(tensor._array) % size:
        return [tensor]
    with no_grad():
        return list(tensor.chunk(size))


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes the combination of all ranks' ``input_list[rank]``.

    Args:
        output: filled.
        input_list: one tensor a rank, of the shape of that rank's output; shapes may differ between ranks.
        op: how elements are combined.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
    """
    require_tensor(output, "output")
    require_tensors(input_list, "input_list")
    require_one_dtype([output, *input_list])
    chosen = resolve(group, "reduce_scatter")
    if chosen is None:
        return None
    require_op(op)
    target, inputs = written(output), [each._array for each in input_list]
    require_fitting("reduce_scatter: input_list", inputs, target, chosen)
    if len({each.shape for each in inputs}) == 1:
        work = chosen.reduce_scatter(target, np.stack(inputs), op, async_op)
    else:
        work = _reduce_scatter_uneven(target, inputs, op, chosen, async_op)
    return handed_back(work, async_op, [output])


def _reduce_scatter_uneven(
    target: Array, inputs: list[Array], op: AnyOp, group: ProcessGroup, async_op: bool
) -> Work:
    # Rare, so no transport has it: all blocks are reduced everywhere, and each rank takes its own.
    flat = np.concatenate([each.reshape(-1) for each in inputs])
    start = sum(each.size for each in inputs[: group.rank()])
    work = coalescing.then(
        group.all_reduce(flat, op, async_op=True),
        lambda: np.copyto(target, flat[start : start + target.size].reshape(target.shape)),
    )
    if not async_op:
        work.wait()
    return work


def reduce_scatter_single(
    output: Tensor,
    input: Tensor,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes this rank's part of the combination of all ranks' ``input``.

    Args:
        output: filled.
        input: the ranks' parts one after another along the first dim, or stacked along a new one.
        op: how elements are combined.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
    """
    require_tensor(output, "output")
    require_tensor(input, "input")
    chosen = resolve(group, "reduce_scatter_single")
    if chosen is None:
        return None
    require_op(op)
    target, size = written(output), chosen.size()
    whole = row_major(input._array)
    _parts("reduce_scatter_single: input", whole, "output", target, size)
    rows = whole.reshape(size, *target.shape)
    if coalescing.is_open(chosen):
        note_changes([output])
        call = coalescing.Call(reduce_scatter_single, rows, [target], op)
        return coalescing.postpone(chosen, call, async_op)
    return handed_back(chosen.reduce_scatter(target, rows, op, async_op), async_op, [output])
