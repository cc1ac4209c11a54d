"""Data parallelism: NaiveDDP, DistributedDataParallel and the buckets that gradients live in."""

from distrt.parallel.data_parallel import DataParallel
from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.divergence import DivergenceGuard
from distrt.parallel.naive import NaiveDDP
from distrt.parallel.sync_batch_norm import SyncBatchNorm

__all__ = ["DataParallel", "DistributedDataParallel", "DivergenceGuard", "NaiveDDP", "SyncBatchNorm"]
