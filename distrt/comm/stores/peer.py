"""What the store's server knows of a member: its connection, what it is owed, and what it waits for.

Standard library only.
"""

import math
import socket
from dataclasses import dataclass, field

from distrt.comm.stores import wire

__all__ = ["Peer", "Wait"]


@dataclass
class Wait:
    """A request that is answered once its keys are there."""

    keys: tuple[str, ...]
    ranks: tuple[int, ...]  # whose keys these are, where the caller knows
    since: float
    deadline: float
    wants_value: bool
    pops: bool  # the keys are one queue, and its first element is wanted
    place: int = 0  # of the key that is watched: the first that was missing

    @classmethod
    def read(cls, request: wire.Message, now: float) -> "Wait":
        """Read what a peer asks for.

        Raises:
            KeyError, TypeError, ValueError: it is no such request.
        """
        keys, ranks, timeout_s = request["keys"], request["ranks"], request["timeout_s"]
        if not isinstance(keys, list) or not all(type(key) is str for key in keys):
            raise TypeError("keys must be a list of strings")
        if not isinstance(ranks, list) or not all(type(rank) is int for rank in ranks):
            raise TypeError("ranks must be a list of whole numbers")
        if type(timeout_s) not in (int, float) or not math.isfinite(timeout_s):
            raise TypeError("timeout_s must be a finite number")
        wants_value, pops = bool(request["wants_value"]), bool(request.get("pops"))
        if (wants_value or pops) and len(keys) != 1:
            raise ValueError(f"a value is wanted of one key, not of {len(keys)}")
        return cls(tuple(keys), tuple(ranks), now, now + float(timeout_s), wants_value, pops)


@dataclass(eq=False)
class Peer:
    """A member's connection."""

    connection: socket.socket
    rank: int | None
    reader: wire.FrameReader
    seal: wire.Seal
    outgoing: bytearray = field(default_factory=bytearray)
    events: int = 0  # what the selector looks for
    wait: Wait | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return "a client" if self.rank is None else f"rank {self.rank}"
