"""What a rank asks for: the same call of a collective on all ranks of a group, or none of them may go on.

`ProcessGroup` makes a `Call` of its arguments; transports let an operation meet only those of other ranks that have
the same fingerprint; `distrt.comm.diagnosis` says who called what where they have not.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

__all__ = ["FINGERPRINT_BITS", "Call", "at", "describe", "place_fingerprint"]

FINGERPRINT_BITS = 24  # two different calls pass for the same once in 16 million pairs


class Call(NamedTuple):
    """A collective and what all ranks must agree on.

    Attributes:
        operation: its name, for messages.
        text: as a user would write it: "all_reduce(SUM, float32, 1024 elements)".
        fingerprint: a number below ``2 ** FINGERPRINT_BITS`` that stands for the text; the same in every process.
        nbytes: how much this rank brings; 0 for a call without data.
    """

    operation: str
    text: str
    fingerprint: int
    nbytes: int = 0


def at(call: Call, place: str) -> Call:
    """The same call on arrays that lie in a certain place: ranks whose arrays lie elsewhere do not meet there."""
    text = f"{call.text} {place}"
    return Call(call.operation, text, _checksum(text), call.nbytes)


def describe(operation: str, *details: object) -> Call:
    """The call of ``operation`` with these arguments; whole numbers are lengths, in elements."""
    words = (f"{each} element{'s' * (each != 1)}" if isinstance(each, int) else str(each) for each in details)
    text = f"{operation}({', '.join(words)})"
    return Call(operation, text, _checksum(text), _nbytes(details))


def place_fingerprint(fingerprint: int, place: str) -> int:
    """What ranks meet with for a call with this fingerprint in a certain place."""
    return fingerprint ^ _checksum(place)


def _nbytes(details: tuple[object, ...]) -> int:
    """Of so many elements of a dtype, which is known by its ``itemsize``."""
    elements = next((each for each in details if type(each) is int), 0)
    return elements * int(next((each.itemsize for each in details if hasattr(each, "itemsize")), 0))


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode()) & ((1 << FINGERPRINT_BITS) - 1)
