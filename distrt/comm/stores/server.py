"""The store's server: one daemon thread that holds the keys and answers the ranks.

The launcher hosts it for its ranks; without a launcher rank 0 does (``client.connect_store``). Peers prove
that they hold the job's secret (``door``) before anything else is read from them, and a member that sends rubbish, or
does not read its answers, hurts only itself. Standard library only.
"""

import contextlib
import ipaddress
import os
import selectors
import socket
import threading
import time
import weakref

from distrt.comm.stores import wire
from distrt.comm.stores.door import Door
from distrt.comm.stores.peer import Peer, Wait
from distrt.comm.stores.requests import carry_out, refusal
from distrt.comm.stores.table import Table
from distrt.comm.stores.waits import Ranks, Waits
from distrt.core.errors import RendezvousError

__all__ = ["StoreServer"]

_READ_BYTES = 1 << 16
_LEAVING_S = 0.2
_MAX_UNREAD_BYTES = 2 * wire.MAX_FRAME_BYTES  # of answers, before a member's further requests have to wait
_LONGEST_SLEEP_S = 3600.0  # the kernel's clock for this ends after 24 days

#: Those of this process: a forked child must not hold their sockets, or nobody would learn of the process's end.
_serving: "weakref.WeakSet[StoreServer]" = weakref.WeakSet()


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
        listener = _listen(host, port) if listener is None else _listen_on(listener)
        self.host = host
        self.port: int = listener.getsockname()[1]
        self._secret = secret
        if not secret and not _is_loopback(listener):
            listener.close()
            raise RendezvousError(
                f"a store on {host} needs a secret: set DISTRT_JOB_SECRET (hex) alike on every rank"
            )
        self._selector = selectors.DefaultSelector()
        self._door = Door(listener, secret, self._selector, handshake_timeout_s)
        self._peers: dict[socket.socket, Peer] = {}
        self._table = Table()
        self._ranks = Ranks()
        self._waits = Waits(self._table, self._ranks, self._send)
        self._somebody_ended = False
        self._is_closing = False
        self._holders = 1
        self._lock = threading.Lock()  # over _is_closing and _holders: other threads touch them
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="distrt-store", daemon=True)
        self._thread.start()
        _serving.add(self)

    @property
    def address(self) -> str:
        """Where clients connect: "host:port"."""
        return f"{self.host}:{self.port}"

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that have ever connected and proved the secret."""
        return self._ranks.joined()

    def connected_ranks(self) -> frozenset[int]:
        """Return the ranks that are connected now."""
        return self._ranks.connected()

    def rank_ended(self, rank: int, how: str) -> None:
        """Tell the server that ``rank``'s process is gone, so that who waits for it fails at once.

        A rank that ended without ever connecting fails every wait; one that had connected fails the waits
        that named it in ``ranks``. ``how`` is for the message: "exit code 0".
        """
        self._ranks.ended(rank, how)
        self._somebody_ended = True
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
                for key, events in self._selector.select(self._sleep_s()):
                    self._handle(key.fileobj, events)
                if self._somebody_ended:
                    self._somebody_ended = False
                    self._waits.look_at_all()
                self._waits.expire()
                self._door.tidy()
                self._end_if_unused()
        finally:
            for peer in list(self._peers.values()):
                self._drop(peer)
            self._door.close()
            self._selector.close()
            self._wake_reader.close()
            self._wake_writer.close()

    def _end_if_unused(self) -> None:
        with self._lock:
            if self._holders <= 0 and not self._peers and not len(self._door):
                self._is_closing = True

    def _sleep_s(self) -> float | None:
        deadlines = (self._waits.next_deadline(), self._door.next_deadline())
        earliest = min((at for at in deadlines if at is not None), default=None)
        return None if earliest is None else min(_LONGEST_SLEEP_S, max(0.0, earliest - time.monotonic()))

    def _handle(self, source: object, events: int) -> None:
        if source is self._door.listener:
            self._door.accept()
        elif source is self._wake_reader:
            with contextlib.suppress(BlockingIOError):
                self._wake_reader.recv(_READ_BYTES)
        elif not isinstance(source, socket.socket):
            return
        elif (peer := self._peers.get(source)) is not None:
            self._attend(peer, events)
        elif source in self._door and (peer := self._door.hear(source)) is not None:
            self._welcome(peer)

    def _welcome(self, peer: Peer) -> None:
        self._peers[peer.connection] = peer
        self._ranks.came(peer.rank)
        peer.events = selectors.EVENT_READ
        self._selector.register(peer.connection, peer.events)
        self._attend(peer, 0)  # what came along with its proof

    def _drop(self, peer: Peer) -> None:
        if self._peers.pop(peer.connection, None) is None:
            return
        self._waits.forget(peer)
        self._ranks.went(peer.rank)
        if peer.events:
            self._selector.unregister(peer.connection)
        peer.connection.close()

    def _attend(self, peer: Peer, events: int) -> None:
        """Send a member what it can take, read what it has sent, and answer it."""
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(peer)
            if events & selectors.EVENT_READ:
                self._read(peer)
            self._answer(peer)
        except (OSError, RendezvousError):
            self._drop(peer)
        else:
            self._look_for(peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("the peer closed the connection")
        peer.reader.feed(data)
        _require_patience(peer)

    def _answer(self, peer: Peer) -> None:
        """Answer the requests that have come whole, as long as the member reads its answers."""
        while peer.wait is None and len(peer.outgoing) < _MAX_UNREAD_BYTES and peer.connection in self._peers:
            request = peer.reader.next_message()
            if request is None:
                return
            if request.get("op") == "wait":
                self._begin_wait(peer, request)
                _require_patience(peer)
                continue
            answer, key = carry_out(self._table, request)
            self._send(peer, answer)
            if key is not None:
                self._waits.changed(key)

    def _begin_wait(self, peer: Peer, request: wire.Message) -> None:
        try:
            wait = Wait.read(request, time.monotonic())
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self._send(peer, refusal(f"wait: {error}"))
        else:
            self._waits.begin(peer, wait)

    def _send(self, peer: Peer, message: wire.Message) -> None:
        try:
            frame = wire.encode_frame(message, peer.seal)
        except ValueError as error:
            frame = wire.encode_frame(refusal(str(error)), peer.seal)
        peer.outgoing += frame
        try:
            self._flush(peer)
            self._look_for(peer)
        except OSError:
            self._drop(peer)

    def _flush(self, peer: Peer) -> None:
        with contextlib.suppress(BlockingIOError):
            while peer.outgoing:
                del peer.outgoing[: peer.connection.send(peer.outgoing)]

    def _look_for(self, peer: Peer) -> None:
        """Have the selector tell what matters: a member that does not read its answers is not read from."""
        if peer.connection not in self._peers:
            return
        wanted = selectors.EVENT_WRITE if peer.outgoing else 0
        if len(peer.outgoing) < _MAX_UNREAD_BYTES:
            wanted |= selectors.EVENT_READ
        if wanted != peer.events:
            peer.events = wanted
            self._selector.modify(peer.connection, wanted)

    def _forget(self) -> None:
        """In a forked child: let go of the sockets, and leave the epoll set alone, which is the parent's, too."""
        for held in (*self._peers, *self._door.sockets(), self._wake_reader, self._wake_writer):
            held.close()


def _require_patience(peer: Peer) -> None:
    """Who waits says nothing meanwhile: so there is no heap of requests behind a wait."""
    if peer.wait is not None and not peer.reader.is_empty:
        raise RendezvousError("the peer asks on before it has its answer")


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


def _forget_all() -> None:
    for server in list(_serving):
        server._forget()


os.register_at_fork(after_in_child=_forget_all)
