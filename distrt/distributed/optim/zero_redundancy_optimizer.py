"""Facade: the sharded optimizer, at the path that PyTorch users type."""

from distrt.parallel.sharding.consolidation import broadcast_object as _broadcast_object  # noqa: F401
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer

__all__ = ["ZeroRedundancyOptimizer"]
