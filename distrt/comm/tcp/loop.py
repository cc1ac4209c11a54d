"""`Loop`: moves the messages of one process on, for whichever thread has time.

Nothing is moved unless somebody asks: who waits does, and sleeps in the kernel meanwhile, which wakes it when a
connection has news. Several threads may wait; one of them looks after the connections for all.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from distrt.comm.tcp.connections import Incoming, Outgoing
from distrt.comm.tcp.inbox import Inbox
from distrt.comm.tcp.messages import NO_DTYPE, SHORT_BYTES, Header, Kind, Receipt, Sending, Transfer
from distrt.core.errors import DistributedError

__all__ = ["Loop"]

_JUST_NOW_S = 20e-6


class Loop:
    """The connections of one process.

    Args:
        open_to: opens a connection to a rank of the job, or raises a `DistributedError`.
    """

    def __init__(self, open_to: Callable[[int], Outgoing]) -> None:
        self._open_to = open_to
        self._inbox = Inbox()
        self._outgoing: dict[int, Outgoing] = {}
        self._opening: dict[int, threading.Lock] = {}
        self._connections: dict[int, Incoming | Outgoing] = {}  # by descriptor
        self._coming: dict[tuple[Incoming, int], Receipt] = {}  # what is being received, by number
        self._poll = select.epoll()
        self._numbers = 0
        self._state = threading.Lock()  # of all of the above; held for no longer than the kernel copies
        self._turns = threading.Lock()  # held by the thread that looks after the connections
        self._news = threading.Condition()
        self._waiting = 0
        self._turned_at = 0.0
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) is not None and method())

    # What is to be done. All of it returns at once, but for the opening of a connection.

    def send(self, to: int, context: int, tag: int, payload: memoryview, dtype: bytes = NO_DTYPE) -> Sending:
        """Start a message to a rank of the job: a short one goes, a long one asks.

        Raises:
            PeerFailed, RendezvousError: there is no way to it.
        """
        outgoing = self._outgoing.get(to) or self._open(to)
        kind = Kind.SHORT if payload.nbytes <= SHORT_BYTES else Kind.ASKS
        with self._state:
            self._numbers += 1
            sending = Sending(to, Header(kind, context, tag, self._numbers, payload.nbytes, dtype), payload)
            if outgoing.link.fileno() < 0:
                sending.fail("the connection to it is closed")
                return sending
            was_idle = outgoing.is_written
            outgoing.send(sending)
            if was_idle:
                self._carefully(outgoing, outgoing.write)
                self._look_for(outgoing)
        return sending

    def receive(self, receipt: Receipt) -> Receipt:
        """Wait for a message from now on."""
        with self._state:
            message = self._inbox.post(receipt)
            if message is None:
                return receipt
            place = receipt.take(message.header, message.source.rank)
            if message.payload is None:
                self._accept(message.source, message.header, receipt)
            else:
                if receipt.fits:
                    place[:] = message.payload
                receipt.is_done = True
        return receipt

    def welcome(self, incoming: Incoming) -> None:
        """Look after a connection that another rank has opened."""
        with self._state:
            self._register(incoming)

    def incoming(self, link: socket.socket, rank: int) -> Incoming:
        """A connection that another rank has opened."""
        return Incoming(link, rank, self._place_of, self._arrived)

    @property
    def is_idle(self) -> bool:
        """Whether all that was sent is away."""
        return all(outgoing.is_idle for outgoing in tuple(self._outgoing.values()))

    # Waiting.

    def glance(self) -> None:
        """See to what has come, if nobody has done so just now: who waits asks often."""
        if time.monotonic() - self._turned_at > _JUST_NOW_S:
            self.turn()

    def turn(self, seconds: float = 0.0) -> bool:
        """See to what has come, and wait so long for something; False where another thread is at it."""
        if not self._turns.acquire(blocking=False):
            return False
        try:
            for descriptor, events in self._poll.poll(seconds):
                with self._state:
                    self._attend(descriptor, events)
        except ValueError:
            if not self._poll.closed:
                raise
        finally:
            self._turns.release()
            self._turned_at = time.monotonic()
        if self._waiting:
            with self._news:
                self._news.notify_all()
        return True

    def wait(self, transfers: Sequence[Transfer], seconds: float) -> None:
        """Return when something has happened to one of the transfers, or may have, or time is up."""
        if self.turn(seconds):
            return
        with self._news:
            self._waiting += 1
            try:
                # Who has its turn sees afterwards that somebody waits. If nobody has, the next one is this thread's.
                if self._turns.locked() and not all(each.is_done for each in transfers):
                    self._news.wait(seconds)
            finally:
                self._waiting -= 1

    # Connections.

    def _open(self, to: int) -> Outgoing:
        with self._state:
            opening = self._opening.setdefault(to, threading.Lock())
        with opening:
            if (outgoing := self._outgoing.get(to)) is None:
                outgoing = self._open_to(to)
                with self._state:
                    self._register(outgoing)
                    self._outgoing[to] = outgoing
        return outgoing

    def _register(self, connection: Incoming | Outgoing) -> None:
        connection.watched = connection.events
        self._connections[connection.link.fileno()] = connection
        self._poll.register(connection.link, connection.watched)

    def _look_for(self, connection: Incoming | Outgoing) -> None:
        events = connection.events
        if events != connection.watched and connection.link.fileno() >= 0:
            connection.watched = events
            self._poll.modify(connection.link, events)

    def _attend(self, descriptor: int, events: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        if events & select.EPOLLOUT:
            self._carefully(connection, connection.write)
        if events & ~select.EPOLLOUT and connection.link.fileno() >= 0:
            self._carefully(connection, connection.read)
        self._look_for(connection)

    def _carefully(self, connection: Incoming | Outgoing, do: Callable[[], None]) -> None:
        """A connection's trouble ends it, and what was on its way by it."""
        try:
            do()
        except (OSError, DistributedError) as error:
            self._drop(connection, str(error))

    def _drop(self, connection: Incoming | Outgoing, why: str) -> None:
        if connection.link.fileno() < 0:
            return
        del self._connections[connection.link.fileno()]
        self._poll.unregister(connection.link)
        connection.link.close()
        if isinstance(connection, Outgoing):
            for sending in connection.unfinished():
                sending.fail(why)
        else:
            lost = [key for key in self._coming if key[0] is connection]
            for key in lost:
                self._coming.pop(key).fail(why)

    def _forget(self) -> None:
        """In a forked child: the connections are its parent's."""
        for connection in tuple(self._connections.values()):
            connection.link.close()
        self._poll.close()

    def close(self) -> None:
        """Close all connections; what the kernel has of what was sent still arrives."""
        with self._state:
            for connection in tuple(self._connections.values()):
                self._drop(connection, "the connections are closed")
        with self._turns:
            self._poll.close()

    # Messages that come. Called by connections, under the lock of the state.

    def _place_of(self, source: Incoming, header: Header) -> memoryview:
        if header.kind == Kind.LONG:
            receipt = self._coming.get((source, header.number))
            if receipt is None or receipt.header is None or receipt.header.nbytes != header.nbytes:
                raise DistributedError(f"a message comes that nobody has taken: {header}")
            return receipt.place_of_bytes
        receipt = self._inbox.wants(source.rank, header)
        if header.kind == Kind.ASKS:
            if receipt is None:
                self._inbox.keep(source, header, None)
            else:
                receipt.take(header, source.rank)
                self._accept(source, header, receipt)
            return memoryview(b"")
        if receipt is None:
            return memoryview(bytearray(header.nbytes))
        self._coming[source, header.number] = receipt
        return receipt.take(header, source.rank)

    def _arrived(self, source: Incoming, header: Header, payload: memoryview) -> None:
        receipt = self._coming.pop((source, header.number), None)
        if receipt is None:  # of a short message; somebody may have begun to wait since its header came
            receipt = self._inbox.wants(source.rank, header)
            if receipt is None:
                self._inbox.keep(source, header, payload)
                return
            place = receipt.take(header, source.rank)
            if receipt.fits:
                place[:] = payload
        receipt.is_done = True

    def _accept(self, source: Incoming, header: Header, receipt: Receipt) -> None:
        if source.link.fileno() < 0:
            receipt.fail("the connection is closed")
            return
        self._coming[source, header.number] = receipt
        source.answer(header)
        self._carefully(source, source.write)
        self._look_for(source)
