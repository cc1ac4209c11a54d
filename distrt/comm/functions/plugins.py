"""Backends that scripts register, and a group over a store of the script's own.

``Backend.register_backend(name, creator)`` names a function; ``init_process_group(name)`` and ``new_group`` call it
with a store, a rank, a size and a time-out. What it gives must be a group of ours, such as `ProcessGroupGloo`: what
carries data is distrt's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from distrt.comm import world
from distrt.comm.environment import Environment
from distrt.comm.functions.backend import Backend
from distrt.comm.functions.process_group import ProcessGroup
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.comm.transport import Transport
from distrt.core.errors import UnsupportedError

__all__ = [
    "DistributedBackendOptions",
    "GivenStore",
    "ProcessGroupGloo",
    "create_registered",
    "get_group_store",
]


class ProcessGroupGloo(ProcessGroup):
    """A group whose ranks meet in a store that the script gives; the default group has nothing to do with it.

    Args:
        store: with PyTorch's methods; all ranks give the same one.
        rank: this process's number.
        size: how many ranks there are; all of them call.
        timeout: how long each operation may wait.
    """

    def __new__(  # noqa: D102 - the class says it
        cls, store: Any, rank: int, size: int, timeout: timedelta = timedelta(minutes=30)
    ) -> ProcessGroupGloo:
        if not isinstance(timeout, timedelta):
            raise TypeError(
                f"ProcessGroupGloo(): timeout: expected a timedelta, got {type(timeout).__name__}"
            )
        if not 0 <= rank < size:
            raise ValueError(f"ProcessGroupGloo(): rank {rank} is not a rank of a group of {size}")

        def make(transport: Transport, timeout_s: float, name: str) -> ProcessGroupGloo:
            made = object.__new__(cls)
            ProcessGroup.__init__(made, transport, timeout_s, name, backend=Backend.GLOO)
            made._store = store
            return made

        place = Environment(rank, size, rank, size, source="script")
        group = world.create_group(place, GivenStore(store), timeout.total_seconds(), "gloo", make)
        assert isinstance(group, ProcessGroupGloo)
        return group

    def __init__(self, store: Any, rank: int, size: int, timeout: timedelta = timedelta(minutes=30)) -> None:
        pass  # ``__new__`` gives a group that is connected


class GivenStore:
    """A store with PyTorch's methods, which knows nothing of ranks."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def set(self, key: str, value: bytes) -> None:  # noqa: D102
        self._store.set(f"default_pg/{key}", value)

    def get(self, key: str, *, ranks: Iterable[int] = ()) -> bytes:  # noqa: D102
        value = self._store.get(f"default_pg/{key}")
        return value.encode() if isinstance(value, str) else bytes(value)

    def add(self, key: str, amount: int) -> int:  # noqa: D102
        return int(self._store.add(f"default_pg/{key}", amount))


class DistributedBackendOptions:
    """What a creator with ``extended_api=True`` gets."""

    def __init__(self) -> None:
        self.store: Any = None
        self.group_rank = 0
        self.group_size = 0
        self.timeout = timedelta()
        self.group_id = ""
        self.global_ranks_in_group: list[int] = []


def create_registered(
    backend: str,
    store: Any,
    rank: int,
    ranks: Sequence[int],
    timeout_s: float,
    name: str,
    pg_options: Any = None,
) -> ArrayGroup:
    """The group that the registered function of a backend makes.

    Args:
        backend: the name that it was registered by.
        store: where the ranks of the job meet.
        rank: this process's number in the group.
        ranks: the ranks of the job that are in the group.
        timeout_s: how long each operation may wait.
        name: the group's; all ranks give the same.
        pg_options: what the caller of ``init_process_group`` or ``new_group`` gave.

    Raises:
        UnsupportedError: the function gives something else than a group of ours.
    """
    from distrt.comm.stores.memory import PrefixStore  # few scripts register backends

    plugin = Backend._plugins[backend.upper()]
    options = DistributedBackendOptions()
    options.store = PrefixStore(f"{name}/{backend}", store)
    options.group_rank, options.group_size = rank, len(ranks)
    options.timeout = timedelta(seconds=timeout_s)
    options.group_id, options.global_ranks_in_group = name, list(ranks)
    if plugin.extended_api:
        made = plugin.creator_fn(options, pg_options)
    else:
        made = plugin.creator_fn(options.store, rank, len(ranks), options.timeout)
    if not isinstance(made, ArrayGroup):
        raise UnsupportedError(
            f"backend {backend!r}: its function gave {type(made).__name__}; distrt carries data over its own "
            "transports only: return a distrt.distributed.ProcessGroupGloo(store, rank, size, timeout)"
        )
    if (made.rank(), made.size()) != (rank, len(ranks)):
        raise ValueError(
            f"backend {backend!r}: its function gave rank {made.rank()} of {made.size()} where rank {rank} of "
            f"{len(ranks)} was asked for"
        )
    made.ranks, made.group_name, made.backend = tuple(ranks), name, backend
    return made


def get_group_store(group: ArrayGroup) -> Any:
    """The store that the script gave for a group, or where the ranks of the default one have met.

    Raises:
        UnsupportedError: neither is there.
    """
    if not isinstance(group, ProcessGroup):
        store = None
    elif group._store is None and group._open_store is not None:
        store = group._store = group._open_store()
    else:
        store = group._store
    if store is None:
        raise UnsupportedError(
            f"group {group.group_name!r} has no store that scripts could use; the default group has one, unless MPI "
            "has brought the ranks together. Make a distrt.distributed.TCPStore, and give it to "
            "init_process_group(store=...) if it shall be the group's"
        )
    return store
