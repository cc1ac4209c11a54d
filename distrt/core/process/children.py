"""Lives of child processes: they end when their parent does, even where it is killed. Standard library only.

``distrt.multiprocessing`` and the workers of ``DataLoader`` are started with it.
"""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent", "outlives_children", "signal_name"]

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0


def outlives_children() -> bool:
    """Whether the calling thread lives as long as its process does: asked by the parent, for `end_with_parent`.

    The kernel's signal at a parent's death comes when the *thread* that started the child ends.
    """
    return threading.current_thread() is threading.main_thread()


def end_with_parent(started_by_lasting_thread: bool) -> None:
    """Has this process be killed when its parent ends, however that happens; called first in a child."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if started_by_lasting_thread:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(
            target=_outlive_not, args=(parent, os.getppid()), name="distrt-parent", daemon=True
        ).start()
    if not parent.is_alive():  # it died before the kernel was told
        os._exit(1)


def _outlive_not(parent: BaseProcess, starter: int) -> None:
    # The sentinel alone would not do: a process that somebody else has forked may hold its other end.
    while not multiprocessing.connection.wait([parent.sentinel], _LOOK_S) and os.getppid() == starter:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def signal_name(number: int) -> str:
    """ "SIGKILL" and the like."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"<Unknown signal {number}>"
