"""Who is in which group: how functions read their ``group`` and rank arguments, and PyTorch's questions about them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from distrt.comm import world
from distrt.comm.functions.backend import Backend, BackendConfig
from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import NoGroupError
from distrt.core.process.users_code import warn

if TYPE_CHECKING:
    from distrt.comm.functions.process_group import ProcessGroup as HeldGroup

__all__ = [
    "GroupMember",
    "get_backend",
    "get_backend_config",
    "get_global_rank",
    "get_group_rank",
    "get_node_local_rank",
    "get_pg_count",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "is_initialized",
    "is_non_member",
    "is_torchelastic_launched",
    "resolve",
    "resolve_own",
    "to_group_rank",
]


class _HasWorld(type):
    @property
    def WORLD(cls) -> HeldGroup | None:  # noqa: N802 - PyTorch's own spelling
        """The default group, or None before ``init_process_group``."""
        return cast("HeldGroup", world.default_group()) if world.is_initialized() else None


class group(metaclass=_HasWorld):  # noqa: N801 - PyTorch's own spelling
    """``group.WORLD`` is the default process group."""


class GroupMember(metaclass=_HasWorld):
    """``GroupMember.WORLD`` is the default process group; ``NON_GROUP_MEMBER`` is what stands for others' groups."""

    NON_GROUP_MEMBER = -100


def resolve(group: Any, what: str) -> ProcessGroup | None:
    """The group that a call of the function ``what`` is about: the default one for None.

    Returns:
        None, after PyTorch's warning, when this rank is not in the group: then there is nothing to do.

    Raises:
        NoGroupError: there is no default group.
        TypeError: ``group`` is something else.
    """
    if group is None:
        return world.default_group()
    if isinstance(group, ProcessGroup):
        return group
    if not is_non_member(group):
        raise TypeError(f"{what}: group: expected a ProcessGroup or None, got {type(group).__name__}")
    rank = world.default_group().rank() if world.is_initialized() else -1
    warn(f"Running {what} on global rank {rank} which does not belong to the given group.")
    return None


def resolve_own(group: Any, what: str) -> ProcessGroup:
    """As `resolve`, for calls that a rank outside of the group must not make.

    Raises:
        ValueError: this rank is not in the group.
    """
    if is_non_member(group):
        raise ValueError(f"{what}: Invalid process group specified: this rank is not in it")
    found = resolve(group, what)
    assert found is not None, "it is a member"
    return found


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


def is_non_member(group: Any) -> bool:
    """Whether this is what a rank holds for a group that it is not in."""
    return isinstance(group, int) and group == GroupMember.NON_GROUP_MEMBER


def is_initialized() -> bool:
    """True between ``init_process_group`` and ``destroy_process_group``."""
    return world.is_initialized()


def get_rank(group: Any = None) -> int:
    """This process's number in the group; -1 where it is not in it."""
    return -1 if is_non_member(group) else _of(group).rank()


def get_world_size(group: Any = None) -> int:
    """The number of ranks in the group; -1 where this process is not in it."""
    return -1 if is_non_member(group) else _of(group).size()


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The rank in the group of a rank of the job.

    Raises:
        ValueError: it is not in the group.
    """
    if _is_default(group):
        return global_rank  # PyTorch checks nothing here; the operation does
    ranks = _registered(group).ranks
    if global_rank not in ranks:
        raise ValueError(
            f"Global rank {global_rank} is not part of group {group}, whose ranks are {list(ranks)}"
        )
    return ranks.index(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank in the job of a rank of the group.

    Raises:
        ValueError: it is not in the group.
    """
    if _is_default(group):
        return group_rank
    ranks = _registered(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(
            f"Group rank {group_rank} is not part of group {group}, which has {len(ranks)} ranks"
        )
    return ranks[group_rank]


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks of the job that are in the group, in the group's order."""
    return list(_of(group).ranks)


def get_backend(group: Any = None) -> str:
    """The backend's name as it was asked for: "gloo", "cpu:gloo,cuda:nccl", or "undefined" where none was."""
    if is_non_member(group):
        raise ValueError("Invalid process group specified")
    return _of(group).backend_asked


def get_backend_config(group: Any = None) -> str:
    """The kinds of device and their backends, as pairs: "cpu:gloo,cuda:gloo"."""
    asked = get_backend(group)
    if ":" in asked or asked in Backend.backend_list:
        return str(BackendConfig(asked))
    return f"cpu:{asked}"  # ranks that are threads


def get_pg_count() -> int:
    """How many process groups have been made, on whichever ranks."""
    current = world.current_world()
    return 0 if current is None else current.group_count


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process's number among those of its machine, as the launcher said.

    Raises:
        RuntimeError: no launcher did, and there is no ``fallback_rank``.
    """
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Give fallback_rank, for scripts that no launcher starts, or start this "
        "one with distrt-launch"
    )


def is_torchelastic_launched() -> bool:
    """True under a launcher that restarts ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _of(group: ProcessGroup | None) -> ProcessGroup:
    return world.default_group() if group is None else _registered(group)


def _is_default(group: Any) -> bool:
    return world.is_initialized() and group is world.default_group()


def _registered(group: Any) -> ProcessGroup:
    if not isinstance(group, ProcessGroup) or group.is_closed:
        raise NoGroupError(
            f"Group {group} is not registered, please create group with torch.distributed.new_group API"
        )
    return group
