"""``Exchange``: brings the slices that each rank has updated to the other machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.parallel.sharding.shared_parameters import Part

__all__ = ["Exchange"]


class Exchange:
    """Sends this rank's slices to all machines; on each, every rank writes down those of some others.

    On one machine there is nothing to do.

    Args:
        group: the ranks.

    Attributes:
        is_needed: whether there are other machines.
        brought: what this rank wrote down for others in the last run: of a parameter, from where to where.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        mates = list(group.transport.mates)
        self.is_needed = len(mates) < group.size()
        far = [rank for rank in range(group.size()) if rank not in mates]
        self._mine = far[mates.index(group.rank()) :: len(mates)] if self.is_needed else []
        self.brought: list[tuple[Part, int, int]] = []

    def run(self, rows: Sequence[tuple[Part, Array]], all_ranks_write: bool = False) -> None:
        """Complete some rows, of which every rank has its slices; a collective where there are several machines.

        Args:
            rows: the one copy of the machine, (elements,), with the parameter that says how it is cut.
            all_ranks_write: return when all of the machine's ranks have written.
        """
        self.brought = []
        if not self.is_needed:
            return
        kinds: dict[np.dtype[Any], list[tuple[Part, Array]]] = {}
        for part, row in rows:
            kinds.setdefault(row.dtype, []).append((part, row))
        for dtype, same in kinds.items():
            slices = [
                [(part, row, *part.bounds(rank, part.share)) for part, row in same]
                for rank in range(self._group.size())
            ]
            packed = [np.empty(sum(high - low for _, _, low, high in each), dtype) for each in slices]
            mine = [row[low:high] for _, row, low, high in slices[self._group.rank()]]
            self._group.all_gather(packed, np.concatenate(mine))
            for rank in self._mine:
                start = 0
                for part, row, low, high in slices[rank]:
                    row[low:high] = packed[rank][start : start + high - low]
                    start += high - low
                    self.brought.append((part, low, high))
        if all_ranks_write:
            self._group.barrier()
