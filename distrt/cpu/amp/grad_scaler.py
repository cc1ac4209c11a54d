"""Facade: ``GradScaler("cpu")`` in PyTorch's older spelling."""

from __future__ import annotations

from distrt import amp
from distrt.amp.spelling import warn_of_older_spelling

__all__ = ["GradScaler"]


class GradScaler(amp.GradScaler):
    """Deprecated: ``distrt.amp.GradScaler("cpu", ...)``."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn_of_older_spelling("cpu.amp.GradScaler(args...)", "GradScaler('cpu', args...)")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
