"""The door of the store's server: strangers come to it, and who proves the job's secret becomes a member.

A stranger costs little and not for long: there are at most ``MAX_STRANGERS`` of them, each may send two small frames,
and each has a few seconds. Where more want in, the oldest has to go, though not before it had its moment: so a flood
of connections delays a member that comes, and cannot keep it out. Standard library only.
"""

import contextlib
import errno
import selectors
import socket
import time
from dataclasses import dataclass, field

from distrt.comm.stores import wire
from distrt.comm.stores.peer import Peer
from distrt.core.errors import RendezvousError

__all__ = ["MAX_STRANGERS", "Door", "keep_alive", "limit_unacknowledged"]

MAX_STRANGERS = 128
_MOMENT_S = 0.5  # what a stranger has in any case
_REST_S = 0.1  # how long nobody is let in when the process has no descriptor left
_AT_ONCE = 32  # connections taken before members are served again
_MAX_RANK = 1 << 31
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_IDLE_S, _BETWEEN_S, _PROBES = 15, 5, 3  # a machine that has vanished is noticed after about 15 + 3 * 5 s


@dataclass(eq=False)
class _Stranger:
    """A connection that has proved nothing."""

    connection: socket.socket
    since: float
    reader: wire.FrameReader = field(default_factory=lambda: wire.FrameReader(wire.MAX_HANDSHAKE_BYTES))
    rank: int | None = None
    nonces: tuple[str, str] | None = None  # the client's and the server's, once it has said hello


class Door:
    """Takes connections from ``listener``, and hands over those that prove ``secret``.

    Args:
        selector: where the listener and the strangers are registered; the caller tells of events.
        timeout_s: how long a stranger has for its proof.
    """

    def __init__(
        self, listener: socket.socket, secret: bytes, selector: selectors.BaseSelector, timeout_s: float
    ) -> None:
        self.listener = listener
        self._secret = secret
        self._selector = selector
        self._timeout_s = timeout_s
        self._strangers: dict[socket.socket, _Stranger] = {}  # the oldest first
        self._opens_at: float | None = None  # when the door is shut: until when
        selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        """How many strangers there are."""
        return len(self._strangers)

    def __contains__(self, connection: object) -> bool:
        return connection in self._strangers

    def accept(self) -> None:
        """Take the connections that have come, as far as there is room."""
        for _ in range(_AT_ONCE):
            now = time.monotonic()
            if len(self._strangers) >= MAX_STRANGERS and not self._make_room(now):
                return
            try:
                connection, _ = self.listener.accept()
            except OSError as error:  # the peer has left already, or nobody is there
                if error.errno in _NO_ROOM:
                    self._drop_oldest()
                    self._shut(now + _REST_S)
                return
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection, selectors.EVENT_READ)
            except OSError:
                connection.close()
                continue
            self._strangers[connection] = _Stranger(connection, now)

    def hear(self, connection: socket.socket) -> Peer | None:
        """Read what a stranger has sent; returns it as a member once it has proved itself."""
        stranger = self._strangers[connection]
        try:
            data = connection.recv(wire.MAX_HANDSHAKE_BYTES)
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            stranger.reader.feed(data)
            while (message := stranger.reader.next_message()) is not None:
                if stranger.nonces is not None:
                    return self._admit(stranger, stranger.nonces, message)
                self._challenge(stranger, message)
        except BlockingIOError:
            return None
        except (OSError, RendezvousError):
            self._drop(stranger)
        return None

    def tidy(self) -> None:
        """Drop the strangers whose time is up, and open the door again where it was shut."""
        now = time.monotonic()
        while (oldest := self._oldest()) is not None and oldest.since + self._timeout_s <= now:
            self._drop(oldest)
        if self._opens_at is not None and self._opens_at <= now:
            self._opens_at = None
            self._selector.register(self.listener, selectors.EVENT_READ)

    def next_deadline(self) -> float | None:
        """When ``tidy`` has something to do, if nothing happens before."""
        oldest = self._oldest()
        ends_at = None if oldest is None else oldest.since + self._timeout_s
        return min((at for at in (ends_at, self._opens_at) if at is not None), default=None)

    def close(self) -> None:
        """Close the listener, and drop all strangers."""
        for stranger in list(self._strangers.values()):
            self._drop(stranger)
        self.listener.close()

    def sockets(self) -> list[socket.socket]:
        """The listener, and the strangers' connections."""
        return [self.listener, *self._strangers]

    def _oldest(self) -> _Stranger | None:
        return next(iter(self._strangers.values()), None)

    def _make_room(self, now: float) -> bool:
        """Let the oldest stranger go, if it has had its moment; otherwise shut the door until then."""
        oldest = self._oldest()
        if oldest is not None and now < oldest.since + _MOMENT_S:
            self._shut(oldest.since + _MOMENT_S)
            return False
        self._drop_oldest()
        return True

    def _shut(self, until: float) -> None:
        if self._opens_at is None:
            self._selector.unregister(self.listener)
        self._opens_at = until

    def _drop_oldest(self) -> None:
        if (oldest := self._oldest()) is not None:
            self._drop(oldest)

    def _drop(self, stranger: _Stranger) -> None:
        if self._strangers.pop(stranger.connection, None) is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(stranger.connection)
            stranger.connection.close()

    def _challenge(self, stranger: _Stranger, hello: wire.Message) -> None:
        nonce, rank = hello.get("nonce"), hello.get("rank")
        if hello.get("protocol") != wire.PROTOCOL or not isinstance(nonce, str):
            raise RendezvousError("the peer's first message is not a hello")
        if rank is not None and (type(rank) is not int or not 0 <= rank < _MAX_RANK):
            raise RendezvousError(f"the peer calls itself rank {rank!r}")
        own = wire.new_nonce()
        stranger.rank, stranger.nonces = rank, (nonce, own)
        proof = wire.prove(self._secret, "server", nonce, own, rank)
        _send_whole(stranger.connection, {"nonce": own, "proof": proof})

    def _admit(self, stranger: _Stranger, nonces: tuple[str, str], message: wire.Message) -> Peer:
        connection, rank = stranger.connection, stranger.rank
        if not wire.is_proof(message.get("proof"), wire.prove(self._secret, "client", *nonces, rank)):
            _send_whole(connection, {"error": "authentication", "text": "the job's secret differs"})
            raise RendezvousError("the peer holds another secret")
        _send_whole(connection, {"welcome": wire.PROTOCOL})
        keep_alive(connection)
        self._selector.unregister(connection)
        del self._strangers[connection]
        stranger.reader.limit_bytes = wire.MAX_FRAME_BYTES
        stranger.reader.seal = wire.Seal(self._secret, "client", *nonces, rank)
        return Peer(connection, rank, stranger.reader, wire.Seal(self._secret, "server", *nonces, rank))


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel find out if the peer's machine has vanished, where nothing is on its way to it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _IDLE_S),
        (socket.TCP_KEEPINTVL, _BETWEEN_S),
        (socket.TCP_KEEPCNT, _PROBES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def limit_unacknowledged(connection: socket.socket) -> None:
    """Have the kernel find out, too, if the peer's machine vanishes while something is on its way to it.

    No keep-alive probes are sent then: what is on its way must be acknowledged in as much time.
    """
    limit_ms = 1000 * (_IDLE_S + _BETWEEN_S * _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)


def _send_whole(connection: socket.socket, message: wire.Message) -> None:
    """Send a small frame; a peer that leaves no room for it does not read, and has to go."""
    frame = wire.encode_frame(message)
    try:
        sent = connection.send(frame)
    except BlockingIOError:
        sent = 0
    if sent < len(frame):
        raise RendezvousError("the peer does not read what it is sent")
