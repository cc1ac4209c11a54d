"""Facade: ``torch.autograd.function``."""

from distrt.core.autograd.context import FunctionCtx
from distrt.core.autograd.function import Function, InplaceFunction, once_differentiable

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]
