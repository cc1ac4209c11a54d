"""PyTorch's collectives on Python objects.

Objects travel in the form of ``codec``, which can express numbers, text, containers, arrays, tensors and their like,
and which runs nobody's code. ``allow_pickle=True`` lets a rank send anything else as a pickle, and lets a rank read
pickles: whoever reads one runs whatever program the sender put there, so all ranks must trust all others.

Every function sends lengths first, and bytes then; a rank whose object cannot be sent says so in place of the length,
instead of leaving the others to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.comm.codec import decode, encode
from distrt.comm.functions.membership import get_global_rank, resolve, resolve_own, to_group_rank
from distrt.comm.functions.point_to_point import require_another_rank
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import Array
from distrt.core.errors import DimensionError, DistributedError, ShapeError
from distrt.core.tensors import methods as _methods  # noqa: F401 - tensors that come from here have their methods

__all__ = [
    "all_gather_object",
    "broadcast_object_list",
    "gather_object",
    "recv_object_list",
    "scatter_object_list",
    "send_object_list",
]

_FAILED = -1  # in the place of a length: the sender could not encode its object
_NOTHING = np.empty(0, np.uint8)


def all_gather_object(
    object_list: list[Any],
    obj: Any,
    group: ProcessGroup | None = None,
    *,
    weights_only: bool = True,
    allow_pickle: bool = False,
) -> None:
    """Fills ``object_list`` with every rank's object, in rank order.

    Args:
        object_list: has a place for each rank.
        obj: this rank's.
        group: the ranks; all of them where None.
        weights_only: PyTorch's word for reading safely, which happens in any event unless pickles are allowed.
        allow_pickle: send anything, and run what others send; see the module.
    """
    chosen = resolve(group, "all_gather_object")
    if chosen is None:
        return
    if len(object_list) < chosen.size():
        raise DimensionError(
            f"all_gather_object: object_list has {len(object_list)} places for {chosen.size()} ranks: list assignment "
            "index out of range"
        )
    mine = _Encoded([obj], allow_pickle)
    lengths = _all_lengths(chosen, mine, "all_gather_object")
    rows = [np.empty(length, np.uint8) for length in lengths]
    chosen.all_gather(rows, mine.joined)
    for rank, row in enumerate(rows):
        object_list[rank] = decode(row, allow_pickle=allow_pickle)


class _Encoded:
    """Objects as bytes, or why they cannot be."""

    def __init__(self, objects: list[Any], allow_pickle: bool) -> None:
        self.parts: list[Array] = []
        self.error: Exception | None = None
        try:
            self.parts = [encode(each, allow_pickle=allow_pickle) for each in objects]
        except Exception as error:  # told to the others, then raised
            self.error = error

    @property
    def joined(self) -> Array:
        if len(self.parts) == 1:
            return self.parts[0]
        return np.concatenate(self.parts) if self.parts else _NOTHING

    @property
    def lengths(self) -> Array:
        return np.array([part.size for part in self.parts], np.int64)


def _all_lengths(group: ProcessGroup, mine: _Encoded, what: str) -> list[int]:
    """The lengths of all ranks' single objects, on every rank."""
    length = _FAILED if mine.error is not None else mine.joined.size
    lengths = np.empty((group.size(), 1), np.int64)
    group.all_gather(lengths, np.array([length], np.int64))
    found = [int(each) for each in lengths[:, 0]]
    if mine.error is not None:
        raise mine.error
    if _FAILED in found:
        raise _unsent(group, what, found.index(_FAILED))
    return found


def _unsent(group: ProcessGroup, what: str, rank: int) -> DistributedError:
    return DistributedError(
        f"rank {group.rank()}: {what}: rank {rank} has an object that cannot be sent; its own error says why"
    )


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    group_dst: int | None = None,
    *,
    weights_only: bool = True,
    allow_pickle: bool = False,
) -> None:
    """One rank gets all ranks' objects, in rank order.

    Args:
        obj: this rank's.
        object_gather_list: on the rank that gathers, a list with a place for each rank; None on the others.
        dst: the rank that gathers, its number in the job; 0 where neither it nor ``group_dst`` is given.
        group: the ranks; all of them where None.
        group_dst: its number in the group, instead of ``dst``.
        weights_only: PyTorch's word for reading safely, which happens in any event unless pickles are allowed.
        allow_pickle: send anything, and run what others send; see the module.

    Raises:
        ValueError: where the list is missing on that rank, or given on another.
    """
    chosen = resolve(group, "gather_object")
    if chosen is None:
        return
    root = to_group_rank(
        chosen, 0 if dst is None and group_dst is None else dst, group_dst, "gather_object: dst"
    )
    is_root = root == chosen.rank()
    if is_root and not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    if object_gather_list and not is_root:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    if object_gather_list is not None and is_root and len(object_gather_list) < chosen.size():
        raise DimensionError(
            f"gather_object: object_gather_list has {len(object_gather_list)} places for {chosen.size()} ranks: list "
            "assignment index out of range"
        )
    mine = _Encoded([obj], allow_pickle)
    lengths = _all_lengths(chosen, mine, "gather_object")
    rows = [np.empty(length if is_root else 0, np.uint8) for length in lengths]
    # The objects differ in length, which gather does not know; what is not for the root is empty.
    chosen.all_to_all(rows, [mine.joined if rank == root else _NOTHING for rank in range(chosen.size())])
    if is_root and object_gather_list is not None:
        for rank, row in enumerate(rows):
            object_gather_list[rank] = decode(row, allow_pickle=allow_pickle)


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_src: int | None = None,
    *,
    weights_only: bool = True,
    allow_pickle: bool = False,
) -> None:
    """Every rank's list gets the objects of one rank.

    Args:
        object_list: as long on every rank.
        src: the rank that sends, its number in the job; 0 where neither it nor ``group_src`` is given.
        group: the ranks; all of them where None.
        device: says nothing without GPUs.
        group_src: its number in the group, instead of ``src``.
        weights_only: PyTorch's word for reading safely, which happens in any event unless pickles are allowed.
        allow_pickle: send anything, and run what others send; see the module.
    """
    what = "broadcast_object_list"
    chosen = resolve(group, what)
    if chosen is None:
        return
    root = to_group_rank(chosen, 0 if src is None and group_src is None else src, group_src, f"{what}: src")
    if root == chosen.rank():
        mine = _Encoded(object_list, allow_pickle)
        _send_parts(mine, lambda array: chosen.broadcast(array, root))
        return
    parts = _receive_parts(chosen, len(object_list), root, what, lambda array: chosen.broadcast(array, root))
    object_list[:] = [decode(part, allow_pickle=allow_pickle) for part in parts]


def _send_parts(mine: _Encoded, carry: Callable[[Array], object]) -> None:
    """How many there are and how many bytes in all; then the lengths and the bytes."""
    if mine.error is not None:
        carry(np.array([_FAILED, 0], np.int64))
        raise mine.error
    payload = np.concatenate([mine.lengths.view(np.uint8), *mine.parts]) if mine.parts else _NOTHING
    carry(np.array([len(mine.parts), payload.size], np.int64))
    carry(payload)


def _receive_parts(
    group: ProcessGroup, expected: int, source: int, what: str, carry: Callable[[Array], object]
) -> list[Array]:
    header = np.empty(2, np.int64)
    carry(header)
    count, size = int(header[0]), int(header[1])
    if count == _FAILED:
        raise _unsent(group, what, source)
    payload = np.empty(max(size, 0), np.uint8)
    carry(payload)
    if count != expected:
        raise ShapeError(
            f"rank {group.rank()}: {what}: rank {source} sends {count} objects, and object_list has {expected} places"
        )
    lengths = payload[: 8 * count].view(np.int64)
    ends = 8 * count + np.cumsum(lengths)
    if len(lengths) != count or (count and (lengths.min() < 0 or int(ends[-1]) != size)):
        raise DistributedError(
            f"rank {group.rank()}: {what}: what rank {source} sent is damaged: {size} bytes, lengths {lengths}"
        )
    return [payload[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    group_src: int | None = None,
    *,
    weights_only: bool = True,
    allow_pickle: bool = False,
) -> None:
    """Every rank gets one of the objects that one rank has.

    Args:
        scatter_object_output_list: its first place gets this rank's object.
        scatter_object_input_list: on the rank that sends, one object a rank; not looked at on the others.
        src: the rank that sends, its number in the job; 0 where neither it nor ``group_src`` is given.
        group: the ranks; all of them where None.
        group_src: its number in the group, instead of ``src``.
        weights_only: PyTorch's word for reading safely, which happens in any event unless pickles are allowed.
        allow_pickle: send anything, and run what others send; see the module.

    Raises:
        ValueError: for an output list without a place, or where the input list is missing on the rank that sends.
    """
    what = "scatter_object_list"
    chosen = resolve(group, what)
    if chosen is None:
        return
    root = to_group_rank(chosen, 0 if src is None and group_src is None else src, group_src, f"{what}: src")
    outputs, inputs = scatter_object_output_list, scatter_object_input_list
    if not isinstance(outputs, list) or not outputs:
        raise ValueError("Expected argument scatter_object_output_list to be a list of size at least 1.")
    is_root, ranks = root == chosen.rank(), range(chosen.size())
    mine = None
    if is_root:
        if inputs is None:
            raise ValueError("source rank must provide non-None scatter_object_input_list")
        if len(inputs) != chosen.size():
            raise ShapeError(
                f"{what}: scatter_object_input_list has {len(inputs)} objects for {len(ranks)} ranks"
            )
        mine = _Encoded(inputs, allow_pickle)
    length = np.empty(1, np.int64)
    chosen.scatter(length, _lengths_of(mine, len(ranks)), root)
    if mine is not None and mine.error is not None:
        raise mine.error
    if length[0] == _FAILED:
        raise _unsent(chosen, what, root)
    received = np.empty(int(length[0]), np.uint8)
    parts = mine.parts if mine is not None else [_NOTHING for _ in ranks]
    chosen.all_to_all([received if rank == root else _NOTHING for rank in ranks], parts)
    outputs[0] = decode(received, allow_pickle=allow_pickle)


def _lengths_of(mine: _Encoded | None, ranks: int) -> Array | None:
    if mine is None:
        return None
    lengths = mine.lengths if mine.error is None else np.full(ranks, _FAILED, np.int64)
    return lengths.reshape(ranks, 1)


def send_object_list(
    object_list: list[Any],
    dst: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_dst: int | None = None,
    use_batch: bool = False,
    *,
    allow_pickle: bool = False,
) -> None:
    """Sends objects to another rank, which calls `recv_object_list` with a list as long.

    Args:
        object_list: the objects.
        dst: the receiver's number in the job, also where a group is given.
        group: the ranks; all of them where None.
        device: says nothing without GPUs.
        group_dst: the receiver's number in the group, instead of ``dst``.
        use_batch: says nothing here; some of PyTorch's backends connect otherwise.
        allow_pickle: send anything; see the module.

    Raises:
        ValueError: for a message to oneself, or in a group that this rank is not in.
    """
    chosen = resolve_own(group, "send_object_list")
    target = to_group_rank(chosen, dst, group_dst, "send_object_list: dst")
    require_another_rank(chosen, target, "destination")
    _send_parts(_Encoded(object_list, allow_pickle), lambda array: chosen.send(array, target))


def recv_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_src: int | None = None,
    use_batch: bool = False,
    *,
    weights_only: bool = True,
    allow_pickle: bool = False,
) -> int:
    """Fills a list with the objects that another rank sends.

    Args:
        object_list: as long as the sender's.
        src: the sender's number in the job, also where a group is given.
        group: the ranks; all of them where None.
        device: says nothing without GPUs.
        group_src: the sender's number in the group, instead of ``src``.
        use_batch: says nothing here; some of PyTorch's backends connect otherwise.
        weights_only: PyTorch's word for reading safely, which happens in any event unless pickles are allowed.
        allow_pickle: run what the sender sends; see the module.

    Returns:
        the sender's number in the job.

    Raises:
        ValueError: for a message from oneself, or in a group that this rank is not in.
    """
    what = "recv_object_list"
    chosen = resolve_own(group, what)
    source = to_group_rank(chosen, src, group_src, f"{what}: src")
    require_another_rank(chosen, source, "source")
    parts = _receive_parts(chosen, len(object_list), source, what, lambda array: chosen.recv(array, source))
    object_list[:] = [decode(part, allow_pickle=allow_pickle) for part in parts]
    return get_global_rank(chosen, source)
