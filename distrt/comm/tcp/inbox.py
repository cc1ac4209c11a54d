"""Which message is for which receive: by source and tag, in the order of sending and of posting."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias

from distrt.comm.tcp.connections import Incoming
from distrt.comm.tcp.messages import Header, Receipt

__all__ = ["Arrived", "Inbox"]

_Key: TypeAlias = tuple[int | None, int, int]  # source (None: any), context, tag


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
        keys = ((sender, header.context, header.tag), (None, header.context, header.tag))
        found = [(key, posted[0]) for key in keys if (posted := self._posted.get(key))]
        if not found:
            return None
        key, receipt = min(found, key=lambda each: each[1].place)
        _drop_first(self._posted, key)
        return receipt

    def keep(self, source: Incoming, header: Header, payload: memoryview | None) -> None:
        """Nobody waits for this message."""
        self._count += 1
        message = Arrived(source, header, payload, self._count)
        self._arrived.setdefault((source.rank, header.context, header.tag), deque()).append(message)

    def post(self, receipt: Receipt) -> Arrived | None:
        """The message that has come first of those that fit; where there is none, the receive waits."""
        tail = (receipt.context, receipt.tag)
        if receipt.source is not None:
            keys: list[_Key] = [(receipt.source, *tail)]
        else:
            keys = [key for key in self._arrived if key[1:] == tail]
        found = [(key, arrived[0]) for key in keys if (arrived := self._arrived.get(key))]
        if found:
            key, message = min(found, key=lambda each: each[1].number)
            _drop_first(self._arrived, key)
            return message
        self._count += 1
        receipt.place = self._count
        self._posted.setdefault((receipt.source, *tail), deque()).append(receipt)
        return None

    def forget(self, receipt: Receipt) -> None:
        """It is not waited for any more."""
        key = (receipt.source, receipt.context, receipt.tag)
        if receipt in (posted := self._posted.get(key, deque())):
            posted.remove(receipt)
            if not posted:
                del self._posted[key]


def _drop_first(waiting: dict[_Key, deque[Receipt]] | dict[_Key, deque[Arrived]], key: _Key) -> None:
    queue = waiting[key]
    queue.popleft()
    if not queue:
        del waiting[key]
