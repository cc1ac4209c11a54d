"""Facade: switches of the libraries underneath, as PyTorch scripts set them."""

from types import SimpleNamespace

__all__ = ["cudnn", "mps"]

cudnn = SimpleNamespace(
    benchmark=False, deterministic=False, enabled=True, is_available=lambda: False, version=lambda: None
)
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
