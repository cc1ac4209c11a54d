"""Facade: process groups and collectives at the path that PyTorch users type. The room is ``distrt.comm``."""

from distrt.comm.functions.all_to_all import all_to_all, all_to_all_single
from distrt.comm.functions.backend import (
    Backend,
    BackendConfig,
    default_pg_timeout,
    get_default_backend_for_device,
    is_available,
    is_backend_available,
    is_gloo_available,
    is_mpi_available,
    is_nccl_available,
    is_ucc_available,
    is_xccl_available,
    supports_complex,
)
from distrt.comm.functions.blocks import all_gather, all_gather_single, reduce_scatter, reduce_scatter_single
from distrt.comm.functions.coalesced import all_gather_base as _all_gather_base  # noqa: F401 - PyTorch has it here
from distrt.comm.functions.coalesced import (
    all_gather_coalesced,
    all_gather_into_tensor,
    all_reduce_coalesced,
    reduce_op,
    reduce_scatter_tensor,
)
from distrt.comm.functions.coalesced import reduce_scatter_base as _reduce_scatter_base  # noqa: F401 - PyTorch has it here
from distrt.comm.functions.coalescing import CoalescingManager as _CoalescingManager  # noqa: F401 - PyTorch has it here
from distrt.comm.functions.coalescing import coalescing_manager as _coalescing_manager  # noqa: F401 - PyTorch has it here
from distrt.comm.functions.collectives import all_reduce, barrier, broadcast, gather, reduce, scatter
from distrt.comm.functions.collectives import premul_sum as _make_nccl_premul_sum  # noqa: F401 - PyTorch has it here
from distrt.comm.functions.debug_level import (
    DebugLevel,
    get_debug_level,
    set_debug_level,
    set_debug_level_from_env,
)
from distrt.comm.functions.groups import destroy_process_group, init_process_group
from distrt.comm.functions.membership import (
    GroupMember,
    get_backend,
    get_backend_config,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_pg_count,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    is_initialized,
    is_torchelastic_launched,
)
from distrt.comm.functions.monitored import monitored_barrier
from distrt.comm.functions.objects import (
    all_gather_object,
    broadcast_object_list,
    gather_object,
    recv_object_list,
    scatter_object_list,
    send_object_list,
)
from distrt.comm.functions.point_to_point import P2POp, batch_isend_irecv, irecv, isend, recv, send
from distrt.comm.functions.shared_tensors import allocate_shared, free_shared
from distrt.comm.functions.subgroups import (
    new_group,
    new_subgroups,
    new_subgroups_by_enumeration,
    split_group,
)
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.comm.stores.base import Store
from distrt.comm.stores.file import FileStore
from distrt.comm.stores.memory import HashStore, PrefixStore
from distrt.comm.stores.tcp import TCPStore
from distrt.core.errors import DistBackendError, DistNetworkError, DistStoreError, QueueEmptyError
from distrt.core.errors import DistributedError as DistError
from distrt.data.distributed_sampler import set_default_world
from distrt.distributed import constants, distributed_c10d
from distrt.distributed.device_mesh import DeviceMesh, init_device_mesh
from distrt.distributed.rendezvous import register_rendezvous_handler, rendezvous

__all__ = [
    "Backend",
    "BackendConfig",
    "DebugLevel",
    "DeviceMesh",
    "DistBackendError",
    "DistError",
    "DistNetworkError",
    "DistStoreError",
    "FileStore",
    "GroupMember",
    "HashStore",
    "P2POp",
    "PrefixStore",
    "ProcessGroup",
    "QueueEmptyError",
    "ReduceOp",
    "Store",
    "TCPStore",
    "Work",
    "all_gather",
    "all_gather_coalesced",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_gather_single",
    "all_reduce",
    "all_reduce_coalesced",
    "all_to_all",
    "all_to_all_single",
    "allocate_shared",
    "barrier",
    "batch_isend_irecv",
    "broadcast",
    "broadcast_object_list",
    "constants",
    "default_pg_timeout",
    "destroy_process_group",
    "distributed_c10d",
    "free_shared",
    "gather",
    "gather_object",
    "get_backend",
    "get_backend_config",
    "get_debug_level",
    "get_default_backend_for_device",
    "get_global_rank",
    "get_group_rank",
    "get_node_local_rank",
    "get_pg_count",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "init_device_mesh",
    "init_process_group",
    "irecv",
    "is_available",
    "is_backend_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
    "isend",
    "monitored_barrier",
    "new_group",
    "new_subgroups",
    "new_subgroups_by_enumeration",
    "recv",
    "recv_object_list",
    "reduce",
    "reduce_op",
    "reduce_scatter",
    "reduce_scatter_single",
    "reduce_scatter_tensor",
    "register_rendezvous_handler",
    "rendezvous",
    "scatter",
    "scatter_object_list",
    "send",
    "send_object_list",
    "set_debug_level",
    "set_debug_level_from_env",
    "split_group",
    "supports_complex",
]

# A DistributedSampler without arguments takes its place from here: data may not know comm, so it is handed in.
set_default_world(lambda: (get_world_size(), get_rank()))
