"""Groups of some of a job's ranks, with PyTorch's names: ``new_group`` and those that call it, and ``split_group``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from distrt.comm import world
from distrt.comm.functions.backend import (
    Backend,
    default_pg_nccl_timeout,
    default_pg_timeout,
    is_registered,
    served,
)
from distrt.comm.functions.gpu import give_lane, require_library
from distrt.comm.functions.membership import GroupMember, get_process_group_ranks, get_rank, get_world_size
from distrt.comm.functions.plugins import create_registered, get_group_store
from distrt.comm.functions.process_group import ProcessGroup
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.core.device import device, require_available
from distrt.core.errors import DeviceMissing
from distrt.core.gpu.library import device_count

__all__ = [
    "connect",
    "new_group",
    "new_subgroups",
    "new_subgroups_by_enumeration",
    "require_device",
    "require_world",
    "split_group",
    "timeout_seconds",
]


def new_group(
    ranks: Iterable[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: device | None = None,
    sort_ranks: bool = True,
) -> Any:
    """A group of some ranks of the job. All ranks call, in the same order, whether they are in it or not.

    Args:
        ranks: the ranks that are in it; all when not given.
        timeout: how long each of its collectives may wait. Default: 30 minutes.
        backend: as for ``init_process_group``, whose is the default.
        pg_options: for the function of a registered backend; ignored by others.
        use_local_synchronization: only the ranks that are in it call.
        group_desc: what the group is for.
        device_id: a GPU that this process works on.
        sort_ranks: number the ranks by their numbers in the job, else in the order of ``ranks``.

    Returns:
        the `ProcessGroup`; ``GroupMember.NON_GROUP_MEMBER`` on ranks that are not in it, None on those that need not
        have called.

    Raises:
        ValueError: ranks that are not of the job, or are named twice.
    """
    default = world.default_group()
    bound = require_device(device_id) or default.bound_device_id
    asked, name = served(backend) if backend else (default.backend_asked, default.backend)
    timeout_s = timeout_seconds(timeout, asked)
    members = list(range(default.size()) if ranks is None else ranks)
    is_member = default.rank() in members
    if use_local_synchronization:
        if asked == Backend.MPI:
            raise ValueError("MPI backend doesn't support use_local_synchronization=True")
        if not is_member:
            return None
    if sort_ranks:
        members.sort()
    _check_members(members, default.size())
    require_library(asked, len(members))
    current = require_world()
    group_name = current.next_name(tuple(members) if use_local_synchronization else None)
    if not is_member:
        return GroupMember.NON_GROUP_MEMBER
    made: ArrayGroup
    if is_registered(name):
        rank, store = members.index(default.rank()), get_group_store(default)
        made = create_registered(name, store, rank, members, timeout_s, group_name, pg_options)
        current.groups[made] = None
    else:
        made = connect(default, members, group_name, timeout_s)
    made.backend, made.backend_asked = name, asked
    made.group_desc, made.bound_device_id = "undefined" if group_desc is None else group_desc, bound
    give_lane(made, asked, None if timeout is None else timeout_s, bound)
    return made


def new_subgroups(
    group_size: int | None = None,
    group: ArrayGroup | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Groups of ``group_size`` neighbours each, out of the ranks of ``group``. All ranks call.

    Returns:
        the group that this rank is in, and all of them.

    Raises:
        ValueError: no size was given, or it does not divide the number of ranks.
    """
    if group_size is None:
        raise ValueError(
            "Default group size only takes effect when CUDA is available. If your subgroup using a backend that does "
            "not depend on CUDA, please pass in 'group_size' correctly."
        )
    if group_size <= 0:
        raise ValueError(f"The arg 'group_size' ({group_size}) must be positive")
    size = get_world_size(group)
    if size < group_size:
        raise ValueError(f"The arg 'group_size' ({group_size}) must not exceed the world size ({size})")
    if size % group_size != 0:
        raise ValueError(f"The world size ({size}) must be divisible by 'group_size={group_size}'")
    ranks = get_process_group_ranks(group)
    rows = [ranks[start : start + group_size] for start in range(0, size, group_size)]
    return new_subgroups_by_enumeration(rows, timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]],
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """A group for each list of ranks; no rank is in two. All ranks call.

    Returns:
        the group that this rank is in (None where it is in none), and all of them.

    Raises:
        ValueError: there is no list, or a rank is in two.
    """
    if not ranks_per_subgroup_list:
        raise ValueError("The arg 'ranks_per_subgroup_list' cannot be empty")
    groups, mine = [], None
    seen: dict[int, Sequence[int]] = {}
    for ranks in ranks_per_subgroup_list:
        for rank in ranks:
            if rank in seen and seen[rank] is not ranks:
                raise ValueError(f"Rank {rank} has appeared in both subgroup {seen[rank]} and {ranks}")
            seen[rank] = ranks
        groups.append(new_group(ranks, timeout, backend, pg_options, group_desc=group_desc))
        if get_rank() in ranks:
            mine = groups[-1]
    return mine, groups


def split_group(
    parent_pg: ArrayGroup | None = None,
    split_ranks: Sequence[Sequence[int]] | None = None,
    timeout: timedelta | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
    backend: str | None = None,
) -> ProcessGroup | None:
    """Parts a group into several. All ranks of the group call; PyTorch can do so with NCCL only.

    Args:
        parent_pg: the group; the default one when not given.
        split_ranks: the ranks of each part, as numbers in the group; a rank is in one at most.
        timeout: how long each collective of the parts may wait. Default: 30 minutes.
        pg_options: ignored.
        group_desc: what the parts are for.
        backend: the parent's when not given.

    Returns:
        the part that this rank is in; None where it is in none.

    Raises:
        ValueError: a part is empty, or names a rank twice or one that the group does not have.
    """
    if not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    parent = world.default_group() if parent_pg is None else parent_pg
    asked, name = served(backend) if backend else (parent.backend_asked, parent.backend)
    timeout_s = timeout_seconds(timeout, asked)
    mine = None
    for part in map(sorted, split_ranks):
        if not part:
            raise ValueError("the split group cannot be empty")
        if len(part) != len(set(part)):
            raise ValueError(f"the split group cannot have duplicate ranks, got {part}")
        if part[0] < 0 or part[-1] >= parent.size():
            raise ValueError(
                f"the split group {part} names ranks outside of the parent group's {parent.size()}"
            )
        if parent.rank() in part:
            mine = part
            break
    if mine is None:
        return None
    require_library(asked, len(mine))
    current = require_world()
    members = [parent.ranks[rank] for rank in mine]
    made = connect(parent, mine, current.next_name(tuple(members)), timeout_s)
    made.backend, made.backend_asked = name, asked
    made.group_desc = f"{parent.group_desc}:split:{made.group_name}" if group_desc is None else group_desc
    made.bound_device_id = parent.bound_device_id
    give_lane(made, asked, None if timeout is None else timeout_s, made.bound_device_id)
    return made


def connect(parent: ArrayGroup, ranks: list[int], name: str, timeout_s: float) -> ProcessGroup:
    """The group of these ranks of the parent, of which this is one."""
    transport = parent.transport.subgroup(ranks, name, timeout_s)
    made = ProcessGroup(transport, timeout_s, name, [parent.ranks[rank] for rank in ranks])
    require_world().groups[made] = None
    made.barrier()  # all have read what they need: rank 0, which may host the store, may end
    return made


def require_world() -> world.World:
    """The world.

    Raises:
        NoGroupError: there is none.
    """
    world.default_group()  # which says what is missing, if it is
    current = world.current_world()
    assert current is not None
    return current


def _check_members(members: list[int], size: int) -> None:
    if not members:
        raise TypeError("new_group: ranks names nobody; give at least one rank, or None for all")
    if len(set(members)) != len(members):
        raise ValueError(f"ranks list must not contain duplicate entries, got {members}")
    if len(members) > size:
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by init_process_group: "
            f"{len(members)} ranks of a job of {size}"
        )
    for rank in members:
        if not 0 <= rank < size:
            raise ValueError(
                f"Rank {rank} is out of range. Valid ranks are 0 to {size - 1} (world_size={size})"
            )


def require_device(wanted: device | int | None) -> device | None:
    """The GPU that a process says it works on.

    Raises:
        ValueError: it is no GPU of this machine, or has no number.
    """
    if wanted is None:
        return None
    if isinstance(wanted, int):
        if not device_count():
            raise ValueError(
                "device_id is an int, but no accelerator support is found from the current compilation."
            )
        wanted = device("cuda", wanted)
    if wanted.type == "cpu":
        raise ValueError("init_process_group device_id parameter must be an accelerator with an index")
    try:
        found = require_available(wanted)
    except DeviceMissing as error:
        raise ValueError(f"device_id {wanted} does not match this machine's accelerators: {error}") from error
    if found.index is None:
        raise ValueError("Please use a device_id with index.")
    return found


def timeout_seconds(timeout: timedelta | None, backend: str) -> float:
    """The time-out that a caller gave, or the default one, in seconds."""
    if timeout is None:
        default = default_pg_nccl_timeout if backend == Backend.NCCL else None
        return (default or default_pg_timeout).total_seconds()
    if not isinstance(timeout, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    return timeout.total_seconds()
