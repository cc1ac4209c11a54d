"""The status page: what a rank is doing, in memory that others can read, even after its death.

A page is a file that the rank has mapped: writing to it is a store to memory, and the kernel keeps it when the
process is killed. Under distrt-launch it lies in the run directory, from where the launcher reads it; else it is an
anonymous file, which the other ranks of the machine open through /proc. Standard library only.

    header    words: magic, pid, start time, rank, step, how many calls were begun, samples,
              whether there is a loss, loss (a float)
    ring      the last 64 calls: group, number, fingerprint, text, place, when (ns since the epoch), state
    texts     what calls and places are named, each once
    failure   the exception that ended the program
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from distrt.comm.calls import Call
from distrt.core.process.users_code import OURS, place_text

__all__ = ["PAGE_BYTES", "CallRecord", "Status", "StatusPage", "parse"]

RUNNING, DONE = 1, 2  # states of a call; 0 where there is none

_MAGIC = int.from_bytes(b"distrt02", "little")
_HEADER_WORDS, _ENTRY_WORDS, _ENTRIES = 9, 7, 64
_TEXT, _PLACE = 3, 4  # words of an entry
_PID, _STARTED, _RANK, _STEP, _BEGUN, _SAMPLES, _HAS_LOSS, _LOSS = range(1, 9)
_RING = _HEADER_WORDS * 8
_ENTRY_BYTES = 8 * _ENTRY_WORDS
_FIRST_STATE = _HEADER_WORDS + _ENTRY_WORDS - 1
_TEXTS = _RING + _ENTRIES * _ENTRY_BYTES
_FAILURE = 48 * 1024
PAGE_BYTES = 64 * 1024
_LENGTH = struct.Struct("<I")
_ENTRY = struct.Struct(f"<{_ENTRY_WORDS}q")
_pack = _ENTRY.pack_into


class CallRecord(NamedTuple):
    """A call that a rank has begun.

    Attributes:
        group: the number that stands for the group (the checksum of its name).
        number: which of the group's collectives it is.
        fingerprint: the same where ranks called the same (`distrt.comm.calls`).
        text: what was called; "?" where the page had no room for it any more.
        place: the user's line, "train.py:31 in main".
        since: when it began, in seconds since the epoch.
        is_running: whether it had not ended.
    """

    group: int
    number: int
    fingerprint: int
    text: str
    place: str
    since: float
    is_running: bool


class Status(NamedTuple):
    """What a page says.

    Attributes:
        step: how many steps the optimizer has taken, or what the script says that it is.
        calls: the last ones, the newest last.
        failure: a traceback, or empty.
        samples: how many the script says that it has trained on.
        loss: what the script says that it is; None where it says nothing.
    """

    pid: int
    started: int
    rank: int
    step: int
    calls: list[CallRecord]
    failure: str
    samples: int = 0
    loss: float | None = None


class StatusPage:
    """This process's own page.

    Args:
        rank: this process's number in the job.
        started: the process's start time (`distrt.comm.presence.start_time`).
        memory: `PAGE_BYTES` of zeros; memory of this process alone where not given.
    """

    def __init__(self, rank: int, started: int = 0, memory: mmap.mmap | None = None) -> None:
        self._memory = mmap.mmap(-1, PAGE_BYTES) if memory is None else memory
        self._words = memoryview(self._memory)[: _FAILURE & ~7].cast("q")
        self._reals = memoryview(self._memory)[:_RING].cast("d")
        self._is_told_steps = False
        # Threads may begin calls at once: counting is one step of the interpreter.
        self._begun = itertools.count()
        self._texts: dict[object, int] = {}
        self._text_end = _TEXTS
        for place, value in ((_PID, os.getpid()), (_STARTED, started), (_RANK, rank)):
            self._words[place] = value
        self._words[0] = _MAGIC

    def begin(self, group: int, number: int, call: Call, place: int) -> int:
        """Note that a call begins; the entry that `end` takes. Costs half a microsecond."""
        begun = next(self._begun)
        entry = begun % _ENTRIES
        text = self._texts.get(call.text)
        if text is None:
            before, text = self._text_end, self.intern(call.text)
            if self._text_end < before:  # the texts have started over, without that of the place
                place = 0
        offset = _RING + entry * _ENTRY_BYTES
        _pack(self._memory, offset, group, number, call.fingerprint, text, place, time.time_ns(), RUNNING)
        self._words[_BEGUN] = begun + 1
        return entry

    def end(self, entry: int) -> None:
        """Note that the call of this entry has ended."""
        self._words[_FIRST_STATE + entry * _ENTRY_WORDS] = DONE

    def end_late(self, entry: int, group: int, number: int) -> None:
        """As `end`, for a call of this group and number; its entry may have been given to another one since."""
        start = _HEADER_WORDS + entry * _ENTRY_WORDS
        if (self._words[start], self._words[start + 1]) == (group, number):
            self.end(entry)

    def place(self) -> int:
        """The number of the user's line that called: of the innermost frame outside of distrt.

        A frame that is looked at becomes an object, which costs as much again when its function returns. So the first
        that is looked at is where the user's is in most calls (this, `ProcessGroup`'s two, and the public function's
        are below it).
        """
        try:
            frame: FrameType | None = sys._getframe(4)
        except ValueError:
            frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            name = code.co_filename
            is_ours = _is_ours.get(name)
            if is_ours is None:
                is_ours = _is_ours[name] = name.startswith(OURS)
            if not is_ours:
                key = name, code.co_firstlineno, frame.f_lasti  # to hash the code itself takes a microsecond
                return self._texts.get(key) or self.intern(place_text(frame.f_code, frame.f_lineno), key)
            frame = frame.f_back
        return 0

    def intern(self, text: str, key: object = None) -> int:
        """The number of a text on this page."""
        data = text.encode(errors="replace")[:1000]
        end = self._text_end + _LENGTH.size + len(data)
        if end > _FAILURE:
            self._forget_texts()
            end = self._text_end + _LENGTH.size + len(data)
        number = self._texts[text if key is None else key] = self._text_end
        self._memory[number:end] = _LENGTH.pack(len(data)) + data
        self._text_end = end
        return number

    def _forget_texts(self) -> None:
        """Start over with the texts: of the calls so far, only the numbers stay."""
        for entry in range(_ENTRIES):
            for place in (_TEXT, _PLACE):
                self._words[_HEADER_WORDS + entry * _ENTRY_WORDS + place] = 0
        self._texts.clear()
        self._text_end = _TEXTS

    def took_step(self, count: int) -> None:
        """Note that an optimizer has taken its ``count``-th step: where there are several, the furthest counts."""
        if count > self._words[_STEP] and not self._is_told_steps:
            self._words[_STEP] = count

    def report(self, loss: float | None, samples: int, step: int | None) -> None:
        """Note what the script says: its loss, so many more samples, and its own count of steps."""
        if loss is not None:
            self._reals[_LOSS] = loss
            self._words[_HAS_LOSS] = 1
        self._words[_SAMPLES] += samples
        if step is not None:
            self._is_told_steps = True
            self._words[_STEP] = step

    def fail(self, text: str) -> None:
        """Note what ends the program."""
        data = text.encode(errors="replace")
        room = PAGE_BYTES - _FAILURE - _LENGTH.size
        if len(data) > room:
            data = data[: room // 2] + b"\n...\n" + data[-room // 2 + 5 :]
        self._memory[_FAILURE + _LENGTH.size : _FAILURE + _LENGTH.size + len(data)] = data
        self._memory[_FAILURE : _FAILURE + _LENGTH.size] = _LENGTH.pack(len(data))

    def snapshot(self) -> bytes:
        """The page as it is now, for `parse`."""
        return self._memory[:]

    def read(self) -> Status:
        """What it says."""
        status = parse(self._memory)
        assert status is not None, "the constructor makes it a page"
        return status


def parse(page: bytes | mmap.mmap) -> Status | None:
    """What a page says; None for what is no page, or not yet one."""
    data = page[:PAGE_BYTES]
    if len(data) < PAGE_BYTES:
        return None
    words = struct.unpack_from(f"<{_HEADER_WORDS}q", data)
    if words[0] != _MAGIC:
        return None
    calls = list(_calls(data, words[_BEGUN]))
    (length,) = _LENGTH.unpack_from(data, _FAILURE)
    failure = data[_FAILURE + _LENGTH.size :][:length].decode(errors="replace")
    (loss,) = struct.unpack_from("<d", data, 8 * _LOSS)
    return Status(
        words[_PID],
        words[_STARTED],
        words[_RANK],
        words[_STEP],
        calls,
        failure,
        words[_SAMPLES],
        loss if words[_HAS_LOSS] else None,
    )


def _calls(data: bytes, begun: int) -> Iterator[CallRecord]:
    for index in range(max(0, begun - _ENTRIES), begun):
        entry = _ENTRY.unpack_from(data, _RING + index % _ENTRIES * _ENTRY_BYTES)
        group, number, fingerprint, text, place, begun_ns, state = entry
        if state:
            named, at = _text(data, text), _text(data, place)
            yield CallRecord(group, number, fingerprint, named, at, begun_ns / 1e9, state == RUNNING)


def _text(data: bytes, number: int) -> str:
    if not _TEXTS <= number <= _FAILURE - _LENGTH.size:
        return "?"
    (length,) = _LENGTH.unpack_from(data, number)
    return data[number + _LENGTH.size :][: min(length, 1000)].decode(errors="replace")


_is_ours: dict[str, bool] = {}
