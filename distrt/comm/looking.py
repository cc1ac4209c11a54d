"""How long a rank looks out for others before it sleeps."""

from __future__ import annotations

import enum
import os

from distrt.core.errors import DistributedError

__all__ = ["Look", "look_out"]

_LOOK_S = 100e-6  # about what falling asleep and being woken costs
_GLANCES = 40  # about 10 us of looking without giving the core away


class Look(enum.Enum):
    """How long a rank looks out for what it waits for, before it sleeps."""

    NEVER = "never"  # others need what this thread holds: the interpreter
    YIELD = "yield"  # a little, and giving the core away all the time: there are more ranks than cores
    SPIN = "spin"  # a little; every rank has a core


def look_out(look: Look) -> tuple[int, float, bool]:
    """How to look out before sleeping: glances one after another, then for so many seconds, yielding or not.

    ``DISTRT_WAIT=spin`` sleeps only after half a second, ``DISTRT_WAIT=sleep`` sleeps at once; else it depends on
    what the ranks are.
    """
    wish = os.environ.get("DISTRT_WAIT", "")
    if wish not in ("", "spin", "sleep"):
        raise DistributedError(f"DISTRT_WAIT={wish!r}: expected spin, sleep, or nothing")
    if wish == "spin":
        return _GLANCES, 0.5, False
    if wish == "sleep":
        return 0, 0.0, True
    return {Look.NEVER: (0, 0.0, True), Look.YIELD: (0, _LOOK_S, True), Look.SPIN: (_GLANCES, _LOOK_S, True)}[
        look
    ]
