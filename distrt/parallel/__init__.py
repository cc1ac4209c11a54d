"""Data parallelism: NaiveDDP, DistributedDataParallel and the buckets that gradients live in."""

from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.naive import NaiveDDP

__all__ = ["DistributedDataParallel", "NaiveDDP"]
