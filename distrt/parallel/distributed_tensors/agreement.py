"""How ranks that have different parts of a gradient agree on an overflow, which one of them may have seen."""

from __future__ import annotations

import weakref

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array

__all__ = ["agreement_of"]


class _Agreement:
    """The agreement of the groups along some dims of a mesh."""

    def __init__(self, groups: tuple[ProcessGroup, ...]) -> None:
        self._groups = groups
        self.rank = groups[0].rank()

    def maximum(self, values: Array) -> None:
        """Each element's largest value over the ranks, in place."""
        for group in self._groups:
            group.all_reduce(values, ReduceOp.MAX)


_agreements: weakref.WeakValueDictionary[tuple[ProcessGroup, ...], _Agreement] = weakref.WeakValueDictionary()


def agreement_of(groups: tuple[ProcessGroup, ...]) -> _Agreement:
    """One for all parameters of the same groups, which is asked once a step."""
    found = _agreements.get(groups)
    if found is None:
        found = _agreements[groups] = _Agreement(groups)
    return found
