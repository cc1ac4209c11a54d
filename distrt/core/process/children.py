"""Lives of child processes: they end when their parent does, even where it is killed, and by nobody else's end.

Standard library only.

``distrt.multiprocessing`` and the workers of ``DataLoader`` are started with it.
"""

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess
from typing import Any

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
    starter = os.getppid()
    # A fork server is what the kernel takes for the parent, and lives until the last process that it started has ended.
    if started_by_lasting_thread and starter == parent.pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        # The sentinel alone would not do: a process that somebody else has forked may hold its other end.
        signs = [parent.sentinel, *_death_of(parent)]
        threading.Thread(
            target=_outlive_not, args=(signs, starter), name="distrt-parent", daemon=True
        ).start()
    if not parent.is_alive():  # it died before the kernel was told
        os._exit(1)


def _death_of(process: BaseProcess) -> list[int]:
    """A descriptor that is ready when a process has ended; none where the kernel or Python has none."""
    assert process.pid is not None, "a parent has been started"
    with contextlib.suppress(OSError, AttributeError):
        return [os.pidfd_open(process.pid)]
    return []


def _outlive_not(signs: list[int], starter: int) -> None:
    while not multiprocessing.connection.wait(signs, _LOOK_S) and os.getppid() == starter:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def signal_name(number: int) -> str:
    """ "SIGKILL" and the like."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"<Unknown signal {number}>"


def _leave_to_parent() -> None:
    """After ``os.fork``: leave the parent its processes, which multiprocessing takes for this one's, too.

    At exit it would end the parent's daemons (the workers of a loader), and it would wait for the parent's fork server
    before it asks that for a process, which raises ChildProcessError. Its own forks forget the former by themselves.
    """
    getattr(multiprocessing.process, "_children", set()).clear()
    server: Any = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is None:
        return
    with contextlib.suppress(OSError):  # open in any process, it keeps the server alive
        os.close(server._forkserver_alive_fd)
    wishes = {name: value for name, value in vars(server).items() if name.startswith("_preload")}
    server.__init__()
    vars(server).update(wishes)


os.register_at_fork(after_in_child=_leave_to_parent)
