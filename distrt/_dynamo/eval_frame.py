"""Where PyTorch has the class of compiled modules, which libraries ask for."""

from __future__ import annotations

from distrt.nn.modules.compiled import OptimizedModule

__all__ = ["OptimizedModule"]
