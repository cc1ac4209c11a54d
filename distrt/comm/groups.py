"""The life of process groups, with PyTorch's names: joining a job, leaving it, and asking who is in a group.

``distrt.distributed`` is the public path. `resolve` and `to_group_rank` are how every function that takes a group and
a rank reads its arguments.
"""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from typing import Any

from distrt.comm import world
from distrt.comm.environment import read_environment
from distrt.comm.process_group import ProcessGroup
from distrt.comm.store import connect_store
from distrt.core.errors import UnsupportedError

__all__ = [
    "GroupMember",
    "destroy_process_group",
    "get_backend",
    "get_global_rank",
    "get_group_rank",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "resolve",
    "to_group_rank",
]

_DEFAULT_TIMEOUT = timedelta(minutes=5)

#: What a user may ask for -> what ``get_backend`` answers. On one machine without GPUs the ranks meet in shared memory
#: whatever the name; "nccl" becomes "gloo", so that a script does not go on to move its model to a GPU.
_BACKENDS = {
    "shm": "shm",
    "gloo": "gloo",
    "cpu:gloo": "gloo",
    "cpu:gloo,cuda:nccl": "gloo",
    "mpi": "mpi",
    "nccl": "gloo",
}


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Joins this process to the others of its job; they become the default group.

    Rank and world size come from the arguments, else from the launcher's environment; without either this is a world
    of one.

    Args:
        backend: "shm", or PyTorch's "gloo", "mpi" or "nccl"; on one machine without GPUs each means shared memory.
        init_method: "env://" or None.
        timeout: how long the rendezvous and every later collective may wait. Default: 5 minutes.
        world_size, rank: this process's place; both or neither.
        store: a store that is already connected.
        group_name, pg_options, device_id: accepted and not needed.

    Raises:
        RendezvousError: when the others do not come in time, or the environment contradicts itself.
        RuntimeError: when there is a default group already.
    """
    if world.is_initialized():
        raise RuntimeError("trying to initialize the default process group twice!")
    name = (backend or "shm").lower()
    if name not in _BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(_BACKENDS)}, got {backend!r}")
    if init_method not in (None, "env://"):
        raise UnsupportedError(
            f"init_method={init_method!r}: this version of distrt reads the environment only ('env://')"
        )
    timeout_s = (timeout or _DEFAULT_TIMEOUT).total_seconds()
    environment = read_environment(
        rank=None if rank < 0 else rank, world_size=None if world_size < 0 else world_size
    )
    if name == "nccl":
        warnings.warn(
            "init_process_group: no GPU is available, so backend 'nccl' is served by shared memory",
            UserWarning,
            stacklevel=2,
        )
    if store is None and environment.world_size > 1:
        store = connect_store(environment, timeout_s)
    group = world.create_group(environment, store, timeout_s)
    group.backend = _BACKENDS[name]
    world.set_default_group(group)


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Leaves the group (the default one when not given). The others see that this rank has left."""
    leaving = group or world.default_group()
    is_default = world.is_initialized() and leaving is world.default_group()
    leaving.close()
    if is_default:
        world.set_default_group(None)


def is_available() -> bool:
    """True: process groups are part of every installation."""
    return True


def is_initialized() -> bool:
    """True between ``init_process_group`` and ``destroy_process_group``."""
    return world.is_initialized()


def is_nccl_available() -> bool:
    """True where GPUs can talk through NCCL."""
    return False


def is_gloo_available() -> bool:
    """True: the name "gloo" is served by shared memory."""
    return True


def is_mpi_available() -> bool:
    """True where the MPI transport can be used; this version has none."""
    return False


def is_torchelastic_launched() -> bool:
    """True under a launcher that restarts ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


class _DefaultGroup(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:  # noqa: N802 - PyTorch's own spelling
        """The default group, or None before ``init_process_group``."""
        return world.default_group() if world.is_initialized() else None


class group(metaclass=_DefaultGroup):  # noqa: N801 - PyTorch's own spelling
    """``group.WORLD`` is the default process group."""


class GroupMember(metaclass=_DefaultGroup):
    """``GroupMember.WORLD`` is the default process group; ``NON_GROUP_MEMBER`` is what stands for others' groups."""

    NON_GROUP_MEMBER = -100


def resolve(group: Any, what: str) -> ProcessGroup | None:
    """The group that a call of the function ``what`` is about: the default one for None.

    Returns:
        None, after PyTorch's warning, when this rank is not in the group: then there is nothing to do.

    Raises:
        ValueError: there is no default group.
        TypeError: ``group`` is none.
    """
    if group is None:
        return world.default_group()
    if isinstance(group, ProcessGroup):
        return group
    _require_non_member(group)
    rank = world.default_group().rank() if world.is_initialized() else -1
    warnings.warn(
        f"Running {what} on global rank {rank} which does not belong to the given group.", stacklevel=3
    )
    return None


def to_group_rank(group: ProcessGroup, global_rank: int | None, group_rank: int | None, what: str) -> int:
    """The rank in the group that a caller named, either by its rank in the job or by that in the group.

    Args:
        group: the group.
        global_rank: what came as ``src`` or ``dst``.
        group_rank: what came as ``group_src`` or ``group_dst``.
        what: the function and the arguments, for messages: "broadcast: src".

    Raises:
        ValueError: both are given, or none, or the rank is not in the group.
    """
    if global_rank is not None and group_rank is not None:
        raise ValueError(f"{what}: Can't specify both group_rank and global_rank")
    if group_rank is not None:
        return group_rank
    if global_rank is None:
        raise ValueError(f"{what}: Must specify global_rank or group_rank")
    return get_group_rank(group, global_rank)


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The rank in the group of a rank of the job."""
    _require_group(group)
    if world.is_initialized() and group is world.default_group():
        return global_rank  # PyTorch checks nothing here; the operation does
    if global_rank not in group.ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return group.ranks.index(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank in the job of a rank of the group."""
    _require_group(group)
    if world.is_initialized() and group is world.default_group():
        return group_rank
    if not 0 <= group_rank < len(group.ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return group.ranks[group_rank]


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks of the job that are in the group, in the group's order."""
    return list(_of(group).ranks)


def get_rank(group: Any = None) -> int:
    """This process's number in the group; -1 where it is not in it."""
    return -1 if _is_others(group) else _of(group).rank()


def get_world_size(group: Any = None) -> int:
    """The number of ranks in the group; -1 where this process is not in it."""
    return -1 if _is_others(group) else _of(group).size()


def get_backend(group: Any = None) -> str:
    """The backend's name: the one asked for, or "gloo" where that is not to be had."""
    if _is_others(group):
        raise ValueError("Invalid process group specified")
    return _of(group).backend


def _of(group: ProcessGroup | None) -> ProcessGroup:
    if group is None:
        return world.default_group()
    _require_group(group)
    return group


def _is_others(group: Any) -> bool:
    return not isinstance(group, ProcessGroup) and group == GroupMember.NON_GROUP_MEMBER


def _require_group(group: Any) -> None:
    if not isinstance(group, ProcessGroup):
        raise ValueError(
            f"Group {group} is not registered, please create group with torch.distributed.new_group API"
        )


def _require_non_member(group: Any) -> None:
    if not _is_others(group):
        raise TypeError(f"group: expected a ProcessGroup or None, got {type(group).__name__}")
