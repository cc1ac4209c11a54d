"""Facade: data parallelism at the paths that PyTorch users type.

All of it lives in the room ``distrt.parallel``. ``SyncBatchNorm`` is here for ``distrt.nn``, which may not reach there.
"""

from typing import Any

from distrt.core.process.users_code import warn
from distrt.nn.parallel.data_parallel import DataParallel, data_parallel
from distrt.nn.parallel.distributed import DistributedDataParallel
from distrt.nn.parallel.parallel_apply import parallel_apply
from distrt.nn.parallel.replicate import replicate
from distrt.nn.parallel.scatter_gather import gather, scatter
from distrt.parallel.naive import NaiveDDP as NaiveDDP
from distrt.parallel.sync_batch_norm import SyncBatchNorm as SyncBatchNorm

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


class DistributedDataParallelCPU(DistributedDataParallel):
    """The former name of ``DistributedDataParallel`` on CPUs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(
            "`torch.nn.parallel.DistributedDataParallelCPU` is deprecated, "
            "please use `torch.nn.parallel.DistributedDataParallel` instead.",
            FutureWarning,
        )
        super().__init__(*args, **kwargs)
