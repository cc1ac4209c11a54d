"""Facade: the sharded optimizer, at the path that PyTorch users type."""

from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer

__all__ = ["ZeroRedundancyOptimizer"]
