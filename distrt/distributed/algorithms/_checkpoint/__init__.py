"""Facade: wrappers for activations, at the path that PyTorch users type."""

from distrt.distributed.algorithms._checkpoint import checkpoint_wrapper

__all__ = ["checkpoint_wrapper"]
