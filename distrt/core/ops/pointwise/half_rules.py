"""Half precision in derivative rules: they compute in float32, too, and the engine rounds once."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops


def widened(value: Any) -> Any:
    """The array or tensor itself, or a float32 copy of one in float16 or bfloat16."""
    dtype = getattr(value, "_array", value).dtype
    is_half = dtype.itemsize == 2 and dtype.kind in "fV"
    return ops.to_dtype(value, np.dtype(np.float32)) if is_half else value
