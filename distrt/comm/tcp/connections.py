"""A connection in one direction: who sends opens it, who receives answers on it."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable

from distrt.comm.tcp.messages import HEADER_BYTES, Header, Kind, Sending

__all__ = ["Incoming", "Outgoing"]

_READ_AT_ONCE = 8 << 20  # before other connections have their turn


class _Connection:
    """A socket that does not block, and what it is owed.

    Args:
        link: the socket.
        rank: who is at the other end.

    Attributes:
        watched: the events that are looked for.
    """

    def __init__(self, link: socket.socket, rank: int) -> None:
        link.setblocking(False)
        self.link, self.rank = link, rank
        self.watched = 0
        self._owed: deque[tuple[memoryview, Sending | None]] = deque()  # and which message is over with it

    @property
    def events(self) -> int:
        """What is to be looked for."""
        return select.EPOLLIN | (select.EPOLLOUT if self._owed else 0)

    @property
    def is_written(self) -> bool:
        """Whether nothing is owed."""
        return not self._owed

    def _owe(self, *pieces: memoryview, last_of: Sending | None = None) -> None:
        for piece in pieces[:-1]:
            self._owed.append((piece, None))
        self._owed.append((pieces[-1], last_of))

    def write(self) -> None:
        """Write what the kernel takes.

        Raises:
            OSError: the connection is of no use any more.
        """
        owed = self._owed
        while owed:
            try:
                # A header and its bytes in one call; more would seldom go at once.
                count = self.link.sendmsg((owed[0][0], owed[1][0]) if len(owed) > 1 else (owed[0][0],))
            except BlockingIOError:
                return
            while owed and count >= owed[0][0].nbytes:
                piece, sending = owed.popleft()
                count -= piece.nbytes
                if sending is not None:
                    sending.is_done = True
            if count:
                owed[0] = (owed[0][0][count:], owed[0][1])


class Outgoing(_Connection):
    """Takes messages to one rank."""

    def __init__(self, link: socket.socket, rank: int) -> None:
        super().__init__(link, rank)
        self._asking: dict[int, Sending] = {}  # by number
        self._answer, self._has = bytearray(HEADER_BYTES), 0

    @property
    def is_idle(self) -> bool:
        """Whether all messages are away."""
        return not self._owed and not self._asking

    def send(self, sending: Sending) -> None:
        """Send a short message; announce a long one."""
        header = memoryview(sending.header.pack())
        if sending.header.kind == Kind.SHORT:
            self._owe(*((header, sending.payload) if sending.payload.nbytes else (header,)), last_of=sending)
        else:
            self._asking[sending.header.number] = sending
            self._owe(header)

    def read(self) -> None:
        """Take answers.

        Raises:
            OSError: the connection is of no use any more.
        """
        while True:
            try:
                count = self.link.recv_into(memoryview(self._answer)[self._has :])
            except BlockingIOError:
                return
            if not count:
                raise ConnectionResetError("the receiver has closed the connection")
            self._has += count
            if self._has == HEADER_BYTES:
                self._has = 0
                self._go(Header.read(self._answer))

    def _go(self, answer: Header) -> None:
        sending = self._asking.pop(answer.number, None)
        if answer.kind != Kind.TAKE or sending is None:
            raise ConnectionResetError(f"the receiver takes a message that is not there: {answer}")
        header = sending.header._replace(kind=Kind.LONG)
        self._owe(memoryview(header.pack()), sending.payload, last_of=sending)

    def unfinished(self) -> list[Sending]:
        """The messages that are not away."""
        return [*self._asking.values(), *(sending for _, sending in self._owed if sending is not None)]


class Incoming(_Connection):
    """Brings messages of one rank.

    Args:
        link: the socket.
        rank: who sends.
        place_of: told of every header but those of answers, says where the bytes behind it go.
        arrived: told when those bytes are there.
    """

    def __init__(
        self,
        link: socket.socket,
        rank: int,
        place_of: Callable[[Incoming, Header], memoryview],
        arrived: Callable[[Incoming, Header, memoryview], object],
    ) -> None:
        super().__init__(link, rank)
        self._place_of, self._arrived = place_of, arrived
        self._heading = memoryview(bytearray(HEADER_BYTES))
        self._header: Header | None = None
        self._place, self._has = self._heading, 0

    def answer(self, header: Header) -> None:
        """Have a message come that has asked."""
        self._owe(memoryview(header._replace(kind=Kind.TAKE).pack()))

    def read(self) -> None:
        """Take what has come.

        Raises:
            OSError: the connection is of no use any more.
        """
        budget = _READ_AT_ONCE
        while budget > 0:
            place, has = self._place, self._has
            try:
                count = self.link.recv_into(place[has:] if has else place)
            except BlockingIOError:
                return
            if not count:
                raise ConnectionResetError("the sender has closed the connection")
            self._has = has = has + count
            budget -= count
            if has == place.nbytes and not self._turn_over():
                return  # if there is more, the kernel says so, which takes less than to find nothing

    def _turn_over(self) -> bool:
        """A header is complete, or the bytes behind one are; whether more bytes must come."""
        header, place = self._header, self._place
        self._has = 0
        if header is None:
            header = Header.read(self._heading)
            if header.kind == Kind.TAKE:
                raise ConnectionResetError("the sender answers where nothing was asked")
            place = self._place_of(self, header)
            if header.kind == Kind.ASKS:
                return False
            if place.nbytes:
                self._header, self._place = header, place
                return True
        self._header, self._place = None, self._heading
        self._arrived(self, header, place)
        return False
