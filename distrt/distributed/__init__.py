"""Facade: process groups and collectives at the path that PyTorch users type. The room is ``distrt.comm``."""

from distrt.comm.collectives import (
    all_gather,
    all_gather_into_tensor,
    all_reduce,
    barrier,
    broadcast,
    reduce_scatter,
    reduce_scatter_tensor,
)
from distrt.comm.groups import (
    GroupMember,
    destroy_process_group,
    get_backend,
    get_global_rank,
    get_group_rank,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    init_process_group,
    is_available,
    is_gloo_available,
    is_initialized,
    is_mpi_available,
    is_nccl_available,
    is_torchelastic_launched,
)
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.data.distributed_sampler import set_default_world
from distrt.distributed.device_mesh import DeviceMesh, init_device_mesh

__all__ = [
    "DeviceMesh",
    "GroupMember",
    "ProcessGroup",
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_reduce",
    "barrier",
    "broadcast",
    "destroy_process_group",
    "get_backend",
    "get_global_rank",
    "get_group_rank",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "init_device_mesh",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "reduce_scatter",
    "reduce_scatter_tensor",
]

# A DistributedSampler without arguments takes its place from here: data may not know comm, so it is handed in.
set_default_world(lambda: (get_world_size(), get_rank()))
