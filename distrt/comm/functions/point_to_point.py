"""PyTorch's messages between two ranks, on tensors. ``distrt.distributed`` is their public path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.comm.functions.arguments import as_pairs, note_changes, require_tensor, written
from distrt.comm.functions.membership import (
    get_global_rank,
    get_rank,
    resolve,
    resolve_own,
    to_group_rank,
)
from distrt.comm.process_group import ProcessGroup
from distrt.comm.work import Work
from distrt.core.errors import DistributedError
from distrt.core.tensor import Tensor

__all__ = ["P2POp", "batch_isend_irecv", "irecv", "isend", "recv", "send"]


def send(
    tensor: Tensor,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> None:
    """Sends a tensor to another rank, which must receive it with the same tag.

    Args:
        tensor: contiguous.
        dst: the receiver's number in the job, also where a group is given.
        group: the ranks; all of them where None.
        tag: messages of one tag between two ranks arrive in the order in which they were sent.
        group_dst: the receiver's number in the group, instead of ``dst``.

    Raises:
        ValueError: for a message to oneself, or in a group that this rank is not in.
    """
    chosen = resolve_own(group, "send")
    target = to_group_rank(chosen, dst, group_dst, "send: dst")
    require_another_rank(chosen, target, "destination")
    chosen.send(_contiguous(tensor), target, tag)


def require_another_rank(group: ProcessGroup, rank: int, kind: str) -> None:
    """Refuse a message to oneself.

    Raises:
        ValueError: where ``rank`` is this one.
    """
    if group.rank() == rank:
        raise ValueError(
            f"Invalid {kind} rank: {kind} rank should not be the same as the rank of the current process."
        )


def _contiguous(tensor: Any) -> Any:
    require_tensor(tensor, "tensor")
    pairs = as_pairs(tensor._array)
    if not tensor._array.flags.c_contiguous:
        raise DistributedError("input tensor has to be contiguous: send or receive tensor.contiguous()")
    return pairs


def recv(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_src: int | None = None,
) -> int:
    """Fills a tensor with what another rank sends.

    Args:
        tensor: contiguous, and of the size and dtype of what is sent.
        src: the sender's number in the job; whoever sends first where neither it nor ``group_src`` is given.
        group: the ranks; all of them where None.
        tag: only a message with this tag is received.
        group_src: the sender's number in the group, instead of ``src``.

    Returns:
        the sender's number in the job; -1 where this rank is not in the group.
    """
    require_tensor(tensor, "tensor")
    chosen = resolve(group, "recv")
    if chosen is None:
        return -1
    work = chosen.recv(*_received(chosen, tensor, src, group_src, "recv"), tag)
    note_changes([tensor])
    return get_global_rank(chosen, work.source_rank())


def _received(
    group: ProcessGroup, tensor: Tensor, src: int | None, group_src: int | None, what: str
) -> tuple[Any, int | None]:
    source = None
    if src is not None or group_src is not None:
        source = to_group_rank(group, src, group_src, f"{what}: src")
    written(tensor)
    return _contiguous(tensor), source


def isend(
    tensor: Tensor,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> Work | None:
    """`send` that returns at once; the tensor must stay as it is until the work has ended.

    Args:
        tensor: contiguous.
        dst: the receiver's number in the job, also where a group is given.
        group: the ranks; all of them where None.
        tag: messages of one tag between two ranks arrive in the order in which they were sent.
        group_dst: the receiver's number in the group, instead of ``dst``.
    """
    chosen = resolve(group, "isend")
    if chosen is None:
        return None
    target = to_group_rank(chosen, dst, group_dst, "isend: dst")
    work = chosen.send(_contiguous(tensor), target, tag, async_op=True)
    work._result = [tensor]
    return work


def irecv(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    tag: int = 0,
    group_src: int | None = None,
) -> Work | None:
    """`recv` that returns at once; the work's ``source_rank()`` is the sender's number in the group.

    Args:
        tensor: contiguous, and of the size and dtype of what is sent.
        src: the sender's number in the job; whoever sends first where neither it nor ``group_src`` is given.
        group: the ranks; all of them where None.
        tag: only a message with this tag is received.
        group_src: the sender's number in the group, instead of ``src``.
    """
    require_tensor(tensor, "tensor")
    chosen = resolve(group, "irecv")
    if chosen is None:
        return None
    work = chosen.recv(*_received(chosen, tensor, src, group_src, "irecv"), tag, async_op=True)
    note_changes([tensor])
    work._result = [tensor]
    return work


class P2POp:
    """One message of a `batch_isend_irecv`.

    Args:
        op: `isend` or `irecv`.
        tensor: what is sent, or filled.
        peer: the other rank's number in the job.
        group: the ranks; all of them where None.
        tag: as of `isend` and `irecv`.
        group_peer: the other rank's number in the group, instead of ``peer``.

    Raises:
        ValueError: for another ``op``, or where the peer is named twice, or not at all.
    """

    def __init__(
        self,
        op: Callable[..., Work | None],
        tensor: Tensor,
        peer: int | None = None,
        group: ProcessGroup | None = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        if op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                f"``torch.distributed.irecv``, got {op!r:.60}."
            )
        require_tensor(tensor, "tensor")
        chosen = resolve(group, "P2POp")
        if chosen is None:
            raise ValueError("P2POp: this rank is not in the group")
        self.op = op
        self.tensor = tensor
        self.group = chosen
        self.group_peer = to_group_rank(chosen, peer, group_peer, "P2POp: peer")
        self.peer = get_global_rank(chosen, self.group_peer) if peer is None else peer
        self.tag = tag

    def __repr__(self) -> str:
        ends = (get_rank(self.group), self.group_peer)
        source, target = ends if self.op is isend else ends[::-1]
        return (
            f"P2POp({self.op.__name__} pg={self.group.group_name}, group_src={source}, group_dst={target},  "
            f"{self.tensor.shape}, {self.tensor.dtype})"
        )


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Work]:
    """Launches messages, in any order of sends and receives, and returns their works.

    Args:
        p2p_op_list: of one group; messages between the same two ranks with one tag are matched in the list's order.

    Raises:
        ValueError: for anything else than such a list.
        IndexError: the list is empty.
    """
    if not isinstance(p2p_op_list, list) or not all(isinstance(each, P2POp) for each in p2p_op_list):
        raise ValueError(
            "Invalid ``p2p_op_list``. Each op is expected to to be of type ``torch.distributed.P2POp``."
        )
    if not p2p_op_list:
        raise IndexError("batch_isend_irecv: p2p_op_list: list index out of range: it is empty")
    if len({each.group for each in p2p_op_list}) > 1:
        raise ValueError("All ops need to use the same group.")
    lanes = p2p_op_list[0].group.gpu_lane  # without any, the first message from or to a GPU says so
    on_gpu = [each for each in p2p_op_list if each.tensor.is_cuda]
    if lanes is not None and on_gpu:
        lanes.of(on_gpu[0].tensor._array).connect_to(each.group_peer for each in on_gpu)
    works = []
    for each in p2p_op_list:
        to = "group_dst" if each.op is isend else "group_src"
        work = each.op(each.tensor, group=each.group, tag=each.tag, **{to: each.group_peer})
        if work is not None:
            works.append(work)
    return works
