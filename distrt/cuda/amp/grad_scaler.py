"""Facade: ``GradScaler("cuda")`` in PyTorch's older spelling."""

from __future__ import annotations

from distrt import amp
from distrt.amp.grad_scaler import OptState
from distrt.amp.spelling import warn_of_older_spelling

__all__ = ["GradScaler", "OptState"]


class GradScaler(amp.GradScaler):
    """Deprecated: ``distrt.amp.GradScaler("cuda", ...)``."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn_of_older_spelling("cuda.amp.GradScaler(args...)", "GradScaler('cuda', args...)")
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
