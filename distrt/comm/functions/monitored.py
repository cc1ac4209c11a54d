"""`monitored_barrier`: a barrier with a time-out of its own, which tells every rank who did not come.

It passes messages between rank 0 and the others instead of a collective, so that the group stays usable where it
fails: rank 0 says that it is there, the others answer, and it tells all of them who has.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import numpy as np

from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.comm.progress import name_ranks
from distrt.core.errors import CollectiveTimeout
from distrt.core.process.users_code import warn

__all__ = ["monitored_barrier"]

_HERE, _ANSWER, _VERDICT = 16_380, 16_381, 16_382  # tags that few programs use; MPI need not have larger ones
_GRACE_S = 5.0  # how much longer than rank 0 waits for the others they wait for its verdict


def monitored_barrier(
    group: ProcessGroup | None = None,
    timeout: timedelta | float | None = None,
    wait_all_ranks: bool = False,
) -> None:
    """Waits until every rank has come; each error names the ranks that have not. Any backend, unlike PyTorch's.

    Args:
        group: the ranks; all of them where None.
        timeout: how long rank 0 waits for the others, and they for rank 0; the group's time-out where None.
        wait_all_ranks: let the message begin with all ranks that did not come instead of the first.

    Raises:
        CollectiveTimeout: on every rank, where one did not come in time; the group can be used further.
    """
    chosen = resolve(group, "monitored_barrier")
    if chosen is None:
        return
    timeout_s = _seconds(timeout, chosen)
    if chosen.size() == 1:
        return
    missing = _lead(chosen, timeout_s) if chosen.rank() == 0 else _follow(chosen, timeout_s)
    if missing:
        named = f"Ranks {', '.join(map(str, missing))}" if wait_all_ranks else f"Rank {missing[0]}"
        more = f"; {name_ranks(missing)} did not come" if len(missing) > 1 and not wait_all_ranks else ""
        raise CollectiveTimeout(
            f"[Rank {chosen.rank()}]: {named} failed to pass monitoredBarrier in {timeout_s * 1000:.0f} ms{more}"
        )


def _seconds(timeout: Any, group: ProcessGroup) -> float:
    if timeout is None:
        return group.timeout_s
    if isinstance(timeout, float):
        warn(
            f"Please specify timeout arg as a timedelta. Converting current value of {timeout} assuming it represents "
            "seconds"
        )
        return timeout
    if not isinstance(timeout, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    return timeout.total_seconds()


def _lead(group: ProcessGroup, timeout_s: float) -> list[int]:
    """What rank 0 does; who did not come."""
    others = range(1, group.size())
    for rank in others:
        group.send(_word(), rank, _HERE, async_op=True)
    answers = {rank: group.recv(_word(), rank, _ANSWER, async_op=True) for rank in others}
    deadline = time.monotonic() + timeout_s
    missing = []
    for rank, answer in answers.items():
        try:
            answer.wait(max(0.0, deadline - time.monotonic()))
        except CollectiveTimeout:
            missing.append(rank)
    verdict = np.array([rank in missing for rank in range(group.size())], np.uint8)
    told = [group.send(verdict, rank, _VERDICT, async_op=True) for rank in others]
    for rank, work in zip(others, told, strict=True):
        if rank not in missing:  # the others read theirs when they come
            work.wait()
    return missing


def _follow(group: ProcessGroup, timeout_s: float) -> list[int]:
    """What the other ranks do; who did not come, as far as this one can tell."""
    answer = group.send(_word(), 0, _ANSWER, async_op=True)
    verdict = np.empty(group.size(), np.uint8)
    here = group.recv(_word(), 0, _HERE, async_op=True)
    told = group.recv(verdict, 0, _VERDICT, async_op=True)
    try:
        here.wait(timeout_s)
        answer.wait(timeout_s)
        told.wait(timeout_s + _GRACE_S)
    except CollectiveTimeout:
        return [0]
    return [int(rank) for rank in np.flatnonzero(verdict)]


def _word() -> Any:
    return np.zeros(1, np.uint8)
