"""What libraries ask of the groups through PyTorch's private names: which there are, their names, stores, time-outs.

``distrt.distributed.distributed_c10d`` is their path: ``_set_pg_timeout``, ``_world``, ``_get_default_store``, …
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NewType, TypeAlias

from distrt.comm import world
from distrt.comm.functions.backend import Backend, default_pg_nccl_timeout, default_pg_timeout
from distrt.comm.functions.membership import get_global_rank, is_non_member
from distrt.comm.functions.plugins import get_group_store
from distrt.comm.functions.process_group import ProcessGroup
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.core.device import device
from distrt.core.errors import DistributedError, NoGroupError
from distrt.core.process.users_code import warn

__all__ = [
    "GroupName",
    "RankType",
    "abort_process_group",
    "device_capability",
    "get_default_store",
    "get_default_timeout",
    "get_object_coll_device",
    "get_pg_default_device",
    "get_process_group_name",
    "global_rank",
    "group_size",
    "registered_groups",
    "resolve_process_group",
    "set_pg_timeout",
]

GroupName = NewType("GroupName", str)
RankType: TypeAlias = int


class _Groups:
    """``_world``: the groups of this process, looked up when asked for."""

    @property
    def default_pg(self) -> ArrayGroup | None:
        """The default group; None before ``init_process_group``."""
        return world.default_group() if world.is_initialized() else None

    @property
    def pg_map(self) -> dict[ArrayGroup, tuple[str, Any]]:
        """group -> its backend and its store; None for a store that is not the script's."""
        return {each: (each.backend_asked, getattr(each, "_store", None)) for each in _all()}

    @property
    def pg_names(self) -> dict[ArrayGroup, str]:
        """group -> its name."""
        return {each: each.group_name for each in _all()}

    @property
    def pg_group_ranks(self) -> dict[ArrayGroup, dict[int, int]]:
        """group -> rank in the job -> rank in the group."""
        return {each: {rank: place for place, rank in enumerate(each.ranks)} for each in _all()}

    @property
    def group_count(self) -> int:
        """How many groups all ranks have made together."""
        current = world.current_world()
        return 0 if current is None else current.group_count


registered_groups = _Groups()


def _all() -> list[ArrayGroup]:
    current = world.current_world()
    return [] if current is None else list(current.groups)


def get_process_group_name(pg: ArrayGroup) -> str:
    """The group's name; "None" for one that was left."""
    return pg.group_name if pg in _all() else "None"


def resolve_process_group(group_name: str) -> ArrayGroup:
    """The group of a name.

    Raises:
        DistributedError: there is none.
    """
    for each in _all():
        if each.group_name == group_name:
            return each
    raise DistributedError(f"Could not resolve the process group registered under the name {group_name}")


def get_default_store() -> Any:
    """The store that the script gave to ``init_process_group``."""
    return get_group_store(world.default_group())


def get_default_timeout(backend: str) -> timedelta:
    """How long collectives of a backend may wait where nobody says."""
    if backend == Backend.NCCL and default_pg_nccl_timeout is None:
        warn("Attempted to get default timeout for nccl backend, but NCCL support is not compiled")
    return (default_pg_nccl_timeout if backend == Backend.NCCL else None) or default_pg_timeout


def set_pg_timeout(timeout: timedelta, group: ArrayGroup | None = None) -> None:
    """How long all later operations of a group may wait; of the default one where None."""
    chosen = world.default_group() if group is None else group
    if is_non_member(chosen):
        raise ValueError("Invalid process group specified")
    if not isinstance(chosen, ProcessGroup):
        raise AssertionError(f"Expected ProcessGroup, got {type(chosen)}")
    chosen.set_timeout(timeout)


def device_capability(group: ProcessGroup | None = None) -> list[str]:
    """The kinds of device that a group serves."""
    chosen = world.default_group() if group is None else group
    return [each.type for each in chosen._device_types] if isinstance(chosen, ProcessGroup) else ["cpu"]


def get_object_coll_device(group: ProcessGroup | None = None) -> str:
    """The kind of device that objects travel from: "cpu" wherever the group serves it."""
    kinds = device_capability(group)
    return "cpu" if "cpu" in kinds else kinds[0]


def get_pg_default_device(group: ProcessGroup | None = None) -> device:
    """The device that a group serves."""
    warn(
        "`_get_pg_default_device` will be deprecated, it only stays for backward-compatibility reason. If you need to "
        "find a device for object collectives, please use `_get_object_coll_device`. If you need to query the device "
        "types supported by group, please use `_device_capability(group)`. "
    )
    return device(get_object_coll_device(group))


def group_size(group: ArrayGroup | None) -> int:
    """How many ranks a group has."""
    return (world.default_group() if group is None else group).size()


def global_rank(group: ArrayGroup, rank: int) -> int:
    """The name that `get_global_rank` had before."""
    warn(
        "`torch.distributed.distributed_c10d._get_global_rank` is deprecated, please use "
        "`torch.distributed.distributed_c10d.get_global_rank` instead",
        FutureWarning,
    )
    return get_global_rank(group, rank)


def abort_process_group(group: ArrayGroup | None = None) -> None:
    """Leave a group at once, or all of them; ranks that wait for this one are told.

    Raises:
        AssertionError: there is no default group.
        NoGroupError: the group was left before.
    """
    if is_non_member(group):
        return
    current = world.current_world()
    if current is None:
        raise AssertionError("Process group cannot be None")
    for each in list(current.groups) if group is None or group is current.default_group else [group]:
        if each.gpu_lane is not None:
            each.gpu_lane.abort()
    if group is None or group is current.default_group:
        world.end_world()
    elif group in current.groups:
        current.remove(group)
    else:
        raise NoGroupError("Invalid process group specified or has been destroyed.")
