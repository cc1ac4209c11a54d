"""Which ranks have died or left, on any machine: a connection per rank to a hub in rank 0.

Networks do not say so: with MPICH a receive from a killed rank waits for ever. The kernel does: it closes a dead
process's connections, and keep-alive probes find a machine that has vanished. The hub tells all ranks. Each rank
says how it leaves, so that the ranks know whether they can end together. A rank that waits long asks others what
they do: each has a thread that answers, whatever the rank itself is at. Standard library only.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import math
import os
import secrets
import socket
import threading
import time
import weakref
import zlib
from typing import Self

from distrt.comm.machines.address import Trusted, listening_place, network_place, open_any
from distrt.comm.machines.hub import Hub
from distrt.comm.machines.news import FAILURE_BYTES, STACKS_BYTES, News, group_key
from distrt.comm.presence import here, own_stacks
from distrt.comm.status import PAGE_BYTES, Status, parse
from distrt.comm.stores import wire
from distrt.comm.stores.board import Board
from distrt.comm.stores.door import keep_alive, limit_unacknowledged

__all__ = ["Lifeline"]

_log = logging.getLogger(__name__)

_DIED = "died, or its machine cannot be reached"
_GRACE_S = 0.5
_ASK_EVERY_S, _ASK_SELDOM_S = 0.2, 30.0  # a rank that answers; one that does not
_CLOSED_GROUPS = 4096  # of each rank that are remembered
_ARRIVAL_S = 5.0  # how long what a rank sent before it left may still be on its way


class Lifeline:
    """One rank's view of the others' lives. `connect` makes one.

    Attributes:
        lost: when each rank that said no goodbye was found to be gone (``time.monotonic``).
        left: when each rank said goodbye, and whether it ended well.
        failures: the tracebacks of the ranks whose programs ended with one.
    """

    def __init__(self, rank: int, size: int, found: Trusted, hub: Hub | None) -> None:
        self.rank, self.size = rank, size
        self.lost: dict[int, float] = {}
        self.left: dict[int, tuple[float, bool]] = {}
        self.failures: dict[int, str] = {}
        self._closed: dict[int, dict[str, float]] = {}  # by rank and the group's key
        self._meetings = 0
        self._met: dict[int, int] = {}  # the last meeting that each rank has come to
        self._hub = hub
        self._connection = found.connection
        self._reader = found.reader
        self._seal = found.seal
        self._is_over = False
        self._sending = threading.Lock()  # frames go in the order of their seals
        self._asked: dict[int, tuple[float, float]] = {}  # when, and for how long not again
        self._shown: dict[int, tuple[Status | None, str]] = {}
        keep_alive(self._connection)
        limit_unacknowledged(self._connection)
        self._connection.settimeout(None)
        self._reader.limit_bytes = wire.MAX_HANDSHAKE_BYTES  # beside values: all of it is numbers
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) is not None and method())
        self._send(News("joins", rank))
        self._thread = threading.Thread(target=self._listen, name="distrt-lifeline", daemon=True)
        self._thread.start()

    @classmethod
    def connect(
        cls, rank: int, size: int, store: Board, prefix: str, timeout_s: float, job_secret: bytes = b""
    ) -> Self:
        """Meet the other ranks through ``store``, whose keys under ``prefix`` must be unused.

        The hub's secret is made of the job's and of what rank 0 draws and publishes: whoever overhears the store
        cannot take part. Without a job's secret, who can read the store can.
        """
        hub, lifeline = None, None
        store.set(f"{prefix}/place/{rank}", network_place())
        try:
            if rank == 0:
                places = [store.get(f"{prefix}/place/{other}", ranks=[other]) for other in range(size)]
                host, addresses = listening_place(places)
                salt = secrets.token_hex(32)
                hub = Hub(size, _hub_secret(job_secret, prefix, salt), host)
                found = {"addresses": addresses, "port": hub.port, "salt": salt}
                store.set(f"{prefix}/hub", json.dumps(found).encode())
            where = json.loads(store.get(f"{prefix}/hub", ranks=[0]))
            secret = _hub_secret(job_secret, prefix, str(where["salt"]))
            trusted = open_any(where["addresses"], where["port"], timeout_s, secret, rank)
            lifeline = cls(rank, size, trusted, hub)
            store.set(f"{prefix}/connected/{rank}", b"1")
            for other in range(size):  # from here on, who is missing has died
                store.get(f"{prefix}/connected/{other}", ranks=[other])
        except BaseException:
            if lifeline is not None:
                lifeline.close(patience_s=0.0)
            elif hub is not None:
                hub.close()
            raise
        return lifeline

    def gone(self, rank: int, group: str = "") -> str | None:
        """Why nothing more will come from a rank (in a group), if so."""
        if rank in self.lost:
            return f"rank {rank} {_DIED}"
        now = time.monotonic()
        left_at, is_well = self.left.get(rank, (now, True))
        closed = self._closed.get(rank)
        closed_at = now if closed is None else closed.get(group_key(group), now)
        if not is_well:
            return f"rank {rank} failed"
        return f"rank {rank} left the group" if now - min(left_at, closed_at) > _ARRIVAL_S else None

    def died(self, rank: int, at_once: bool) -> str | None:
        """Whether a rank has ended badly; not ``at_once``: and what it had sent must have arrived."""
        since = self.ended_badly().get(rank)
        if since is None or (not at_once and time.monotonic() - since < _GRACE_S):
            return None
        return f"rank {rank} {_DIED if rank in self.lost else 'failed'}"

    def ended_badly(self) -> dict[int, float]:
        """The ranks that died or failed, and when that was heard of."""
        failed = {rank: at for rank, (at, is_well) in self.left.items() if not is_well}
        return failed | self.lost

    def close_group(self, group: str) -> None:
        """Tell the others that this rank has closed a group; what they name it is theirs to agree on."""
        self._send(News("closes", self.rank, group=group_key(group)))

    def leave(self, is_well: bool, failure: str = "") -> None:
        """Tell the others that this rank is about to end, and with which traceback."""
        text = failure.encode(errors="replace")[-FAILURE_BYTES:]
        self._send(News("leaves", self.rank, is_well=is_well, value=text))
        if not is_well:
            self.left[self.rank] = (time.monotonic(), False)

    def everybody_has_left(self) -> bool:
        """Whether all ranks, this one too, have said goodbye and ended well."""
        return len(self.left) == self.size and all(is_well for _, is_well in self.left.values())

    def meet(self, timeout_s: float) -> bool:
        """Return when all ranks have called this as often as this one, or time is up; whether all came."""
        self._meetings += 1
        meeting, deadline = self._meetings, time.monotonic() + timeout_s
        self._send(News("meets", self.rank, number=meeting))
        while sum(number >= meeting for number in list(self._met.values())) < self.size:
            if time.monotonic() > deadline or self.somebody_failed() is not None:
                return False
            time.sleep(0.001)
        return True

    def peek(self, rank: int) -> tuple[Status | None, str]:
        """What a rank showed when it was last asked, and its stacks; it is asked again for the next time."""
        now = time.monotonic()
        asked_at, pause_s = self._asked.get(rank, (-math.inf, _ASK_EVERY_S))
        if now - asked_at > pause_s:
            # Where rank 0 is stopped, questions would heap up until the kernel gives up the connection.
            self._asked[rank] = now, min(2 * pause_s, _ASK_SELDOM_S)
            self._send(News("asks", self.rank, to=rank))
        return self._shown.get(rank, (None, "(it has not answered)"))

    def is_silent(self, rank: int) -> bool:
        """Whether a rank has left several questions in a row unanswered."""
        _, pause_s = self._asked.get(rank, (-math.inf, _ASK_EVERY_S))
        return pause_s > 2 * _ASK_EVERY_S

    def fresh(self, rank: int, patience_s: float = 1.0) -> tuple[Status | None, str]:
        """As `peek`, of now; as it was where it does not answer in time."""
        before = self._shown.pop(rank, None)
        self._asked.pop(rank, None)
        self.peek(rank)
        deadline = time.monotonic() + patience_s
        while rank not in self._shown and time.monotonic() < deadline:
            time.sleep(0.005)
        status = None if before is None else before[0]
        return self._shown.get(rank, (status, f"(it did not answer within {patience_s:g} s)"))

    def others_have_left(self) -> bool:
        """Whether all other ranks have said goodbye."""
        return len(set(self.left) - {self.rank}) == self.size - 1

    def somebody_failed(self) -> str | None:
        """The first rank that died or ended badly, if there is one."""
        for rank in sorted(self.lost):
            return f"rank {rank} {_DIED}"
        return next((f"rank {rank} failed" for rank, (_, is_well) in self.left.items() if not is_well), None)

    def close(self, patience_s: float = 2.0) -> None:
        """Let go of the connection, and of the hub in rank 0 once the others have let go, or time is up."""
        self._is_over = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if self._hub is not None:
            self._hub.close(patience_s)

    def _forget(self) -> None:
        """In a forked child: a loader's worker, say, that outlives this rank must not pass for it."""
        self._connection.close()
        if self._hub is not None:
            self._hub.forget()

    def _send(self, news: News) -> None:
        with contextlib.suppress(OSError), self._sending:
            self._connection.sendall(news.frame(self._seal))

    def _listen(self) -> None:
        try:
            while True:
                self._take(wire.receive(self._connection, self._reader))
        except Exception as error:  # whatever it is, nothing more will be heard
            if not self._is_over and 0 not in self.left:
                _log.debug("rank %d: the lifeline is cut: %s", self.rank, error)
                self.lost.setdefault(0, time.monotonic())

    def _take(self, message: wire.Message) -> None:
        """Take one message; one that cannot be taken must not keep this rank from hearing the next."""
        try:
            self._hear(News.read(message, self.size))
        except Exception as error:
            _log.warning("rank %d passes over what came by the lifeline: %s", self.rank, error)

    def _hear(self, news: News) -> None:
        now, rank = time.monotonic(), news.rank
        match news.kind:
            case "lost":
                self.lost.setdefault(rank, now)
            case "closes":
                closed = self._closed.setdefault(rank, {})
                closed.setdefault(news.group, now)
                if len(closed) > _CLOSED_GROUPS:
                    del closed[next(iter(closed))]
            case "meets":
                self._met[rank] = max(news.number, self._met.get(rank, 0))
            case "leaves":
                if news.value:
                    self.failures[rank] = news.value.decode(errors="replace")
                self.left.setdefault(rank, (now, news.is_well))
            case "asks":
                self._send(News("shows", self.rank, to=rank, value=self._own_state()))
            case "shows":
                self._see(rank, news.value)

    def _own_state(self) -> bytes:
        """The page and the stacks, compressed; nothing where that cannot be had: an answer there must be."""
        try:
            stacks = own_stacks().encode(errors="replace")[:STACKS_BYTES]
            return zlib.compress(here(self.rank).page.snapshot() + stacks, 1)
        except Exception as error:
            _log.warning("rank %d cannot show what it does: %s", self.rank, error)
            return b""

    def _see(self, rank: int, value: bytes) -> None:
        asked_at, _ = self._asked.get(rank, (-math.inf, 0.0))
        self._asked[rank] = asked_at, _ASK_EVERY_S
        if not value:
            self._shown[rank] = None, "(it could not show its stacks)"
            return
        state = zlib.decompressobj().decompress(value, PAGE_BYTES + STACKS_BYTES)
        self._shown[rank] = parse(state[:PAGE_BYTES]), state[PAGE_BYTES:].decode(errors="replace")


def _hub_secret(job_secret: bytes, prefix: str, salt: str) -> bytes:
    return hmac.digest(job_secret, f"distrt lifeline {prefix} {salt}".encode(), "sha256")
