"""Facade: ``autocast("cpu")`` in PyTorch's older spelling."""

from __future__ import annotations

from distrt import amp
from distrt.amp.spelling import warn_of_older_spelling
from distrt.core.dtypes import dtype as dt

__all__ = ["autocast"]


class autocast(amp.autocast):  # noqa: N801 - PyTorch's own spelling
    """Deprecated: ``distrt.amp.autocast("cpu", ...)``."""

    def __init__(
        self, enabled: bool = True, dtype: dt.dtype = dt.bfloat16, cache_enabled: bool = True
    ) -> None:
        warn_of_older_spelling("cpu.amp.autocast(args...)", "autocast('cpu', args...)")
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
