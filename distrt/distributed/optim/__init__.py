"""Facade: optimizers of several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.averaging.optimizer import PostLocalSGDOptimizer

__all__ = ["PostLocalSGDOptimizer"]
