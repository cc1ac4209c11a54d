"""The event loop that watches over one attempt: output, deaths, signals and deadlines, in one thread.

The first failure ends the job: the other ranks get SIGTERM, and SIGKILL when the time-out is over. A rank's
process group is ended with the rank, so nothing that it started stays behind.
"""

import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from launch.ranks.processes import Ending, RankProcess, group_exists, signal_group
from launch.ranks.signals import SignalInbox
from launch.ranks.streams import Streams
from launch.ranks.unheard import PERIOD_S, Unheard

__all__ = ["Halt", "Outcome", "Supervisor", "TimeLimits", "Watch"]

_POLL_S = 0.01  # between looks at what cannot be selected on: leftover groups, or deaths without pidfds
_SAME_KEYPRESS_S = 0.1
_UNKILLABLE_S = 1.0  # how long a group may outlast its SIGKILL (unreaped children of a rank)


@dataclass(frozen=True)
class TimeLimits:
    """Seconds between SIGTERM and SIGKILL: after a failure, and after the user asked for the end."""

    failure_s: float = 1.5
    stop_s: float = 25.0


@dataclass(frozen=True)
class Halt:
    """Why ranks that have not failed are ended.

    Attributes:
        text: what to tell the user.
        exit_code: the job's, unless a rank had failed before.
        culprits: the ranks that are to blame.
        is_membership_change: whether machines come or go, so that the ranks start anew; they have time to save.
    """

    text: str
    exit_code: int
    culprits: tuple[int, ...] = ()
    is_membership_change: bool = False


class Watch(Protocol):
    """Something else that may end an attempt; asked every ``period_s``."""

    period_s: float

    def look(self, alive: Mapping[int, RankProcess]) -> Halt | None:
        """Return why the ranks have to end, if they have."""


@dataclass(frozen=True)
class Outcome:
    """What happened, as the launcher saw it; times are ``time.monotonic()``.

    ``told_at`` is when the other ranks were told to end (None: never); ``stopped_by`` the user's signal; ``halt`` what
    a watch said.
    """

    endings: dict[int, Ending]
    ended_at: dict[int, float]
    told_at: float | None
    stopped_by: signal.Signals | None
    halt: Halt | None = None


class Supervisor:
    """Watches ``ranks`` until every one has ended and nothing of its process group is left.

    ``on_end`` is called once for each rank, as soon as it has ended.
    """

    def __init__(
        self,
        ranks: Sequence[RankProcess],
        selector: selectors.BaseSelector,
        streams: Streams,
        inbox: SignalInbox,
        limits: TimeLimits,
        on_end: Callable[[int, Ending], None],
        watches: Sequence[Watch] = (),
    ) -> None:
        self._alive = {process.rank: process for process in ranks}
        self._lingering: dict[int, float] = {}  # group of a dead rank -> when SIGKILL is due
        self._limits = limits
        self._inbox = inbox
        self._on_end = on_end
        self._watches = {watch: time.monotonic() + watch.period_s for watch in watches}
        self._endings: dict[int, Ending] = {}
        self._ended_at: dict[int, float] = {}
        self._told_at: float | None = None
        self._kill_at: float | None = None
        self._stopped_by: signal.Signals | None = None
        self._halt: Halt | None = None
        self._unheard = Unheard()
        self._selector = selector
        self._selector.register(inbox, selectors.EVENT_READ, self._on_signal)
        self._streams = streams
        self._has_pidfds = all(process.pidfd is not None for process in ranks)
        self._has_seen_death = False
        for process in ranks:
            streams.watch(process)
            if process.pidfd is not None:
                self._selector.register(process.pidfd, selectors.EVENT_READ, self._on_death)

    def run(self) -> Outcome:
        """Watch until the end; the sinks may still hold output that their files did not take."""
        try:
            self._on_signal()  # what came before there were ranks
            while self._alive or self._lingering:
                for key, _ in self._selector.select(self._patience_s()):
                    key.data()
                if self._unheard:
                    self._unheard.look(self._alive)
                self._take_the_dead()
                self._end_leftovers()
                self._kill_when_due()
                self._ask_watches()
                self._streams.balance()
            self._streams.read_the_rest()
        finally:
            for process in self._alive.values():  # only after an error of our own
                process.send_to_group(signal.SIGKILL)
            self._selector.close()
        return Outcome(self._endings, self._ended_at, self._told_at, self._stopped_by, self._halt)

    def _patience_s(self) -> float | None:
        if self._lingering or not self._has_pidfds:
            return _POLL_S
        due = [*self._watches.values(), self._kill_at, self._streams.due_at()]
        if self._unheard:
            due.append(time.monotonic() + PERIOD_S)
        first = min((at for at in due if at is not None), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def _on_death(self) -> None:
        self._has_seen_death = True

    def _on_signal(self) -> None:
        for number in self._inbox.take():
            if not self._inbox.ends_job(number):
                self._unheard.pass_on(number, self._alive)
            elif self._told_at is None:
                self._stopped_by = number
                self._tell_to_end(RankProcess.send, number, self._limits.stop_s)
            elif self._is_saving and number != signal.SIGINT:
                self._stopped_by = (
                    self._stopped_by or number
                )  # they are on their way, and have the time for it
            elif number == signal.SIGINT or self._stopped_by is None:
                # One Ctrl-C may arrive twice: `timeout` signals its child and then the child's whole group.
                if self._stopped_by is None or time.monotonic() - self._told_at > _SAME_KEYPRESS_S:
                    self._kill_at = time.monotonic()
            else:
                self._pass_on(number)

    @property
    def _is_saving(self) -> bool:
        """Whether ranks have been told to end, or have agreed to, so that they save and no signal hurries them."""
        has_agreed = any(ending.is_preemption for ending in self._endings.values())
        return has_agreed or (self._halt is not None and self._halt.is_membership_change)

    def _pass_on(self, number: signal.Signals) -> None:
        for process in self._alive.values():
            process.send(number)

    def _tell_to_end(
        self, tell: Callable[[RankProcess, signal.Signals], None], number: signal.Signals, patience_s: float
    ) -> None:
        self._told_at = time.monotonic()
        self._kill_at = self._told_at + patience_s
        for process in self._alive.values():
            tell(process, number)

    def _ask_watches(self) -> None:
        """Let every watch that is due look after the ranks; once they are told to end there is nothing to find."""
        now = time.monotonic()
        for watch, due_at in list(self._watches.items()):
            if now < due_at:
                continue
            self._watches[watch] = now + watch.period_s
            if self._told_at is None and (halt := watch.look(self._alive)) is not None:
                self._halt = halt
                if halt.is_membership_change:
                    self._tell_to_end(RankProcess.send, signal.SIGTERM, self._limits.stop_s)
                else:
                    self._tell_to_end(RankProcess.send_to_group, signal.SIGTERM, self._limits.failure_s)

    def _take_the_dead(self) -> None:
        if self._has_pidfds and not self._has_seen_death:
            return
        self._has_seen_death = False
        for rank, process in [item for item in self._alive.items() if item[1].is_dead()]:
            self._ended_at[rank] = time.monotonic()
            del self._alive[rank]
            process.send_to_group(signal.SIGTERM)
            if process.pidfd is not None:
                self._selector.unregister(process.pidfd)
            ending = self._endings[rank] = process.reap()
            self._lingering[process.pid] = self._ended_at[rank] + self._limits.failure_s
            self._on_end(rank, ending)
            if ending.is_preemption and self._told_at is None:
                # All ranks have agreed to go, and are on their way: a signal could hit what they still write.
                self._tell_to_end(lambda process, number: None, signal.SIGTERM, self._limits.stop_s)
            elif ending.is_failure and self._told_at is None:
                self._tell_to_end(RankProcess.send_to_group, signal.SIGTERM, self._limits.failure_s)

    def _end_leftovers(self) -> None:
        now = time.monotonic()
        for group, kill_at in list(self._lingering.items()):
            if not group_exists(group) or now > kill_at + _UNKILLABLE_S:
                del self._lingering[group]
            elif now >= kill_at:
                signal_group(group, signal.SIGKILL)

    def _kill_when_due(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for process in self._alive.values():
                process.send_to_group(signal.SIGKILL)
            for group in self._lingering:
                self._lingering[group] = time.monotonic()
