"""`Ledger`: what a rank's time went to, step by step; `distrt.comm.run_record` keeps what it says in a file.

Everything that this process does (`distrt.core.process.activity`) is told here as it begins and ends. The time
between two such moments belongs to the innermost thing that goes on, or to the script itself. Standard library only.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from threading import get_ident
from types import CodeType
from typing import Any, TypeAlias

from distrt.core.process.activity import KINDS, Listener, Transfer
from distrt.core.process.users_code import line_of, place_text, users_frame

__all__ = ["SCRIPT", "Ledger", "is_pictured"]

SCRIPT = "script"  # the time that is none of the kinds

Line: TypeAlias = dict[str, Any]

_MOST_SPANS = 2000  # of a step that is noted in detail
_MOST_NAMES = 200  # of numbers that the script says


class Ledger(Listener):
    """Accounts for the time of one thread, that which makes it.

    Args:
        write: takes a line of the record.
        pause_s: tells, for the age of the run in seconds, how long to wait between two lines.
        clock: seconds, the same in all processes of a machine.
    """

    def __init__(
        self,
        write: Callable[[Line], object],
        pause_s: Callable[[float], float] = lambda age_s: 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._write, self._pause_s, self._clock = write, pause_s, clock
        self._thread = get_ident()
        self._lock = threading.Lock()  # calls of groups end in any thread
        self._began = self._since = self._written = self._step_began = clock()
        self._cpu = time.process_time()
        self._stack = [SCRIPT]
        self._left: tuple[CodeType, int] | None = None  # where the script went on after the last of our calls
        self._places: dict[str, str] = {}
        self._under_way, self._moving_since = 0, 0.0
        self._step = 0
        self._told_step: int | None = None
        self._numbers: dict[str, tuple[float, Line | None]] = {}  # when it was written, and what was not
        self._not_finite: set[str] = set()  # names of numbers
        self._spans: list[Any] | None = None
        self._opened: list[float] = []
        self._transfers: list[Any] = []
        self._clear()

    def _clear(self) -> None:
        self._spent = dict.fromkeys((*KINDS, SCRIPT), 0.0)
        self._steps, self._longest, self._samples = 0, 0.0, 0
        self._moved_bytes, self._calls, self._moving_s = 0, 0, 0.0
        self._loss: float | None = None
        self._gap: tuple[float, str, str] = (0.0, "", "")
        self._new_places: dict[str, str] = {}

    # -- what is heard

    def begin(self, kind: str) -> None:
        """See `Listener`."""
        if get_ident() != self._thread:
            return
        stack, now = self._stack, self._clock()
        passed = now - self._since
        if len(stack) == 1 and (passed > self._gap[0] or kind not in self._places):
            self._leave_script(passed, kind)
        self._spent[stack[-1]] += passed
        self._since = now
        stack.append(kind)
        self._opened.append(now)

    def end(self, kind: str) -> None:
        """See `Listener`."""
        stack = self._stack
        if get_ident() != self._thread or len(stack) == 1:
            return
        now = self._clock()
        self._spent[stack.pop()] += now - self._since
        self._since = now
        began = self._opened.pop()
        if self._spans is not None and len(self._spans) < _MOST_SPANS:
            self._spans.append([kind, began, now])
        if len(stack) == 1:
            frame = users_frame(sys._getframe(2))
            # The line is looked up when it is wanted: to find it takes longer than all the rest.
            self._left = None if frame is None else (frame.f_code, frame.f_lasti)

    def launch(self, transfer: Transfer) -> None:
        """See `Listener`."""
        with self._lock:
            if not self._under_way:
                self._moving_since = transfer.began_ns / 1e9
            self._under_way += 1
            self._calls += 1
            self._moved_bytes += transfer.nbytes

    def land(self, transfer: Transfer) -> None:
        """See `Listener`."""
        now = self._clock()
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._moving_s += now - self._moving_since
            if self._spans is not None and len(self._transfers) < _MOST_SPANS:
                began = transfer.began_ns / 1e9
                self._transfers.append(
                    [
                        transfer.name,
                        began,
                        now,
                        transfer.nbytes,
                        transfer.group,
                        transfer.number,
                        transfer.is_async,
                    ]
                )

    def note(self, name: str, value: float, step: int | None) -> None:
        """See `Listener`. Numbers that are said more often than lines are written are thinned out.

        The first that is not finite is written at once: that it was there is what its reader must hear of.
        """
        now = self._clock()
        written, _ = self._numbers.get(name, (float("-inf"), None))
        if written == float("-inf") and len(self._numbers) >= _MOST_NAMES:
            return
        line = {"kind": "number", "name": name, "value": value, "step": step, "at": now}
        is_news = not math.isfinite(value) and name not in self._not_finite
        if is_news:
            self._not_finite.add(name)
        elif now - written < self._pause_s(now - self._began):
            self._numbers[name] = (written, line)
            return
        self._numbers[name] = (now, None)
        self._write(line)

    def report(self, loss: float | None, samples: int, step: int | None) -> None:
        """What the script says of the present step (`distrt.distributed.report`)."""
        # A line may be of many steps: one whose loss was not finite is what its reader must hear of.
        if loss is not None and (self._loss is None or math.isfinite(self._loss)):
            self._loss = loss
        self._samples += samples
        self._told_step = self._told_step if step is None else step

    # -- steps

    def took_step(self, count: int) -> None:
        """An optimizer has taken its ``count``-th step; where there are several, the one that has taken most counts."""
        if count <= self._step or get_ident() != self._thread:
            return
        now = self._clock()
        self._spend(now)
        self._step = count
        self._steps += 1
        self._longest = max(self._longest, now - self._step_began)
        if self._spans is not None:
            self._write_picture(now)
        self._step_began = now
        if now - self._written >= self._pause_s(now - self._began):
            self._write_account(now)
        if is_pictured(count + 1):
            with self._lock:
                self._spans, self._transfers = [], []

    def flush(self) -> None:
        """Write what has not been written."""
        for _, line in self._numbers.values():
            if line is not None:
                self._write(line)
        if get_ident() == self._thread:
            now = self._clock()
            self._spend(now)
            self._write_account(now)

    def _spend(self, now: float) -> None:
        self._spent[self._stack[-1]] += now - self._since
        self._since = now

    def _leave_script(self, passed: float, kind: str) -> None:
        """The script calls us: note where, and where it has come from where it was long away."""
        frame = users_frame(sys._getframe(3))
        place = "" if frame is None else place_text(frame.f_code, frame.f_lineno)
        if passed > self._gap[0]:
            before = "" if self._left is None else place_text(self._left[0], line_of(*self._left))
            self._gap = (passed, before, place)
        if kind not in self._places:
            self._places[kind] = self._new_places[kind] = place

    def _write_account(self, now: float) -> None:
        cpu = time.process_time()
        with self._lock:
            if self._under_way:
                self._moving_s += now - self._moving_since
                self._moving_since = now
        line: Line = {
            "kind": "step",
            "step": self._step if self._told_step is None else self._told_step,
            "steps": self._steps,
            "at": now,
            "seconds": now - self._written,
            "longest": self._longest,
            "spent": {kind: round(spent, 7) for kind, spent in self._spent.items() if spent},
            "moving": self._moving_s,
            "bytes": self._moved_bytes,
            "calls": self._calls,
            "cpu": round(cpu - self._cpu, 7),
            "memory": _resident_bytes(),
            "samples": self._samples,
        }
        if self._loss is not None:
            line["loss"] = self._loss
        if self._gap[0] > 0:
            line["gap"] = list(self._gap)
        if self._new_places:
            line["places"] = self._new_places
        self._written, self._cpu = now, cpu
        with self._lock:
            self._clear()
        self._write(line)

    def _write_picture(self, now: float) -> None:
        with self._lock:
            spans, transfers, self._spans = self._spans, self._transfers, None
        self._write(
            {
                "kind": "picture",
                "step": self._step,
                "from": self._step_began,
                "to": now,
                "spans": spans,
                "transfers": transfers,
            }
        )


def is_pictured(step: int) -> bool:
    """Whether a step is noted in detail: 3, 10, 30, 100, 300 ... on every rank."""
    while step >= 10 and step % 10 == 0:
        step //= 10
    return step in (1, 3)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


_PAGE = os.sysconf("SC_PAGE_SIZE")
