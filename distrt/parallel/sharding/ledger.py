"""``Ledger``: ranks of one machine agree on whether a step that all have come to counts, also where one stops waiting.

A meeting tells a rank that all have come. A rank whose patience ends just before that does not hear of it, and must not
be left with parameters that the others go on to change. So each rank writes down which of the two it does, and then
looks at what the others have written: of two ranks at least one sees the other.

Before the meeting, each writes down, too, whether the present values must stay where they are.
"""

from __future__ import annotations

import threading

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import CACHE_LINE_BYTES

__all__ = ["Ledger"]

_WORDS = CACHE_LINE_BYTES // 8  # of which one is used: no two ranks write to one line
_COMMITTED, _WITHDRAWN = 0, 1
_STAYS = 2  # and 3: in turns, since the first rank to leave a meeting may begin a step while the last one still reads


class Ledger:
    """What each rank has written down, by the number of the step; a collective.

    Args:
        group: the ranks. Those of other machines do not see it.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._rank = group.rank()
        self._memory = group.allocate((4, group.size(), _WORDS), np.int64, copies=1)
        self._words = [memoryview(row[:, 0]) for row in self._memory]
        self._fence = threading.Lock()
        self._step = 0

    def begin(self, stays: bool) -> None:
        """The next step begins; ranks count alike.

        Args:
            stays: on this rank somebody looks at the memory of the present values, and expects to see the new ones.
        """
        self._step += 1
        if stays:
            self._words[_STAYS + self._step % 2][self._rank] = self._step

    @property
    def stays(self) -> bool:
        """When all have come: whether any rank has said so."""
        return self._step in self._words[_STAYS + self._step % 2].tolist()

    def commit(self) -> bool:
        """All have come. False where a rank has withdrawn: then nobody changes the parameters."""
        return not self._write(_COMMITTED, _WITHDRAWN)

    def withdraw(self) -> bool:
        """This rank waits no more. True where the step counts all the same, because a rank has seen all come."""
        return self._write(_WITHDRAWN, _COMMITTED)

    def _write(self, what: int, other: int) -> bool:
        self._words[what][self._rank] = self._step
        with self._fence:  # what was written is there before the rest is read
            pass
        return self._step in self._words[other].tolist()
