"""Facade: optimizers of several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.averaging.optimizer import PostLocalSGDOptimizer
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer

__all__ = ["PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]
