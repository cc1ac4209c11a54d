"""The memory that a worker makes batches in. A block goes to the parent, and comes back when nothing lies in it.

Memory that is new has to be cleared and mapped page by page, which takes longer than copying a batch into it. So a
worker uses blocks again: those that the parent has given back, and in which nothing of this process lies either.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.storage.shared_memory import PAGE, SharedMemory, SharedRow, round_up
from distrt.core.storage.unnamed import open_unnamed_file

__all__ = ["SHARED_FROM", "Block", "Blocks"]

SHARED_FROM = 1 << 14  # bytes: what is smaller is copied through the socket, and has no memory of its own
_MOST = 2048  # blocks of a worker at once; a process can map some ten thousand pieces of memory
_SPARE_BATCHES = 4  # how many batches' worth of blocks may lie idle
_TOO_LARGE = 2  # times what is wanted: such a block is left for others


class Block:
    """One piece of memory, and how many use it: arrays of this process, and batches that the parent has."""

    def __init__(self, number: int, length: int) -> None:
        self.number = number
        self.length = length
        self.users = 0
        self.descriptor = open_unnamed_file("batch")  # until the parent has it
        try:
            os.posix_fallocate(
                self.descriptor, 0, length
            )  # an error now, where a write later would be a SIGBUS
            self.memory = SharedMemory(self.descriptor, length)
        except BaseException:
            os.close(self.descriptor)
            raise

    def told(self) -> None:
        """The parent has the descriptor."""
        os.close(self.descriptor)
        self.descriptor = -1


class _Use(SharedRow):
    """An array of this process that lies in a block."""

    __slots__ = ("_ended", "_number")

    def __init__(self, block: Block, length: int, ended: deque[int]) -> None:
        super().__init__(block.memory, length)
        self._number, self._ended = block.number, ended

    def __del__(self) -> None:
        self._ended.append(self._number)  # by whatever thread: `Blocks` looks at it when it is asked


class Blocks:
    """The blocks of one worker."""

    def __init__(self) -> None:
        self._next = 0
        self._all: dict[int, Block] = {}
        self._at: dict[int, Block] = {}
        self._idle: list[Block] = []
        self._idle_bytes = 0
        self._most_bytes = 0
        self._ended: deque[int] = deque()
        self._dropped: list[int] = []

    def array(self, shape: tuple[int, ...], dtype: Any) -> Array | None:
        """An array for a batch, not initialised; None where it is small, or there is no room."""
        length = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
        row = self.row(length) if length >= SHARED_FROM else None
        return None if row is None else np.ndarray(shape, dtype, row)

    def row(self, length: int) -> Array | None:
        """So many bytes; None where there is no room."""
        self._settle()
        block = self._idle_block(length)
        if block is None:
            if len(self._all) >= _MOST:
                return None
            try:
                block = Block(self._next, _rounded(length))
            except OSError:
                return None  # no memory for it here; the socket's way may have some
            self._next += 1
            self._all[block.number] = self._at[block.memory.address] = block
        block.users += 1
        return _Use(block, length, self._ended).row()

    def at(self, address: int) -> Block | None:
        """The block that begins at an address."""
        return self._at.get(address)

    def lend(self, blocks: list[Block]) -> None:
        """The parent gets a batch that lies in these."""
        for each in blocks:
            each.users += 1
        self._most_bytes = max(self._most_bytes, sum(each.length for each in blocks))

    def come_back(self, loans: list[tuple[int, bool]]) -> None:
        """What the parent has given back: the block's number, and whether it can be used again."""
        for number, is_reusable in loans:
            if is_reusable:
                self._ended.append(number)
            elif number in self._all:
                self._drop(self._all[number])

    def take_dropped(self) -> list[int]:
        """The numbers of blocks that there are no more since this was asked last."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _settle(self) -> None:
        while self._ended:
            block = self._all.get(self._ended.popleft())
            if block is None:
                continue
            block.users -= 1
            if not block.users:
                self._idle.append(block)
                self._idle_bytes += block.length
        while self._idle and self._idle_bytes > _SPARE_BATCHES * max(self._most_bytes, self._idle[-1].length):
            oldest = self._idle.pop(0)
            self._idle_bytes -= oldest.length
            self._drop(oldest)

    def _idle_block(self, length: int) -> Block | None:
        """The smallest that is large enough, and of those the one that was used last."""
        fitting = [each for each in self._idle if length <= each.length <= _TOO_LARGE * _rounded(length)]
        if not fitting:
            return None
        best = min(reversed(fitting), key=lambda each: each.length)
        self._idle.remove(best)
        self._idle_bytes -= best.length
        return best

    def _drop(self, block: Block) -> None:
        del self._all[block.number], self._at[block.memory.address]
        if block.descriptor >= 0:
            block.told()
        else:
            self._dropped.append(block.number)


def _rounded(length: int) -> int:
    """A little more than asked for, so that batches whose lengths differ can use each other's blocks."""
    return round_up(length, max(PAGE, 1 << max(0, length.bit_length() - 4)))
