"""PyTorch's collective functions on tensors: what all ranks reduce, and what goes from or to one of them.

``distrt.distributed`` is their public path. Each function checks what can be checked on this rank, before anything is
launched, and makes one call on arrays; ``blocks`` has the functions where every rank has a block for every other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from distrt.comm.functions import coalescing
from distrt.comm.functions.arguments import (
    as_pairs,
    handed_back,
    note_change,
    note_changes,
    require_complex_op,
    require_one_dtype,
    require_op,
    require_tensor,
    require_tensors,
    shape_text,
    written,
)
from distrt.comm.functions.coalescing import Joined
from distrt.comm.functions.membership import resolve, to_group_rank
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, PremulSum, ReduceOp
from distrt.comm.sparse_sums import sum_of_sparse
from distrt.comm.work import Completed, Work
from distrt.core.errors import ShapeError
from distrt.core.modes import used
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor

__all__ = ["all_reduce", "barrier", "broadcast", "gather", "premul_sum", "reduce", "scatter"]


_SUM = ReduceOp.SUM  # members are looked up slowly


def all_reduce(
    tensor: Tensor,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    *,
    deterministic: bool = False,
) -> Work | None:
    """Every rank's tensor becomes the combination of all of them, with the same bits on every rank.

    Args:
        tensor: changed in place; any strides, complex too.
        op: how elements are combined.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        deterministic: ask for the same bits in every run, whatever the transport and the array's size.

    Raises:
        ValueError: for an operation that complex numbers do not have.
    """
    require_tensor(tensor, "tensor")
    chosen = resolve(group, "all_reduce")
    if chosen is None:
        return None
    if op is not _SUM:
        require_op(op)
    array = tensor._array
    if used.gpu or not array.flags.carray:  # which CuPy's have not
        if is_sparse(array):
            array[...] = sum_of_sparse(chosen, array, op)
            note_change(tensor)
            return handed_back(Completed(), async_op, [tensor]) if async_op else None
        array = written(tensor)
    if op is not _SUM and array.dtype.kind == "c":
        require_complex_op("all_reduce", op)
    if coalescing.is_open(chosen):
        note_changes([tensor])
        return coalescing.postpone(chosen, coalescing.Call(all_reduce, array, op=op), async_op)
    work = chosen.all_reduce(array, op, async_op, deterministic)
    if async_op:
        return handed_back(work, async_op, [tensor])
    note_change(tensor)  # at 1 KB, what stands here is a fifth of the whole
    return None


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Every rank's tensor becomes that of one rank.

    Args:
        tensor: changed in place, but on that rank.
        src: that rank's number in the job, also where a group is given.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        group_src: its number in the group, instead of ``src``.
    """
    require_tensor(tensor, "tensor")
    chosen = resolve(group, "broadcast")
    if chosen is None:
        return None
    root = to_group_rank(chosen, src, group_src, "broadcast: src")
    is_changed = root != chosen.rank()
    # What cannot be written is refused alike on all ranks.
    work = chosen.broadcast(written(tensor), root, async_op)
    return handed_back(work, async_op, [tensor] if is_changed else [], [tensor])


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """The tensor of one rank becomes the combination of all ranks'; the others' stay as they are.

    Args:
        tensor: changed in place on that rank.
        dst: that rank's number in the job, also where a group is given.
        op: how elements are combined.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        group_dst: its number in the group, instead of ``dst``.
    """
    require_tensor(tensor, "tensor")
    chosen = resolve(group, "reduce")
    if chosen is None:
        return None
    root = to_group_rank(chosen, dst, group_dst, "reduce: dst")
    require_op(op)
    is_changed = root == chosen.rank()
    work = chosen.reduce(written(tensor), root, op, async_op)
    return handed_back(work, async_op, [tensor] if is_changed else [], [tensor])


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """One rank gets all ranks' tensors, in rank order.

    Args:
        tensor: this rank's; all ranks' have one shape.
        gather_list: on the rank that gathers, one tensor of that shape a rank, which are filled; None on the others.
        dst: the rank that gathers, its number in the job; 0 where neither it nor ``group_dst`` is given.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        group_dst: its number in the group, instead of ``dst``.

    Raises:
        ValueError: where ``gather_list`` is missing on that rank, or given on another.
    """
    require_tensor(tensor, "tensor")
    listed = _listed(gather_list, "gather_list", tensor)
    chosen = resolve(group, "gather")
    if chosen is None:
        return None
    root = to_group_rank(chosen, 0 if dst is None and group_dst is None else dst, group_dst, "gather: dst")
    is_root = root == chosen.rank()
    _require_listed_by_root("gather_list", listed, is_root, "destination")
    outputs = None
    if is_root:
        _require_alike("gather: gather_list", listed, tensor, chosen)
        outputs = [as_pairs(written(each)) for each in listed]
    work = chosen.gather(outputs, as_pairs(tensor._array), root, async_op)
    return handed_back(work, async_op, listed)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Every rank gets one of the tensors that one rank has.

    Args:
        tensor: filled; all ranks' have one shape.
        scatter_list: on the rank that scatters, one tensor of that shape a rank; None on the others.
        src: the rank that scatters, its number in the job; 0 where neither it nor ``group_src`` is given.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        group_src: its number in the group, instead of ``src``.

    Raises:
        ValueError: where ``scatter_list`` is missing on that rank, or given on another.
    """
    require_tensor(tensor, "tensor")
    listed = _listed(scatter_list, "scatter_list", tensor)
    chosen = resolve(group, "scatter")
    if chosen is None:
        return None
    root = to_group_rank(chosen, 0 if src is None and group_src is None else src, group_src, "scatter: src")
    is_root = root == chosen.rank()
    _require_listed_by_root("scatter_list", listed, is_root, "source")
    inputs = None
    if is_root:
        _require_alike("scatter: scatter_list", listed, tensor, chosen)
        inputs = [as_pairs(each._array) for each in listed]
    work = chosen.scatter(as_pairs(written(tensor)), inputs, root, async_op)
    return handed_back(work, async_op, [tensor])


def _require_listed_by_root(name: str, listed: list[Tensor], is_root: bool, kind: str) -> None:
    """Refuse a root without a list, and a list where it means nothing."""
    if is_root and not listed:
        raise ValueError(f"Argument ``{name}`` must be specified on {kind} rank.")
    if listed and not is_root:
        raise ValueError(f"Argument ``{name}`` must NOT be specified on non-{kind} ranks.")


def _listed(tensors: Any, name: str, tensor: Tensor) -> list[Tensor]:
    if not tensors:
        return []
    require_tensors(tensors, name)
    require_one_dtype([tensor, *tensors])
    found: list[Tensor] = tensors
    return found


def _require_alike(what: str, listed: list[Tensor], tensor: Tensor, group: ProcessGroup) -> None:
    if len(listed) != group.size():
        raise ShapeError(
            f"{what}: expected one tensor for each of the group's {group.size()} ranks, got {len(listed)}"
        )
    mine = as_pairs(tensor._array).shape
    for place, each in enumerate(listed):
        if as_pairs(each._array).shape != mine:
            raise ShapeError(
                f"{what}: invalid tensor size at index {place} "
                f"(expected {shape_text(tensor._array)}, got {shape_text(each._array)})"
            )


def barrier(
    group: ProcessGroup | None = None,
    async_op: bool = False,
    device_ids: Any = None,
    timeout: timedelta | None = None,
) -> Work | None:
    """Waits until every rank has come.

    Args:
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.
        device_ids: says nothing without GPUs.
        timeout: how long this call may wait; the group's time-out where None.

    Raises:
        CollectiveTimeout: naming the ranks that did not come.
    """
    chosen = resolve(group, "barrier")
    if chosen is None:
        return None
    if timeout is not None and not isinstance(timeout, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    if timeout is None:
        return handed_back(chosen.barrier(async_op), async_op, [])
    work = Joined([chosen.barrier(async_op=True)], timeout)
    if not async_op:
        work.wait()
    return handed_back(work, async_op, [])


def premul_sum(factor: float | Tensor) -> PremulSum:
    """What ``_make_nccl_premul_sum`` returns: SUM of every rank's elements times its ``factor``.

    Raises:
        TypeError: for what is neither a float nor a tensor.
        ShapeError: for a tensor of more than one element.
    """
    if isinstance(factor, Tensor):
        if factor._array.size != 1:
            raise ShapeError(
                f"_make_nccl_premul_sum: expected a tensor of one element, got {factor._array.size}"
            )
        return PremulSum(factor._array.reshape(()))
    if not isinstance(factor, float):
        raise TypeError(f"_make_nccl_premul_sum: expected a float or a Tensor, got {type(factor).__name__}")
    return PremulSum(factor)
