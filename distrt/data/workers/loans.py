"""The blocks of a worker as the parent has them: mapped once, lent to the arrays of one batch after another."""

from __future__ import annotations

import os
from collections import deque

from distrt.core.arrays import Array
from distrt.core.storage.shared_memory import SharedMemory, SharedRow

__all__ = ["Loans"]


class _Forks:
    """How often this process was forked. A child sees the same memory, and nobody knows for how long it looks."""

    def __init__(self) -> None:
        self.count = 0
        os.register_at_fork(before=self._note)

    def _note(self) -> None:
        self.count += 1


_forks = _Forks()


class _Loan(SharedRow):
    """The owner of a row in a block; when the last array on it is gone, the block may go back."""

    __slots__ = ("_ended", "_forks_before", "_number")

    def __init__(
        self, memory: SharedMemory, length: int, number: int, ended: deque[tuple[int, bool]]
    ) -> None:
        super().__init__(memory, length)
        self._number, self._ended, self._forks_before = number, ended, _forks.count

    def __del__(self) -> None:
        self._ended.append((self._number, _forks.count == self._forks_before))


class Loans:
    """What one worker has lent."""

    def __init__(self) -> None:
        self._memory: dict[int, SharedMemory] = {}
        self._ended: deque[tuple[int, bool]] = deque()

    def meet(self, number: int, length: int, descriptor: int) -> None:
        """Maps a block that is new here; the descriptor is closed."""
        try:
            self._memory[number] = SharedMemory(descriptor, length)
        finally:
            os.close(descriptor)

    def take(self, number: int, length: int) -> Array:
        """The first bytes of a block, as a row that keeps it lent."""
        return _Loan(self._memory[number], length, number, self._ended).row()

    def refuse(self, places: list[tuple[int, int]]) -> None:
        """Gives back blocks of a batch that nobody wants."""
        self._ended.extend((number, True) for number, _ in places)

    def forget(self, numbers: list[int]) -> None:
        """The worker will not lend these any more."""
        for each in numbers:
            del self._memory[each]

    def take_ended(self) -> list[tuple[int, bool]]:
        """The loans that have ended since this was asked last."""
        return [self._ended.popleft() for _ in range(len(self._ended))]
