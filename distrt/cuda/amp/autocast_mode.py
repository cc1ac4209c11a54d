"""Facade: ``autocast("cuda")`` and its helpers in PyTorch's older spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt import amp
from distrt.amp.spelling import warn_of_older_spelling
from distrt.core.dtypes import dtype as dt

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):  # noqa: N801 - PyTorch's own spelling
    """Deprecated: ``distrt.amp.autocast("cuda", ...)``."""

    def __init__(
        self, enabled: bool = True, dtype: dt.dtype = dt.float16, cache_enabled: bool = True
    ) -> None:
        warn_of_older_spelling("cuda.amp.autocast(args...)", "autocast('cuda', args...)")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: dt.dtype | None = None) -> Any:
    """Deprecated: ``distrt.amp.custom_fwd(..., device_type="cuda")``."""
    warn_of_older_spelling("cuda.amp.custom_fwd(args...)", "custom_fwd(args..., device_type='cuda')")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable[..., Any]) -> Any:
    """Deprecated: ``distrt.amp.custom_bwd(..., device_type="cuda")``."""
    warn_of_older_spelling("cuda.amp.custom_bwd(args...)", "custom_bwd(args..., device_type='cuda')")
    return amp.custom_bwd(bwd, device_type="cuda")
