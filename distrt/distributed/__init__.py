"""Facade: process groups and collectives at the path that PyTorch users type. The room is ``distrt.comm``.

Names are resolved when first used (PEP 562): a script pays for the collectives that it calls, not for device meshes,
the object codec or the stores. Type checkers read ``__init__.pyi``, which ``scripts/generate`` writes from this table.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Names that are submodules: ``distrt.distributed.device_mesh`` needs no import statement of its own.
_MODULES = frozenset(
    "_composable algorithms checkpoint constants device_mesh distributed_c10d fsdp nn optim tensor".split()
)

#: name -> (module, attribute).
_NAMES: dict[str, tuple[str, str]] = {}


def _list(module: str, names: str, **others: str) -> None:
    """Names that ``module`` has; ``others`` are called differently there."""
    for name in names.split():
        _NAMES[name] = (f"distrt.{module}", name)
    for name, there in others.items():
        _NAMES[name] = (f"distrt.{module}", there)


_list(
    "core.errors",
    "DistBackendError DistNetworkError DistStoreError QueueEmptyError",
    DistError="DistributedError",
)
_list("comm.functions.all_to_all", "all_to_all all_to_all_single")
_list(
    "comm.functions.backend",
    "Backend BackendConfig default_pg_timeout get_default_backend_for_device is_available is_backend_available "
    "is_gloo_available is_mpi_available is_nccl_available is_ucc_available is_xccl_available supports_complex",
)
_list("comm.functions.blocks", "all_gather all_gather_single reduce_scatter reduce_scatter_single")
_list(
    "comm.functions.coalesced",
    "all_gather_coalesced all_gather_into_tensor all_reduce_coalesced reduce_op reduce_scatter_tensor",
    _all_gather_base="all_gather_base",
    _reduce_scatter_base="reduce_scatter_base",
)
_list(
    "comm.functions.coalescing",
    "",
    _CoalescingManager="CoalescingManager",
    _coalescing_manager="coalescing_manager",
)
_list(
    "comm.functions.collectives",
    "all_reduce barrier broadcast gather reduce scatter",
    _make_nccl_premul_sum="premul_sum",
)
_list("comm.functions.debugging", "breakpoint record_comm")
_list("comm.functions.debug_level", "DebugLevel get_debug_level set_debug_level set_debug_level_from_env")
_list("comm.functions.groups", "destroy_process_group init_process_group")
_list(
    "comm.functions.membership",
    "GroupMember get_backend get_backend_config get_global_rank get_group_rank get_node_local_rank get_pg_count "
    "get_process_group_ranks get_rank get_world_size group is_initialized is_torchelastic_launched",
    _rank_not_in_group="is_non_member",
)
_list("comm.functions.monitored", "monitored_barrier")
_list(
    "comm.functions.objects",
    "all_gather_object broadcast_object_list gather_object recv_object_list scatter_object_list send_object_list",
)
_list("comm.functions.plugins", "ProcessGroupGloo", _DistributedBackendOptions="DistributedBackendOptions")
_list("comm.functions.point_to_point", "P2POp batch_isend_irecv irecv isend recv send")
_list(
    "comm.functions.options",
    "AllToAllOptions AllgatherOptions AllreduceCoalescedOptions AllreduceOptions BarrierOptions BroadcastOptions "
    "GatherOptions ReduceOptions ReduceScatterOptions ScatterOptions",
)
_list("comm.functions.process_group", "ProcessGroup")
_list("comm.functions.registry", "GroupName RankType", _get_process_group_name="get_process_group_name")
_list("comm.functions.preemption", "preemption_requested")
_list("comm.functions.reporting", "report")
_list("comm.functions.shared_tensors", "allocate_shared free_shared")
_list("comm.functions.shrinking", "SHRINK_ABORT SHRINK_DEFAULT shrink_group")
_list("comm.functions.subgroups", "new_group new_subgroups new_subgroups_by_enumeration split_group")
_list("comm.mesh.device_mesh", "DeviceMesh init_device_mesh")
_list("comm.reduction", "ReduceOp")
_list("comm.rendezvous", "register_rendezvous_handler", rendezvous="rendezvous_iterator")
_list("comm.stores.base", "Store")
_list("comm.stores.file", "FileStore")
_list("comm.stores.memory", "HashStore PrefixStore")
_list("comm.stores.tcp", "TCPStore")
_list("comm.work", "Work")
_list("parallel.bucket", "GradBucket")
_list("parallel.hooks.builtin", "BuiltinCommHookType")

# ``rendezvous`` is a submodule and a function, which is what the name gives. Importing a submodule sets its name here,
# but only the first time: so that is now, and the name is left to the table.
importlib.import_module("distrt.distributed.rendezvous")
del globals()["rendezvous"]

_PACKAGES = frozenset({"_composable", "algorithms", "checkpoint", "fsdp", "nn", "optim", "tensor"})
__all__ = sorted(name for name in [*_NAMES, *_MODULES - _PACKAGES] if not name.startswith("_"))  # noqa: PLE0605 - one table, not two lists to keep in step


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"distrt.distributed.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _NAMES[name]
    found = globals()[name] = getattr(importlib.import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_MODULES})
