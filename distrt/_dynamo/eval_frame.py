"""The class of PyTorch's compiled modules, which libraries ask for: here ``compile`` returns a module as it is."""

from __future__ import annotations

from distrt.nn.modules.module import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """What PyTorch's ``compile`` makes of a module; here no module is one."""
