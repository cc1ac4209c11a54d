"""Linear maps."""

from __future__ import annotations

from distrt.core import ops

__all__ = ["linear"]


linear = ops.linear
