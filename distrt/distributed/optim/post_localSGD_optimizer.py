"""Facade: post-local SGD's optimizer, at the path that PyTorch users type."""
# ruff: noqa: N999 - the name is PyTorch's

from distrt.parallel.averaging.optimizer import PostLocalSGDOptimizer

__all__ = ["PostLocalSGDOptimizer"]
