"""Which message is for which receive: by source and tag, in the order of sending and of posting."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias, TypeVar

from distrt.comm.tcp.connections import Incoming
from distrt.comm.tcp.messages import Header, Receipt

__all__ = ["Arrived", "Inbox"]

_Key: TypeAlias = tuple[int | None, int, int]  # source (None: any), context, tag
_Waiting = TypeVar("_Waiting")


class Arrived(NamedTuple):
    """A message that nobody has been waiting for.

    Attributes:
        source: where it came by.
        header: of it.
        payload: its bytes; None where it asks.
        number: in the order of arrival.
    """

    source: Incoming
    header: Header
    payload: memoryview | None
    number: int


class Inbox:
    """Receives that wait for messages, and messages that wait for receives."""

    def __init__(self) -> None:
        self._posted: dict[_Key, deque[Receipt]] = {}
        self._arrived: dict[_Key, deque[Arrived]] = {}
        self._count = 0

    def wants(self, sender: int, header: Header) -> Receipt | None:
        """The receive that was posted first for such a message; it waits for no other from now on."""
        key: _Key = (sender, header.context, header.tag)
        of_any: _Key = (None, header.context, header.tag)
        mine, anyones = self._posted.get(key), self._posted.get(of_any)
        if anyones and (not mine or anyones[0].place < mine[0].place):
            mine, key = anyones, of_any
        return _take_first(self._posted, key) if mine else None

    def keep(self, source: Incoming, header: Header, payload: memoryview | None) -> None:
        """Nobody waits for this message."""
        self._count += 1
        message = Arrived(source, header, payload, self._count)
        self._arrived.setdefault((source.rank, header.context, header.tag), deque()).append(message)

    def post(self, receipt: Receipt) -> Arrived | None:
        """The message that has come first of those that fit; where there is none, the receive waits."""
        key: _Key | None = (receipt.source, receipt.context, receipt.tag)
        if receipt.source is None:
            found = [each for each in self._arrived if each[1:] == (receipt.context, receipt.tag)]
            key = min(found, key=lambda each: self._arrived[each][0].number, default=None)
        if key in self._arrived:
            return _take_first(self._arrived, key)
        self._count += 1
        receipt.place = self._count
        self._posted.setdefault((receipt.source, receipt.context, receipt.tag), deque()).append(receipt)
        return None


def _take_first(waiting: dict[_Key, deque[_Waiting]], key: _Key) -> _Waiting:
    queue = waiting[key]
    first = queue.popleft()
    if not queue:
        del waiting[key]
    return first
