"""What the arguments of ``DistributedDataParallel`` say, and which of them it refuses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.device import device
from distrt.core.errors import DeviceError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.parameter import UninitializedParameter

__all__ = [
    "bucket_caps",
    "device_of",
    "group_of",
    "require_trained",
    "sync_flags",
    "warn_of_useless_search",
]

_MIB = 1024 * 1024
_FIRST_CAP_MB, _CAP_MB = 1, 25  # a small first bucket, so that the first all-reduce starts early


def group_of(process_group: ProcessGroup | None, mesh: Any) -> ProcessGroup:
    """The ranks: of the mesh, or all of the world where neither is given.

    Raises:
        RuntimeError: both are given, or the mesh has several dims.
        TypeError: ``process_group`` is none: what ``new_group`` gave on a rank that is not in the group, for one.
    """
    if process_group is not None and mesh is not None:
        raise RuntimeError("Cannot specify both process_group and device_mesh arguments.")
    if not isinstance(process_group, ProcessGroup | None):
        raise TypeError(
            f"process_group must be a ProcessGroup that this rank is in, got {process_group!r}; new_group gives "
            "GroupMember.NON_GROUP_MEMBER on the ranks that are not in the group"
        )
    if mesh is None:
        return process_group or default_group()
    if mesh.ndim != 1:
        raise RuntimeError(f"Only 1D device mesh is supported, but got {mesh}.")
    group: ProcessGroup = mesh.get_group(mesh_dim=0)
    return group


def require_trained(parameters: Sequence[Tensor], has_delayed: bool = False) -> None:
    """Refuses a model without anything to train, or with parameters that have no shape yet.

    Args:
        parameters: all that are not averaged apart from the others.
        has_delayed: some are.

    Raises:
        RuntimeError: it is such a model.
        ValueError: all parameters are averaged apart from the others, which there are none of.
    """
    if not parameters and has_delayed:
        raise ValueError(
            "DistributedDataParallel's input module must be on the same type of devices, but input module parameters "
            "locate in set(). Leave at least one parameter out of delay_all_reduce_named_params"
        )
    if not has_delayed and not any(parameter.requires_grad for parameter in parameters):
        raise RuntimeError(
            "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
        )
    if any(isinstance(parameter, UninitializedParameter) for parameter in parameters):
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DistributedDataParallel`. "
            "Run a dummy forward pass to correctly initialize the modules"
        )


def device_of(parameters: Sequence[Tensor], device_ids: Any, output_device: Any) -> device:
    """Where the model is; devices may be named for one on a GPU only, and must be that GPU.

    Raises:
        ValueError: others are named, or the model is in several places.
    """
    devices = {parameter.device for parameter in parameters}
    if device_ids is not None and len(device_ids) > 1:
        raise ValueError("device_ids can only be None or contain a single element.")
    kinds = {each.type for each in devices}
    if len(kinds) > 1:
        raise ValueError(
            "DistributedDataParallel's input module must be on the same type of devices, but input module parameters "
            f"locate in {kinds}."
        )
    if len(devices) > 1:
        raise ValueError(
            f"DistributedDataParallel: the model is on {sorted(map(str, devices))}: one rank drives one GPU"
        )
    place = next(iter(devices), device("cpu"))
    if place.type == "meta":
        raise DeviceError(
            "DistributedDataParallel: the model is on the meta device, so there are no values to agree on. Call "
            "module.to_empty(device='cpu') and initialize it first"
        )
    if place.type == "cpu" and (device_ids or output_device):
        raise ValueError(
            "DistributedDataParallel device_ids and output_device arguments only work with "
            "single-device/multiple-device GPU modules or CPU modules, "
            f"but got device_ids {device_ids}, output_device {output_device}, and module parameters {devices}."
        )
    for name, named in (("device_ids", device_ids), ("output_device", [output_device])):
        for each in named or ():
            if each is not None and _as_device(each) != place:
                raise ValueError(f"{name}: the model is on {place}, got {_as_device(each)}")
    return place


def _as_device(named: Any) -> device:
    return device("cuda", named) if isinstance(named, int) else device(named)


def sync_flags(broadcast_buffers: bool | None, forward_sync_buffers: bool | None) -> tuple[bool, bool]:
    """Whether forward passes give every rank rank 0's buffers, and whether the constructor does."""
    if broadcast_buffers is not None:
        warn(
            "Both `broadcast_buffers` and `forward_sync_buffers` were specified. `broadcast_buffers` is deprecated and "
            "its value is ignored when `forward_sync_buffers` is provided."
            if forward_sync_buffers is not None
            else "`broadcast_buffers` is deprecated. Use `forward_sync_buffers` instead. IMPORTANT: unlike "
            "`broadcast_buffers=False`, `forward_sync_buffers=False` still syncs buffers at init. If you rely on "
            "buffers NOT being synced at init (e.g. rank-local buffers), keep using `broadcast_buffers=False` until "
            "`init_sync_buffers` is available.",
            FutureWarning,
        )
    if forward_sync_buffers is not None:
        return forward_sync_buffers, True
    given = True if broadcast_buffers is None else broadcast_buffers
    return given, given


def warn_of_useless_search(find_unused_parameters: bool) -> None:
    """Says that a static graph finds unused parameters by itself."""
    if find_unused_parameters:
        warn(
            "You passed find_unused_parameters=true to DistributedDataParallel, `_set_static_graph` will detect "
            "unused parameters automatically, so you do not need to set find_unused_parameters=true, just be sure "
            "these unused parameters will not change during training loop while calling `_set_static_graph`."
        )


def bucket_caps(bucket_cap_mb: float | None, sizes: Sequence[float] | None) -> tuple[int, ...]:
    """Bytes of the first, second, ... bucket; a list counts more than one size."""
    if sizes:
        wanted = tuple(sizes)
    elif bucket_cap_mb is not None:
        wanted = (bucket_cap_mb,)
    else:
        wanted = (_FIRST_CAP_MB, _CAP_MB)
    if min(wanted) < 0:
        name, given = ("bucket_cap_mb_list", sizes) if sizes else ("bucket_cap_mb", bucket_cap_mb)
        raise ValueError(f"{name} must not be negative, got {given}")
    return tuple(min(int(size * _MIB), sys.maxsize) for size in wanted)
