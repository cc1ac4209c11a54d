"""``Lanes``: the process groups over which a sharded model's parameters and gradients go."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from distrt.comm.functions.subgroups import connect
from distrt.comm.process_group import ProcessGroup, Work
from distrt.core.errors import CollectiveTimeout

__all__ = ["Lanes", "wait_on"]

_PATIENCE_S = 0.005  # until a rank that waits on one lane looks after the other one


class Lanes:
    """The groups of a model: gathers go over its own one, reductions over another one of the same ranks."""

    def __init__(self, group: ProcessGroup) -> None:
        self.gathers = group
        self.reductions = _second(group)


_seconds: weakref.WeakKeyDictionary[ProcessGroup, ProcessGroup] = weakref.WeakKeyDictionary()


def _second(group: ProcessGroup) -> ProcessGroup:
    """Another group of the same ranks, one for all models on a group; all ranks call."""
    found = _seconds.get(group)
    if found is None or found.is_closed:
        # `new_group` is for all ranks of the job to call, and these may be some of them.
        name = f"{group.group_name}/reductions"
        found = _seconds[group] = connect(group, list(range(group.size())), name, group.timeout_s)
        found.backend = found.backend_asked = group.backend
        if group.gpu_lane is not None:
            found.gpu_lane = group.gpu_lane.another(found)
    return found


def wait_on(work: Work, timeout_s: float, meanwhile: Callable[[], object]) -> None:
    """Wait for an operation on one lane, and look after the other one, which other ranks may wait for.

    Where streams wait and not the program, there is nothing to look after: it goes on to what the others wait for.
    """
    if work.is_queued:
        work.wait()
        return
    deadline = time.monotonic() + timeout_s
    while not work.is_completed() and time.monotonic() < deadline:
        try:
            work.wait(_PATIENCE_S)
        except CollectiveTimeout:
            meanwhile()
    work.wait()
