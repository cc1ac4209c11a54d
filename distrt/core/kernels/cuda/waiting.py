"""A kernel that does nothing for a while: for programs that measure, or show in which order things come."""

from __future__ import annotations

import numpy as np

from distrt.core.kernels.cuda.launching import kernel

__all__ = ["spin"]


def spin(ticks: int) -> None:
    """Keeps the current stream busy for so many ticks of the GPU's clock."""
    kernel("waiting", "spin")((1,), (1,), (np.int64(ticks),))
