"""Why a rank waits: which ranks called something else, which have not come and what they do instead.

A rank that waits reads the others' status pages (`distrt.comm.status`). It raises as soon as they show that its call
can never end; after ten seconds (``DISTRT_REPORT_AFTER_S``) it prints where every rank is, with stacks.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Protocol

from distrt.comm.presence import own_stacks
from distrt.comm.progress import Label, Wait, name_ranks
from distrt.comm.status import CallRecord, Status
from distrt.core.errors import CollectiveMismatch, CollectiveTimeout, DistributedError, PeerFailed

__all__ = ["Diagnosis", "Witness", "report_after_s"]

_LOOK_EVERY_S = 0.05  # bounds how late a death is seen
_VIGIL_ENDS_S = 0.5  # a thread that has done other things for so long begins anew
_COMPARE_AFTER_S = 0.15  # most calls are over by then; a look at a page takes some tenths of a millisecond
_COMPARE_EVERY_S, _COMPARE_SELDOM_S = 0.15, 5.0  # ever more seldom: who comes late compares at once
_STRAGGLERS_S = 0.3  # how long after a mismatch is seen the other ranks have to come and be counted
_REPORT_AFTER_S = 10.0
_PATIENCE_S, _LEAST_PATIENCE_S = 1.0, 0.05  # with a rank that is asked for its stacks
_SHOWN_TRACEBACK = 4000  # characters


class Witness(Protocol):
    """What can be seen of the ranks of a group from one of them."""

    rank: int
    size: int

    def peek(self, rank: int) -> Status | None:
        """What a rank does; None where that cannot be known (yet)."""

    def plight(self, rank: int) -> str:
        """What is remarkable about a rank's process ("stopped by a signal"), or nothing."""

    def is_silent(self, rank: int) -> bool:
        """Whether a rank that seems to wait cannot say anything: it is stopped, or does not answer."""

    def stacks(self, rank: int, patience_s: float) -> str:
        """The Python stacks of another rank, or why they cannot be had."""

    def give_up(self, because: str) -> None:
        """This rank does not go on with the group."""


class Diagnosis:
    """One rank's view of a group that waits.

    Args:
        witness: shows the ranks.
        group: the number that stands for the group on status pages.
        name: the group's name.
        describe: puts the rank and a label in front of a message.
    """

    def __init__(self, witness: Witness, group: int, name: str, describe: Describe) -> None:
        self._witness, self._group, self._name = witness, group, name
        self._describe = describe
        self._report_after_s = report_after_s()

    def vigil(self) -> Vigil:
        """For one who begins to wait."""
        return Vigil(self)

    def give_up(self, because: str) -> None:
        """The group is of no use to this rank any more."""
        self._witness.give_up(because)

    def mismatch(self, label: Label) -> tuple[str, bool] | None:
        """Who called what where ranks first differ, up to this call, and whether all have come there."""
        if not label[1]:  # a message
            return None
        calls = [self._calls(rank) for rank in range(self._witness.size)]
        for number in sorted(calls[self._witness.rank]):
            if number > label[1]:
                break
            came = {rank: made[number] for rank, made in enumerate(calls) if number in made}
            if len({call.fingerprint for call in came.values()}) > 1:
                return self._compare(number, came), len(came) == len(calls)
        return None

    def _calls(self, rank: int) -> dict[int, CallRecord]:
        """The group's collectives on a rank's page, by number."""
        status = self._witness.peek(rank)
        calls = () if status is None else status.calls
        return {call.number: call for call in calls if call.group == self._group and call.number}

    def _compare(self, number: int, came: dict[int, CallRecord]) -> str:
        kinds: dict[int, list[int]] = {}
        for rank, call in came.items():
            kinds.setdefault(call.fingerprint, []).append(rank)
        most = max(map(len, kinds.values()))
        has_minority = [len(ranks) for ranks in kinds.values()].count(most) == 1
        lines = [f"the ranks of group {self._name!r} called different things as number {number}:"]
        for ranks in sorted(kinds.values(), key=lambda ranks: (-len(ranks), ranks)):
            text = came[ranks[0]].text
            places = sorted({came[rank].place for rank in ranks})
            odd = "   <- in the minority" if has_minority and len(ranks) < most else ""
            lines.append(f"  {name_ranks(ranks)}: {text} at {', '.join(places)}{odd}")
        lines += [f"  {self._where(rank)}" for rank in range(self._witness.size) if rank not in came]
        return "\n".join(lines)

    def failure(self, text: str, label: Label) -> DistributedError:
        """The error where a rank is gone: a mismatch if there was one, else what ended that rank."""
        found = self.mismatch(label)
        if found is not None:
            return CollectiveMismatch(self._describe(found[0], label[0], label[1]))
        return PeerFailed(self._describe(text + self._last_words(text), label[0], label[1]))

    def late(self, waited_s: float, missing: list[int], label: Label) -> DistributedError:
        """The error where ranks did not come in time."""
        deadline = time.monotonic() + _PATIENCE_S
        for rank in range(self._witness.size) if label[1] else missing:
            if self._witness.peek(rank) is None:
                self._ask(rank, deadline)
        missing = self.absent(label[1]) or missing
        lines = [f"waited {waited_s:g} s for {name_ranks(missing)}"]
        lines += [f"  {self._where(rank)}" for rank in missing]
        return CollectiveTimeout(self._describe("\n".join(lines), label[0], label[1]))

    def report(self, waited_s: float, missing: list[int], label: Label) -> None:
        """Print where every rank is, if no other rank of the group does."""
        witness = self._witness
        if any(self._is_reporting(rank, waited_s) for rank in range(witness.rank)):
            return
        deadline = time.monotonic() + 2 * _PATIENCE_S  # for all that do not answer, together
        # First: from another machine the answer says where it is, too.
        stacks = [self._ask(rank, deadline) for rank in range(witness.size)]
        missing = self.absent(label[1]) or missing
        lines = [self._describe(f"has waited {waited_s:.0f} s for {name_ranks(missing)}", label[0], label[1])]
        for rank, stack in enumerate(stacks):
            lines.append(self._where(rank, is_full=True))
            lines += [f"    {line}" for line in stack.splitlines()]
        text = "\n".join(lines) + "\n"
        sys.stderr.write(text)
        sys.stderr.flush()
        if directory := os.environ.get("DISTRT_RUN_DIR"):
            try:
                with (Path(directory) / f"waiting-rank{witness.rank}.txt").open("a") as file:
                    file.write(time.strftime("%Y-%m-%d %H:%M:%S\n") + text)
            except OSError:
                pass  # it has been printed

    def _ask(self, rank: int, deadline: float) -> str:
        """A rank's stacks, by the deadline or shortly after."""
        if rank == self._witness.rank:
            return own_stacks()
        patience_s = min(_PATIENCE_S, max(_LEAST_PATIENCE_S, deadline - time.monotonic()))
        return self._witness.stacks(rank, patience_s)

    def absent(self, number: int) -> list[int]:
        """The ranks that have not come to a collective: those that are waited for may themselves wait for them.

        Who has been asked and is not known to have come counts as absent: a rank that was stopped before, on another
        machine, has never said a word.
        """
        if not number or self._witness.peek(self._witness.rank) is None:
            return []  # it is not known
        ranks = range(self._witness.size)
        # Who has gone on to later calls has come to this one, though its page may have no room for it any more.
        return [rank for rank in ranks if max(self._calls(rank), default=0) < number]

    def _is_reporting(self, rank: int, waited_s: float) -> bool:
        status = self._witness.peek(rank)
        last = status.calls[-1] if status is not None and status.calls else None
        if last is None or not last.is_running or time.time() - last.since < 0.9 * waited_s:
            return False
        return not self._witness.is_silent(rank)

    def _where(self, rank: int, is_full: bool = False) -> str:
        status, plight = self._witness.peek(rank), self._witness.plight(rank)
        process = (
            f" (process {status.pid}{f', {plight}' if plight else ''})"
            if status
            else plight and f" ({plight})"
        )
        start = f"rank {rank}{process}"
        if status is None:
            return f"{start}: nothing is known of it"
        if not status.calls:
            return f"{start}: has not communicated yet"
        last = status.calls[-1]
        ago_s = time.time() - last.since
        name = f"{last.text}{f' #{last.number}' if last.number else ''}"
        other = "" if last.group == self._group else " of another group"
        step = f", step {status.step}" if status.step and is_full else ""
        if last.is_running:
            return f"{start}: in {name}{other} for {ago_s:.1f} s, at {last.place}{step}"
        return f"{start}: in no call; its last, {name}{other}, began {ago_s:.1f} s ago at {last.place}{step}"

    def _last_words(self, text: str) -> str:
        """What ended the ranks that ``text`` names, as far as they could say."""
        words = []
        for rank in range(self._witness.size):
            status = self._witness.peek(rank)
            if rank == self._witness.rank or status is None or f"rank {rank} " not in f"{text} ":
                continue
            if status.failure:
                lines = status.failure[-_SHOWN_TRACEBACK:].rstrip().splitlines()
                trace = "".join(f"\n    {line}" for line in lines) if len(lines) > 1 else ""
                words.append(f"{':' if text.endswith('failed') else '; it failed:'} {lines[-1]}{trace}")
            elif status.calls:
                words.append("\n  " + self._where(rank))
        return "".join(words)


class Watch:
    """Looks after one wait, as long as it lasts.

    Args:
        diagnosis: what to ask.
    """

    def __init__(self, diagnosis: Diagnosis) -> None:
        self._diagnosis = diagnosis
        self._begun = time.monotonic()
        self._next_compare = self._begun + _COMPARE_AFTER_S
        self._pause_s = _COMPARE_EVERY_S
        self._mismatch_since: float | None = None
        self._next_report = self._begun + diagnosis._report_after_s

    def look(self, wait: Wait, label: Label) -> None:
        """Called some twenty times a second.

        Raises:
            CollectiveMismatch: the wait can never be over.
        """
        now = time.monotonic()
        if now >= self._next_compare or wait.at_odds():
            self._next_compare = now + self._pause_s
            self._pause_s = min(1.25 * self._pause_s, _COMPARE_SELDOM_S)
            found = self._diagnosis.mismatch(label)
            if found is not None:
                self._mismatch_since = self._mismatch_since or now
                self._next_compare = now + _COMPARE_EVERY_S
                if found[1] or now - self._mismatch_since > _STRAGGLERS_S:
                    raise CollectiveMismatch(self._diagnosis._describe(found[0], label[0], label[1]))
        if now >= self._next_report and (missing := wait.missing()):
            self._next_report = float("inf")
            self._diagnosis.report(now - self._begun, missing, label)


class Vigil:
    """How long a thread has looked at one wait, also over several calls with short time-outs.

    Args:
        diagnosis: finds out why it takes long.
    """

    __slots__ = ("_diagnosis", "_next_look", "_seen", "_wait", "_watch")

    def __init__(self, diagnosis: Diagnosis) -> None:
        self._diagnosis = diagnosis
        self._wait: Wait | None = None
        self._seen = -math.inf

    def begin(self, now: float) -> None:
        """The thread comes, or comes back, to the wait."""
        if now - self._seen > _VIGIL_ENDS_S:
            self._watch, self._next_look = Watch(self._diagnosis), now + _LOOK_EVERY_S
        self._seen = now

    def turn_to(self, wait: Wait) -> bool:
        """Look at ``wait`` from here on; whether it is another one than before."""
        if wait is self._wait:
            return False
        if self._wait is not None:
            self._watch = Watch(self._diagnosis)
        self._wait = wait
        return True

    def look(self, now: float, label: Label) -> None:
        """Ask now and then whether the wait is in vain.

        Raises:
            PeerFailed: a rank that it waits for is gone.
            CollectiveMismatch: the ranks have called different things.
        """
        wait, self._seen = self._wait, now
        if wait is None or now < self._next_look or wait.is_over():
            return
        self._next_look = now + _LOOK_EVERY_S
        if (text := wait.lost()) is not None:
            raise self._diagnosis.failure(text, label)
        self._watch.look(wait, label)


class Describe(Protocol):
    """`ProcessGroup.label`."""

    def __call__(self, text: str, operation: str, sequence: int | None = None) -> str: ...


def report_after_s() -> float:
    """After how many seconds of waiting the ranks say where they are; infinite for never (0 or less)."""
    given = os.environ.get("DISTRT_REPORT_AFTER_S", "")
    try:
        seconds = float(given) if given else _REPORT_AFTER_S
    except ValueError:
        raise DistributedError(f"DISTRT_REPORT_AFTER_S={given!r}: expected seconds, such as 10") from None
    return seconds if seconds > 0 else float("inf")
