"""Facade: PyTorch's ``torch.distributed.checkpoint.stateful``."""

from distrt.checkpoint.state_dicts import Stateful

__all__ = ["Stateful"]
