"""Facade: PyTorch's ``torch._tensor``, from where editors import ``Tensor``."""

from distrt.core.tensor import Tensor

__all__ = ["Tensor"]
