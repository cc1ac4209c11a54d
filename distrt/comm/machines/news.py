"""What the ranks and the hub of `distrt.comm.machines.lifeline` say to one another. Standard library only.

joins    by a rank: it is there from now on, so its end is news
lost     by the hub: a rank has gone without a goodbye
leaves   by a rank: it is about to end, well or not, with the traceback in ``value``
meets    by a rank: it has come to meeting ``number``, and so to those before
closes   by a rank: it has closed ``group``
asks     by a rank, for rank ``to``: what are you doing?
shows    the answer to rank ``to``: status page and stacks in ``value``
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from distrt.comm.status import PAGE_BYTES
from distrt.comm.stores import wire
from distrt.core.errors import RendezvousError

__all__ = ["FAILURE_BYTES", "STACKS_BYTES", "News", "group_key"]

FAILURE_BYTES = 16_000
STACKS_BYTES = 100_000
_KEY_CHARACTERS = 32
_MAX_NUMBER = 1 << 53
#: The kinds, and how many bytes of ``value`` each may bring. What is shown is compressed, which may add a little.
_VALUE_BYTES = {
    "joins": 0,
    "lost": 0,
    "leaves": FAILURE_BYTES,
    "meets": 0,
    "closes": 0,
    "asks": 0,
    "shows": PAGE_BYTES + STACKS_BYTES + 4096,
}


@dataclass(frozen=True)
class News:
    """One message. ``rank`` is whom it is about; the hub puts there who has said it.

    ``to``, ``number``, ``group``, ``is_well`` and ``value`` mean something where the list above says so.
    """

    kind: str
    rank: int
    to: int = 0
    number: int = 0
    group: str = ""
    is_well: bool = True
    value: bytes = b""

    @classmethod
    def read(cls, message: wire.Message, size: int) -> News:
        """Read what came, in a job of ``size`` ranks.

        Raises:
            RendezvousError: it is no such message, or says what cannot be.
        """
        names = ("kind", "rank", "to", "number", "group", "is_well")
        kind, rank, to, number, group, is_well = (message.get(name) for name in names)
        value = message.get("value", b"")
        if not isinstance(kind, str) or kind not in _VALUE_BYTES:
            raise RendezvousError(f"a message came of the kind {str(kind)[:40]!r}, which is none")
        if type(rank) is not int or type(to) is not int or not (0 <= rank < size and 0 <= to < size):
            raise RendezvousError(f"a message of the kind {kind!r} came that names no ranks of {size}")
        if type(number) is not int or not 0 <= number <= _MAX_NUMBER:
            raise RendezvousError(f"a message of the kind {kind!r} came without a number in range")
        if not isinstance(group, str) or len(group) > _KEY_CHARACTERS or type(is_well) is not bool:
            raise RendezvousError(f"a message of the kind {kind!r} came without a group's key")
        if not isinstance(value, bytes) or len(value) > _VALUE_BYTES[kind]:
            raise RendezvousError(
                f"a message of the kind {kind!r} came that brings more than it may: {_VALUE_BYTES[kind]} bytes"
            )
        return cls(kind, rank, to, number, group, is_well, value)

    def frame(self, seal: wire.Seal) -> bytes:
        """The message as the next frame of a conversation."""
        return wire.encode_frame(vars(self), seal)


def group_key(group: str) -> str:
    """What stands for a group's name, which may be of any length."""
    # The helper thread asks, too: not through OpenSSL, see `wire`.
    return hashlib.blake2b(group.encode(errors="surrogatepass"), digest_size=_KEY_CHARACTERS // 2).hexdigest()
