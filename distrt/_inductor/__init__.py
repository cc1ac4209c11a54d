"""Facade: the back of PyTorch's compiler, whose switches scripts set; here they are without effect."""

from distrt._inductor import config

__all__ = ["config"]
