"""Helps for whoever looks at a running job: a breakpoint on one rank, and names for what a profiler sees."""

from __future__ import annotations

import contextlib
import logging
import pdb
import sys
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from distrt.comm.functions.collectives import barrier
from distrt.comm.functions.membership import get_rank
from distrt.comm.functions.registry import registered_groups, set_pg_timeout

__all__ = ["DistributedPdb", "breakpoint", "record_comm"]

logger = logging.getLogger("distrt.comm")

_skipped: dict[int, int] = {}  # call stack -> how often `breakpoint` was passed there


class DistributedPdb(pdb.Pdb):
    """The debugger, reading from the terminal also where a launcher took the process's input away."""

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        """Ask the user, as `pdb.Pdb.interaction` does."""
        kept = sys.stdin
        try:
            with open("/dev/stdin") as sys.stdin:
                pdb.Pdb.interaction(self, *args, **kwargs)
        finally:
            sys.stdin = kept


def breakpoint(rank: int = 0, skip: int = 0, timeout_s: float | None = 3600) -> None:
    """Start the debugger on one rank; the others wait for it. All ranks of the job call.

    Args:
        rank: the rank that stops.
        skip: how often to pass this place before.
        timeout_s: how long all groups may wait from now on, so that the others do not give up.
    """
    if skip > 0:
        place = hash("".join(traceback.format_stack()))
        _skipped[place] = passed = _skipped.get(place, 0) + 1
        if passed <= skip:
            logger.warning("Skip the breakpoint, counter=%d", passed)
            return
    if timeout_s is not None:
        for group in registered_groups.pg_map:
            set_pg_timeout(timedelta(seconds=timeout_s), group)
    if get_rank() == rank:
        debugger = DistributedPdb()
        debugger.message(
            f"\n!!! ATTENTION !!!\n\nType 'up' to get to the frame that called dist.breakpoint(rank={rank})\n"
        )
        debugger.set_trace()
    barrier()


@contextlib.contextmanager
def record_comm(name: str) -> Iterator[None]:
    """The name that a profiler of PyTorch's shows for the collectives in the block; distrt's has none that looks.

    Raises:
        TypeError: the name is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"record_comm: name: expected a str, got {type(name).__name__}")
    yield
