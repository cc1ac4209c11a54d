"""Facade: PyTorch's ``torch.signal``."""

from distrt.signal import windows

__all__ = ["windows"]
