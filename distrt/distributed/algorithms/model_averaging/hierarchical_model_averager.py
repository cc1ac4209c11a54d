"""Facade: averaging within groups of several sizes, at the path that PyTorch users type."""

from distrt.parallel.averaging.hierarchical import HierarchicalModelAverager

__all__ = ["HierarchicalModelAverager"]
