"""``preemption_requested``: whether the job is to make room, agreed on by all ranks at a step's boundary.

A batch system, or whoever ends a job, sends SIGTERM; before a time limit it sends SIGUSR1. Ranks hear of it at
different moments, some not at all (a launcher on one machine is told, and not the others), and must not act on it
alone: one that saved while another computes would wait for it for ever. So the handler only notes it, and they agree.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import numpy as np

from distrt.comm.local import is_local_rank
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import ReduceOp
from distrt.comm.world import default_group, is_initialized

__all__ = ["preemption_requested"]

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class _Ear:
    """Hears this process's signals, and passes them on to the handlers that were there before."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.has_heard = False
        self._before = {number: signal.signal(number, self._hear) for number in _SIGNALS}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # a forked child, such as a data worker, ends as it would
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.has_heard = True
        before: Any = self._before[signal.Signals(number)]
        if callable(before):
            before(number, frame)


_ears: list[_Ear] = []


def preemption_requested(group: ProcessGroup | None = None) -> bool:
    """Whether this job was told to end soon: the same answer on all ranks. A collective, for the end of every step.

        if dist.preemption_requested():
            checkpoints.save(step, run)
            sys.exit(os.EX_TEMPFAIL)  # 75: distrt-launch and batch jobs of `distrt-launch submit` know it

    The first call has SIGTERM and SIGUSR1 noted, which would end the process before; handlers from before are called,
    too. Once it is True, it stays so.

    Args:
        group: the ranks; the default group where None, and this process alone where there is none.

    Raises:
        RuntimeError: the first call is not in the main thread, which alone can handle signals.
    """
    if is_local_rank.get():  # a thread: signals are the whole program's
        return False
    if not _ears or _ears[0].pid != os.getpid():
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "preemption_requested: the first call must be the main thread's, which handles signals"
            )
        _ears[:] = [_Ear()]
    ear = _ears[0]
    if group is None and not is_initialized():
        return ear.has_heard
    flag = np.array([ear.has_heard], np.int32)
    (default_group() if group is None else group).all_reduce(flag, ReduceOp.MAX).wait()
    return bool(flag[0])
