"""What goes over a connection: headers, and the bytes that belong to them.

A connection carries the messages of one rank to another. A short one goes at once, behind its header. A long one asks
first, and goes when its receiver, which answers on the same connection, has a place for it: so nobody has to keep long
messages that he has not asked for, and none stands in the way of others.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

import numpy as np

from distrt.comm.reduction import Array
from distrt.core.errors import DistributedError

__all__ = [
    "HEADER_BYTES",
    "NO_DTYPE",
    "SHORT_BYTES",
    "Header",
    "Kind",
    "Receipt",
    "Sending",
    "Transfer",
    "as_bytes",
]

SHORT_BYTES = 256 << 10  # of the messages that go unasked: what a rank may have to keep of each

NO_DTYPE = bytes(16)
_FORMAT = struct.Struct("<B7xQQQQ16s")
HEADER_BYTES = _FORMAT.size


class Kind(enum.IntEnum):
    """What a header announces."""

    SHORT = 1  # the bytes of a message
    ASKS = 2  # a message that waits for its receiver
    LONG = 3  # the bytes of a message that has asked
    TAKE = 4  # from the receiver: there is a place for the message


class Header(NamedTuple):
    """What precedes bytes, or stands alone.

    Attributes:
        kind: what it announces.
        context: the group, and whether it is a message of a collective or one with a tag.
        tag: of the message within its context.
        number: of the message on its connection.
        nbytes: how long the message is.
        dtype: the name of what its bytes are, in 16 bytes; of a collective's nothing.
    """

    kind: int
    context: int
    tag: int
    number: int
    nbytes: int
    dtype: bytes = NO_DTYPE

    def pack(self) -> bytes:
        """As it goes over the connection."""
        return _FORMAT.pack(*self)

    @classmethod
    def read(cls, data: bytearray | memoryview) -> Header:
        """What has come.

        Raises:
            DistributedError: it is no header.
        """
        header = cls._make(_FORMAT.unpack(data))
        if header.kind not in _KINDS or (header.kind == Kind.SHORT and header.nbytes > SHORT_BYTES):
            raise DistributedError(f"what came is no header of a message: {header}")
        return header


_KINDS = frozenset(Kind)


class Transfer:
    """A message on its way. One side's view; `distrt.comm.tcp.loop` moves it on.

    Attributes:
        is_done: whether it is over, well or not.
        error: why it will never be.
    """

    __slots__ = ("error", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self.error: str | None = None

    def fail(self, error: str) -> None:
        """It will never be over otherwise."""
        self.error, self.is_done = error, True


class Sending(Transfer):
    """A message that is sent.

    Args:
        to: whom to, in the job.
        header: of a short message, or of one that asks.
        payload: its bytes, which must not change before it is over.
    """

    __slots__ = ("header", "payload", "to")

    def __init__(self, to: int, header: Header, payload: memoryview) -> None:
        super().__init__()
        self.to, self.header, self.payload = to, header, payload


class Receipt(Transfer):
    """A message that is waited for.

    Args:
        source: whom from, in the job; None: from any rank.
        context: see `Header`.
        tag: see `Header`.
        array: where its bytes belong; contiguous.
        dtype: what its header must say of them.

    Attributes:
        header: of the message, when it has come, and `sender` whom it came from.
        place: in the order of posting.
        place_of_bytes: where its bytes go.
    """

    __slots__ = (
        "_array",
        "_dtype",
        "context",
        "header",
        "place",
        "place_of_bytes",
        "sender",
        "source",
        "tag",
    )

    def __init__(
        self, source: int | None, context: int, tag: int, array: Array, dtype: bytes = NO_DTYPE
    ) -> None:
        super().__init__()
        self.source, self.context, self.tag = source, context, tag
        self._array, self._dtype = array, dtype
        self.header: Header | None = None
        self.sender: int | None = None
        self.place = 0
        self.place_of_bytes = memoryview(bytearray())

    def take(self, header: Header, sender: int) -> memoryview:
        """It is this message: where its bytes go. One that does not fit goes nowhere that anybody sees."""
        self.header, self.sender = header, sender
        self.place_of_bytes = as_bytes(self._array) if self.fits else memoryview(bytearray(header.nbytes))
        return self.place_of_bytes

    @property
    def fits(self) -> bool:
        """Whether the message is one for its place."""
        header = self.header
        return header is not None and (header.nbytes, header.dtype) == (self._array.nbytes, self._dtype)


def as_bytes(array: Array) -> memoryview:
    """A contiguous array's memory."""
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(bytearray())
