"""Facade: PyTorch's ``torch.distributed.checkpoint.default_planner``."""

from distrt.checkpoint.storage import DefaultLoadPlanner, DefaultSavePlanner

__all__ = ["DefaultLoadPlanner", "DefaultSavePlanner"]
