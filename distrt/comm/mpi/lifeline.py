"""Which ranks have died or left, on any machine: a connection per rank to a hub in rank 0.

MPI does not say so: with MPICH a receive from a killed rank waits for ever. The kernel does: it closes a dead
process's connections, and keep-alive probes find a machine that has vanished. The hub tells all ranks. Each rank
says how it leaves, so that the ranks know whether they can end MPI together. A rank that waits long asks others what
they do: each has a thread that answers, whatever the rank itself is at. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import socket
import threading
import time
import weakref
import zlib
from dataclasses import dataclass, field
from typing import Self

from distrt.comm.mpi.address import local_addresses, network_place, open_any
from distrt.comm.mpi.pmi import Board
from distrt.comm.presence import here, own_stacks
from distrt.comm.status import PAGE_BYTES, Status, parse
from distrt.comm.stores import wire
from distrt.core.errors import RendezvousError

__all__ = ["Lifeline"]

_IDLE_S, _BETWEEN_S, _PROBES = 15, 5, 3  # a machine that is gone is noticed after about 30 s
_HANDSHAKE_S = 10.0
_DIED = "died, or its machine cannot be reached"
_GRACE_S = 0.5
_ASK_EVERY_S = 0.2
_FAILURE_CHARACTERS = 8000
_STACK_CHARACTERS = 100_000
_ARRIVAL_S = 5.0  # how long what a rank sent before it left may still be on its way


class Lifeline:
    """One rank's view of the others' lives. `connect` makes one.

    Attributes:
        lost: when each rank that said no goodbye was found to be gone (``time.monotonic``).
        left: when each rank said goodbye, and whether it ended well.
        failures: the tracebacks of the ranks whose programs ended with one.
    """

    def __init__(
        self, rank: int, size: int, connection: socket.socket, reader: wire.FrameReader, hub: _Hub | None
    ) -> None:
        self.rank, self.size = rank, size
        self.lost: dict[int, float] = {}
        self.left: dict[int, tuple[float, bool]] = {}
        self._closed: dict[tuple[str, int], float] = {}
        self._meetings = 0
        self._met: dict[int, set[int]] = {}
        self._hub = hub
        self._connection = connection
        self._reader = reader
        self._is_over = False
        self._sending = threading.Lock()
        self._asked: dict[int, float] = {}
        self._shown: dict[int, tuple[Status | None, str]] = {}
        self.failures: dict[int, str] = {}
        _keep_alive(connection)
        connection.settimeout(None)
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) is not None and method())
        self._thread = threading.Thread(target=self._listen, name="distrt-lifeline", daemon=True)
        self._thread.start()

    @classmethod
    def connect(cls, rank: int, size: int, store: Board, prefix: str, timeout_s: float) -> Self:
        """Meet the other ranks through ``store``, whose keys under ``prefix`` must be unused."""
        hub = None
        store.set(f"{prefix}/place/{rank}", network_place().encode())
        if rank == 0:
            places = {store.get(f"{prefix}/place/{other}", ranks=[other]) for other in range(size)}
            is_near = len(places) == 1
            secret = secrets.token_bytes(32)
            hub = _Hub(size, secret, "127.0.0.1" if is_near else "0.0.0.0")
            addresses = ["127.0.0.1", *([] if is_near else local_addresses())]
            here = {"addresses": addresses, "port": hub.port, "secret": secret.hex()}
            store.set(f"{prefix}/hub", json.dumps(here).encode())
        where = json.loads(store.get(f"{prefix}/hub", ranks=[0]))
        secret = bytes.fromhex(where["secret"])
        try:
            _, connection, reader = open_any(where["addresses"], where["port"], timeout_s, secret, rank)
        except BaseException:
            if hub is not None:
                hub.close()
            raise
        store.set(f"{prefix}/connected/{rank}", b"1")
        for other in range(size):  # from here on, who is missing has died
            store.get(f"{prefix}/connected/{other}", ranks=[other])
        return cls(rank, size, connection, reader, hub)

    def gone(self, rank: int, group: str = "") -> str | None:
        """Why nothing more will come from a rank (in a group), if so."""
        if rank in self.lost:
            return f"rank {rank} {_DIED}"
        now = time.monotonic()
        left_at, is_well = self.left.get(rank, (now, True))
        closed_at = self._closed.get((group, rank), now)
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
        self._send({"closes": group, "rank": self.rank})

    def leave(self, is_well: bool, failure: str = "") -> None:
        """Tell the others that this rank is about to end, and with which traceback."""
        self._send({"leaves": self.rank, "well": is_well, "failure": failure[-_FAILURE_CHARACTERS:]})
        if not is_well:
            self.left[self.rank] = (time.monotonic(), False)

    def everybody_has_left(self) -> bool:
        """Whether all ranks, this one too, have said goodbye and ended well."""
        return len(self.left) == self.size and all(is_well for _, is_well in self.left.values())

    def meet(self, timeout_s: float) -> bool:
        """Return when all ranks have called this as often as this one, or time is up; whether all came."""
        self._meetings += 1
        meeting, deadline = self._meetings, time.monotonic() + timeout_s
        self._send({"meets": meeting, "rank": self.rank})
        while len(self._met.get(meeting, ())) < self.size:
            if time.monotonic() > deadline or self.somebody_failed() is not None:
                return False
            time.sleep(0.001)
        return True

    def peek(self, rank: int) -> tuple[Status | None, str]:
        """What a rank showed when it was last asked, and its stacks; it is asked again for the next time."""
        now = time.monotonic()
        if now - self._asked.get(rank, 0.0) > _ASK_EVERY_S:
            self._asked[rank] = now
            self._send({"asks": rank, "by": self.rank})
        return self._shown.get(rank, (None, "(it has not answered)"))

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

    def _send(self, message: wire.Message) -> None:
        with contextlib.suppress(OSError), self._sending:
            self._connection.sendall(wire.encode_frame(message))

    def _show(self, to: int) -> None:
        """Answer a rank that asks; the thread that calls this must outlive whatever goes wrong here."""
        with contextlib.suppress(Exception):
            self._answer(to)

    def _answer(self, to: int) -> None:
        page = wire.encode_value(zlib.compress(here(self.rank).page.snapshot(), 1))
        self._send({"shows": self.rank, "to": to, "page": page, "stacks": own_stacks()[:_STACK_CHARACTERS]})

    def _hear_of(self, message: wire.Message) -> None:
        with contextlib.suppress(zlib.error):
            page = zlib.decompressobj().decompress(wire.decode_value(message["page"]), PAGE_BYTES)
            self._shown[int(message["shows"])] = parse(page), str(message["stacks"])

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

    def _listen(self) -> None:
        try:
            while True:
                message = wire.receive(self._connection, self._reader)
                if "lost" in message:
                    self.lost.setdefault(int(message["lost"]), time.monotonic())
                elif "closes" in message:
                    self._closed[str(message["closes"]), int(message["rank"])] = time.monotonic()
                elif "meets" in message:
                    self._met.setdefault(int(message["meets"]), set()).add(int(message["rank"]))
                elif "leaves" in message:
                    rank = int(message["leaves"])
                    if failure := str(message.get("failure", "")):
                        self.failures[rank] = failure
                    self.left.setdefault(rank, (time.monotonic(), bool(message["well"])))
                elif "asks" in message:
                    self._show(int(message["by"]))
                elif "shows" in message:
                    self._hear_of(message)
        except (OSError, RendezvousError, ValueError):
            if not self._is_over and 0 not in self.left:
                self.lost.setdefault(0, time.monotonic())


@dataclass(eq=False)
class _Guest:
    """One connection to the hub."""

    connection: socket.socket
    since: float
    reader: wire.FrameReader = field(default_factory=lambda: wire.FrameReader(wire.MAX_HANDSHAKE_BYTES))
    rank: int | None = None
    expected_proof: str | None = None
    is_trusted: bool = False
    has_left: bool = False


class _Hub:
    """Rank 0's thread that hears of every death and departure, and tells all."""

    def __init__(self, size: int, secret: bytes, host: str) -> None:
        self._size = size
        self._secret = secret
        self._guests: dict[socket.socket, _Guest] = {}
        self._news: list[wire.Message] = []  # all of it, for those who connect late
        self._listener = socket.create_server((host, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="distrt-lifeline-hub", daemon=True)
        self._thread.start()

    def close(self, patience_s: float = 0.0) -> None:
        """Close everything, once the others have closed or ``patience_s`` seconds have gone by."""
        deadline = time.monotonic() + patience_s
        while len(self._guests) > 0 and time.monotonic() < deadline:
            time.sleep(0.002)
        self._is_closing = True
        self._thread.join(timeout=2.0)

    def forget(self) -> None:
        """Close this process's copies of the sockets, and tell nobody (in a forked child)."""
        for guest in list(self._guests.values()):
            guest.connection.close()
        self._listener.close()

    def _serve(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._guests:
                    self._read(self._guests[key.fileobj])
            now = time.monotonic()
            for guest in list(self._guests.values()):
                if not guest.is_trusted and now - guest.since > _HANDSHAKE_S:
                    self._drop(guest)
        for guest in list(self._guests.values()):
            guest.connection.close()
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.settimeout(
                _HANDSHAKE_S
            )  # for sending; news are short, and never fill a live peer's window
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connection)
            self._guests[connection] = _Guest(connection, time.monotonic())
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, guest: _Guest) -> None:
        try:
            data = guest.connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError("closed")
            guest.reader.feed(data)
            while (message := guest.reader.next_message()) is not None:
                if guest.is_trusted:
                    self._hear(guest, message)
                else:
                    self._shake_hands(guest, message)
        except (OSError, RendezvousError):
            self._drop(guest)

    def _drop(self, guest: _Guest) -> None:
        if self._guests.pop(guest.connection, None) is None:
            return
        self._selector.unregister(guest.connection)
        guest.connection.close()
        if guest.is_trusted and not guest.has_left:
            self._tell({"lost": guest.rank})

    def _hear(self, guest: _Guest, message: wire.Message) -> None:
        if "leaves" in message:
            guest.has_left = True
            failure = str(message.get("failure", ""))
            self._tell({"leaves": guest.rank, "well": bool(message.get("well")), "failure": failure})
        elif "asks" in message:
            self._pass_on({"asks": message["asks"], "by": guest.rank}, message["asks"])
        elif "shows" in message:
            shown = {"shows": guest.rank, "page": message.get("page"), "stacks": message.get("stacks")}
            self._pass_on(shown, message.get("to"))
        elif "meets" in message:
            self._tell({"meets": message["meets"], "rank": guest.rank})
        elif "closes" in message:
            self._tell({"closes": str(message["closes"]), "rank": guest.rank})

    def _tell(self, message: wire.Message) -> None:
        self._news.append(message)
        for guest in list(self._guests.values()):
            if guest.is_trusted:
                self._send(guest, message)

    def _pass_on(self, message: wire.Message, rank: object) -> None:
        for guest in list(self._guests.values()):
            if guest.is_trusted and guest.rank == rank:
                self._send(guest, message)

    def _send(self, guest: _Guest, message: wire.Message) -> None:
        try:
            guest.connection.sendall(wire.encode_frame(message))
        except OSError:
            self._drop(guest)

    def _shake_hands(self, guest: _Guest, message: wire.Message) -> None:
        if guest.expected_proof is None:
            self._challenge(guest, message)
        elif wire.is_proof(message.get("proof"), guest.expected_proof):
            guest.is_trusted = True
            guest.reader.limit_bytes = wire.MAX_FRAME_BYTES
            self._send(guest, {"welcome": wire.PROTOCOL})
            for news in self._news:
                self._send(guest, news)
        else:
            raise RendezvousError("a stranger")

    def _challenge(self, guest: _Guest, hello: wire.Message) -> None:
        nonce, rank = hello.get("nonce"), hello.get("rank")
        if not isinstance(nonce, str) or type(rank) is not int or not 0 <= rank < self._size:
            raise RendezvousError("the first message is not a hello")
        guest.rank, own = rank, wire.new_nonce()
        guest.expected_proof = wire.prove(self._secret, "client", nonce, own, rank)
        proof = wire.prove(self._secret, "server", nonce, own, rank)
        self._send(guest, {"nonce": own, "proof": proof})


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _IDLE_S),
        (socket.TCP_KEEPINTVL, _BETWEEN_S),
        (socket.TCP_KEEPCNT, _PROBES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    # No probes are sent while news are on their way: these must be acknowledged in as much time.
    patience_ms = 1000 * (_IDLE_S + _BETWEEN_S * _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
