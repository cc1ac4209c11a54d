"""Linear and bilinear maps."""

from __future__ import annotations

from distrt.core import ops

__all__ = ["bilinear", "linear"]

bilinear = ops.bilinear
linear = ops.linear
