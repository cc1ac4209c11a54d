"""Facade: gradients as values, at the path that PyTorch users type. The engine is ``distrt.core.autograd``."""

from __future__ import annotations

from distrt.core import methods as _methods  # noqa: F401
from distrt.core.autograd.roots import backward, grad
from distrt.core.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]
