"""Half precision computes in float32 and is rounded once, at the end."""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array


def wide(array: Array) -> Array:
    """The array itself, or a float32 copy of one in float16 or bfloat16."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array
