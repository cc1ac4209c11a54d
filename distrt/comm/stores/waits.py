"""Who waits for which key in the store's server, and what they are told.

Each wait watches one key, the first that was missing: a change costs what concerns its key, however many wait and for
however many keys. Standard library only.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from distrt.comm.stores import wire
from distrt.comm.stores.peer import Peer, Wait
from distrt.comm.stores.table import Table

__all__ = ["Ranks", "Waits"]

_NAMED = 8  # how many keys or ranks an error names


class Ranks:
    """Which ranks have joined, are connected, have ended; other threads ask and tell, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._joined: set[int] = set()
        self._ended: dict[int, str] = {}
        self._connections: Counter[int] = Counter()

    def came(self, rank: int | None) -> None:
        """A member has come."""
        if rank is not None:
            with self._lock:
                self._joined.add(rank)
                self._connections[rank] += 1

    def went(self, rank: int | None) -> None:
        """A member's connection is closed."""
        if rank is not None:
            with self._lock:
                self._connections[rank] -= 1

    def ended(self, rank: int, how: str) -> None:
        """A rank's process has ended."""
        with self._lock:
            self._ended[rank] = how

    def joined(self) -> frozenset[int]:
        """The ranks that have ever come."""
        with self._lock:
            return frozenset(self._joined)

    def connected(self) -> frozenset[int]:
        """The ranks that are connected now."""
        with self._lock:
            return frozenset(rank for rank, count in self._connections.items() if count > 0)

    def who_is_gone(self, peer: Peer, awaited: Sequence[int]) -> str | None:
        """A rank that ended before it joined, or whose keys are awaited, if there is one."""
        with self._lock:
            for rank, how in self._ended.items():
                if rank != peer.rank and rank not in self._joined:
                    return f"rank {rank} ended ({how}) before joining"
                if rank in awaited:
                    return f"rank {rank} ended ({how})"
        return None

    def who_is_away(self, awaited: Sequence[int]) -> str:
        """Which of some ranks have not come, or have gone, for a message; "" where none."""
        with self._lock:
            never = [rank for rank in awaited if rank not in self._joined]
            gone = [rank for rank in awaited if rank in self._joined and self._connections[rank] <= 0]
        parts = [f"{_ranks(never)} never connected to the store"] if never else []
        parts += [f"{_ranks(gone)} left the store"] if gone else []
        return "".join(f"; {part}" for part in parts)


class Waits:
    """The waits under way.

    Args:
        answer: sends a member what became of its wait; may call ``forget``.
    """

    def __init__(self, table: Table, ranks: Ranks, answer: Callable[[Peer, wire.Message], None]) -> None:
        self._table = table
        self._ranks = ranks
        self._answer = answer
        self._waiting: dict[Peer, Wait] = {}
        self._watchers: dict[str, dict[Peer, None]] = {}  # by key, the longest waiting first
        self._earliest: float | None = None  # no deadline is before this

    def begin(self, peer: Peer, wait: Wait) -> None:
        """Answer at once, or let ``peer`` wait."""
        peer.wait = wait
        self._waiting[peer] = wait
        if not self._look(peer, wait):
            self._earliest = wait.deadline if self._earliest is None else min(self._earliest, wait.deadline)

    def changed(self, key: str) -> None:
        """Look after those who watch ``key``."""
        for peer in list(self._watchers.get(key, ())):
            if (wait := self._waiting.get(peer)) is not None:
                self._look(peer, wait)

    def look_at_all(self) -> None:
        """Look after everybody: a rank has ended."""
        for peer, wait in list(self._waiting.items()):
            if peer in self._waiting:
                self._look(peer, wait)

    def forget(self, peer: Peer) -> None:
        """A member that is gone waits for nothing."""
        if (wait := self._waiting.pop(peer, None)) is not None:
            self._unwatch(peer, wait)
            peer.wait = None

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to do, if nothing happens before."""
        return self._earliest

    def expire(self) -> None:
        """Tell those whose time is up."""
        now = time.monotonic()
        if self._earliest is None or now < self._earliest:
            return
        for peer, wait in list(self._waiting.items()):
            if wait.deadline <= now and peer in self._waiting:
                self._end(peer, wait, self._too_late(peer, wait))
        self._earliest = min((wait.deadline for wait in self._waiting.values()), default=None)

    def _look(self, peer: Peer, wait: Wait) -> bool:
        """Answer ``peer`` if there is something to say; otherwise watch the key that is missing."""
        self._unwatch(peer, wait)
        if self._first_missing(wait) is None and (value := self._grant(wait)) is not None:
            self._end(peer, wait, value)
            return True
        gone = self._ranks.who_is_gone(peer, wait.ranks)
        if gone is not None:
            text = f"{gone}; {peer.name} was waiting for {_keys(self._missing(wait))}"
            self._end(peer, wait, {"error": "ended", "text": text})
            return True
        self._watchers.setdefault(wait.keys[wait.place], {})[peer] = None
        return False

    def _first_missing(self, wait: Wait) -> int | None:
        """Find a missing key, from where one was missing on, and once around: keys may have been deleted."""
        for part in (range(wait.place, len(wait.keys)), range(wait.place)):
            for place in part:
                if not self._table.has(wait.keys[place]):
                    wait.place = place
                    return place
        wait.place = 0
        return None

    def _grant(self, wait: Wait) -> wire.Message | None:
        if not (wait.pops or wait.wants_value):
            return {}
        key = wait.keys[0]
        value = self._table.pop(key) if wait.pops else self._table.values.get(key)
        return None if value is None else {"value": value}

    def _end(self, peer: Peer, wait: Wait, answer: wire.Message) -> None:
        self._unwatch(peer, wait)
        del self._waiting[peer]
        peer.wait = None
        self._answer(peer, answer)

    def _unwatch(self, peer: Peer, wait: Wait) -> None:
        if not wait.keys:
            return
        key = wait.keys[wait.place]
        watchers = self._watchers.get(key)
        if watchers is not None:
            watchers.pop(peer, None)
            if not watchers:
                del self._watchers[key]

    def _missing(self, wait: Wait) -> list[str]:
        # None: a value is there where a queue was expected, or the other way round.
        return self._table.missing(wait.keys) or list(wait.keys)

    def _too_late(self, peer: Peer, wait: Wait) -> wire.Message:
        whose = f" of {_ranks(wait.ranks)}" if wait.ranks else ""
        away = self._ranks.who_is_away(wait.ranks) if peer.rank is not None else ""
        waited_s = wait.deadline - wait.since
        text = f"{peer.name} waited {waited_s:.1f} s for {_keys(self._missing(wait))}{whose}{away}"
        return {"error": "timeout", "text": text}


def _keys(keys: Sequence[str]) -> str:
    return _several(
        "key", "keys", [repr(key) if len(key) <= 200 else f"{key[:200]!r}…" for key in keys[:_NAMED]], keys
    )


def _ranks(ranks: Sequence[int]) -> str:
    return _several("rank", "ranks", [str(rank) for rank in ranks[: 8 * _NAMED]], ranks)


def _several(one: str, many: str, named: list[str], of: Sequence[object]) -> str:
    more = f" and {len(of) - len(named)} more" if len(of) > len(named) else ""
    return f"{one if len(of) == 1 else many} {', '.join(named)}{more}"
