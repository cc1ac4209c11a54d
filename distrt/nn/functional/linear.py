"""Linear and bilinear maps."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.definitions.wording import worded

__all__ = ["bilinear", "linear"]

bilinear = worded(ops.bilinear)
linear = ops.linear
