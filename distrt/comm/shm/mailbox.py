"""Messages between two ranks of one machine: a ring of bytes in the shared segment for each ordered pair.

A message is a header and its bytes, streamed through the ring: one that fits is away when `send` returns, a longer one
flows as the receiver reads. Each ring has one writer and one reader, who count the bytes that they have written and
read; nothing is locked between processes. The reader puts a message where a `recv` with its tag waits, or keeps it
until one comes.
"""

from __future__ import annotations

import mmap
import struct
import threading
from collections import deque
from collections.abc import Callable, Generator

import numpy as np

from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array
from distrt.comm.shm.meeting import MeetingRoom
from distrt.comm.shm.segment import PAGE
from distrt.comm.transport import misfit
from distrt.core.errors import ShapeError

__all__ = ["BOX_BYTES", "Mailroom"]

_RING_BYTES = 64 * PAGE
BOX_BYTES = PAGE + _RING_BYTES  # a page of counts, then the ring

_HEADER = struct.Struct("=qq16s")  # tag, bytes, dtype


class _Ring:
    """One direction between two ranks."""

    def __init__(self, mapping: mmap.mmap) -> None:
        words = memoryview(mapping)
        self._written = words[0:8].cast("q")
        self._read = words[64:72].cast("q")
        self._bytes = np.ndarray((_RING_BYTES,), np.uint8, buffer=mapping, offset=PAGE)

    @property
    def space(self) -> int:
        return _RING_BYTES - (self._written[0] - self._read[0])

    @property
    def filled(self) -> int:
        return int(self._written[0] - self._read[0])

    def write(self, data: Array) -> int:
        """Put in as many of the bytes as fit; how many."""
        count = min(self.space, data.size)
        start = self._written[0] % _RING_BYTES
        first = min(count, _RING_BYTES - start)
        self._bytes[start : start + first] = data[:first]
        self._bytes[: count - first] = data[first:count]
        self._written[0] += count
        return count

    def read(self, target: Array) -> int:
        """Take out as many bytes as are there, or fit into ``target``; how many."""
        count = min(self.filled, target.size)
        start = self._read[0] % _RING_BYTES
        first = min(count, _RING_BYTES - start)
        target[:first] = self._bytes[start : start + first]
        target[first:count] = self._bytes[: count - first]
        self._read[0] += count
        return count


class _Receipt:
    """A posted receive."""

    __slots__ = ("array", "fault", "source", "tag", "wanted")

    def __init__(self, array: Array, wanted: int | None, tag: int) -> None:
        self.array = array
        self.wanted = wanted  # the sender; None for any
        self.tag = tag
        self.source: int | None = None  # whose message it was, when it is complete
        self.fault: str | None = None


class _Letter:
    """A message that arrives, and the receive that it is for, if that has been posted."""

    __slots__ = ("buffer", "dtype", "nbytes", "receipt", "tag")

    def __init__(self, tag: int, nbytes: int, dtype: str) -> None:
        self.tag = tag
        self.nbytes = nbytes
        self.dtype = dtype
        self.receipt: _Receipt | None = None
        self.buffer: Array | None = None


class Mailroom:
    """One rank's rings from and to all others.

    Args:
        room: who is there, and their bells.
        open_box: maps the ring from one rank to another.
    """

    def __init__(self, room: MeetingRoom, open_box: Callable[[int, int], mmap.mmap]) -> None:
        self._room = room
        self._open = open_box
        self._outgoing: dict[int, _Ring] = {}
        self._incoming: dict[int, tuple[_Ring, Generator[None, None, None]]] = {}
        self._posted: list[_Receipt] = []  # in posting order
        self._kept: deque[tuple[int, _Letter]] = deque()  # complete messages that nobody waits for yet
        self._lock = threading.Lock()

    def send(self, flat: Array, dst: int, tag: int) -> Steps:
        """The steps of a send."""
        ring = self._outgoing.get(dst)
        if ring is None:
            ring = self._outgoing[dst] = _Ring(self._open(self._room.rank, dst))
        header = np.frombuffer(_HEADER.pack(tag, flat.nbytes, flat.dtype.name.encode()), np.uint8)
        for data in (header, flat.view(np.uint8)):
            while data.size:
                if (count := ring.write(data)) > 0:
                    data = data[count:]
                    self._room.ring()
                else:
                    yield _Space(self, ring, dst)

    def recv(self, flat: Array, src: int | None, tag: int) -> Steps:
        """The steps of a receive."""
        receipt = _Receipt(flat, src, tag)
        sources = (
            [src] if src is not None else [r for r in range(len(self._room.peers)) if r != self._room.rank]
        )
        with self._lock:
            self._listen_to(sources)
            self._post(receipt)
        yield _Arrival(self, receipt, sources)
        return receipt.source if receipt.fault is None else ShapeError(receipt.fault)

    def pump(self, sources: list[int] | None = None) -> None:
        """Take in what has arrived from ``sources``, or from all that were ever listened to."""
        with self._lock:
            for source in self._incoming if sources is None else sources:
                ring, reader = self._incoming[source]
                if ring.filled:
                    next(reader)
                    self._room.ring()  # there is space again

    def _listen_to(self, sources: list[int]) -> None:
        for source in sources:
            if source not in self._incoming:
                ring = _Ring(self._open(source, self._room.rank))
                self._incoming[source] = ring, self._read_all(ring, source)

    def _post(self, receipt: _Receipt) -> None:
        for position, (source, letter) in enumerate(self._kept):
            if letter.tag == receipt.tag and receipt.wanted in (None, source):
                del self._kept[position]
                self._hand_over(letter, receipt, source)
                return
        self._posted.append(receipt)

    def _read_all(self, ring: _Ring, source: int) -> Generator[None, None, None]:
        """Reads message after message, as far as the ring is filled, each time that it is asked."""
        header = np.empty(_HEADER.size, np.uint8)
        while True:
            yield from _fill(header, ring)
            tag, nbytes, dtype = _HEADER.unpack(header.tobytes())
            letter = _Letter(tag, nbytes, dtype.rstrip(b"\0").decode())
            for receipt in self._posted:
                if receipt.tag == tag and receipt.wanted in (None, source):
                    self._posted.remove(receipt)
                    letter.receipt = receipt
                    break
            letter.buffer = _target(letter)
            yield from _fill(letter.buffer, ring)
            if letter.receipt is not None:
                self._hand_over(letter, letter.receipt, source)
            elif not self._hand_to_a_late_one(letter, source):
                self._kept.append((source, letter))

    def _hand_to_a_late_one(self, letter: _Letter, source: int) -> bool:
        # A receive that was posted while the message streamed in.  It cannot have found an earlier one.
        for receipt in self._posted:
            if receipt.tag == letter.tag and receipt.wanted in (None, source):
                self._posted.remove(receipt)
                self._hand_over(letter, receipt, source)
                return True
        return False

    def _hand_over(self, letter: _Letter, receipt: _Receipt, source: int) -> None:
        array = receipt.array
        receipt.fault = misfit(source, letter.nbytes, letter.dtype, array)
        if receipt.fault is None and letter.buffer is not None and letter.receipt is None:
            array.view(np.uint8)[...] = letter.buffer
        receipt.source = source


def _target(letter: _Letter) -> Array:
    """Where a message's bytes go: straight to the receiver where it has room for exactly them."""
    if letter.receipt is not None:
        array = letter.receipt.array
        if letter.nbytes == array.nbytes and letter.dtype == array.dtype.name:
            return array.view(np.uint8)
    return np.empty(letter.nbytes, np.uint8)


def _fill(target: Array, ring: _Ring) -> Generator[None, None, None]:
    done = 0
    while done < target.size:
        count = ring.read(target[done:])
        done += count
        if not count:
            yield


class _Space(Wait):
    """Waiting for the receiver to read. Meanwhile this rank reads: two ranks may be sending to one another."""

    __slots__ = ("_dst", "_mail", "_ring")

    def __init__(self, mail: Mailroom, ring: _Ring, dst: int) -> None:
        self._mail, self._ring, self._dst = mail, ring, dst

    def is_over(self) -> bool:
        self._mail.pump()
        return self._ring.space > 0

    def sleep(self, seconds: float, sleeper: int) -> None:
        self._mail._room.sleep(self._dst, self.is_over, seconds, sleeper)

    def missing(self) -> list[int]:
        return [self._dst]

    def lost(self) -> str | None:
        return self._mail._room.why_lost([self._dst], lambda rank: self._ring.space > 0)


class _Arrival(Wait):
    """Waiting for a message."""

    __slots__ = ("_mail", "_receipt", "_sources")

    def __init__(self, mail: Mailroom, receipt: _Receipt, sources: list[int]) -> None:
        self._mail, self._receipt, self._sources = mail, receipt, sources

    def is_over(self) -> bool:
        if self._receipt.source is None:
            self._mail.pump(self._sources)
        return self._receipt.source is not None

    def sleep(self, seconds: float, sleeper: int) -> None:
        # A message may come from several ranks, and only one bell can be listened to.
        longest = seconds if len(self._sources) == 1 else min(seconds, 0.0005)
        self._mail._room.sleep(self._sources[0], self.is_over, longest, sleeper)

    def missing(self) -> list[int]:
        return self._sources

    def lost(self) -> str | None:
        room = self._mail._room
        if self._receipt.wanted is None and any(map(room.is_there, self._sources)):
            return None  # somebody can still send
        return room.why_lost(self._sources, lambda rank: self.is_over())
