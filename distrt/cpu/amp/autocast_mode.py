"""Facade: ``autocast("cpu")`` in PyTorch's older spelling."""

from __future__ import annotations

import warnings

from distrt import amp
from distrt.core import dtype as dt

__all__ = ["autocast"]


class autocast(amp.autocast):  # noqa: N801 - PyTorch's own spelling
    """Deprecated: ``distrt.amp.autocast("cpu", ...)``."""

    def __init__(
        self, enabled: bool = True, dtype: dt.dtype = dt.bfloat16, cache_enabled: bool = True
    ) -> None:
        warnings.warn(
            "`torch.cpu.amp.autocast(args...)` is deprecated. "
            "Please use `torch.amp.autocast('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
