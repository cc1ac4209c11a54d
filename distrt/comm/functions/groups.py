"""Joining a job, and leaving it: ``init_process_group``. ``distrt.distributed`` is the public path.

Groups are made in ``subgroups``; who is in them is asked in ``membership``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from distrt.comm import world
from distrt.comm.environment import Environment
from distrt.comm.functions.backend import Backend, BackendConfig, is_registered, served
from distrt.comm.functions.gpu import give_lane, require_library
from distrt.comm.functions.membership import is_non_member
from distrt.comm.functions.plugins import GivenStore, create_registered
from distrt.comm.functions.process_group import ProcessGroup
from distrt.comm.functions.subgroups import require_device, timeout_seconds
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.comm.rendezvous import StoreLike, rendezvous, rendezvous_iterator, store_for_scripts
from distrt.comm.shm import Store
from distrt.core.device import device
from distrt.core.errors import NoGroupError, SettingError

__all__ = ["destroy_process_group", "init_process_group"]


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: device | int | None = None,
    _ranks: list[int] | None = None,
) -> None:
    """Joins this process to the others of its job; they become the default group.

    Rank and world size come from the arguments, else from ``init_method``, else from the launcher's environment;
    without any this is a world of one. What is in the memory of the CPU goes through shared memory on one machine,
    whatever the backend's name; what is on a GPU goes through NCCL ("nccl", None), or through the CPU ("gloo", "mpi").

    Args:
        backend: PyTorch's "gloo", "mpi" or "nccl", pairs such as "cpu:gloo,cuda:nccl", or "shm".
        init_method: where the ranks meet: "env://" (the default), "tcp://host:port", "file:///path".
        timeout: how long the rendezvous, and every later collective, may wait. Default: 30 minutes.
        world_size: the number of ranks.
        rank: this process's number, from 0.
        store: a store that all ranks have connected to, instead of ``init_method``; it stays the caller's to close.
        group_name: ignored, as in PyTorch.
        pg_options: for the function of a registered backend; ignored by others.
        device_id: a GPU that this process works on.
        _ranks: ignored.

    Raises:
        DeviceMissing: for "nccl" where there are other ranks and a GPU, but no library of NCCL's.
        RendezvousError: when the others do not come in time, or the environment contradicts itself.
        ValueError: when there is a default group already.
        AssertionError: for a backend that is not known, and for a store without rank and world size.
    """
    if world.is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    _check_store(store, init_method, rank, world_size)
    bound = require_device(device_id)
    asked, name = served(backend if backend is not None or bound is None else Backend.GLOO)
    timeout_s = timeout_seconds(timeout, asked)
    if is_registered(name):
        joined, close = _join_registered(name, init_method, timeout_s, world_size, rank, store, pg_options)
    else:
        joined, close = _join(init_method, timeout_s, world_size, rank, store, _wants_mpi(asked))
    try:
        require_library(asked, joined.size())
        joined.backend, joined.backend_asked = name, asked
        joined.group_desc, joined.bound_device_id = "default_pg", bound
        give_lane(joined, asked, None if timeout is None else timeout_s, bound)
    except BaseException:
        joined.close()
        if close is not None:
            close()
        raise
    world.set_world(world.World(joined, close))


def _wants_mpi(backend: str) -> bool:
    """Whether MPI is to carry tensors of some device."""
    return Backend.MPI in BackendConfig(Backend(backend)).device_backend_map.values()


def _join(
    init_method: str | None, timeout_s: float, world_size: int, rank: int, store: Any, wants_mpi: bool
) -> tuple[ArrayGroup, Callable[[], object] | None]:
    """The group of all ranks, and what closes the store."""
    meeting: Store | None
    open_store: Callable[[], Any] | None = None
    if store is not None:
        environment = Environment(rank, world_size, rank, world_size, source="script")
        meeting, close = GivenStore(store), None
    else:
        given_rank, given_size = (None if number < 0 else number for number in (rank, world_size))
        environment, found = rendezvous(init_method, given_rank, given_size, timeout_s)
        if found is None and environment.world_size > 1:
            found = world.store_of_mpi(environment, timeout_s)
        else:
            open_store = partial(_default_store, environment, found, timedelta(seconds=timeout_s))
        meeting, close = found, None if found is None else found.close
    try:
        joined = world.create_group(environment, meeting, timeout_s, "0", ProcessGroup, wants_mpi)
    except BaseException:
        if close is not None:
            close()
        raise
    assert isinstance(joined, ProcessGroup)
    joined._store, joined._open_store = store, open_store
    return joined, close


def _default_store(environment: Environment, met: StoreLike | None, timeout: timedelta) -> Any:
    from distrt.comm.stores.memory import PrefixStore  # few scripts ask for it

    return PrefixStore("default_pg", store_for_scripts(environment, met, timeout))


def _join_registered(
    backend: str,
    init_method: str | None,
    timeout_s: float,
    world_size: int,
    rank: int,
    store: Any,
    pg_options: Any,
) -> tuple[ArrayGroup, Callable[[], object] | None]:
    """As `_join`, with the function that was registered for a backend."""
    if store is None:
        timeout = timedelta(seconds=timeout_s)
        found = rendezvous_iterator(init_method or "env://", rank, world_size, timeout=timeout)
        store, rank, world_size = next(found)
        store.set_timeout(timeout)
    joined = create_registered(backend, store, rank, range(world_size), timeout_s, "0", pg_options)
    if isinstance(joined, ProcessGroup):
        joined._store = store
    return joined, None


def destroy_process_group(group: Any = None) -> None:
    """Leaves the group, or the job where none or the default one is given. The others see that this rank has left.

    Raises:
        ValueError: the group was left before.
        AssertionError: there is no default group.
    """
    if is_non_member(group):
        return
    current = world.current_world()
    if group is None and current is None:
        raise AssertionError("Process group cannot be None: init_process_group() was not called")
    if current is None or (group is not None and group not in current.groups):
        raise NoGroupError("Invalid process group specified")
    if group is None or group is current.default_group:
        world.end_world()
    else:
        current.remove(group)


def _check_store(store: Any, init_method: str | None, rank: int, world_size: int) -> None:
    if store is None:
        return
    if init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    if world_size <= 0:
        raise AssertionError(f"world_size must be positive if using store, got {world_size}")
    if rank < 0:
        raise AssertionError(f"rank must be non-negative if using store, got {rank}")
    if rank >= world_size:
        raise SettingError(
            f"rank {rank} is outside the world of {world_size}: ranks are 0 to {world_size - 1}"
        )
