"""What keeps the ranks' buffers together.

Before each forward pass in training, ``DistributedDataParallel`` gives every rank rank 0's buffers, in one collective
per dtype (``BufferBroadcast``), so that running statistics do not drift apart; or has a script do so (``BufferHook``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.device import device
from distrt.core.tensor import Tensor
from distrt.parallel.leases import Lease, allocate_leased


class BufferHookLocation(enum.Enum):
    """Around a forward pass, when buffers are brought together."""

    PRE_FORWARD = enum.auto()
    POST_FORWARD = enum.auto()


class BufferHook(NamedTuple):
    """What brings buffers together in the place of a broadcast.

    Attributes:
        buffer_comm_hook: gets the state and the buffers by name; may return futures, for the end of the backward pass.
        buffer_comm_hook_state: the state.
        buffer_comm_hook_location: when.
    """

    buffer_comm_hook: Callable[[Any, dict[str, Tensor]], Any]
    buffer_comm_hook_state: Any
    buffer_comm_hook_location: BufferHookLocation


class BufferBroadcast:
    """One flat buffer per dtype in the shared segment, to pass the buffers of a module through.

    Args:
        buffers: tensors of the shapes and dtypes that `run` will get, in the same order.
        group: the ranks; all construct.
    """

    def __init__(self, buffers: Sequence[Tensor], group: ProcessGroup) -> None:
        self.group = group
        lease = Lease()
        lease.end_with(self)
        self._kinds = _kinds(buffers)
        by_kind: dict[tuple[device, np.dtype], list[int]] = {}
        for place, buffer in enumerate(buffers):
            by_kind.setdefault((buffer.device, buffer._array.dtype), []).append(place)
        self._flats: list[tuple[Array, list[tuple[int, Array]]]] = []
        for (_, dtype), places in by_kind.items():
            sizes = [buffers[place].numel() for place in places]
            flat = allocate_leased(group, sum(sizes), dtype, lease, like=buffers[places[0]]._array)
            pieces = [flat[start:stop] for start, stop in pairwise(np.cumsum([0, *sizes]).tolist())]
            self._flats.append((flat, list(zip(places, pieces, strict=True))))

    def fits(self, buffers: Sequence[Tensor]) -> bool:
        """Whether `run` may get these."""
        return self._kinds == _kinds(buffers)

    def run(self, buffers: Sequence[Tensor], src: int = 0) -> None:
        """Overwrites the buffers with rank ``src``'s; a collective."""
        for flat, pieces in self._flats:
            if self.group.rank() == src:
                for place, piece in pieces:
                    piece[...] = buffers[place]._array.reshape(-1)
            self.group.broadcast(flat, src).wait()
            if self.group.rank() != src:
                for place, piece in pieces:
                    buffer = buffers[place]
                    buffer._array[...] = piece.reshape(buffer._array.shape)
                    buffer._counter[0] += 1


def _kinds(buffers: Sequence[Tensor]) -> list[tuple[tuple[int, ...], np.dtype, device]]:
    return [(buffer._array.shape, buffer._array.dtype, buffer.device) for buffer in buffers]
