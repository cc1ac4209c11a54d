"""``BufferBroadcast``: gives every rank rank 0's buffers, in one collective per dtype.

``DistributedDataParallel`` runs it before each forward pass in training, so that running statistics do not drift apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.tensor import Tensor


class BufferBroadcast:
    """The buffers of a module, and one flat buffer per dtype in the shared segment to pass them through."""

    def __init__(self, buffers: Sequence[Tensor], group: ProcessGroup) -> None:
        self.group = group
        by_dtype: dict[np.dtype, list[Tensor]] = {}
        for buffer in buffers:
            by_dtype.setdefault(buffer._array.dtype, []).append(buffer)
        self._flats: list[tuple[Array, list[tuple[Tensor, Array]]]] = []
        for dtype, same in by_dtype.items():
            flat = group.allocate((sum(buffer.numel() for buffer in same),), dtype)
            bounds = np.cumsum([0, *(buffer.numel() for buffer in same)])
            pieces = [flat[start:stop] for start, stop in pairwise(bounds)]
            self._flats.append((flat, list(zip(same, pieces, strict=True))))

    def run(self, src: int = 0) -> None:
        """Overwrites the buffers with rank ``src``'s; a collective."""
        for flat, pieces in self._flats:
            if self.group.rank() == src:
                for buffer, piece in pieces:
                    piece[...] = buffer._array.reshape(-1)
            self.group.broadcast(flat, src).wait()
            if self.group.rank() != src:
                for buffer, piece in pieces:
                    buffer._array[...] = piece.reshape(buffer._array.shape)
                    buffer._counter[0] += 1
