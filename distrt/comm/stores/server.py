"""The store's server: one daemon thread that holds the keys and answers the ranks.

The launcher hosts it for its ranks; without a launcher rank 0 does (``store.connect_store``). Peers prove
that they hold the job's secret before anything else is read from them. Standard library only.
"""

import contextlib
import ipaddress
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from distrt.comm.stores import wire
from distrt.comm.stores.table import Table
from distrt.core.errors import RendezvousError

__all__ = ["StoreServer"]

_READ_BYTES = 1 << 16
_MAX_STRANGERS = 1024
_LEAVING_S = 0.2


@dataclass
class _Wait:
    """A request that is answered once its keys are there."""

    keys: tuple[str, ...]
    ranks: tuple[int, ...]  # whose keys these are, where the caller knows
    since: float
    deadline: float
    wants_value: bool
    pops: bool  # the keys are one queue, and its first element is wanted


@dataclass(eq=False)
class _Peer:
    """One connection; a stranger until it has proved the secret."""

    connection: socket.socket
    deadline: float  # for the handshake
    reader: wire.FrameReader = field(default_factory=lambda: wire.FrameReader(wire.MAX_HANDSHAKE_BYTES))
    outgoing: bytearray = field(default_factory=bytearray)
    rank: int | None = None
    expected_proof: str | None = None
    is_trusted: bool = False
    wait: _Wait | None = None


class StoreServer:
    """Serves keys on one interface; ``port`` 0 takes a free one (see ``address``).

    ``listener`` is a bound socket to take over in place of opening one. The server has one holder, who made it;
    others may ``retain`` it. It ends at ``close``, or when all holders have released it and nobody is connected.

    Raises:
        RendezvousError: there is no secret and ``host`` is not a loopback address.
        OSError: the address is taken, or is not this machine's.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        secret: bytes = b"",
        handshake_timeout_s: float = 5.0,
        listener: socket.socket | None = None,
    ) -> None:
        self._listener = _listen(host, port) if listener is None else _listen_on(listener)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._secret = secret
        self._handshake_timeout_s = handshake_timeout_s
        if not secret and not _is_loopback(self._listener):
            self._listener.close()
            raise RendezvousError(
                f"a store on {host} needs a secret: set DISTRT_JOB_SECRET (hex) alike on every rank"
            )
        self._table = Table()
        self._peers: dict[socket.socket, _Peer] = {}
        self._joined: set[int] = set()
        self._ended: dict[int, str] = {}
        self._is_closing = False
        self._holders = 1
        self._lock = threading.Lock()  # over _joined, _ended, _is_closing, _holders: other threads touch them
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="distrt-store", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where clients connect: "host:port"."""
        return f"{self.host}:{self.port}"

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that have ever connected and proved the secret."""
        with self._lock:
            return frozenset(self._joined)

    def rank_ended(self, rank: int, how: str) -> None:
        """Tell the server that ``rank``'s process is gone, so that who waits for it fails at once.

        A rank that ended without ever connecting fails every wait; one that had connected fails the waits
        that named it in ``ranks``. ``how`` is for the message: "exit code 0".
        """
        with self._lock:
            self._ended[rank] = how
        self._wake()

    @property
    def is_ending(self) -> bool:
        """Whether the server has ended, or is about to."""
        return self._is_closing

    def retain(self, secret: bytes) -> bool:
        """Count one more holder and return True; False where the server has ended or has another secret.

        Where all holders have released it, it gets a moment to see that the others have left, too.
        """
        if self._holders <= 0:
            self._thread.join(_LEAVING_S)
        with self._lock:
            if self._is_closing or secret != self._secret:
                return False
            self._holders += 1
        return True

    def release(self) -> None:
        """Count one holder less; after the last, the server ends when nobody is connected any more.

        So a rank that hosts the store may leave first: the others' last requests are still answered.
        """
        with self._lock:
            self._holders -= 1
        self._wake()

    def close(self) -> None:
        """Close every connection and end the thread; a second call does nothing."""
        with self._lock:
            self._is_closing = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # a full buffer wakes the thread too; a closed one has no thread
            self._wake_writer.send(b"w")

    def _serve(self) -> None:
        try:
            while not self._is_closing:
                for key, events in self._selector.select(self._next_deadline_in_s()):
                    self._handle(key.fileobj, events)
                self._settle_waits()
                self._drop_late_strangers()
                self._end_if_unused()
        finally:
            for peer in list(self._peers.values()):
                self._drop(peer)
            self._selector.close()
            for end in (self._listener, self._wake_reader, self._wake_writer):
                end.close()

    def _end_if_unused(self) -> None:
        with self._lock:
            if self._holders <= 0 and not self._peers:
                self._is_closing = True

    def _next_deadline_in_s(self) -> float | None:
        deadlines = [peer.deadline for peer in self._peers.values() if not peer.is_trusted]
        deadlines += [peer.wait.deadline for peer in self._peers.values() if peer.wait is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _handle(self, source: object, events: int) -> None:
        if source is self._listener:
            self._accept()
        elif source is self._wake_reader:
            self._wake_reader.recv(_READ_BYTES)
        elif isinstance(source, socket.socket) and (peer := self._peers.get(source)) is not None:
            try:
                if events & selectors.EVENT_WRITE:
                    self._flush(peer)
                if events & selectors.EVENT_READ:
                    self._read(peer)
            except (OSError, RendezvousError):
                self._drop(peer)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the peer has left already
            return
        if sum(not peer.is_trusted for peer in self._peers.values()) >= _MAX_STRANGERS:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[connection] = _Peer(connection, time.monotonic() + self._handshake_timeout_s)
        self._selector.register(connection, selectors.EVENT_READ)

    def _drop_late_strangers(self) -> None:
        now = time.monotonic()
        for peer in [peer for peer in self._peers.values() if not peer.is_trusted and peer.deadline <= now]:
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if self._peers.pop(peer.connection, None) is not None:
            self._selector.unregister(peer.connection)
            peer.connection.close()

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._drop(peer)
            return
        peer.reader.feed(data)
        while peer.connection in self._peers and (message := peer.reader.next_message()) is not None:
            if peer.is_trusted:
                self._answer(peer, message)
            else:
                self._shake_hands(peer, message)

    def _send(self, peer: _Peer, message: wire.Message) -> None:
        peer.outgoing += wire.encode_frame(message)
        self._flush(peer)

    def _flush(self, peer: _Peer) -> None:
        try:
            while peer.outgoing:
                del peer.outgoing[: peer.connection.send(peer.outgoing)]
        except BlockingIOError:
            pass
        writing = selectors.EVENT_WRITE if peer.outgoing else 0
        self._selector.modify(peer.connection, selectors.EVENT_READ | writing)

    def _shake_hands(self, peer: _Peer, message: wire.Message) -> None:
        if peer.expected_proof is None:
            self._challenge(peer, message)
        elif wire.is_proof(message.get("proof"), peer.expected_proof):
            peer.is_trusted = True
            peer.reader.limit_bytes = wire.MAX_FRAME_BYTES
            if peer.rank is not None:
                with self._lock:
                    self._joined.add(peer.rank)
            self._send(peer, {"welcome": wire.PROTOCOL})
        else:
            self._send(peer, {"error": "authentication", "text": "the job's secret differs"})
            self._drop(peer)

    def _challenge(self, peer: _Peer, hello: wire.Message) -> None:
        nonce, rank = hello.get("nonce"), hello.get("rank")
        if hello.get("protocol") != wire.PROTOCOL or not isinstance(nonce, str):
            raise RendezvousError("the peer's first message is not a hello")
        if rank is not None and type(rank) is not int:
            raise RendezvousError(f"the peer calls itself rank {rank!r}")
        own_nonce = wire.new_nonce()
        peer.rank = rank
        peer.expected_proof = wire.prove(self._secret, "client", nonce, own_nonce, rank)
        self._send(
            peer, {"nonce": own_nonce, "proof": wire.prove(self._secret, "server", nonce, own_nonce, rank)}
        )

    def _answer(self, peer: _Peer, request: wire.Message) -> None:
        handler = self._HANDLERS.get(str(request.get("op")))
        if handler is None:
            self._send(
                peer, {"error": "request", "text": f"the store has no operation {request.get('op')!r}"}
            )
            return
        try:
            handler(self, peer, request)
        except (KeyError, TypeError, ValueError, RendezvousError) as error:
            self._send(peer, {"error": "request", "text": f"{request.get('op')}: {error}"})

    def _set(self, peer: _Peer, request: wire.Message) -> None:
        self._table.values[str(request["key"])] = wire.decode_value(request["value"])
        self._send(peer, {})

    def _add(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"total": self._table.add(str(request["key"]), int(request["amount"]))})

    def _compare_set(self, peer: _Peer, request: wire.Message) -> None:
        expected, desired = wire.decode_value(request["expected"]), wire.decode_value(request["desired"])
        value = self._table.compare_set(str(request["key"]), expected, desired)
        self._send(peer, {"value": wire.encode_value(value)})

    def _append(self, peer: _Peer, request: wire.Message) -> None:
        key, value = str(request["key"]), wire.decode_value(request["value"])
        size = len(self._table.values.get(key, b"")) + len(value)
        if size > wire.MAX_VALUE_BYTES:
            raise ValueError(
                f"key {key!r} would have {size} bytes, at most {wire.MAX_VALUE_BYTES} are allowed"
            )
        self._table.append(key, value)
        self._send(peer, {})

    def _check(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"found": not self._table.missing(str(key) for key in request["keys"])})

    def _delete_key(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"found": self._table.delete(str(request["key"]))})

    def _num_keys(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"count": len(self._table.values)})

    def _list_keys(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"keys": list(self._table.values)})

    def _push(self, peer: _Peer, request: wire.Message) -> None:
        self._table.push(str(request["key"]), wire.decode_value(request["value"]))
        self._send(peer, {})

    def _queue_length(self, peer: _Peer, request: wire.Message) -> None:
        self._send(peer, {"count": self._table.queue_length(str(request["key"]))})

    def _wait(self, peer: _Peer, request: wire.Message) -> None:
        now = time.monotonic()
        peer.wait = _Wait(
            keys=tuple(str(key) for key in request["keys"]),
            ranks=tuple(int(rank) for rank in request["ranks"]),
            since=now,
            deadline=now + float(request["timeout_s"]),
            wants_value=bool(request["wants_value"]),
            pops=bool(request.get("pops")),
        )

    _HANDLERS: dict[str, Callable[["StoreServer", _Peer, wire.Message], None]] = {  # noqa: RUF012 - never changed
        "set": _set,
        "add": _add,
        "append": _append,
        "check": _check,
        "compare_set": _compare_set,
        "delete_key": _delete_key,
        "list_keys": _list_keys,
        "num_keys": _num_keys,
        "push": _push,
        "queue_length": _queue_length,
        "wait": _wait,
    }

    def _settle_waits(self) -> None:
        """Answer every wait whose keys have come, whose rank is gone, or whose time is up."""
        for peer in list(self._peers.values()):
            if peer.wait is not None and (answer := self._outcome(peer, peer.wait)) is not None:
                peer.wait = None
                try:
                    self._send(peer, answer)
                except OSError:
                    self._drop(peer)

    def _outcome(self, peer: _Peer, wait: _Wait) -> wire.Message | None:
        missing = self._table.missing(wait.keys)
        if not missing and (answer := self._grant(wait)) is not None:
            return answer
        missing = missing or list(wait.keys)  # a value where a queue was expected, or the other way round
        awaited = f"{'key' if len(missing) == 1 else 'keys'} {', '.join(map(repr, missing))}"
        with self._lock:
            gone = self._who_is_gone(peer, wait)
        if gone is not None:
            return {"error": "ended", "text": f"{gone}; {_name(peer)} was waiting for {awaited}"}
        if time.monotonic() >= wait.deadline:
            whose = f" of {_ranks(wait.ranks)}" if wait.ranks else ""
            waited_s = wait.deadline - wait.since
            return {"error": "timeout", "text": f"{_name(peer)} waited {waited_s:.1f} s for {awaited}{whose}"}
        return None

    def _grant(self, wait: _Wait) -> wire.Message | None:
        if not (wait.pops or wait.wants_value):
            return {}
        key = wait.keys[0]
        value = self._table.pop(key) if wait.pops else self._table.values.get(key)
        return None if value is None else {"value": wire.encode_value(value)}

    def _who_is_gone(self, peer: _Peer, wait: _Wait) -> str | None:
        for rank, how in self._ended.items():
            if rank != peer.rank and rank not in self._joined:
                return f"rank {rank} ended ({how}) before joining"
            if rank in wait.ranks:
                return f"rank {rank} ended ({how})"
        return None


def _listen(host: str, port: int) -> socket.socket:
    name = host.encode() if host.isascii() else host  # bytes spare the launcher the import of encodings.idna
    family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(address[:2], family=family, backlog=1024)
    listener.setblocking(False)
    return listener


def _listen_on(listener: socket.socket) -> socket.socket:
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _name(peer: _Peer) -> str:
    return "a client" if peer.rank is None else f"rank {peer.rank}"


def _ranks(ranks: tuple[int, ...]) -> str:
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {', '.join(map(str, ranks))}"
