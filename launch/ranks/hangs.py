"""The hang watch: a rank whose status page has not changed for too long is named, with its stacks, and the job ended.

A page changes with every call of distrt's and with every step. Ranks that keep none (a script without distrt, or not
yet in a job) are not watched.
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distrt.comm.status import CallRecord, Status, parse
from launch.exit_codes import HUNG
from launch.ranks.processes import STACKS_SIGNAL, RankProcess, process_state
from launch.ranks.supervisor import Halt

__all__ = ["HangWatch", "Seen", "blame"]

_STACKS_PATIENCE_S = 1.0
_ELSEWHERE_S = 1.5  # how much longer to wait where only another machine can know who is to blame


@dataclass(frozen=True)
class Seen:
    """A rank, as its page and the kernel show it."""

    rank: int
    pid: int
    status: Status
    still_s: float
    is_stopped: bool

    @property
    def call(self) -> CallRecord | None:
        """The call that it is in."""
        last = self.status.calls[-1] if self.status.calls else None
        return last if last is not None and last.is_running else None

    def __str__(self) -> str:
        state = ", and is stopped by a signal" if self.is_stopped else ""
        step = f", step {self.status.step}" if self.status.step else ""
        if self.call is not None:
            return f"in {self.call.text} #{self.call.number}, at {self.call.place}{step}{state}"
        if not self.status.calls:
            return f"in no call of distrt, and has made none{step}{state}"
        last = self.status.calls[-1]
        return f"in no call of distrt; its last was {last.text} #{last.number}, at {last.place}{step}{state}"


class HangWatch:
    """Watches the ranks of this machine; see `launch.ranks.supervisor.Watch`.

    Args:
        pages: where the status pages are.
        attempt_dir: where the stacks are written, and ``hang.txt``.
        sees_all: whether all ranks of the job are on this machine.
    """

    def __init__(self, timeout_s: float, pages: Path, attempt_dir: Path, sees_all: bool) -> None:
        self.period_s = min(0.25, timeout_s / 4)
        self._timeout_s = timeout_s
        self._pages = pages
        self._attempt_dir = attempt_dir
        self._sees_all = sees_all
        self._before: dict[int, tuple[bytes, float]] = {}

    def look(self, alive: Mapping[int, RankProcess]) -> Halt | None:
        """Return who hangs, if somebody does."""
        seen = [
            found for rank, process in alive.items() if (found := self._see(rank, process.pid)) is not None
        ]
        longest_s = max((each.still_s for each in seen), default=0.0)
        if longest_s <= self._timeout_s:
            return None
        culprits, is_certain = blame(seen, self._timeout_s / 2)
        if not is_certain and not self._sees_all and longest_s <= self._timeout_s + _ELSEWHERE_S:
            return None
        stacks = self._stacks([each for each in seen if not each.is_stopped])
        text = _text(seen, culprits, is_certain, stacks)
        with contextlib.suppress(OSError):
            (self._attempt_dir / "hang.txt").write_text(_text(seen, seen, is_certain, stacks))
        return Halt(text, HUNG, tuple(each.rank for each in culprits))

    def _see(self, rank: int, pid: int) -> Seen | None:
        try:
            page = (self._pages / f"rank{rank}.status").read_bytes()
        except OSError:
            return None
        status, now = parse(page), time.monotonic()
        if status is None or status.pid != pid:
            return None
        before, since = self._before.get(rank, (b"", now))
        if page != before:
            since = now
            self._before[rank] = page, now
        return Seen(rank, pid, status, now - since, process_state(pid) in ("T", "t"))

    def _stacks(self, ranks: Sequence[Seen]) -> dict[int, str]:
        """Ask ranks for their stacks, all at once; those that do not answer in time have none."""
        for each in ranks:
            with contextlib.suppress(OSError):
                os.kill(each.pid, STACKS_SIGNAL)
        paths = {each.rank: self._attempt_dir / str(each.rank) / "stacks.txt" for each in ranks}
        deadline, sizes = time.monotonic() + _STACKS_PATIENCE_S, dict.fromkeys(paths, -1)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            before, sizes = sizes, {rank: _size(path) for rank, path in paths.items()}
            if sizes == before and min(sizes.values(), default=1) > 0:
                break
        return {rank: path.read_text(errors="replace") for rank, path in paths.items() if _size(path) > 0}


def blame(seen: Sequence[Seen], still_s: float) -> tuple[list[Seen], bool]:
    """Return who keeps the others waiting, and whether that is certain.

    Those that are stopped; else those that are in no call; else those that are in another call than most. Where all are
    in one call, they wait for somebody who is not here.

    Args:
        still_s: who has moved since is not to blame.
    """
    still = [each for each in seen if each.still_s > still_s]
    if stopped := [each for each in still if each.is_stopped]:
        return stopped, True
    if outside := [each for each in still if each.call is None]:
        return outside, True
    calls = [(each.call.group, each.call.number, each.call.fingerprint) for each in still if each.call]
    usual = max(dict.fromkeys(calls), key=calls.count)
    others = [each for each, call in zip(still, calls, strict=True) if call != usual]
    return (others, True) if others else (still, False)


def _text(seen: Sequence[Seen], shown: Sequence[Seen], is_certain: bool, stacks: Mapping[int, str]) -> str:
    lines = []
    for each in shown:
        verb = "hangs" if is_certain else "waits"
        lines.append(
            f"distrt-launch: rank {each.rank} (pid {each.pid}) {verb}: it has not moved for {each.still_s:.1f} s; "
            f"it is {each}"
        )
        text = stacks.get(each.rank, "(it shows no stacks)")
        lines += [f"    {line}" for line in text.splitlines() if line and "launch/ranks/rank.py" not in line]
    named = {each.rank for each in shown}
    lines += [f"rank {each.rank} is {each}" for each in seen if each.rank not in named]
    return "\n".join(lines) + "\n"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
