"""Facade: PyTorch's ``torch.utils.data._utils``."""

from distrt.utils.data._utils import collate, worker

__all__ = ["collate", "worker"]
