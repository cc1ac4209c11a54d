"""Facade: PyTorch's ``torch.utils.data._utils.pin_memory``."""

from distrt.data.pinning import pin_memory

__all__ = ["pin_memory"]
