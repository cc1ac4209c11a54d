"""How the ranks of one machine wait for one another: numbers in shared memory, a short look-out, bounded sleeps.

A meeting is one row of numbers, one per rank: "I have come to meeting n". Each rank writes only its own number,
so nothing here needs an atomic read-modify-write, and a rank that is killed leaves nothing locked.

Memory ordering: a rank writes data, then its number; others read the number, then the data. x86 keeps stores in
order and loads in order, so plain aligned stores are enough. Machines with weaker ordering (ARM, POWER) need a
release store where `MeetingRoom.post` writes a number, and an acquire load wherever `words` are read.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable

from distrt.comm import futex
from distrt.comm.peers import Peer
from distrt.comm.process_group import name_ranks
from distrt.comm.segment import round_up
from distrt.core.errors import CollectiveTimeout, PeerFailed

__all__ = ["MAX_RANKS", "Control", "Label", "MeetingRoom"]

MAX_RANKS = 254  # a sleeper says on whom it waits in one byte

_LINE = 64
_LOOK_S = 100e-6  # about what falling asleep and being woken costs
_SLICE_S = 0.05  # the longest sleep: bounds how late a death is seen, and what a lost wake-up costs
_BUSY_SLICE_S = 0.001  # while other operations are outstanding, which this rank may have to move on

_LEFT = 1  # values of a rank's state; 0 while it takes part
_GAVE_UP = 2  # + the rank because of which

Label = tuple[str, int]  # an operation's name and number, for messages


class Control:
    """The shared words that every group has; zero in a new segment."""

    def __init__(self, mapping: mmap.mmap, size: int) -> None:
        memory = memoryview(mapping)
        row = round_up(8 * size, _LINE)
        self.ticks = memory[0 : 8 * size].cast("q")  # meetings of the staging areas
        self.states = memory[row : row + 8 * size].cast("q")
        self.verdict = memory[2 * row : 2 * row + 8].cast("q")  # rank 0's word on an allocation
        self.bells = memory[3 * row : 3 * row + 4 * size].cast(
            "i"
        )  # futex words; each post changes the poster's
        self.sleepers = memory[4 * row : 4 * row + size]  # 0, or 1 + the rank whose bell this rank sleeps on
        self._bells_address = ctypes.addressof(ctypes.c_char.from_buffer(mapping)) + 3 * row

    @staticmethod
    def length(size: int) -> int:
        """How many bytes the words of ``size`` ranks take."""
        return 5 * round_up(8 * size, _LINE)

    def bell_address(self, rank: int) -> int:
        """Where rank's bell lies in this process."""
        return self._bells_address + 4 * rank


class MeetingRoom:
    """One rank's way of saying that it has come, and of waiting for those who have not.

    Args:
        rank: this process's rank.
        peers: all ranks' processes, in rank order.
        control: the shared words.
        describe: puts the rank and a label in front of a message.
        move_on: does what can be done for other outstanding operations while this rank waits; says if any is left.
    """

    def __init__(
        self,
        rank: int,
        peers: list[Peer],
        control: Control,
        describe: Callable[[str, str, int], str],
        move_on: Callable[[], bool],
    ) -> None:
        self._rank = rank
        self._peers = peers
        self._control = control
        self._describe = describe
        self._move_on = move_on
        self._bell = 0
        self._as_sleeper = rank + 1

    def post(self, words: memoryview, tick: int) -> None:
        """Say that this rank has come to meeting ``tick`` of ``words``."""
        control, rank = self._control, self._rank
        words[rank] = tick
        self._bell = control.bells[rank] = self._bell + 1 & 0x7FFFFFFF
        if self._as_sleeper in control.sleepers.tobytes():
            futex.wake(control.bell_address(rank))

    def wait(self, words: memoryview, tick: int, timeout_s: float, label: Label) -> None:
        """Return when all ranks have come to meeting ``tick`` of ``words``.

        Raises:
            CollectiveTimeout: some did not within ``timeout_s``.
            PeerFailed: some never will.
        """
        if min(words.tolist()) >= tick:
            return
        look_until = time.perf_counter() + _LOOK_S
        while time.perf_counter() < look_until:
            # Yielding gives the core to the rank that is waited for, if it needs this one. Without it, 2 ranks that
            # share a core take 125 us for 1 KB instead of 9, and 4 ranks on 2 cores 390 us instead of 42.
            os.sched_yield()
            if min(words.tolist()) >= tick:
                return
        self._sleep(words, tick, timeout_s, label)

    def leave(self) -> None:
        """Tell the others that this rank takes part no more."""
        if self._control.states[self._rank] == 0:
            self._control.states[self._rank] = _LEFT

    def give_up(self, because_of: int) -> None:
        """Tell the others that this rank takes part no more, and which rank is to blame."""
        self._control.states[self._rank] = _GAVE_UP + because_of

    def _sleep(self, words: memoryview, tick: int, timeout_s: float, label: Label) -> None:
        control = self._control
        now = time.monotonic()
        deadline, next_look = now + timeout_s, now + _SLICE_S
        is_busy = self._move_on()
        while missing := _missing(words, tick):
            peer = missing[0]
            bell = control.bells[peer]
            control.sleepers[self._rank] = peer + 1
            if words[peer] < tick:  # read after `sleepers` was written: a post from now on rings the bell
                slice_s = _BUSY_SLICE_S if is_busy else _SLICE_S
                futex.wait(control.bell_address(peer), bell, max(0.0, min(slice_s, deadline - now)))
            control.sleepers[self._rank] = 0
            is_busy = self._move_on()
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _SLICE_S
                self._look_for_the_lost(words, tick, label)
            if now >= deadline and (missing := _missing(words, tick)):
                text = f"waited {timeout_s:g} s for {name_ranks(missing)}"
                raise CollectiveTimeout(self._describe(text, *label))

    def _look_for_the_lost(self, words: memoryview, tick: int, label: Label) -> None:
        lost = []
        for rank in _missing(words, tick):
            state, is_alive = self._control.states[rank], self._peers[rank].is_alive()
            if words[rank] >= tick:
                continue  # it came, and left after that
            if state >= _GAVE_UP:
                lost.append((state - _GAVE_UP, f"rank {rank} gave up because of rank {state - _GAVE_UP}"))
            elif state == _LEFT:
                lost.append((rank, f"rank {rank} left the group"))
            elif not is_alive:
                lost.insert(0, (rank, f"rank {rank} (process {self._peers[rank].pid}) died"))
        if lost:
            error = PeerFailed(self._describe("; ".join(text for _, text in lost), *label))
            self.give_up(because_of=lost[0][0])
            raise error


def _missing(words: memoryview, tick: int) -> list[int]:
    return [rank for rank, come_to in enumerate(words.tolist()) if come_to < tick]
