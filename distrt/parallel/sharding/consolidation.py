"""The state of all ranks' optimizers on one rank, and in one state dict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.codec import decode, encode
from distrt.comm.functions.objects import broadcast_object_list
from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import DistributedError
from distrt.parallel.sharding.partition import Partition

__all__ = ["broadcast_object", "gathered_states", "merged", "part_of"]

StateDict = dict[str, Any]

_FAILED = -1  # in the place of a length: the state cannot be sent


def gathered_states(mine: StateDict, group: ProcessGroup, to: int) -> list[StateDict]:
    """Every rank's state dict, on rank ``to``; nothing on the others. A collective.

    One rank's state travels at a time, and ``to`` alone takes it. What is there is a copy, this rank's own too: later
    steps do not change a part of what was consolidated.

    Args:
        mine: this rank's.
        group: the ranks.
        to: who gets them, by its rank in the group.

    Raises:
        TypeError: on the rank whose state holds something that cannot be sent. The others raise a `DistributedError`.
    """
    # Options are the same on all ranks, and may hold anything: they stay at home.
    groups = [{"params": each["params"]} for each in mine["param_groups"]]
    encoded, error = np.empty(0, np.uint8), None
    try:
        encoded = encode({"state": mine["state"], "param_groups": groups})
    except Exception as caught:  # told to the others, then raised
        error = caught
    lengths = np.empty((group.size(), 1), np.int64)
    group.all_gather(lengths, np.array([encoded.size if error is None else _FAILED], np.int64))
    if error is not None:
        raise error
    if (lengths == _FAILED).any():
        rank = int(np.argmax(lengths[:, 0] == _FAILED))
        raise DistributedError(
            f"rank {group.rank()}: consolidate_state_dict: rank {rank} has a state that cannot be sent; its own error "
            "says why"
        )
    if group.rank() != to:
        group.send(encoded, to)
        return []
    found = []
    for rank, (length,) in enumerate(lengths.tolist()):
        if rank != to:
            received = np.empty(length, np.uint8)
            group.recv(received, rank)
        found.append(decode(encoded if rank == to else received))
    return found


def merged(partition: Partition, states: Sequence[StateDict]) -> dict[int, Any]:
    """The ranks' states by the parameters' numbers in the whole.

    Raises:
        AssertionError: parameters have come since the states were gathered.
    """
    found: dict[int, Any] = {}
    for state_dict, groups in zip(states, partition.by_rank, strict=True):
        saved = state_dict["param_groups"]
        if len(saved) != len(groups):
            raise AssertionError("Mismatch between number of local and global parameter groups")
        for local, group in zip(saved, groups, strict=True):
            if len(local["params"]) != len(group["params"]):
                raise AssertionError(
                    "Mismatch between number of local and global parameters in parameter group"
                )
            for number, param in zip(local["params"], group["params"], strict=True):
                if number in state_dict["state"]:
                    found[partition.number_of[param]] = state_dict["state"][number]
    return found


def part_of(state_dict: StateDict, partition: Partition, rank: int) -> StateDict:
    """Of a whole state dict, what one rank's own optimizer loads."""
    own = [param for group in partition.by_rank[rank] for param in group["params"]]
    local = {partition.number_of[param]: number for number, param in enumerate(own)}
    state = {local[number]: value for number, value in state_dict["state"].items() if number in local}
    groups, start = [], 0
    for saved, group in zip(state_dict["param_groups"], partition.by_rank[rank], strict=True):
        end = start + len(group["params"])
        groups.append({**saved, "params": list(range(start, end))})
        start = end
    return {"state": state, "param_groups": groups}


def broadcast_object(obj: Any, src_rank: int, group: ProcessGroup | None = None, device: Any = None) -> Any:
    """Rank ``src_rank``'s object, on every rank; a collective.

    Args:
        obj: what is sent; of no interest on the other ranks.
        src_rank: its sender, by its rank in the job.
        group: the ranks; all of the world where None.
        device: says nothing without GPUs.
    """
    objects = [obj]
    broadcast_object_list(objects, src=src_rank, group=group)
    return objects[0]
