"""The default process group: the one place that says which group a call means when it names none.

All threads of a process share it, but for the threads of `run_local`: each can have its own.
Who calls: `distrt.distributed` and `parallel`.
"""

from __future__ import annotations

import atexit
import contextvars
import json
import os
import socket
import weakref
from pathlib import Path

from distrt import __version__
from distrt.comm.environment import Environment
from distrt.comm.local import is_local_rank
from distrt.comm.process_group import ProcessGroup
from distrt.comm.shm import ShmTransport, Store
from distrt.comm.solo import SoloTransport
from distrt.core.errors import DistributedError, RendezvousError, UnsupportedError

__all__ = ["create_group", "default_group", "is_initialized", "set_default_group", "solo_group"]

_of_process: list[ProcessGroup] = []  # none or one; every thread of the process sees it
_of_local_rank: contextvars.ContextVar[ProcessGroup | None] = contextvars.ContextVar(
    "default_group", default=None
)


def _current() -> ProcessGroup | None:
    if is_local_rank.get():
        return _of_local_rank.get()
    return _of_process[0] if _of_process else None


def default_group() -> ProcessGroup:
    """The group that calls use when they name none.

    Raises:
        DistributedError: when no group was set.
    """
    group = _current()
    if group is None:
        raise DistributedError("there is no default process group: call init_process_group() first")
    return group


def is_initialized() -> bool:
    """Whether there is a default group."""
    return _current() is not None


def set_default_group(group: ProcessGroup | None) -> None:
    """Make ``group`` the default one, of the process or of this thread of `run_local`; None for none."""
    if is_local_rank.get():
        _of_local_rank.set(group)
    else:
        _of_process[:] = [] if group is None else [group]


def solo_group(timeout_s: float = 1800.0, name: str = "world") -> ProcessGroup:
    """A world of one rank."""
    return ProcessGroup(SoloTransport(), timeout_s, name)


def create_group(
    environment: Environment, store: Store | None, timeout_s: float, name: str = "world"
) -> ProcessGroup:
    """The group of all ranks of the job (all of them call): shared memory, or nothing at all for one rank.

    Raises:
        RendezvousError: when a rank runs another version of distrt.
        UnsupportedError: when a rank runs on another machine.
    """
    if environment.world_size == 1:
        return solo_group(timeout_s, name)
    if store is None:
        raise DistributedError(f"{environment.world_size} ranks need a store to find one another")
    rank, size = environment.rank, environment.world_size
    # A job may create a group of one name again: every rank counts, so all agree on which time this is.
    generation = (store.add(f"group/{name}/joined", 1) - 1) // size
    prefix = f"group/{name}/{generation}"
    _require_one_machine(rank, size, store, prefix)
    transport = ShmTransport.connect(rank, range(size), store, prefix)
    group = ProcessGroup(transport, timeout_s, name)
    atexit.register(_close, weakref.ref(group))
    group.barrier()  # all have read what they need: whoever hosts the store may close it
    return group


def _require_one_machine(rank: int, size: int, store: Store, prefix: str) -> None:
    mine = {"machine": _machine(), "host": socket.gethostname(), "version": __version__}
    store.set(f"{prefix}/machine/{rank}", json.dumps(mine).encode())
    for other in range(size):
        theirs = json.loads(store.get(f"{prefix}/machine/{other}", ranks=[other]))
        if theirs["version"] != mine["version"]:
            raise RendezvousError(
                f"rank {rank} runs distrt {mine['version']} and rank {other} ({theirs['host']}) "
                f"{theirs['version']}; install one version everywhere"
            )
        if theirs["machine"] != mine["machine"]:
            raise UnsupportedError(
                f"rank {rank} runs on {mine['host']} and rank {other} on {theirs['host']} (or in another container "
                "with its own processes); this version of distrt connects the ranks of one machine only"
            )


def _machine() -> list[str]:
    """What two ranks have in common exactly if they can share memory: kernel and process namespace.

    ``DISTRT_MACHINE`` is a name besides: ranks that differ in it count as being on different machines, which lets one
    machine stand for several in tests.
    """
    return [
        Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        os.readlink("/proc/self/ns/pid"),
        os.environ.get("DISTRT_MACHINE", ""),
    ]


def _close(reference: weakref.ref[ProcessGroup]) -> None:
    group = reference()
    if group is not None:
        group.close()
