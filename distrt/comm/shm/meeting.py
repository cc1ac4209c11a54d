"""How the ranks of one machine wait for one another: numbers in shared memory, a bell for each.

A meeting is one row of words, one per rank: "I have come to meeting n, to do this". Each rank writes only its own
word, so nothing here needs an atomic read-modify-write, and a rank that is killed leaves nothing locked. Who comes to
do something else has not come: the meeting is never over.

Memory ordering: a rank writes data, then its word; others read the word, then the data. x86 keeps stores in
order and loads in order, so plain aligned stores are enough. Machines with weaker ordering (ARM, POWER) need a
release store where `MeetingRoom.post` writes a word, and an acquire load wherever `words` are read.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
from collections.abc import Callable, Sequence

from distrt.comm.calls import FINGERPRINT_BITS
from distrt.comm.progress import Wait
from distrt.comm.shm import futex
from distrt.comm.shm.peers import Peer
from distrt.comm.shm.segment import round_up
from distrt.core.arrays import CACHE_LINE_BYTES

__all__ = ["MAX_RANKS", "Control", "Meeting", "MeetingRoom", "meeting_word"]

MAX_RANKS = 254  # a sleeper says on whom it waits in one byte


_LEFT = 1  # values of a rank's state; 0 while it takes part
_GAVE_UP = 2  # + the rank because of which


class Control:
    """The shared words that every group has; zero in a new segment."""

    def __init__(self, mapping: mmap.mmap, size: int) -> None:
        memory = memoryview(mapping)
        row = round_up(8 * size, CACHE_LINE_BYTES)
        self.words = memory[0 : 8 * size].cast("q")  # meetings of the staging areas
        self.states = memory[row : row + 8 * size].cast("q")
        self.verdict = memory[2 * row : 2 * row + 8].cast("q")  # rank 0's word on an allocation
        # Futex words; each post changes the poster's.
        self.bells = memory[3 * row : 3 * row + 4 * size].cast("i")
        # 0, or 1 + the rank whose bell this rank sleeps on; one row for callers, one for helper threads
        self.sleepers = memory[4 * row : 4 * row + 2 * size]
        self.words_address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        self.sleepers_address = self.words_address + 4 * row
        self._bells_address = self.words_address + 3 * row

    @staticmethod
    def length(size: int) -> int:
        """How many bytes the words of ``size`` ranks take."""
        return 5 * round_up(8 * size, CACHE_LINE_BYTES)

    def bell_address(self, rank: int) -> int:
        """Where rank's bell lies in this process."""
        return self._bells_address + 4 * rank


class MeetingRoom:
    """One rank's way of saying that it has come, and of seeing who has not.

    Args:
        rank: this process's rank.
        peers: all ranks' processes, in rank order.
        control: the shared words.
    """

    def __init__(self, rank: int, peers: list[Peer], control: Control) -> None:
        self.rank = rank
        self.peers = peers
        self.control = control
        self._bells = itertools.count(1)  # threads may ring at once: counting is one step of the interpreter
        self._as_sleeper = rank + 1

    def post(self, words: memoryview, word: int) -> None:
        """Say that this rank has come to a meeting: ``word`` is a `meeting_word`."""
        words[self.rank] = word
        self.ring()

    def ring(self) -> None:
        """Wake those who sleep until this rank does something."""
        control, rank = self.control, self.rank
        control.bells[rank] = self.next_bell()
        if self._as_sleeper in control.sleepers.tobytes():
            self.wake()

    def next_bell(self) -> int:
        """A number that this rank's bell has not lately had."""
        return next(self._bells) & 0x7FFFFFFF

    def wake(self) -> None:
        """Wake those who sleep on this rank's bell, which has rung."""
        futex.wake(self.control.bell_address(self.rank))

    def sleep(self, peer: int, is_over: Callable[[], bool], seconds: float, sleeper: int) -> None:
        """Sleep until ``peer`` rings, at most so long, unless it has done what is waited for."""
        control = self.control
        slot = self.rank + sleeper * len(self.peers)
        bell = control.bells[peer]
        control.sleepers[slot] = peer + 1
        # Asked after `sleepers` was written: whatever the peer does from now on rings the bell.
        if not is_over():
            futex.wait(control.bell_address(peer), bell, seconds)
        control.sleepers[slot] = 0

    def leave(self) -> None:
        """Tell the others that this rank takes part no more."""
        if self.control.states[self.rank] == 0:
            self.control.states[self.rank] = _LEFT

    def is_there(self, rank: int) -> bool:
        """Whether a rank still takes part."""
        return self.control.states[rank] == 0 and self.peers[rank].is_alive()

    def why_lost(self, ranks: list[int], is_over: Callable[[int], bool]) -> str | None:
        """What became of those of ``ranks`` that will never come; the others are told that this rank gives up."""
        lost = self._lost(ranks, is_over)
        if not lost:
            return None
        self.control.states[self.rank] = _GAVE_UP + lost[0][0]
        return "; ".join(text for _, text in lost)

    def gone(self, ranks: Sequence[int]) -> str | None:
        """What became of those of ``ranks`` that take no part any more."""
        return "; ".join(text for _, text in self._lost(ranks, lambda rank: False)) or None

    def _lost(self, ranks: Sequence[int], is_over: Callable[[int], bool]) -> list[tuple[int, str]]:
        lost = []
        for rank in ranks:
            state, is_alive = self.control.states[rank], self.peers[rank].is_alive()
            if is_over(rank):
                continue  # it came, and left after that
            if state >= _GAVE_UP:
                lost.append((state - _GAVE_UP, f"rank {rank} gave up because of rank {state - _GAVE_UP}"))
            elif state == _LEFT:
                lost.append((rank, f"rank {rank} left the group"))
            elif not is_alive:
                lost.insert(0, (rank, f"rank {rank} (process {self.peers[rank].pid}) died"))
        return lost


def meeting_word(tick: int, fingerprint: int) -> int:
    """What a rank writes that comes to meeting ``tick`` for the call with this fingerprint."""
    return tick << FINGERPRINT_BITS | fingerprint


class Meeting(Wait):
    """Waiting for all ranks to come to a meeting with the same ``word``, or to have gone on from it."""

    __slots__ = ("_after", "_room", "_word", "_words")

    def __init__(self, room: MeetingRoom, words: memoryview, word: int) -> None:
        self._room = room
        self._words = words
        self._word = word
        # The least word of the next meeting.
        self._after = ((word >> FINGERPRINT_BITS) + 1) << FINGERPRINT_BITS

    def is_over(self) -> bool:  # noqa: D102
        words, own = self._words.tolist(), self._word
        if words.count(own) == len(words):
            return True
        after = self._after
        return all(word == own or word >= after for word in words)

    def _is_here(self, word: int) -> bool:
        return word == self._word or word >= self._after

    def sleep(self, seconds: float, sleeper: int) -> None:  # noqa: D102
        if missing := self.missing():
            peer = missing[0]
            self._room.sleep(peer, lambda: self._is_here(self._words[peer]), seconds, sleeper)

    def missing(self) -> list[int]:  # noqa: D102
        return [rank for rank, word in enumerate(self._words.tolist()) if not self._is_here(word)]

    def at_odds(self) -> list[int]:  # noqa: D102
        tick = self._word >> FINGERPRINT_BITS
        return [rank for rank in self.missing() if self._words[rank] >> FINGERPRINT_BITS == tick]

    def lost(self) -> str | None:  # noqa: D102
        return self._room.why_lost(self.missing(), lambda rank: self._is_here(self._words[rank]))
