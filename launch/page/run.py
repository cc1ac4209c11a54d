"""A run as a page sees it: its attempts, and what is known of each of their ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from distrt.comm.status import Status
from distrt.pictures.step import Lane
from launch.page.stretches import Curve, Stretch, Stretches

__all__ = ["MOST_RANKS", "Attempt", "RankRecord", "Run"]

MOST_RANKS = 1024  # of an attempt, that are read
_WINDOWS = 60


@dataclass
class RankRecord:
    """One rank in one attempt.

    Attributes:
        about: the first line of its record.
        startup: until the first step.
        pictures: steps in detail, by number.
        ended: whether it has said that it ended.
        how: what the launcher says of its end.
        failure: the first line of what it raised.
        status: its status page.
    """

    rank: int
    about: dict[str, Any] = field(default_factory=dict)
    startup: Stretch | None = None
    stretches: Stretches = field(default_factory=Stretches)
    loss: Curve = field(default_factory=Curve)
    numbers: dict[str, Curve] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    pictures: dict[int, Lane] = field(default_factory=dict)
    ended: bool = False
    how: str = ""
    failure: str = ""
    traceback: str = ""
    failed_at: float | None = None
    status: Status | None = None
    share: float = 1.0
    damaged: int = 0

    @cached_property
    def total(self) -> Stretch | None:
        """All its steps together, once everything has been read; None where there is none."""
        total = self.stretches.total()
        return total if total is not None and total.steps else None

    def waited(self, begin: float, width: float, count: int) -> list[float | None]:
        """How much of each of ``count`` pieces of time, of equal ``width`` from ``begin`` on, it waited: 0 to 1."""
        seconds, waited = [0.0] * count, [0.0] * count
        for each in self.stretches:
            share = each.spent.get("waiting", 0.0) / each.seconds if each.seconds else 0.0
            for window, part in each.parts(begin, width, count):
                seconds[window] += part
                waited[window] += share * part
        return [w / s if s > width * 0.02 else None for w, s in zip(waited, seconds, strict=True)]

    @property
    def last_step(self) -> int:
        """The number of the last step that is recorded."""
        last = self.stretches[-1] if self.stretches else self.startup  # all that a very short run has
        return 0 if last is None else last.last_step


@dataclass
class Attempt:
    """One attempt; times are seconds since the epoch.

    Attributes:
        members_changed: whether it ended because a machine came, went or was lost, and no rank failed.
        lost: what the launcher says of each machine that was lost.
    """

    number: int
    ranks: dict[int, RankRecord] = field(default_factory=dict)
    began: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    first_failure: dict[str, Any] | None = None
    members_changed: bool = False
    lost: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many ranks it has."""
        told = [each.about["size"] for each in self.ranks.values() if isinstance(each.about.get("size"), int)]
        return max([*told, *(rank + 1 for rank in self.ranks)], default=0)

    @cached_property
    def waiting(self) -> tuple[float, float, dict[int, list[float | None]]]:
        """How much of each of equal pieces of the time each rank waited, once everything has been read.

        When the first piece begins, when the last ends, and shares from 0 to 1 by rank; None where nothing is known.
        """
        every = [each for record in self.ranks.values() for each in record.stretches]
        if not every:
            return 0.0, 0.0, {}
        begin, end = min(each.begin for each in every), max(each.end for each in every)
        width = max((end - begin) / _WINDOWS, 1e-9)
        return (
            begin,
            end,
            {rank: record.waited(begin, width, _WINDOWS) for rank, record in self.ranks.items()},
        )

    @property
    def absent(self) -> list[int]:
        """Its ranks of which nothing is known, among those that are read."""
        return [rank for rank in range(min(self.size, MOST_RANKS)) if rank not in self.ranks]


@dataclass
class Run:
    """A run, as far as its folder tells.

    Attributes:
        state: "finished", "failed", "stopped", "running" or "broken off".
        result: what ``result.json`` says.
        job: what the launcher says of the job.
    """

    name: str
    folder: Path
    attempts: list[Attempt]
    result: dict[str, Any]
    job: dict[str, Any]
    command: list[str]
    state: str
    read_at: float
    notes: list[str] = field(default_factory=list)

    @property
    def began(self) -> float:
        """When the first attempt began."""
        return min((each.began for each in self.attempts if each.began is not None), default=self.read_at)

    @property
    def ended(self) -> float:
        """When the last one ended; now, where it has not."""
        if self.state == "running":
            return self.read_at
        return max((each.ended for each in self.attempts if each.ended is not None), default=self.began)

    @property
    def size(self) -> int:
        """How many ranks there are, or were in the largest attempt."""
        return max((attempt.size for attempt in self.attempts), default=0)
