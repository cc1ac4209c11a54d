"""The world: the default process group, the groups made of it, and the store where their ranks meet.

All threads of a process share one, but for the threads of `run_local`: each can have its own.
Who calls: `distrt.distributed` and `parallel`.
"""

from __future__ import annotations

import atexit
import contextvars
import json
import logging
import os
import socket
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from distrt import __version__
from distrt.comm import clocks
from distrt.comm.environment import Environment
from distrt.comm.local import is_local_rank
from distrt.comm.presence import here
from distrt.comm.process_group import ProcessGroup
from distrt.comm.shm import ShmTransport, Store
from distrt.comm.solo import SoloTransport
from distrt.comm.stores.client import Store as JobStore
from distrt.comm.transport import Transport
from distrt.core.errors import DistributedError, NoGroupError, RendezvousError

__all__ = [
    "World",
    "create_group",
    "current_world",
    "default_group",
    "end_world",
    "is_initialized",
    "set_default_group",
    "set_world",
    "solo_group",
    "store_of_mpi",
]

logger = logging.getLogger("distrt.comm")

#: Makes a group of what carries its data, the time-out in seconds, and its name.
Kind: TypeAlias = Callable[[Transport, float, str], ProcessGroup]


class World:
    """A default group and what was made of it.

    Args:
        group: the default group.
        close_store: what to call when no group is left that could need the store.
    """

    def __init__(self, group: ProcessGroup, close_store: Callable[[], object] | None = None) -> None:
        self.default_group = group
        self.groups = {group: None}  # in the order of their making
        self._made = 1
        self._made_of: Counter[tuple[int, ...]] = Counter()
        self._close_store = close_store
        self._owner_pid = os.getpid()

    @property
    def group_count(self) -> int:
        """How many groups all ranks have made together."""
        return self._made

    def next_name(self, only_of: tuple[int, ...] | None = None) -> str:
        """A new group's name, the same on all ranks that make it.

        Args:
            only_of: the ranks that make it, if they alone do: then they alone can count.
        """
        if only_of is None:
            self._made += 1
            return str(self._made - 1)
        self._made_of[only_of] += 1
        return f"{'_'.join(map(str, only_of))}#{self._made_of[only_of]}"

    def remove(self, group: ProcessGroup) -> None:
        """Leave one group."""
        del self.groups[group]
        group.close()

    def end(self) -> None:
        """Leave all groups, the newest first, and then the store. In a forked child nothing happens."""
        if os.getpid() != self._owner_pid:
            return
        for group in reversed(self.groups):
            group.close()
        self.groups.clear()
        if self._close_store is not None:
            self._close_store()
            self._close_store = None


_of_process: list[World] = []  # none or one; every thread of the process sees it
_of_local_rank: contextvars.ContextVar[World | None] = contextvars.ContextVar("world", default=None)


def current_world() -> World | None:
    """The world of the process, or of this thread of `run_local`."""
    if is_local_rank.get():
        return _of_local_rank.get()
    return _of_process[0] if _of_process else None


def set_world(world: World | None) -> None:
    """Make ``world`` that of the process, or of this thread of `run_local`; None for none."""
    if is_local_rank.get():
        _of_local_rank.set(world)
    else:
        _of_process[:] = [] if world is None else [world]


@atexit.register
def end_world() -> None:
    """Leave every group and the store, if that has not been done; a program may end without."""
    world = current_world()
    if world is not None:
        set_world(None)
        world.end()


def default_group() -> ProcessGroup:
    """The group that calls use when they name none.

    Raises:
        NoGroupError: when no group was set.
    """
    world = _of_local_rank.get() if is_local_rank.get() else _of_process[0] if _of_process else None
    if world is None:
        raise NoGroupError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    return world.default_group


def is_initialized() -> bool:
    """Whether there is a default group."""
    return current_world() is not None


def set_default_group(group: ProcessGroup | None) -> None:
    """Make ``group`` the default one, of the process or of this thread of `run_local`; None for none."""
    set_world(None if group is None else World(group))


def solo_group(timeout_s: float = 1800.0, name: str = "world", kind: Kind = ProcessGroup) -> ProcessGroup:
    """A world of one rank."""
    return kind(SoloTransport(), timeout_s, name)


def store_of_mpi(environment: Environment, timeout_s: float) -> JobStore:
    """A store for ranks that mpiexec started, and that know of one another through MPI alone."""
    from distrt.comm.mpi.store import store_through_mpi  # most jobs have an address

    return store_through_mpi(environment, timeout_s)


def create_group(
    environment: Environment,
    store: Store | None,
    timeout_s: float,
    name: str = "world",
    kind: Kind = ProcessGroup,
    wants_mpi: bool = False,
) -> ProcessGroup:
    """The group of all ranks of the job (all of them call), over what connects them best.

    Args:
        environment: this process's place.
        store: where the ranks meet; None in a world of one.
        timeout_s: how long each operation may wait.
        name: the group's; all ranks give the same.
        kind: makes the group: a class with the methods that its holders want.
        wants_mpi: whether MPI is to connect machines, where ``DISTRT_NETWORK`` says nothing.

    Raises:
        RendezvousError: when a rank runs another version of distrt.
        UnsupportedError: when MPI is to connect machines, and is missing.
    """
    if environment.world_size == 1:
        logger.info("a world of one rank: nothing to connect")
        return solo_group(timeout_s, name, kind)
    if store is None:
        raise DistributedError(f"{environment.world_size} ranks need a store to find one another")
    rank, size = environment.rank, environment.world_size
    # A job may create a group of one name again, of other ranks too: every rank counts, so all agree which time it is.
    of = f"group/{name}/of{size}"
    prefix = f"{of}/{(store.add(f'{of}/joined', 1) - 1) // size}"
    machines = _meet(rank, size, store, prefix)
    if any(each["machine"] != machines[0]["machine"] for each in machines) and isinstance(store, JobStore):
        clocks.align(store.clock_ns)
        here(rank).tell_clock()
    transport = _connect(environment, machines, store, prefix, timeout_s, wants_mpi)
    group = kind(transport, timeout_s, name)
    atexit.register(_close, weakref.ref(group))
    group.barrier()  # all have read what they need: whoever hosts the store may close it
    return group


def _meet(rank: int, size: int, store: Store, prefix: str) -> list[dict[str, Any]]:
    """What each rank says of itself; all run one version of distrt."""
    mine = {"machine": _machine(), "host": socket.gethostname(), "version": __version__}
    store.set(f"{prefix}/machine/{rank}", json.dumps(mine).encode())
    found = []
    for other in range(size):
        theirs = json.loads(store.get(f"{prefix}/machine/{other}", ranks=[other]))
        if theirs["version"] != mine["version"]:
            raise RendezvousError(
                f"rank {rank} runs distrt {mine['version']} and rank {other} ({theirs['host']}) "
                f"{theirs['version']}; install one version everywhere"
            )
        found.append(theirs)
    return found


def _connect(
    environment: Environment,
    places: list[dict[str, Any]],
    store: Store,
    prefix: str,
    timeout_s: float,
    wants_mpi: bool,
) -> Transport:
    """The transport of all ranks, given where each of them is."""
    rank, size = environment.rank, len(places)
    machines = [json.dumps(theirs["machine"]) for theirs in places]
    if len(set(machines)) == 1:
        if rank == 0:
            logger.info("%d ranks on %s: connected through shared memory", size, places[0]["host"])
        return ShmTransport.connect(rank, range(size), store, prefix)
    from distrt.comm.machines.choice import open_network  # most jobs run on one machine
    from distrt.comm.machines.transport import MachinesTransport

    network = open_network(environment, store, prefix, timeout_s, machines, wants_mpi)
    return MachinesTransport.connect(network, machines, store, prefix, timeout_s)


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
