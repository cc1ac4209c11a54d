"""News between the launchers of a job, while an attempt runs: a thread that talks to the control store.

Every launcher beats, tells of its ranks' ends, and hears when the attempt is over elsewhere. The one that serves the
store also sees who is gone. The supervisor's loop never waits for the network: it looks at what the thread has noted.

    <attempt>/beat/<ticket>   a number that grows
    <attempt>/ended           a queue: which rank has ended, and how
    <attempt>/over            why the attempt is over; the first who says so is heard
    <attempt+1>/here/<ticket> a machine that has come meanwhile, and waits for the next attempt
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from distrt.comm.stores.client import Store, StoreServer
from distrt.core.errors import DistStoreError, RendezvousError
from launch.exit_codes import UNREACHABLE
from launch.ranks.processes import RankProcess
from launch.ranks.supervisor import Halt

__all__ = ["Correspondent", "Member"]

_BETWEEN_S = 0.1


class Member:
    """A machine of the attempt, as the one that serves the store knows it."""

    def __init__(self, ticket: int, group_rank: int, host: str) -> None:
        self.ticket = ticket
        self.group_rank = group_rank
        self.host = host
        self.beat = 0
        self.heard_at = time.monotonic()
        self.loss = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"machine {self.group_rank} ({self.host})"


class Correspondent:
    """A watch over the other machines, and the thread behind it.

    Args:
        store: a connection of the thread's own, to the control store.
        server: that store, where it is this machine's.
        members: all machines, where this one serves the store; otherwise empty.
        on_rank_ended: told of the ranks of other machines, by the thread.
        room: how many more machines the job could have; for one that comes, the ranks start anew.
    """

    period_s = _BETWEEN_S

    def __init__(
        self,
        store: Store,
        server: StoreServer | None,
        attempt: int,
        ticket: int,
        members: list[Member],
        silence_s: float,
        on_rank_ended: Callable[[int, str], None],
        room: int = 0,
    ) -> None:
        self.members = members
        self._room = room
        self._attempt = attempt
        self._store = store
        self._server = server
        self._prefix = f"{attempt}/"
        self._ticket = ticket
        self._silence_s = silence_s
        self._on_rank_ended = on_rank_ended
        self._heard_at = time.monotonic()
        self._over: dict[str, Any] | None = None
        self._problem = ""
        self._outbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="distrt-correspondent", daemon=True)
        self._thread.start()

    @property
    def loss(self) -> str:
        """Why the machine that serves the store counts as lost; empty where it answers."""
        if self._problem:
            return self._problem
        silent_s = time.monotonic() - self._heard_at
        return f"no answer for {silent_s:.1f} s" if silent_s > self._silence_s else ""

    def look(self, alive: Mapping[int, RankProcess]) -> Halt | None:
        """Return why the ranks have to end: the attempt is over elsewhere, or nobody answers."""
        if self._over is not None:
            is_change = bool(self._over.get("is_membership_change"))
            return Halt(str(self._over["text"]), int(self._over["exit_code"]), is_membership_change=is_change)
        if loss := self.loss:
            text = (
                f"distrt-launch: the machine that serves the store at {self._store.address} is lost: {loss}\n"
            )
            return Halt(text, UNREACHABLE)
        return None

    def tell_of_end(self, rank: int, how: str, is_failure: bool) -> None:
        """Have the others hear that one of our ranks has ended; a failure ends the attempt everywhere."""
        self._outbox.put(lambda: self._send_end(rank, how, is_failure))

    def tell_all_to_end(self, text: str, exit_code: int) -> None:
        """Have the ranks ended everywhere."""
        self._outbox.put(lambda: self._declare_over(text, exit_code))

    def close(self) -> None:
        """Say what is still to be said, and stop; a thread that waits for a lost machine is left alone."""
        self._is_done.set()
        self._thread.join(2 * _BETWEEN_S + 1.0)
        self._store.close()

    def _run(self) -> None:
        try:
            while not self._is_done.is_set():
                self._exchange()
                self._heard_at = time.monotonic()
                self._wait()
            self._send_news()
        except RendezvousError as error:
            self._problem = str(error)

    def _exchange(self) -> None:
        self._store.add(f"{self._prefix}beat/{self._ticket}", 1)
        self._send_news()
        if self._server is not None:
            self._hear_of_ends()
            self._look_for_losses()
            if self._room:
                self._look_for_newcomers()

    def _wait(self) -> None:
        """Wait a moment, or until the attempt is over."""
        if self._over is not None:
            self._is_done.wait(_BETWEEN_S)
            return
        with contextlib.suppress(DistStoreError):  # the moment has passed
            self._over = json.loads(self._store.get(f"{self._prefix}over", _BETWEEN_S))

    def _send_news(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._outbox.get_nowait()()

    def _send_end(self, rank: int, how: str, is_failure: bool) -> None:
        self._store.push(f"{self._prefix}ended", json.dumps([rank, how]))
        if is_failure:
            self._declare_over(f"rank {rank} failed ({how})", 1)

    def _declare_over(self, text: str, exit_code: int, is_membership_change: bool = False) -> None:
        said = {"text": f"distrt-launch: {text}\n", "exit_code": exit_code}
        value = json.dumps({**said, "is_membership_change": is_membership_change})
        self._store.compare_set(f"{self._prefix}over", "", value)

    def _hear_of_ends(self) -> None:
        for _ in range(self._store.queue_length(f"{self._prefix}ended")):
            rank, how = json.loads(self._store.pop(f"{self._prefix}ended"))
            self._on_rank_ended(rank, how)

    def _look_for_newcomers(self) -> None:
        assert self._server is not None, "only who serves sees who is connected"
        for ticket in self._server.connected_ranks() - {member.ticket for member in self.members}:
            key = f"{self._attempt + 1}/here/{ticket}"
            if self._store.check([key]):
                host = json.loads(self._store.get(key))["host"]
                self._declare_over(f"machine {host} joins: the ranks start again", UNREACHABLE, True)
                self._room = 0

    def _look_for_losses(self) -> None:
        assert self._server is not None, "only who serves looks for losses"
        connected, now = self._server.connected_ranks(), time.monotonic()
        for member in self.members:
            if member.ticket == self._ticket or member.loss:
                continue
            beat = self._store.add(f"{self._prefix}beat/{member.ticket}", 0)
            if beat != member.beat:
                member.beat, member.heard_at = beat, now
            if member.ticket not in connected:
                member.loss = "its launcher has ended"
            elif now - member.heard_at > self._silence_s:
                member.loss = f"it has said nothing for {now - member.heard_at:.1f} s"
            if member.loss:
                self._declare_over(f"{member.name} is lost: {member.loss}", UNREACHABLE)
