"""Facade: sharded training, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.distributed.fsdp import fully_sharded_data_parallel
from distrt.distributed.fsdp.fully_sharded_data_parallel import *
from distrt.parallel.fully_sharded.module import (
    FSDPModule,
    UnshardHandle,
    register_fsdp_forward_method,
    share_comm_ctx,
)
from distrt.parallel.fully_sharded.policies import (
    CPUOffloadPolicy,
    DataParallelMeshDims,
    MixedPrecisionPolicy,
    OffloadPolicy,
)
from distrt.parallel.fully_sharded.sharding import fully_shard

__all__ = [
    "CPUOffloadPolicy",
    "DataParallelMeshDims",
    "FSDPModule",
    "MixedPrecisionPolicy",
    "OffloadPolicy",
    "UnshardHandle",
    "fully_shard",
    "register_fsdp_forward_method",
    "share_comm_ctx",
]
__all__ += fully_sharded_data_parallel.__all__
