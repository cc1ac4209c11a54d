"""Facade: DLPack capsules, at the path that PyTorch users type."""

from distrt.core.tensors.interchange import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
