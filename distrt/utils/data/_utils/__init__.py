"""Facade: PyTorch's ``torch.utils.data._utils``."""

from distrt.utils.data._utils import collate, pin_memory, worker

__all__ = ["collate", "pin_memory", "worker"]
