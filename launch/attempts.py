"""A job's attempts, one after the other: each with new processes, a new store, a new secret and files of its own."""

import contextlib
import os
import selectors
import signal
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from launch.job import Job, World, rank_environment
from launch.ranks.guard import Guard
from launch.ranks.memory import MemoryWatch
from launch.ranks.processes import (
    Ending,
    RankProcess,
    adopt_orphans,
    must_be_startable,
    process_start_time,
    start_rank,
)
from launch.ranks.signals import SignalInbox
from launch.ranks.streams import Streams
from launch.ranks.supervisor import Supervisor, TimeLimits, Watch
from launch.reports.events import EventLog
from launch.reports.logs import OutputPlan
from launch.reports.output import Sink
from launch.reports.run_directory import must_be_written, write_json
from launch.summary import Places, Report, report

__all__ = ["Attempts", "Hands", "Meeting"]

_QUICK_S = 60.0  # an attempt that fails sooner than this is one of a storm
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class Meeting(Protocol):
    """How this machine's ranks find all others, attempt by attempt."""

    watches: Sequence[Watch]

    def agree(self, run_id: str) -> tuple[str, str]:
        """Meet the other machines for the first time; the job's name, which all share, and the run directory's."""

    def open(self, attempt: int) -> World:
        """Begin an attempt together with the other machines."""

    def rank_ended(self, rank: int, ending: Ending) -> None:
        """Hear that one of our ranks has ended."""

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that are known to have joined."""

    def judge(self, report: Report, has_restarts: bool) -> tuple[Report, bool]:
        """Turn this machine's report into the job's, and decide with the others whether there is another attempt."""

    def close(self) -> None:
        """End what ``open`` has begun."""

    def leave(self) -> None:
        """Part from the other machines, for good."""


@dataclass(frozen=True)
class Hands:
    """What the attempts work with."""

    sinks: tuple[Sink, Sink]
    inbox: SignalInbox
    guard: Guard
    events: EventLog
    say: Callable[[str], None]


class Attempts:
    """Runs a job until it is done, or has failed once more than ``job.max_restarts`` allows."""

    def __init__(
        self,
        job: Job,
        meeting: Meeting,
        hands: Hands,
        output: OutputPlan,
        limits: TimeLimits,
    ) -> None:
        self._job = job
        self._meeting = meeting
        self._hands = hands
        self._output = output
        self._limits = limits
        self._quick_failures = 0
        self._failures = 0
        self.results: list[dict[str, object]] = []

    def run(self) -> Report:
        """Run attempt after attempt and return the report of the last."""
        attempt = -1
        while True:
            world = self._meeting.open(attempt + 1)
            attempt = world.attempt  # a machine that comes late takes part in a later one
            began_at = time.monotonic()
            report = self._run_once(world)
            verdict, goes_on = self._meeting.judge(report, self._failures < self._job.max_restarts)
            self._meeting.close()
            self.results.append(verdict.result)
            self._hands.events.record("attempt_ended", attempt=attempt, exit_code=verdict.exit_code)
            if not goes_on:
                return verdict
            is_failure = not verdict.result.get("is_membership_change")
            self._failures += is_failure
            self._announce(verdict, is_failure)
            lasted_s = time.monotonic() - began_at if is_failure else float("inf")  # machines may come and go
            if (stop := self._pause(lasted_s)) is not None:
                return Report(
                    f"distrt-launch: stopped by {stop.name}\n", 128 + stop, verdict.result, is_final=True
                )
            _put_away(self._job.run_dir, self._job.attempt_dir(attempt))

    def _run_once(self, world: World) -> Report:
        job, hands = self._job, self._hands
        if not self.results:
            hands.say(_headline(job, world))
        directory = job.attempt_dir(world.attempt)
        selector = selectors.DefaultSelector()
        memory = MemoryWatch()
        ranks = self._start_ranks(world, directory)
        streams = Streams(
            selector,
            hands.sinks,
            self._output,
            directory,
            _prefix(job, world),
            world.first_rank,
            job.local_size,
        )
        supervisor = Supervisor(
            ranks,
            selector,
            streams,
            hands.inbox,
            self._limits,
            self._on_end,
            [*self._meeting.watches, *self._hang_watch(world)],
        )
        outcome = supervisor.run()
        if streams.lost_bytes:
            hands.say(
                f"{streams.lost_bytes} bytes of output could not be written to the files in {directory}"
            )
        pids = {process.rank: process.pid for process in ranks}
        places = Places(directory, job.run_dir)
        return report(outcome, pids, self._meeting.joined_ranks(), places, memory.news())

    def _hang_watch(self, world: World) -> list[Watch]:
        job = self._job
        if job.hang_timeout_s is None:
            return []
        from launch.ranks.hangs import HangWatch  # most jobs are not watched

        sees_all = world.size == job.local_size
        return [HangWatch(job.hang_timeout_s, job.run_dir, job.attempt_dir(world.attempt), sees_all)]

    def _on_end(self, rank: int, ending: Ending) -> None:
        self._meeting.rank_ended(rank, ending)
        self._hands.events.record("rank_ended", rank=rank, how=str(ending))

    def _start_ranks(self, world: World, directory: Path) -> list[RankProcess]:
        """Start every rank; none runs a line of the user's before all are recorded."""
        job, hands = self._job, self._hands
        is_piped = self._output.needs_pipes(job.local_size)
        gate_read, gate_write = os.pipe()
        ranks: list[RankProcess] = []
        try:
            for local_rank in range(job.local_size):
                rank = world.first_rank + local_rank
                with must_be_written(job.run_dir):
                    (directory / str(rank)).mkdir(parents=True, exist_ok=True)
                environment = rank_environment(job, world, local_rank, os.environ)
                with must_be_startable(f"rank {rank}"):
                    ranks.append(start_rank(job.target, rank, environment, gate_read, is_piped=is_piped))
                hands.guard.record(ranks[-1])
            adopt_orphans()
            with must_be_written(job.run_dir):
                write_json(job.run_dir / "procs.json", _processes(job, world, ranks, hands.guard))
            hands.events.record("attempt_began", attempt=world.attempt, pids=[it.pid for it in ranks])
            os.write(gate_write, b"g" * job.local_size)
        except BaseException:
            for process in ranks:
                process.send_to_group(signal.SIGKILL)
                process.reap()
            raise
        finally:
            os.close(gate_read)
            os.close(gate_write)
        return ranks

    def _announce(self, verdict: Report, is_failure: bool) -> None:
        """Tell why there is another attempt, after what the ranks have said."""
        for sink in self._hands.sinks:
            sink.drain()
        self._hands.sinks[1].write(verdict.text.encode(errors="backslashreplace"))
        self._hands.sinks[1].drain()
        again = f"restart {self._failures} of {self._job.max_restarts}"
        self._hands.say(again if is_failure else "the ranks start again, on the machines that are there")

    def _pause(self, lasted_s: float) -> signal.Signals | None:
        """Wait before the next attempt, longer each time where they fail at once; a signal ends the wait."""
        self._quick_failures = self._quick_failures + 1 if lasted_s < _QUICK_S else 0
        pause_s = pause_before_restart(self._quick_failures)
        return self._hands.inbox.wait(pause_s)


def pause_before_restart(quick_failures: int) -> float:
    """Seconds to wait after so many failures in a row that came soon: none after the first."""
    if quick_failures <= 1:
        return 0.0
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(quick_failures - 2, 10))


def _put_away(run_dir: Path, attempt_dir: Path) -> None:
    """Keep the status pages of an attempt, whose names the next one uses again."""
    for path in run_dir.glob("*rank*"):
        with contextlib.suppress(OSError):
            path.rename(attempt_dir / path.name)


def _prefix(job: Job, world: World) -> Callable[[int], bytes]:
    """What goes before a rank's lines: "[rank] ", or what the user's template for torchrun says."""
    template = os.environ.get("TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE")
    if not template:
        return lambda rank: b"[%d] " % rank
    parts = string.Template(template)
    return lambda rank: parts.safe_substitute(
        role_name=job.role, rank=rank, local_rank=rank - world.first_rank
    ).encode()


def _processes(job: Job, world: World, ranks: list[RankProcess], guard: Guard) -> dict[str, object]:
    return {
        "launcher": {"pid": os.getpid(), "start_time": process_start_time(os.getpid())},
        "guard": {"pid": guard.pid},
        "attempt": world.attempt,
        "ranks": [{"rank": it.rank, "pid": it.pid, "start_time": it.start_time} for it in ranks],
        "command": [job.target.kind, job.target.name, *job.target.arguments],
    }


def _headline(job: Job, world: World) -> str:
    ranks = "1 rank" if job.local_size == 1 else f"{job.local_size} ranks"
    if world.group_size > 1:
        ranks = f"machine {world.group_rank} of {world.group_size}, {ranks} of {world.size}"
    threads = "1 thread" if job.threads == 1 else f"{job.threads} threads"
    return f"{ranks}, {threads} each, run directory {_short(job.run_dir)}"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
