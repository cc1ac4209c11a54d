"""`shrink_group`: going on without some of a group's ranks, dead ones above all."""

from __future__ import annotations

import logging
from typing import Any

from distrt.comm import world
from distrt.comm.functions.process_group import ProcessGroup
from distrt.comm.functions.subgroups import connect, require_world
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.core.errors import DistributedError

__all__ = ["SHRINK_ABORT", "SHRINK_DEFAULT", "shrink_group"]

logger = logging.getLogger("distrt.comm")

SHRINK_DEFAULT = 0x00
SHRINK_ABORT = 0x01


def shrink_group(
    ranks_to_exclude: list[int],
    group: ArrayGroup | None = None,
    shrink_flags: int = SHRINK_DEFAULT,
    pg_options: Any = None,
) -> ProcessGroup:
    """The group of the ranks that are not excluded; they alone call. Any backend; PyTorch can do so with NCCL only.

    The excluded ranks may have died, and the group may have failed. It is left, with whatever it has not finished.
    Where it is the default group, all other groups are left too, ranks are numbered anew, and what this returns is
    the default group from then on. The store must still be there: under ``distrt-launch`` it is the launcher's, else
    rank 0's, which then cannot be excluded.

    Args:
        ranks_to_exclude: numbers in the group.
        group: the group; the default one where None.
        shrink_flags: ``SHRINK_DEFAULT`` or ``SHRINK_ABORT``, which do the same here.
        pg_options: ignored.

    Raises:
        TypeError: ``ranks_to_exclude`` is no list of numbers.
        ValueError: it is empty, names all ranks, or one twice, or one that the group does not have.
        RuntimeError: this rank is among them; or another that is not did not come in time.
    """
    _check_call(ranks_to_exclude, shrink_flags)
    parent = world.default_group() if group is None else group
    if parent.size() <= 1:
        raise ValueError(
            f"Cannot shrink a process group with size {parent.size()}. Group must have at least 2 ranks to support "
            "shrinking."
        )
    _check_excluded(ranks_to_exclude, parent)
    current = require_world()
    survivors = [rank for rank in range(parent.size()) if rank not in ranks_to_exclude]
    members = tuple(parent.ranks[rank] for rank in survivors)
    made = connect(parent, survivors, f"shrunk/{current.next_name(members)}", parent.timeout_s)
    made.backend, made.backend_asked = parent.backend, parent.backend_asked
    made.bound_device_id = parent.bound_device_id
    if parent is current.default_group:
        made.group_desc = "default:shrunken"
        made.ranks = tuple(range(made.size()))
        _leave_all_but(made, parent, current)
        current.default_group = made
    else:
        made.group_desc = f"{parent.group_name}:shrunk"
    current.remove(parent)
    return made


def _check_call(ranks_to_exclude: Any, shrink_flags: Any) -> None:
    if not isinstance(ranks_to_exclude, list):
        raise TypeError(
            f"ranks_to_exclude must be a list, but got {type(ranks_to_exclude).__name__}. "
            "Example: [1, 3, 5] to exclude ranks 1, 3, and 5."
        )
    if not ranks_to_exclude:
        raise ValueError(
            "ranks_to_exclude cannot be empty. To shrink a group, you must specify at least one rank to exclude. "
            "Example: [failed_rank_id]"
        )
    if not isinstance(shrink_flags, int) or shrink_flags not in (SHRINK_DEFAULT, SHRINK_ABORT):
        raise ValueError(
            f"Invalid shrink_flags value: {shrink_flags}. Must be one of: SHRINK_DEFAULT ({SHRINK_DEFAULT}) or "
            f"SHRINK_ABORT ({SHRINK_ABORT}). Use SHRINK_ABORT to abort ongoing operations before shrinking."
        )


def _check_excluded(ranks: list[Any], group: ArrayGroup) -> None:
    size = group.size()
    for place, rank in enumerate(ranks):
        if not isinstance(rank, int):
            raise TypeError(
                f"All elements in ranks_to_exclude must be integers. Element at index {place} is "
                f"{type(rank).__name__}: {rank}"
            )
        if not 0 <= rank < size:
            raise ValueError(
                f"Rank {rank} at index {place} is out of bounds for group size {size}. Valid ranks are in range "
                f"[0, {size - 1}]."
            )
        if rank in ranks[:place]:
            raise ValueError(
                f"Duplicate rank {rank} found in ranks_to_exclude at index {place}. "
                "Each rank can only be excluded once."
            )
    if len(ranks) >= size:
        raise ValueError(
            f"Cannot exclude all {size} ranks from process group. At least one rank must remain. Excluding "
            f"{len(ranks)} ranks."
        )
    if group.rank() in ranks:
        raise DistributedError(
            f"Current rank {group.rank()} is in the exclusion list and should not call shrink_group(). Only "
            "non-excluded ranks should participate in the shrinking operation. Excluded ranks should terminate their "
            "processes instead."
        )


def _leave_all_but(made: ProcessGroup, parent: ArrayGroup, current: world.World) -> None:
    """Ranks are numbered anew, so the groups that were made by the old numbers are of no use."""
    others = [each for each in current.groups if each is not made and each is not parent]
    if others:
        logger.warning(
            "shrinking the default group leaves %d other process groups (%s), since ranks are numbered anew",
            len(others),
            ", ".join(each.group_name for each in others),
        )
    for each in others:
        current.remove(each)
