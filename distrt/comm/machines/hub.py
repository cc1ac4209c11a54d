"""The hub of the lifelines: rank 0's thread that hears of every death and departure, and tells all.

Strangers stop at the store's `Door`. A rank that has proved the job's secret is believed about itself only: what it
says is checked (`News.read`), and what cannot be is passed over. A member that does not read holds nobody: what it is
owed waits for it, and what it can do without is left out meanwhile. The hub does not cut it off, since a rank that a
debugger has stopped is not dead, and takes care to send it little: the kernel ends a connection whose window stays full
for half a minute. Standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

from distrt.comm.machines.news import News
from distrt.comm.stores import wire
from distrt.comm.stores.door import Door, limit_unacknowledged
from distrt.comm.stores.peer import Peer
from distrt.core.errors import RendezvousError

__all__ = ["Hub"]

_log = logging.getLogger(__name__)

_HANDSHAKE_S = 10.0
_LOOK_S = 0.1
_FLUSH_S = 0.3  # at the end, for the last news
_READ_BYTES = 1 << 16
_MAX_UNREAD_BYTES = 1 << 20  # of what a member is owed, before it gets only what it cannot do without
_MAX_GOODBYES = 4  # a rank fails, and then leaves


@dataclass(eq=False)
class _Member:
    """A connection that has proved the secret; it counts as its rank once it says that it joins.

    So who gives up on the handshake at the last moment, and calls again, has not died. It is told all news before.
    """

    peer: Peer
    rank: int
    since: float
    has_joined: bool = False
    goodbyes: list[News] = field(default_factory=list)
    asked_by: set[int] = field(default_factory=set)  # who waits for its answer


class Hub:
    """Serves the lifelines of ``size`` ranks at ``host``, at a free ``port``, from a daemon thread."""

    def __init__(self, size: int, secret: bytes, host: str) -> None:
        self._size = size
        listener = socket.create_server((host, 0), backlog=1024)
        listener.setblocking(False)
        self.port: int = listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._door = Door(listener, secret, self._selector, _HANDSHAKE_S)
        self._members: dict[socket.socket, _Member] = {}
        self._ranks: dict[int, _Member] = {}  # those that have joined and are here
        self._lost: set[int] = set()
        self._goodbyes: dict[int, list[News]] = {}
        self._met: dict[int, int] = {}  # the last meeting that each rank has come to
        self._owed: set[_Member] = set()  # who is to be sent something at the end of this turn
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="distrt-lifeline-hub", daemon=True)
        self._thread.start()

    def close(self, patience_s: float = 0.0) -> None:
        """Close everything, once the ranks have closed or ``patience_s`` seconds have gone by."""
        deadline = time.monotonic() + patience_s
        while self._ranks and time.monotonic() < deadline:
            time.sleep(0.002)
        self._is_closing = True
        self._thread.join(timeout=2.0)

    def forget(self) -> None:
        """Close this process's copies of the sockets, and tell nobody (in a forked child)."""
        for held in (*self._members, *self._door.sockets()):
            held.close()

    def _serve(self) -> None:
        try:
            while not self._is_closing:
                self._turn(_LOOK_S)
            deadline = time.monotonic() + _FLUSH_S
            self._turn(0.0)  # what rank 0 has said just now
            while self._owes() and time.monotonic() < deadline:
                self._turn(0.01)
        finally:
            for held in list(self._members):
                held.close()
            self._door.close()
            self._selector.close()

    def _owes(self) -> bool:
        return any(member.peer.outgoing for member in self._members.values())

    def _turn(self, patience_s: float) -> None:
        for key, events in self._selector.select(patience_s):
            if isinstance(key.fileobj, socket.socket):
                try:
                    self._handle(key.fileobj, events)
                except Exception:  # one connection's trouble, and not the others'
                    _log.exception("the lifelines' hub gives up a connection")
                    self._give_up(key.fileobj)
        self._door.tidy()
        now = time.monotonic()
        for member in list(self._members.values()):
            if not member.has_joined and now - member.since > _HANDSHAKE_S:
                self._drop(member)
        while self._owed:  # who cannot be reached is dropped, which is news for the others
            self._settle(self._owed.pop())

    def _handle(self, source: socket.socket, events: int) -> None:
        if source is self._door.listener:
            self._door.accept()
        elif (member := self._members.get(source)) is not None:
            self._attend(member, events)
        elif source in self._door and (peer := self._door.hear(source)) is not None:
            self._welcome(peer)

    def _give_up(self, source: socket.socket) -> None:
        if (member := self._members.get(source)) is not None:
            self._drop(member)

    def _welcome(self, peer: Peer) -> None:
        if peer.rank is None or peer.rank >= self._size or self._has_seen(peer.rank):
            peer.connection.close()
            return
        member = self._members[peer.connection] = _Member(peer, peer.rank, time.monotonic())
        peer.reader.limit_bytes = wire.MAX_HANDSHAKE_BYTES  # beside values: all of it is numbers
        peer.events = selectors.EVENT_READ
        self._selector.register(peer.connection, peer.events)
        with contextlib.suppress(OSError):  # it has hung up
            limit_unacknowledged(peer.connection)
        for rank in self._lost:
            self._send(member, News("lost", rank))
        for goodbyes in self._goodbyes.values():
            for goodbye in goodbyes:
                self._send(member, goodbye)
        for rank, number in self._met.items():
            self._send(member, News("meets", rank, number=number))
        self._attend(member, 0)  # what came along with its proof

    def _has_seen(self, rank: int) -> bool:
        """Whether a rank has joined; nobody joins twice, and the dead stay dead."""
        return rank in self._ranks or rank in self._lost or rank in self._goodbyes

    def _drop(self, member: _Member) -> None:
        connection, rank = member.peer.connection, member.rank
        if self._members.pop(connection, None) is None:
            return
        self._selector.unregister(connection)
        connection.close()
        if not member.has_joined:
            return
        del self._ranks[rank]
        if not member.goodbyes:
            self._lost.add(rank)
            self._tell(News("lost", rank))

    def _attend(self, member: _Member, events: int) -> None:
        """Hear what a member has to say; what it can take is sent to it at the end of the turn."""
        if events & selectors.EVENT_WRITE:
            self._owed.add(member)
        try:
            if events & selectors.EVENT_READ:
                self._read(member)
            while (message := member.peer.reader.next_message()) is not None:
                self._hear(member, message)
        except (OSError, RendezvousError):
            self._drop(member)

    def _read(self, member: _Member) -> None:
        with contextlib.suppress(BlockingIOError):
            data = member.peer.connection.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            member.peer.reader.feed(data)

    def _hear(self, member: _Member, message: wire.Message) -> None:
        try:
            news = News.read({**message, "rank": member.rank}, self._size)
        except RendezvousError as error:
            _log.warning("the lifelines' hub passes over what rank %d says: %s", member.rank, error)
            return
        if not member.has_joined:
            self._join(member, news)
        elif news.kind == "leaves" and len(member.goodbyes) < _MAX_GOODBYES:
            member.goodbyes.append(news)
            self._goodbyes[member.rank] = member.goodbyes
            self._tell(news)
        elif news.kind == "meets" and news.number == self._met.get(member.rank, 0) + 1:
            self._met[member.rank] = news.number
            self._tell(news, is_vital=False)
        elif news.kind == "closes":  # not kept for who comes late: groups are made when all have come
            self._tell(news, is_vital=False)
        elif news.kind == "asks":
            self._ask(news)
        elif news.kind == "shows":
            self._show(member, news)

    def _join(self, member: _Member, news: News) -> None:
        if news.kind != "joins" or self._has_seen(member.rank):
            raise RendezvousError(f"rank {member.rank} is here already, or does not say that it joins")
        member.has_joined = True
        self._ranks[member.rank] = member

    def _ask(self, news: News) -> None:
        """Pass a question on, unless the one before is unanswered: a stopped rank gets no heap of them."""
        asked = self._ranks.get(news.to)
        if asked is not None and news.rank not in asked.asked_by and self._send(asked, news, is_vital=False):
            asked.asked_by.add(news.rank)

    def _show(self, member: _Member, news: News) -> None:
        """Pass an answer on to who has asked."""
        asker = self._ranks.get(news.to)
        if news.to in member.asked_by:
            member.asked_by.remove(news.to)
            if asker is not None:
                self._send(asker, news, is_vital=False)

    def _tell(self, news: News, is_vital: bool = True) -> None:
        # Also those who have not joined: they may have said so, and others act on it, before it is read here.
        for member in self._members.values():
            self._send(member, news, is_vital)

    def _send(self, member: _Member, news: News, is_vital: bool = True) -> bool:
        """Put a message behind what a member is owed; False where it can do without, and is owed too much."""
        if not is_vital and len(member.peer.outgoing) >= _MAX_UNREAD_BYTES:
            return False
        member.peer.outgoing += news.frame(member.peer.seal)
        self._owed.add(member)
        return True

    def _settle(self, member: _Member) -> None:
        """Send a member what it can take of what it is owed, and have the selector tell when it can take more."""
        peer = member.peer
        if peer.connection not in self._members:
            return
        try:
            with contextlib.suppress(BlockingIOError):
                while peer.outgoing:
                    del peer.outgoing[: peer.connection.send(peer.outgoing)]
        except OSError:
            self._drop(member)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.outgoing else 0)
        if wanted != peer.events:
            peer.events = wanted
            self._selector.modify(peer.connection, wanted)
